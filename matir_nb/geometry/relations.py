"""How strongly two regions stand in a spatial relation, in [0, 1]; from boxes and masks alone.

left / right / above / below: the centres differ by `MARGIN` of the image's side. larger /
smaller: the longer sides of the boxes differ by a factor of `SIZE_RATIO`. inside: the box lies
in the other's box and the other surrounds it. overlapping: the masks touch and neither is
inside. Soft steps, so that a near miss is less wrong than a miss. Knows no text and no model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from matir_nb.geometry.boundary import grow
from matir_nb.geometry.masks import decode
from matir_nb.types import FloatArray, Regions

MARGIN, MARGIN_SOFTNESS = 0.06, 0.01
SIZE_RATIO, SIZE_SOFTNESS = 1.22, 0.05
MIN_ENCLOSED, ENCLOSED_SOFTNESS = 0.88, 0.03
MIN_SURROUNDED, SURROUNDED_SOFTNESS = 0.5, 0.08
CONCENTRIC, CONCENTRIC_SOFTNESS = 0.12, 0.02
MIN_CONTACT_PX, CONTACT_SOFTNESS_PX = 6.0, 1.5
REACH_PX = 2
BY_BOXES = ("left", "right", "above", "below", "larger", "smaller")
BY_MASKS = ("inside", "overlapping")


def _step(value: FloatArray, threshold: float, softness: float) -> FloatArray:
    """Return 0 .. 1: a logistic step at `threshold`."""
    steps = 1 / (1 + np.exp(np.clip((threshold - value) / softness, -30, 30)))
    return np.asarray(steps, dtype=np.float32)


def relation_by_boxes(
    relation: str, boxes_xyxy: FloatArray, *, width: int, height: int
) -> FloatArray:
    """Return (n, n) float32: [i, j] = how much region i stands in `relation` to region j.

    >>> boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    >>> relation_by_boxes("left", boxes, width=100, height=50).round(2)
    array([[0., 1.],
           [0., 0.]], dtype=float32)
    """
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 / np.array([width, height])
    longer = np.maximum((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(1), 1)
    axis = 0 if relation in ("left", "right") else 1
    if relation in ("left", "above"):
        return _step(centres[None, :, axis] - centres[:, None, axis], MARGIN, MARGIN_SOFTNESS)
    if relation in ("right", "below"):
        return _step(centres[:, None, axis] - centres[None, :, axis], MARGIN, MARGIN_SOFTNESS)
    ratio = np.log(longer[:, None] / longer[None, :])
    ratio = ratio if relation == "larger" else -ratio
    return _step(ratio, float(np.log(SIZE_RATIO)), SIZE_SOFTNESS)


def _enclosed(inner: FloatArray, outer: FloatArray) -> float:
    """Return the part of box `inner` that lies in box `outer`; 0 when `inner` is not smaller."""
    size = np.maximum(inner[2:] - inner[:2], 1e-6)
    shared = np.clip(np.minimum(inner[2:], outer[2:]) - np.maximum(inner[:2], outer[:2]), 0, None)
    is_smaller = np.prod(size) < np.prod(outer[2:] - outer[:2])
    return float(np.prod(shared) / np.prod(size)) if is_smaller else 0.0


def _inside(regions: Regions, i: int, j: int, masks: Sequence[NDArray[np.bool_]]) -> float:
    boxes = regions.boxes_xyxy
    enclosed = _enclosed(boxes[i], boxes[j])
    if enclosed < MIN_ENCLOSED / 2:
        return 0.0
    rim = grow(masks[0], REACH_PX) & ~masks[0]
    surrounded = float((rim & masks[1]).sum() / max(int(rim.sum()), 1))
    offset = np.abs((boxes[i, :2] + boxes[i, 2:] - boxes[j, :2] - boxes[j, 2:]) / 2).max()
    side = float((boxes[j, 2:] - boxes[j, :2]).max())
    closeness = np.array([surrounded, -offset / side], np.float32)
    around = _step(closeness[:1], MIN_SURROUNDED, SURROUNDED_SOFTNESS)
    concentric = _step(closeness[1:], -CONCENTRIC, CONCENTRIC_SOFTNESS)
    fits = _step(np.array([enclosed], np.float32), MIN_ENCLOSED, ENCLOSED_SOFTNESS)
    return float(fits[0] * max(around[0], concentric[0]))


def _boxes_touch(a: FloatArray, b: FloatArray) -> bool:
    gap = np.maximum(a[:2], b[:2]) - np.minimum(a[2:], b[2:])
    return bool((gap <= REACH_PX).all())


def relation_by_masks(relation: str, regions: Regions, i: int, j: int) -> float:
    """Return how much region `i` is inside, or overlaps, region `j`, in [0, 1]."""
    if not _boxes_touch(regions.boxes_xyxy[i], regions.boxes_xyxy[j]):
        return 0.0
    first, second = decode(regions.masks[i]), decode(regions.masks[j])
    inside = _inside(regions, i, j, (first, second))
    if relation == "inside":
        return inside
    around = _inside(regions, j, i, (second, first))
    contact = float((grow(first, REACH_PX) & second).sum()) / REACH_PX
    touch = _step(np.array([contact], np.float32), MIN_CONTACT_PX, CONTACT_SOFTNESS_PX)[0]
    return float(touch * (1 - inside) * (1 - around))
