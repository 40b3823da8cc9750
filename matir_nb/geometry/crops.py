"""Where an automatic mask generator looks: point grids, overlapping crops, inner edges.

Crops are laid out as SAM 2's own generator does. Knows no image and no model.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.types import FloatArray

CropXYXY = tuple[int, int, int, int]


def point_grid(points_per_side: int) -> FloatArray:
    """Return (points_per_side ** 2, 2) x, y in (0, 1): the centres of equal cells, row by row.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    centres = (np.arange(points_per_side, dtype=np.float32) + 0.5) / points_per_side
    x, y = np.meshgrid(centres, centres)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def crop_boxes(
    height: int, width: int, *, layer: int, overlap_ratio: float
) -> tuple[CropXYXY, ...]:
    """Return the 4 ** layer overlapping crops of one layer, column by column.

    Args:
        height: pixels of the image.
        width: pixels of the image.
        layer: 0 = the whole image.
        overlap_ratio: overlap of the first layer's crops, as a fraction of the short side;
            deeper layers overlap less in proportion to their crops.

    >>> crop_boxes(100, 200, layer=1, overlap_ratio=0.2)[:2]
    ((0, 0, 110, 60), (0, 40, 110, 100))
    """
    n = 2**layer
    overlap = int(overlap_ratio * min(height, width) * 2 / n)
    columns, rows = _spans(width, n, overlap), _spans(height, n, overlap)
    return tuple((x0, y0, x1, y1) for x0, x1 in columns for y0, y1 in rows)


def _spans(length: int, n: int, overlap: int) -> list[tuple[int, int]]:
    """Return where the crops of one axis start and end; a tiny picture has fewer than `n`."""
    size = math.ceil((overlap * (n - 1) + length) / n)
    starts = [(size - overlap) * i for i in range(n)]
    return [(start, min(start + size, length)) for start in starts if start < length]


def touches_inner_edge(
    boxes_xyxy: ArrayLike, crop: CropXYXY, height: int, width: int, *, tolerance: float
) -> NDArray[np.bool_]:
    """Return (n,): whether a box comes near an edge of its crop and not near the image's.

    Such a mask is probably cut off; a neighbouring crop or the whole image shows all of it.

    Args:
        boxes_xyxy: (n, 4) in pixels of the image.
        crop: the crop that the boxes were found in.
        height: pixels of the image.
        width: pixels of the image.
        tolerance: pixels; so far from an edge is near it.

    >>> boxes = [[0, 0, 5, 5], [4, 2, 10, 6]]
    >>> touches_inner_edge(boxes, (0, 0, 10, 10), 10, 20, tolerance=0).tolist()
    [False, True]
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    near_crop = np.abs(boxes - np.array(crop)) <= tolerance
    near_image = np.abs(boxes - np.array([0, 0, width, height])) <= tolerance
    result: NDArray[np.bool_] = (near_crop & ~near_image).any(axis=1)
    return result
