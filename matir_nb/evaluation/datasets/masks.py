"""Target masks and boxes from annotations, with errors that name the file and the entry.

A mask without a pixel is no target: nothing could hit it.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from matir_nb.errors import AnnotationError
from matir_nb.geometry.masks import area, encode, tight_box_xyxy
from matir_nb.geometry.segmentations import (
    BROKEN,
    mask_of_segmentation,
    masks_of_panoptic,
    require_size,
)
from matir_nb.types import FloatArray, MaskRLE

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""A picture of more than some 90 million pixels is refused."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What answers a query, by image: masks and the tight boxes around them.

    Attributes:
        masks: image id -> at least one mask with at least one pixel.
        boxes_xyxy: image id -> (n, 4) float32, in the order of the masks.
    """

    masks: dict[str, tuple[MaskRLE, ...]] = field(default_factory=dict)
    boxes_xyxy: dict[str, FloatArray] = field(default_factory=dict)


def targets_of(masks: Mapping[str, Sequence[MaskRLE]]) -> Targets:
    """Return the masks that have a pixel, and their tight boxes.

    >>> targets_of({"a": [encode([[0, 1]]), encode([[0, 0]])], "b": []}).boxes_xyxy
    {'a': array([[1., 0., 2., 1.]], dtype=float32)}
    """
    found = Targets()
    for image_id, of_image in masks.items():
        boxed = [(mask, tight_box_xyxy(mask)) for mask in of_image]
        kept = [(mask, box) for mask, box in boxed if box[2]]
        if kept:
            found.masks[image_id] = tuple(mask for mask, _ in kept)
            found.boxes_xyxy[image_id] = np.array([box for _, box in kept], np.float32)
    return found


def read_mask(segmentation: Any, height: int, width: int, what: str) -> MaskRLE:
    """Return the mask of a COCO segmentation in any form.

    Args:
        segmentation: as `matir_nb.geometry.segmentations.mask_of_segmentation` takes it.
        height: of the image.
        width: of the image.
        what: names the annotation in the message.

    Raises:
        AnnotationError: it is broken, or of another size than the image.
    """
    try:
        return mask_of_segmentation(segmentation, height, width)
    except BROKEN as error:
        message = f"the mask of {what} cannot be used: {type(error).__name__}: {error}"
        raise AnnotationError(message) from error


def panoptic_masks(png: Path, ids: Sequence[int], height: int, width: int) -> tuple[MaskRLE, ...]:
    """Return the masks of a panoptic picture's segments, each with a pixel at least.

    Args:
        png: the picture: a segment's id is R + 256 G + 65536 B.
        ids: of the segments.
        height: of the image.
        width: of the image.

    Raises:
        AnnotationError: the picture cannot be read, is of another size, or lacks a segment.
    """
    rgb = _read_png(png, "RGB")
    try:
        require_size(str(png), rgb.shape[:2], (height, width))
        masks = masks_of_panoptic(rgb, ids)
    except BROKEN as error:
        raise AnnotationError(str(error)) from error
    for segment_id, mask in zip(ids, masks, strict=True):
        if not area(mask):
            message = f"{str(png)!r} has no pixel of segment {segment_id}: the files do not match"
            raise AnnotationError(message)
    return masks


def read_mask_png(path: Path) -> MaskRLE:
    """Return the mask that a PNG draws: every pixel that is neither black nor transparent.

    Of a palette picture these are the pixels with another number than 0.

    Raises:
        AnnotationError: the picture cannot be read.
    """
    pixels = _read_png(path)
    if pixels.ndim == 2:
        return encode(pixels != 0)
    inside = (pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]).any(axis=2)
    has_alpha = pixels.shape[2] in (2, 4)
    return encode(inside & (pixels[..., -1] != 0) if has_alpha else inside)


def _read_png(path: Path, mode: str | None = None) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                return np.asarray(image if mode is None else image.convert(mode))
    except (OSError, ValueError, SyntaxError, *BOMBS) as error:
        message = f"the mask {str(path)!r} cannot be read: {type(error).__name__}: {error}"
        raise AnnotationError(message) from error
