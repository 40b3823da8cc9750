"""What a search is measured against: a full scan as it is usually written, FAISS, plain reading.

All work on the vectors of the very index that is measured, and give the best images by their best
region; `oracle` adds what the index adds (the whole image), in the plainest way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.index.store import Index

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Search = Callable[[FloatArray, int], IntArray]
"""(d,) query and k -> rows of the k best images, best first."""

OVER_FETCH = 10
"""FAISS is asked for so many regions per image wanted."""
ORACLE_ROWS = 8192
TIE = 1e-6
"""Scores this close are equal: what the order of a sum does to single precision."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Whose the regions are.

    Attributes:
        owners: (n,) image row of each.
        filled: rows of the images that have any.
        starts: (filled,) first region of each of these.
    """

    owners: IntArray
    filled: IntArray
    starts: IntArray

    @classmethod
    def of(cls, counts: IntArray) -> "Regions":
        """Say whose the regions of images of so many are."""
        filled = np.flatnonzero(counts)
        return cls(
            np.repeat(np.arange(len(counts)), counts), filled, (np.cumsum(counts) - counts)[filled]
        )


def plain_search(vectors: FloatArray, regions: Regions) -> Search:
    """Return the search that one writes with numpy: a product, the best of each image, the best."""

    def search(query: FloatArray, k: int) -> IntArray:
        best = np.maximum.reduceat(vectors @ query, regions.starts)
        top = np.argpartition(best, -k)[-k:]
        return regions.filled[top[np.argsort(-best[top])]]

    return search


def faiss_search(index: Any, owners: IntArray) -> Search:
    """Return a search of a FAISS index over regions, asked for more and grouped by image."""

    def search(query: FloatArray, k: int) -> IntArray:
        _, found = index.search(query[None], OVER_FETCH * k)
        images = owners[found[0][found[0] >= 0]]
        _, first = np.unique(images, return_index=True)
        return images[np.sort(first)[:k]]

    return search


def flat_faiss(index: Index) -> Any:
    """Return FAISS's exact index of single-precision vectors."""
    import faiss

    flat = faiss.IndexFlatIP(index.dim)
    for part in index.parts:
        flat.add(np.asarray(part.regions.exact, np.float32))
    return flat


def vectors_of(flat: Any) -> FloatArray:
    """Return the (n, d) vectors that a flat FAISS index holds, without a copy."""
    import faiss

    held = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d)
    return np.asarray(held.reshape(flat.ntotal, flat.d), np.float32)


def half_faiss(index: Index, path: Path) -> Path:
    """Write FAISS's exact index of half-precision vectors, unless it is there; return its file."""
    if not path.is_file():
        import faiss

        half = faiss.IndexScalarQuantizer(
            index.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for part in index.parts:
            half.add(np.asarray(part.regions.exact, np.float32))
        faiss.write_index(half, str(path.with_suffix(".tmp")))
        path.with_suffix(".tmp").rename(path)
    return path


def stream(codes: Sequence[NDArray[np.int8]]) -> int:
    """Read codes once, as fast as one thread can; return something of them."""
    return max(int(part.reshape(-1).view(np.int64).max()) for part in codes)


def oracle(index: Index, queries: FloatArray, config: RetrieveConfig) -> NDArray[np.float64]:
    """Return (q, n_images) scores of a full scan in single precision, fused as the index says."""
    best = np.full((len(queries), index.n_images), -np.inf, np.float32)
    whole = np.empty_like(best)
    for number, part in enumerate(index.parts):
        columns = slice(*index.starts[number : number + 2])
        scores = _scan(queries, part.regions.exact)
        regions = Regions.of(np.diff(part.offsets))
        best[:, columns][:, regions.filled] = np.maximum.reduceat(scores, regions.starts, axis=1)
        whole[:, columns] = _scan(queries, part.wholes.exact)
    best = np.where(np.isneginf(best), whole, best)
    fused = config.region_weight * best.astype(np.float64) + config.image_weight * whole
    return np.asarray(fused)


def is_exact(rows: IntArray, truth: NDArray[np.float64], k: int) -> bool:
    """Tell whether `rows` are the k best of `truth`, in order; images of equal score may swap."""
    k = min(k, len(truth))
    best = np.sort(truth)[::-1][:k]
    is_whole = len(rows) == k == len(np.unique(rows))
    return is_whole and bool(np.all(np.abs(truth[rows] - best) <= TIE))


def _scan(queries: FloatArray, vectors: NDArray[np.float16]) -> FloatArray:
    scores = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), ORACLE_ROWS):
        block = np.asarray(vectors[start : start + ORACLE_ROWS], np.float32)
        scores[:, start : start + len(block)] = queries @ block.T
    return scores
