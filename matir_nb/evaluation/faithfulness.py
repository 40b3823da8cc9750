"""Is an explanation true? What generated scenes know about the cause of a match.

- Pointing game (Zhang et al., "Top-down neural attention by excitation backprop", IJCV 2018,
  §4.1): does the region that an explanation names lie on an object that answers the query?
- The same game for words: does the word that an explanation blames, or thanks, name the attribute
  that the object lacks, or is the only one that it has?
- Orders of regions for deletion and insertion (Petsiuk et al., "RISE", BMVC 2018, §4.2).

Pure: this module knows no engine and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.geometry.masks import decode, encode, mask_iou
from matir_nb.scenes import phrases
from matir_nb.scenes.draw import Scene, SceneObject
from matir_nb.scenes.meaning import ATTRIBUTES, NounPhrase, Query
from matir_nb.scenes.queries import MAX_RELEVANT_SHARE, entails, sample_query, truth_of
from matir_nb.scenes.vocabulary import VALUES, Split
from matir_nb.types import MaskRLE, QueryTruth, Regions

MIN_IOU = 0.5
"""From this IoU on a region is said to show an object."""
NEAR_MISS = "near miss"
ONE_SHARED = "one shared"
REGION_OF_WORD = "region"
GAMES = (NEAR_MISS, ONE_SHARED, REGION_OF_WORD)
Order: TypeAlias = NDArray[np.intp]
Scores: TypeAlias = Sequence[float] | NDArray[np.floating]


def _lexicon() -> dict[str, tuple[str, str]]:
    """Return word -> (attribute, value), every synonym and noun form."""
    return {
        word: (attribute, value)
        for attribute, allowed in VALUES.items()
        for value in allowed
        for word in (*phrases.WORDS[value], *phrases.TEXTURE_NOUNS.get(value, ()))
    }


LEXICON = _lexicon()


def attribute_words(words: Sequence[str]) -> dict[str, int]:
    """Return attribute -> the position of the word that names it; other words are left out.

    >>> attribute_words(["a", "picture", "of", "a", "tiny", "ring,", "red"])
    {'size': 4, 'shape': 5, 'colour': 6}
    """
    plain = [_plain(word) for word in words]
    return {LEXICON[word][0]: place for place, word in enumerate(plain) if word in LEXICON}


def meaning_of(words: Sequence[str]) -> NounPhrase:
    """Return the attributes that words name: the reverse of `phrases.say` for attribute queries.

    >>> meaning_of(["a", "disc", "with", "dots"])
    NounPhrase(colour=None, shape='circle', size=None, texture='dotted')
    """
    plain = (_plain(word) for word in words)
    return NounPhrase(**dict(LEXICON[word] for word in plain if word in LEXICON))


def _plain(word: str) -> str:
    return word.strip(",.;:!?").lower()


def attribute_queries(
    scenes: Sequence[Scene], n: int, *, split: Split, seed: int, image_ids: Sequence[str]
) -> list[QueryTruth]:
    """Return up to `n` different attribute queries with truth over the gallery.

    Each is true of at least one image and of at most `MAX_RELEVANT_SHARE` of them.

    Args:
        scenes: the gallery.
        n: number of queries; a small gallery may not afford so many.
        split: whose templates word the queries.
        seed: another query set.
        image_ids: one per scene.
    """
    rng = np.random.default_rng((seed, n))
    found: dict[Query, QueryTruth] = {}
    limit = max(1.0, MAX_RELEVANT_SHARE * len(scenes))
    for _ in range(n * 40):
        if len(found) == n:
            break
        query = sample_query(rng, scenes[int(rng.integers(len(scenes)))], "attribute")
        if query is None or query in found:
            continue
        if sum(entails(scene, query).is_relevant for scene in scenes) > limit:
            continue
        text = phrases.say(query, rng, split)
        found[query] = truth_of(f"attribute-{len(found):04d}", text, query, scenes, image_ids)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where a region lies, next to the true targets; all criteria fail where there is no region.

    Attributes:
        iou: highest IoU with a target's visible mask.
        has_iou: `iou` is at least `MIN_IOU`.
        centre_on_target: the pixel at the region's centre of mass lies on a target: the classic
            criterion; the centre of a ring does not lie on the ring.
        inmost_on_target: the pixel deepest inside the region lies on a target.
    """

    iou: float = 0.0
    has_iou: bool = False
    centre_on_target: bool = False
    inmost_on_target: bool = False


def point_at(region: MaskRLE | None, targets: Sequence[MaskRLE]) -> Pointing:
    """Return whether `region` names one of `targets`.

    >>> left, right = encode([[1, 0, 0, 0]]), encode([[0, 0, 1, 1]])
    >>> point_at(left, [right]).has_iou, point_at(right, [left, right]).has_iou
    (False, True)
    """
    if region is None or not targets:
        return Pointing()
    pixels = decode(region)
    if not pixels.any():
        return Pointing()
    on_target = np.any([decode(target) for target in targets], axis=0)
    iou = float(mask_iou([region], targets).max())
    return Pointing(
        iou, iou >= MIN_IOU, bool(on_target[_centre(pixels)]), bool(on_target[_inmost(pixels)])
    )


def _centre(pixels: NDArray[np.bool_]) -> tuple[int, int]:
    """Return (row, column) of the centre of mass."""
    rows, columns = np.nonzero(pixels)
    return round(rows.mean()), round(columns.mean())


def _inmost(pixels: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel that outlasts the others when the edge is peeled off, layer by layer.

    Of several, the one nearest to their centre of mass.
    """
    left, inner = pixels, pixels
    while inner.any():
        left = inner
        padded = np.pad(left, 1)
        sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        inner = left & np.logical_and.reduce(sides)
    rows, columns = np.nonzero(left)
    row, column = _centre(left)
    nearest = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    return int(rows[nearest]), int(columns[nearest])


def shown_objects(regions: Regions, scene: Scene) -> tuple[int | None, ...]:
    """Return, for each region, the object whose visible mask it shows; None = none of them.

    An object is shown by a region with IoU >= `MIN_IOU`; of several the best counts.
    """
    visible = [encode(scene.visible_mask(i)) for i in range(len(scene.objects))]
    if not len(regions) or not visible:
        return (None,) * len(regions)
    ious = mask_iou(regions.masks, visible)
    best = ious.argmax(axis=1)
    return tuple(
        int(index) if ious[row, index] >= MIN_IOU else None for row, index in enumerate(best)
    )


def only_lacking(wanted: NounPhrase, item: SceneObject) -> str | None:
    """Return the one attribute of `wanted` that `item` lacks; None where it is none or several."""
    return _only([a for a in _named(wanted) if getattr(wanted, a) != getattr(item, a)])


def only_shared(wanted: NounPhrase, item: SceneObject) -> str | None:
    """Return the one attribute of `wanted` that `item` has; None where it is none or several."""
    return _only([a for a in _named(wanted) if getattr(wanted, a) == getattr(item, a)])


def _named(wanted: NounPhrase) -> list[str]:
    return [a for a in ATTRIBUTES if getattr(wanted, a) is not None]


def _only(attributes: Sequence[str]) -> str | None:
    return attributes[0] if len(attributes) == 1 else None


@dataclass(frozen=True, slots=True)
class WordCase:
    """One round of the pointing game for words.

    Attributes:
        game: `NEAR_MISS` or `ONE_SHARED`.
        region_id: the region that is explained.
        true_word: position of the word that names the cause.
        named_word: position of the word that the explanation names.
        n_words: attribute words to choose from, >= 2.
    """

    game: str
    region_id: int
    true_word: int
    named_word: int
    n_words: int

    @property
    def is_right(self) -> bool:
        """Whether the explanation names the cause."""
        return self.true_word == self.named_word

    @property
    def chance(self) -> float:
        """Share of right answers when an attribute word is drawn blindly."""
        return 1 / self.n_words


@dataclass(frozen=True, slots=True)
class RegionCase:
    """One round of the pointing game for the region that a word means.

    Attributes:
        region_id: the region that the explanation names.
        true_word: position of the word.
        is_right: whether that region shows an object that has the word's attribute.
        chance: share of the image's regions that do, above 0 and below 1.
    """

    region_id: int
    true_word: int
    is_right: bool
    chance: float

    @property
    def game(self) -> str:
        """`REGION_OF_WORD`."""
        return REGION_OF_WORD

    @property
    def named_word(self) -> int:
        """The word that was asked about."""
        return self.true_word


def region_cases(
    words: Sequence[str],
    scores: NDArray[np.floating],
    items: Sequence[SceneObject],
    shown: Sequence[int | None],
) -> list[RegionCase]:
    """Return for each attribute word whether its highest region shows an object that has it.

    A word that all regions show, or none, is left out.

    Args:
        words: of the query.
        scores: (len(words), n) of the n regions.
        items: the objects of the scene.
        shown: n; the object that each region shows, or None.
    """
    wanted = meaning_of(words)
    cases = []
    for attribute, place in attribute_words(words).items():
        value = getattr(wanted, attribute)
        has = [i is not None and getattr(items[i], attribute) == value for i in shown]
        if any(has) and not all(has):
            best = int(scores[place].argmax())
            cases.append(RegionCase(best, place, has[best], sum(has) / len(has)))
    return cases


def word_case(
    game: str,
    region_id: int,
    item: SceneObject,
    words: Sequence[str],
    contributions: Scores,
) -> WordCase | None:
    """Return what the words of a query say about a region that shows `item`.

    Near miss: `item` lacks one attribute; the explanation names the word that adds least.
    One shared: `item` has one attribute only; the explanation names the word that adds most.
    Only attribute words are named. None where the game cannot be played: another number of
    attributes is lacking or shared, or the query names fewer than two.

    Args:
        game: `NEAR_MISS` or `ONE_SHARED`.
        region_id: the region.
        item: what the region shows.
        words: of the query.
        contributions: (len(words),) what each word adds to the region's score.
    """
    spoken = attribute_words(words)
    truth = (only_lacking if game == NEAR_MISS else only_shared)(meaning_of(words), item)
    if truth is None or len(spoken) < 2:
        return None
    return WordCase(
        game, region_id, spoken[truth], _named_word(game, spoken, contributions), len(spoken)
    )


def _named_word(game: str, spoken: Mapping[str, int], contributions: Scores) -> int:
    pick = min if game == NEAR_MISS else max
    return pick(sorted(spoken.values()), key=lambda place: float(contributions[place]))


def occlusion_order(drops: Scores, cosines: Scores) -> Order:
    """Return the rows of regions by stage-1 drop, then by cosine, then by row; best first.

    >>> occlusion_order([0.0, 0.2, 0.0], [0.1, 0.7, 0.5]).tolist()
    [1, 2, 0]
    """
    return np.lexsort((-np.asarray(cosines, np.float64), -np.asarray(drops, np.float64)))


def oracle_order(ious: Scores) -> Order:
    """Return the rows of regions by IoU with the nearest target, then by row; best first.

    >>> oracle_order([0.1, 0.9, 0.1]).tolist()
    [1, 0, 2]
    """
    return np.argsort(-np.asarray(ious, np.float64), kind="stable")


def random_orders(n: int, n_orders: int, *, seed: Sequence[int]) -> list[Order]:
    """Return `n_orders` random orders of `n` regions, fixed by `seed`."""
    rng = np.random.default_rng(tuple(seed))
    return [rng.permutation(n) for _ in range(n_orders)]


def truth_curve(ious: Scores, order: Order) -> tuple[float, ...]:
    """Return whether the scene still shows the query as its regions go in `order`.

    The first of the n + 1 values is that of all regions, the last that of none: 1.0 while a
    region with IoU >= `MIN_IOU` with a target is left. No score of any model enters.

    >>> truth_curve([0.1, 0.9, 0.2], [1, 0, 2])
    (1.0, 0.0, 0.0, 0.0)
    """
    left = np.asarray(ious, np.float64)[np.asarray(order, np.intp)]
    return tuple(float((left[start:] >= MIN_IOU).any()) for start in range(len(left) + 1))
