"""Boxes as plain arrays: convert, clip, scale, compare.

Inside the library a box is xyxy, half-open; xywh exists only for the formats at the door.
Knows no image and no mask.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ShapeError
from matir_nb.types import FloatArray


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> FloatArray:
    """Return (n, 4) x0, y0, x1, y1 of (n, 4) x, y, width, height.

    >>> xywh_to_xyxy([[10, 20, 3, 4]]).tolist()
    [[10.0, 20.0, 13.0, 24.0]]
    """
    boxes = _as_boxes("boxes_xywh", boxes_xywh)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> FloatArray:
    """Return (n, 4) x, y, width, height of (n, 4) x0, y0, x1, y1.

    >>> xyxy_to_xywh([[10, 20, 13, 24]]).tolist()
    [[10.0, 20.0, 3.0, 4.0]]
    """
    boxes = _as_boxes("boxes_xyxy", boxes_xyxy)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def clip_xyxy(boxes_xyxy: ArrayLike, width: float, height: float) -> FloatArray:
    """Return the parts of the boxes inside an image; a box outside becomes empty at its edge.

    >>> clip_xyxy([[-5, 2, 30, 9]], width=20, height=8).tolist()
    [[0.0, 2.0, 20.0, 8.0]]
    """
    limit = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(_as_boxes("boxes_xyxy", boxes_xyxy), np.float32(0), limit)


def scale_xyxy(boxes_xyxy: ArrayLike, x_factor: float, y_factor: float) -> FloatArray:
    """Return the boxes in an image that was resized by the two factors.

    >>> scale_xyxy([[1, 2, 3, 4]], x_factor=2, y_factor=10).tolist()
    [[2.0, 20.0, 6.0, 40.0]]
    """
    factors = np.array([x_factor, y_factor, x_factor, y_factor], dtype=np.float32)
    return _as_boxes("boxes_xyxy", boxes_xyxy) * factors


def box_area(boxes_xyxy: ArrayLike) -> FloatArray:
    """Return (n,) areas in pixels; 0 for a box whose corners are swapped.

    >>> box_area([[0, 0, 3, 4], [5, 5, 1, 9]]).tolist()
    [12.0, 0.0]
    """
    boxes = _as_boxes("boxes_xyxy", boxes_xyxy)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], dtype=np.float32)


def pairwise_iou(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> FloatArray:
    """Return (n, m) intersections over unions; 0 where both boxes are empty.

    >>> pairwise_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
    [[1.0, 0.3330000042915344, 0.0]]
    """
    a, b = _as_boxes("a_xyxy", a_xyxy), _as_boxes("b_xyxy", b_xyxy)
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = box_area(a)[:, None] + box_area(b)[None, :] - overlap
    iou: FloatArray = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def nms(boxes_xyxy: ArrayLike, scores: ArrayLike, iou_thresh: float) -> NDArray[np.intp]:
    """Return the rows that survive non-maximum suppression, best score first.

    A box is dropped when its IoU with a better kept one is above `iou_thresh`; of equal
    scores the earlier row wins.

    >>> nms([[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 10, 10]], [0.5, 0.9, 0.1], 0.7).tolist()
    [1, 2]
    """
    boxes = _as_boxes("boxes_xyxy", boxes_xyxy)
    waiting = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    if len(waiting) != len(boxes):
        message = f"scores: expected {len(boxes)}, one per box, got {len(waiting)}"
        raise ShapeError(message)
    kept: list[int] = []
    while len(waiting):
        best, others = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = others[pairwise_iou(boxes[[best]], boxes[others])[0] <= iou_thresh]
    return np.array(kept, dtype=np.intp)


def _as_boxes(name: str, boxes: ArrayLike) -> FloatArray:
    """Return `boxes` as (n, 4) float32; an empty sequence becomes (0, 4)."""
    array = np.asarray(boxes, dtype=np.float32)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        message = f"{name}: expected shape (n, 4), got {array.shape}"
        raise ShapeError(message)
    return array
