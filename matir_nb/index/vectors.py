"""Scores: exact cosines, the best region per image, the fused score, best images first.

An exact cosine is the product of a query with a stored vector, summed in double precision and
rounded to single precision: but for a rounding at the very middle of two numbers, it does not
depend on which vectors are scored together. Vectors stay half precision on disk and are widened
block by block. This module knows no file and no model.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ShapeError
from matir_nb.types import FloatArray

BLOCK_ROWS = 4096
Float = TypeVar("Float", bound=np.floating)


def scan(
    queries: FloatArray,
    vectors: NDArray[np.floating],
    *,
    block_rows: int = BLOCK_ROWS,
) -> FloatArray:
    """Return (q, n) float32 exact cosines of (q, d) queries with (n, d) stored vectors.

    Raises:
        ShapeError: the vectors' length differs from the queries'.

    >>> scan(np.eye(2, dtype=np.float32), np.array([[3, 4]], np.float16)).tolist()
    [[3.0], [4.0]]
    """
    if queries.ndim != 2 or vectors.ndim != 2 or queries.shape[1] != vectors.shape[1]:
        message = f"queries: expected shape (q, {vectors.shape[-1]}), got {queries.shape}"
        raise ShapeError(message)
    scores = np.empty((len(queries), len(vectors)), np.float32)
    wide = queries.astype(np.float64)
    for rows in _blocks(len(vectors), block_rows):
        scores[:, rows] = wide @ vectors[rows].astype(np.float64).T
    return scores


def best_per_image(scores: NDArray[Float], offsets: NDArray[np.int64]) -> NDArray[Float]:
    """Return (q, images) best score of each image's regions; -inf for an image without any.

    Args:
        scores: (q, regions), the regions of an image next to one another.
        offsets: (images + 1,) first region of each image, then the number of regions.

    >>> best_per_image(np.array([[1, 5, 2]], np.float32), np.array([0, 2, 2, 3])).tolist()
    [[5.0, -inf, 2.0]]
    """
    filled = np.flatnonzero(np.diff(offsets))
    # reduceat gives the next row's value for an empty slice, so empty images stay out of it
    if len(filled) == len(offsets) - 1 and len(filled):
        best: NDArray[Float] = np.maximum.reduceat(scores, offsets[:-1], axis=1)
        return best
    best = np.full((len(scores), len(offsets) - 1), -np.inf, scores.dtype)
    if len(filled):
        best[:, filled] = np.maximum.reduceat(scores, offsets[filled], axis=1)
    return best


def regions_of(
    images: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the regions of some images, and where those of each begin among them.

    Args:
        images: (n,) rows of images.
        offsets: (images + 1,) first region of each image, then the number of regions.

    Returns:
        (m,) rows of regions, image by image, and their own (n + 1,) offsets.

    >>> regions, ends = regions_of(np.array([2, 0]), np.array([0, 2, 2, 3]))
    >>> regions.tolist(), ends.tolist()
    ([2, 0, 1], [0, 1, 3])
    """
    first, counts = offsets[images], offsets[images + 1] - offsets[images]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return np.arange(ends[-1]) + np.repeat(first - ends[:-1], counts), ends


def fuse(
    best_region: NDArray[np.floating],
    whole_image: NDArray[np.floating],
    config: RetrieveConfig,
) -> NDArray[np.float64]:
    """Return region_weight * best_region + image_weight * whole_image, in double precision.

    Single precision would be off by about 1e-7, which an encoder's scale turns into 1e-5 of
    log-odds: too much for scores that are to be the sum of their parts.
    An image without regions (best_region = -inf) is its own only region.

    >>> config = RetrieveConfig(region_weight=0.75, image_weight=0.25)
    >>> best, whole = np.array([1, -np.inf], np.float32), np.array([0, 0.5], np.float32)
    >>> fuse(best, whole, config).tolist()
    [0.75, 0.5]
    """
    wide = whole_image.astype(np.float64)
    region_term = np.where(np.isneginf(best_region), wide, best_region)
    fused: NDArray[np.float64] = config.region_weight * region_term + config.image_weight * wide
    return fused


def top_k(scores: NDArray[np.floating], k: int, id_ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of the `k` best scores, best first; equal scores by `id_ranks`.

    >>> top_k(np.array([1, 3, 3], np.float32), 2, np.array([0, 2, 1])).tolist()
    [2, 1]
    """
    rows = np.arange(len(scores))
    if 0 < k < len(scores):
        limit = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows = np.flatnonzero(scores >= limit)
    order = np.lexsort((id_ranks[rows], -scores[rows]))
    best: NDArray[np.int64] = rows[order][: max(k, 0)]
    return best


def sorted_ranks(ids: Sequence[str]) -> NDArray[np.int64]:
    """Return (n,) the place of each id when they are sorted.

    >>> sorted_ranks(["b", "a"]).tolist()
    [1, 0]
    """
    ranks = np.empty(len(ids), np.int64)
    ranks[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    return ranks


def _blocks(n: int, block_rows: int) -> Iterator[slice]:
    for start in range(0, n, block_rows):
        yield slice(start, start + block_rows)
