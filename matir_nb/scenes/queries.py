"""What can be asked of a scene, and the exact answer.

`entails` gives the truth of a query for one scene; `make_queries` gives a query set with truth
over a gallery, worded by `matir_nb.scenes.phrases`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from matir_nb.geometry.masks import encode, tight_box_xyxy
from matir_nb.scenes import phrases
from matir_nb.scenes.draw import Scene, SceneObject
from matir_nb.scenes.meaning import ATTRIBUTES, KINDS, NounPhrase, Query
from matir_nb.scenes.vocabulary import SIZES, Split
from matir_nb.types import MaskRLE, QueryTruth

RELATIONS = ("left", "right", "above", "below", "inside", "overlapping", "larger", "smaller")
SUPERLATIVES = ("leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest")
MARGIN = 0.06
"""Centres must differ by this part of the image's side for left / right / above / below."""
MIN_ENCLOSED = 0.9
MIN_COVERED = 0.03
MAX_RELEVANT_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    """The truth: is the scene relevant, and which objects (by number) answer the query."""

    is_relevant: bool
    targets: tuple[int, ...] = ()


def holds(scene: Scene, relation: str, first: int, second: int) -> bool:
    """Return whether object `first` stands in `relation` to object `second`.

    left / right / above / below compare centres with a margin of `MARGIN` of the image's width
    or height; larger / smaller compare size classes; inside means at least `MIN_ENCLOSED` of the
    silhouette within the other's outline; overlapping means that one covers at least
    `MIN_COVERED` of the other and neither is inside.
    """
    height, width = scene.labels.shape
    a, b = scene.objects[first], scene.objects[second]
    dx = (b.centre_xy[0] - a.centre_xy[0]) / width
    dy = (b.centre_xy[1] - a.centre_xy[1]) / height
    if relation in ("left", "right"):
        return bool((dx if relation == "left" else -dx) >= MARGIN)
    if relation in ("above", "below"):
        return bool((dy if relation == "above" else -dy) >= MARGIN)
    if relation in ("larger", "smaller"):
        step = SIZES.index(a.size) - SIZES.index(b.size)
        return (step if relation == "larger" else -step) > 0
    is_inside = bool(scene.enclosed[first, second] >= MIN_ENCLOSED)
    if relation == "inside":
        return is_inside
    touches = max(scene.covered[first, second], scene.covered[second, first]) >= MIN_COVERED
    return bool(touches) and not is_inside and scene.enclosed[second, first] < MIN_ENCLOSED


def _extreme(scene: Scene, indices: Sequence[int], superlative: str) -> tuple[int, ...]:
    """Return the extreme objects; several only where the size class ties."""
    measures = {i: _measure(scene.objects[i], superlative) for i in indices}
    best = max(measures.values())
    return tuple(i for i in indices if measures[i] == best)


def _measure(item: SceneObject, superlative: str) -> float:
    """Return what is largest for the object that the superlative names."""
    x, y = item.centre_xy
    size = float(SIZES.index(item.size))
    return {
        "leftmost": -x,
        "rightmost": x,
        "topmost": -y,
        "bottommost": y,
        "largest": size,
        "smallest": -size,
    }[superlative]


def entails(scene: Scene, query: Query) -> Answer:
    """Return the exact truth of `query` for `scene`.

    Counts are exact ("two stars" is false of three). A superlative holds in every image that
    shows its subject, and its target is the extreme one. "No circle" has no target.
    """
    found = tuple(i for i, item in enumerate(scene.objects) if query.subject.matches(item))
    if query.is_none:
        return Answer(is_relevant=not found)
    if query.without is not None:
        found = tuple(i for i in found if not query.without.matches(scene.objects[i]))
    if query.relation is not None and query.other is not None:
        others = [j for j, item in enumerate(scene.objects) if query.other.matches(item)]
        found = tuple(
            i for i in found if any(j != i and holds(scene, query.relation, i, j) for j in others)
        )
    if query.count is not None and len(found) != query.count:
        return Answer(is_relevant=False)
    if query.superlative is not None and found:
        found = _extreme(scene, found, query.superlative)
    return Answer(is_relevant=bool(found), targets=found)


def describe(rng: np.random.Generator, item: SceneObject, n: int | None = None) -> NounPhrase:
    """Return a phrase that is true of `item`, naming `n` of its attributes (None: 1 to 4)."""
    n = n or int(rng.choice((1, 2, 3, 4), p=(0.2, 0.4, 0.3, 0.1)))
    named = rng.permutation(len(ATTRIBUTES))[:n]
    return NounPhrase(**{ATTRIBUTES[i]: getattr(item, ATTRIBUTES[i]) for i in named})


def _random_item(rng: np.random.Generator, scene: Scene) -> SceneObject:
    return scene.objects[int(rng.integers(len(scene.objects)))]


def _absence_query(rng: np.random.Generator, scene: Scene) -> Query:
    """Return "no X" or "X without Y", aimed at attributes that this scene shows."""
    item = _random_item(rng, scene)
    if rng.random() < 0.5:
        return Query("absence", describe(rng, item, int(rng.integers(1, 3))), is_none=True)
    excluded = ("texture", "colour")[int(rng.random() < 0.35)]
    values = phrases.EXCLUDABLE[excluded]
    value = values[int(rng.integers(len(values)))]
    subject = describe(rng, item, int(rng.integers(1, 3)))
    subject = replace(subject, shape=item.shape, **{excluded: None})
    return Query("absence", subject, without=NounPhrase(**{excluded: value}))


def _relation_query(rng: np.random.Generator, scene: Scene) -> Query | None:
    """Return a relation that holds in the scene, each relation equally likely; None if none."""
    n = len(scene.objects)
    for relation in rng.permutation(RELATIONS):
        pairs = [
            (i, j) for i in range(n) for j in range(n) if i != j and holds(scene, relation, i, j)
        ]
        if pairs:
            i, j = pairs[int(rng.integers(len(pairs)))]
            sizes = relation in ("larger", "smaller")
            a = describe(rng, scene.objects[i], int(rng.integers(1, 4)))
            b = describe(rng, scene.objects[j], int(rng.integers(1, 4)))
            if sizes:
                a, b = (
                    replace(p, size=None, shape=scene.objects[k].shape) for p, k in ((a, i), (b, j))
                )
            return Query("relation", a, relation=str(relation), other=b)
    return None


def sample_query(rng: np.random.Generator, scene: Scene, kind: str) -> Query | None:
    """Return a random query of `kind` inspired by the scene; None when the scene affords none.

    Attribute, relation, count and superlative queries are true of the scene; absence queries
    may be true or false of it.
    """
    item = _random_item(rng, scene)
    if kind == "attribute":
        return Query(kind, describe(rng, item))
    if kind == "relation":
        return _relation_query(rng, scene)
    if kind == "absence":
        return _absence_query(rng, scene)
    subject = describe(rng, item, int(rng.integers(1, 3)))
    if kind == "count":
        count = len(entails(scene, Query("attribute", subject)).targets)
        return Query(kind, subject, count=count) if 2 <= count <= phrases.MAX_COUNT else None
    superlative = SUPERLATIVES[int(rng.integers(len(SUPERLATIVES)))]
    if superlative in ("largest", "smallest"):
        subject = replace(subject, size=None)
        subject = subject if subject != NounPhrase() else NounPhrase(shape=item.shape)
    return Query(kind, subject, superlative=superlative)


def truth_of(
    query_id: str, text: str, query: Query, scenes: Sequence[Scene], image_ids: Sequence[str]
) -> QueryTruth:
    """Return relevance, masks and boxes of `query` over a gallery."""
    relevant, masks, boxes = set(), {}, {}
    for scene, image_id in zip(scenes, image_ids, strict=True):
        answer = entails(scene, query)
        if not answer.is_relevant:
            continue
        relevant.add(image_id)
        found: tuple[MaskRLE, ...] = tuple(encode(scene.visible_mask(i)) for i in answer.targets)
        masks[image_id] = found
        corners = [tight_box_xyxy(mask) for mask in found]
        boxes[image_id] = np.array(corners, np.float32).reshape(-1, 4)
    return QueryTruth(query_id, text, query.kind, frozenset(relevant), masks, boxes)


def make_queries(
    scenes: Sequence[Scene],
    n: int,
    *,
    split: Split,
    seed: int = 0,
    image_ids: Sequence[str] | None = None,
) -> list[QueryTruth]:
    """Return `n` queries with truth over the gallery, equally many of each kind.

    Each has at least one relevant image; all but absence and superlative queries have at most
    `MAX_RELEVANT_SHARE` of the gallery. Wording comes from the templates of `split`.

    Args:
        scenes: the gallery.
        n: number of queries.
        split: whose templates word the queries.
        seed: another query set.
        image_ids: the gallery's image ids; None = "<scene_id>.png".
    """
    rng = np.random.default_rng((seed, n))
    ids = image_ids or [f"{scene.scene_id}.png" for scene in scenes]
    found: dict[Query, QueryTruth] = {}
    limit = MAX_RELEVANT_SHARE * len(scenes)
    for attempt in range(n * 40):
        if len(found) == n:
            break
        kind = KINDS[len(found) % len(KINDS)]
        query = sample_query(rng, scenes[int(rng.integers(len(scenes)))], kind)
        if query is None or query in found:
            continue
        n_relevant = sum(entails(scene, query).is_relevant for scene in scenes)
        is_broad = kind in ("absence", "superlative") or attempt > n * 30
        if n_relevant and (is_broad or n_relevant <= limit):
            text = phrases.say(query, rng, split)
            found[query] = truth_of(f"{kind}-{len(found):04d}", text, query, scenes, ids)
    return list(found.values())
