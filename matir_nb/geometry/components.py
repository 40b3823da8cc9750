"""Connected parts of a mask: fill its small holes, remove its small islands.

Pixels that touch at a corner are connected, as in SAM's post-processing (Kirillov et al. 2023,
arXiv:2304.02643). Knows no model.
"""

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]


def components(mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the parts of a mask, numbered from 1 in the order of their first pixels.

    Returns:
        labels: (H, W) number of each pixel's part; 0 outside the mask.
        areas: (n,) pixels of the parts; `areas[i]` is that of part i + 1.

    >>> labels, areas = components(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool))
    >>> labels.tolist(), areas.tolist()
    ([[1, 0, 1], [0, 1, 0], [0, 0, 0], [2, 2, 2]], [3, 3])
    """
    height, width = mask.shape
    # A row is as long as the picture and two pixels more: no run reaches into the next row.
    padded = np.pad(np.asarray(mask, dtype=bool), ((0, 0), (0, 2))).ravel()
    edges = np.flatnonzero(np.diff(padded, prepend=False))
    starts, stops = edges[::2], edges[1::2]
    first, areas = _merged(_touching(starts, stops, width + 2), stops - starts)
    labels = np.zeros(len(padded), dtype=np.intp)
    labels[padded] = np.repeat(first, stops - starts)
    return labels.reshape(height, width + 2)[:, :width], areas


def _touching(starts: IntArray, stops: IntArray, pitch: int) -> tuple[IntArray, IntArray]:
    """Return the pairs of runs in neighbouring rows that share an edge or a corner."""
    low = np.searchsorted(stops, starts + pitch - 1, side="right")
    high = np.searchsorted(starts, stops + pitch + 1, side="left")
    counts = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.arange(len(upper)) - before + np.repeat(low, counts)


def _merged(pairs: tuple[IntArray, IntArray], lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Return each run's part, from 1, and the parts' areas: labels sink to the lowest touching."""
    upper, lower = pairs
    lowest = np.arange(len(lengths))
    while True:
        before = lowest.copy()
        np.minimum.at(lowest, lowest[upper], lowest[lower])
        np.minimum.at(lowest, lowest[lower], lowest[upper])
        lowest = lowest[lowest]
        if np.array_equal(lowest, before):
            break
    _, parts = np.unique(lowest, return_inverse=True)
    return parts + 1, np.bincount(parts, weights=lengths).astype(np.intp)


def fill_small_holes(mask: BoolArray, min_area: int) -> BoolArray:
    """Return the mask without holes of fewer than `min_area` pixels.

    A hole is a connected part of what is outside, also one at the picture's edge.

    >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], bool)
    >>> fill_small_holes(ring, 2).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    labels, areas = components(~mask)
    is_small = np.concatenate([[True], areas < min_area])
    filled: BoolArray = is_small[labels]
    return filled


def drop_small_islands(mask: BoolArray, min_area: int) -> BoolArray:
    """Return the mask without parts of fewer than `min_area` pixels; the largest part stays.

    >>> drop_small_islands(np.array([[1, 0, 1, 1]], bool), 2).astype(int).tolist()
    [[0, 0, 1, 1]]
    >>> drop_small_islands(np.array([[1, 0, 1, 1]], bool), 9).astype(int).tolist()
    [[0, 0, 1, 1]]
    """
    labels, areas = components(mask)
    if not len(areas):
        return mask.copy()
    is_large = np.concatenate([[False], areas >= min_area])
    if not is_large.any():
        is_large[1 + int(areas.argmax())] = True
    kept: BoolArray = is_large[labels]
    return kept
