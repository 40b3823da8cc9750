"""How a query's cut fares: silent where nothing is right, and still useful where something is.

Absent are captions that no scene of the gallery shows ("near": the model's own words, "far":
words that it has never seen); present are captions of what is there. The report says how many
absent queries have a hit above the cut, and how much of what is right is above it. This module
knows no formula of a cut; `null_of` fits the one number pair that a judge needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.evaluation.bootstrap import bootstrap_interval
from matir_nb.evaluation.gallery import file_name
from matir_nb.explain.cut import JudgeNull
from matir_nb.explain.neutral import bank
from matir_nb.models.base import Judge
from matir_nb.scenes.draw import Scene
from matir_nb.scenes.meaning import ATTRIBUTES, NounPhrase, Query
from matir_nb.scenes.phrases import say
from matir_nb.scenes.queries import describe, entails
from matir_nb.scenes.vocabulary import VALUES, Split
from matir_nb.types import FloatArray

N_NAMED, N_NAMED_SHARES = (2, 3, 4), (0.2, 0.4, 0.4)
"""Attributes that a caption names."""
ATTEMPTS = 200
"""Captions tried for each one wanted: a large gallery shows almost everything."""
ARMS: tuple[tuple[str, bool | None], ...] = (("default", None), ("stage1", False))
GALLERY_SIZES = (8, 16, 32, 64, 125, 250, 500, 1000)
N_DRAWS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and the images that are right.

    Attributes:
        text: the query.
        relevant: image ids; empty = it is absent.
    """

    text: str
    relevant: frozenset[str] = frozenset()


def near_absent(scenes: Sequence[Scene], n: int, *, split: Split, seed: int = 0) -> list[Asked]:
    """Return up to `n` captions in the words of scenes that no scene of the gallery shows."""
    rng = np.random.default_rng((seed, 1))
    found: dict[Query, Asked] = {}
    for _ in range(n * ATTEMPTS):
        if len(found) == n:
            break
        named = rng.permutation(len(ATTRIBUTES))[: _n_named(rng)]
        names = [ATTRIBUTES[i] for i in named]
        values = {name: VALUES[name][int(rng.integers(len(VALUES[name])))] for name in names}
        query = Query("attribute", NounPhrase(**values))
        if query not in found and not any(entails(s, query).is_relevant for s in scenes):
            found[query] = Asked(say(query, rng, split))
    return list(found.values())


def far_absent(n: int, *, seed: int = 0) -> list[Asked]:
    """Return `n` captions of photographs, whose words no generated scene has."""
    phrases = bank("everyday")
    rows = np.random.default_rng((seed, 2)).permutation(len(phrases))[:n]
    return [Asked(phrases[row]) for row in rows]


def present(scenes: Sequence[Scene], n: int, *, split: Split, seed: int = 0) -> list[Asked]:
    """Return up to `n` captions of objects of the gallery, with all the scenes that show them."""
    rng = np.random.default_rng((seed, 3))
    found: dict[Query, Asked] = {}
    for _ in range(n * ATTEMPTS):
        if len(found) == n:
            break
        scene = scenes[int(rng.integers(len(scenes)))]
        item = scene.objects[int(rng.integers(len(scene.objects)))]
        query = Query("attribute", describe(rng, item, _n_named(rng)))
        if query not in found:
            right = frozenset(file_name(s) for s in scenes if entails(s, query).is_relevant)
            found[query] = Asked(say(query, rng, split), right)
    return list(found.values())


def absence_of(
    engine: Engine, scenes: Sequence[Scene], *, split: Split, n_queries: int = 100, seed: int = 0
) -> dict[str, Any]:
    """Return how the cut fares, with the engine's judge and by stage 1 alone; plain values.

    Args:
        engine: of an index of the very `scenes`.
        scenes: the gallery.
        split: whose templates word the queries.
        n_queries: of each kind: near-absent, far-absent, present.
        seed: of the queries.

    Returns:
        arm ("default", "stage1") -> "near" and "far": share of the absent queries with a hit
        above the cut ("alarms"); "present": "recall" of the right images above the cut, averaged
        over queries, "found": share of the queries with a right image above it, "precision" of
        what is above it. Each has "n" and 95 % "intervals". An arm without a model is left out.
    """
    asked = {
        "near": near_absent(scenes, n_queries, split=split, seed=seed),
        "far": far_absent(n_queries, seed=seed),
        "present": present(scenes, n_queries, split=split, seed=seed),
    }
    arms = ARMS if engine.judge is not None else ARMS[1:]
    return {
        arm: {kind: _measured(engine, queries, judge=judge) for kind, queries in asked.items()}
        for arm, judge in arms
    }


def judged(engine: Engine, queries: Sequence[Asked]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return (q, images) log-odds that the engine's judge gives, and whether the image is right."""
    ids = engine.index.image_ids
    logits, relevant = np.zeros((2, len(queries), len(ids)), np.float32)
    for row, asked in enumerate(queries):
        result = engine.search(asked.text, k=len(ids), n_judged=len(ids))
        found = {hit.image_id: hit.logit for hit in result}
        logits[row] = [found[image_id] for image_id in ids]
        relevant[row] = [image_id in asked.relevant for image_id in ids]
    return logits, relevant.astype(np.bool_)


def null_of(
    logits: FloatArray, relevant: NDArray[np.bool_], *, error_rate: float, seed: int = 0
) -> JudgeNull:
    """Return the null of a judge, fitted to what it says of galleries that lack what is asked.

    Galleries of several sizes n are drawn from the images; of the queries that are absent from a
    gallery, the (1 - error_rate) quantile of the highest log-odds is a line in ln n, whose slope
    is the Gumbel scale (see `JudgeNull.min_logit`).

    Args:
        logits: (q, images) the judge's log-odds.
        relevant: (q, images) whether the image shows the query.
        error_rate: the share of absent queries that may exceed the fitted threshold.
        seed: of the draws.

    Raises:
        ConfigError: there are fewer than 16 images: no line can be fitted.
    """
    n_images = logits.shape[1]
    sizes = [n for n in GALLERY_SIZES if n <= n_images]
    if len(sizes) < 2:
        message = f"{n_images} images are too few to fit a judge's null: give 16 or more"
        raise ConfigError(message)
    rng = np.random.default_rng(seed)
    limits = []
    for size in sizes:
        draws = [rng.permutation(n_images)[:size] for _ in range(N_DRAWS if size < n_images else 1)]
        maxima = [logits[:, d].max(axis=1)[~relevant[:, d].any(axis=1)] for d in draws]
        limits.append(np.quantile(np.concatenate(maxima), 1 - error_rate))
    scale, at_one = (float(v) for v in np.polyfit(np.log(sizes), limits, 1))
    unit = JudgeNull(location=0.0, scale=scale).min_logit(1, error_rate)
    return JudgeNull(location=at_one - unit, scale=scale)


def _n_named(rng: np.random.Generator) -> int:
    return int(rng.choice(N_NAMED, p=N_NAMED_SHARES))


def _measured(
    engine: Engine, queries: Sequence[Asked], *, judge: bool | Judge | None
) -> dict[str, Any]:
    kept = [(asked, _above(engine, asked.text, judge=judge)) for asked in queries]
    if not any(asked.relevant for asked in queries):
        return _shares({"alarms": [float(bool(above)) for _, above in kept]})
    hits = [len(above & asked.relevant) for asked, above in kept]
    values = {
        "recall": [n / len(asked.relevant) for n, (asked, _) in zip(hits, kept, strict=True)],
        "found": [float(n > 0) for n in hits],
    }
    n_above = sum(len(above) for _, above in kept)
    return _shares(values) | {"precision": sum(hits) / n_above if n_above else None}


def _above(engine: Engine, text: str, *, judge: bool | Judge | None) -> frozenset[str]:
    hits = engine.search(text, k=engine.index.n_images, judge=judge)
    return frozenset(hit.image_id for hit in hits if hit.above_cut)


def _shares(values: dict[str, list[float]]) -> dict[str, Any]:
    means = {name: sum(v) / len(v) if v else None for name, v in values.items()}
    n = len(next(iter(values.values())))
    return {"n": n, **means, "intervals": {k: bootstrap_interval(v) for k, v in values.items()}}
