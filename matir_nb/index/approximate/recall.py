"""Recall, measured: the exact best images of sampled queries, and how many of them are found.

The queries are made from vectors of regions, as no texts are at hand when an index is built, and as
hard as texts are (`benchmarks/approximate.py` compares); those that a user gives are measured, too.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from matir_nb.index.approximate.about import Measured
from matir_nb.index.approximate.opened import Approximate
from matir_nb.index.approximate.rows import Rows
from matir_nb.types import FloatArray

DEPTHS = (10, 100)
GAP = 2.5
SHARES = (0.1, 0.01)
"""Of the images, that filters let pass."""


def sampled_queries(rows: Rows, n: int, seed: int) -> FloatArray:
    """Return (n, d) unit queries that are as far from the regions as texts are.

    Each is the direction of a sampled region mixed with noise of the regions' own spectrum, from
    all noise to none; then noise of all directions is added, `GAP` times as long: the cosine of a
    text with what it describes is .2 to .4, most of it says nothing of the pictures.
    What all vectors share is taken out first: a text has another share.
    """
    rng = np.random.default_rng(seed)
    live = np.flatnonzero(rows.owners >= 0)
    chosen = np.sort(rng.choice(live, min(len(live), max(1024, n)), replace=False))
    vectors = rows.take(chosen)
    centred = vectors - vectors.mean(axis=0)
    picked = _unit(centred[rng.choice(len(centred), n, replace=len(centred) < n)])
    like = _unit(rng.standard_normal(picked.shape, np.float32) * centred.std(axis=0))
    unlike = _unit(rng.standard_normal(picked.shape, np.float32))
    closeness = rng.permutation(np.linspace(0, 1, n, dtype=np.float32))[:, None]
    return _unit(closeness * picked + (1 - closeness) * like + GAP * unlike)


def exact_best(
    rows: Rows, queries: FloatArray, masks: Sequence[NDArray[np.bool_] | None]
) -> list[list[NDArray[np.int64]]]:
    """Return per mask and query the rows of the best allowed images, from all vectors.

    At most the largest of `DEPTHS`; equal scores in the order of the rows.
    """
    best = np.full((len(queries), rows.n_images + 1), -np.inf, np.float32)
    for first, block in rows.blocks():
        owners = rows.owners[first : first + len(block)]
        starts = np.flatnonzero(np.diff(owners, prepend=np.int32(-2)))
        highest = np.maximum.reduceat(queries @ block.T, starts, axis=1)
        # an image's regions lie together; dropped ones (-1) go to the last column
        places = owners[starts]
        best[:, places] = np.maximum(best[:, places], highest)
    scores = best[:, :-1]
    bare = np.flatnonzero(rows.counts == 0)
    scores[:, bare] = rows.scores(queries, bare)
    return [[_top(line, mask) for line in scores] for mask in masks]


def measure(
    found_by: Approximate,
    queries: Mapping[str, FloatArray],
    truth: Mapping[str, list[NDArray[np.int64]]],
    effort: int | None,
    *,
    allowed: NDArray[np.bool_] | None = None,
) -> list[Measured]:
    """Return recall and time of one effort, per kind of query and depth; [] = exact is better."""
    share = 1.0 if allowed is None else float(np.mean(allowed))
    rows = []
    for name, vectors in queries.items():
        for k in depths(found_by.rows.n_images if allowed is None else int(allowed.sum())):
            start, recalls = perf_counter(), []
            for query, best in zip(vectors, truth[name], strict=True):
                found = found_by.best(query[None], k, allowed=allowed, effort=effort)
                if found is None:
                    return []
                got = next(found)[0]
                recalls.append(len(np.intersect1d(got, best[:k])) / min(k, len(best)))
            ms = (perf_counter() - start) / len(vectors) * 1000
            made = found_by.about.effort if effort is None else effort
            mean, worst = float(np.mean(recalls)), float(min(recalls))
            rows.append(Measured(name, k, share, made, mean, worst, round(ms, 3)))
    return rows


def depths(n_images: int) -> tuple[int, ...]:
    """Return the depths at which recall says something; the smallest in any case.

    >>> depths(5000), depths(60)
    ((10, 100), (10,))
    """
    return tuple(k for k in DEPTHS if k < n_images) or DEPTHS[:1]


def _top(scores: FloatArray, mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    rows = np.arange(len(scores)) if mask is None else np.flatnonzero(mask)
    order = np.lexsort((rows, -scores[rows]))
    return rows[order][: max(DEPTHS)]


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = np.divide(vectors, lengths, out=vectors.copy(), where=lengths > 0)
    return unit
