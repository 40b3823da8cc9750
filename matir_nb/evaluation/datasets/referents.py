"""What an expression refers to: an instance with its published box, and its mask.

Shared by the datasets of expressions. Their papers score boxes against the published ones, which
differ from the tight boxes of the masks by up to a pixel: little for large instances, and more
than an IoU of 0.9 forgives for small ones. So the reader's option ``boxes`` decides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matir_nb.errors import AnnotationError, require_known
from matir_nb.evaluation.datasets.fields import numbers
from matir_nb.evaluation.datasets.files import grouped
from matir_nb.evaluation.datasets.masks import read_mask, targets_of
from matir_nb.types import BoxXYXY, FloatArray, MaskRLE, QueryTruth

BOXES = {
    "published": "as published, not the tight ones of the masks",
    "masks": "tight around each target mask, not the published ones",
}
_MAX_SIDE = 1e6


@dataclass(frozen=True, slots=True)
class Referent:
    """An instance that an expression refers to.

    Attributes:
        image_id: where it is.
        box_xyxy: as published.
        mask: None where no segmentation is published.
    """

    image_id: str
    box_xyxy: BoxXYXY
    mask: MaskRLE | None


def read_referent(
    bbox: Any, segmentation: Any, *, image_id: str, size_hw: tuple[int, int], what: str
) -> Referent:
    """Return a referent of a COCO annotation.

    Args:
        bbox: x, y, width, height.
        segmentation: in any of COCO's forms; None = there is none.
        image_id: where it is.
        size_hw: of that image.
        what: names the annotation in the message.

    Raises:
        AnnotationError: box or mask are broken, or the mask is of another size.
    """
    mask = None if segmentation is None else read_mask(segmentation, *size_hw, what)
    return Referent(image_id, _box_xyxy(bbox, what), mask)


def expression(
    query_id: str, text: str, kind: str, referents: Sequence[Referent], boxes: str = "published"
) -> QueryTruth:
    """Return the query for an expression: the images with a referent are relevant.

    Args:
        query_id: of the query.
        text: the expression.
        kind: of query.
        referents: none = nothing is right.
        boxes: one of `BOXES`.

    Raises:
        ConfigError: `boxes` is none of them.
    """
    require_known("boxes", [boxes], BOXES)
    by_image = grouped(referents, lambda referent: referent.image_id)
    masks = {name: [r.mask for r in found if r.mask] for name, found in by_image.items()}
    targets = targets_of(masks)
    published: dict[str, FloatArray] = {
        name: np.array([r.box_xyxy for r in found], np.float32) for name, found in by_image.items()
    }
    return QueryTruth(
        query_id,
        text,
        kind,
        frozenset(by_image),
        targets.masks,
        published if boxes == "published" else targets.boxes_xyxy,
    )


def _box_xyxy(bbox: Any, what: str) -> BoxXYXY:
    try:
        x, y, width, height = numbers(bbox, 4)
        is_box = min(width, height) >= 0 and all(
            math.isfinite(v) and abs(v) <= _MAX_SIDE for v in (x, y, width, height)
        )
    except (TypeError, ValueError, OverflowError):
        is_box = False
    if not is_box:
        message = f"the box of {what} cannot be used: expected x, y, width, height in pixels"
        raise AnnotationError(message)
    return (x, y, x + width, y + height)
