"""COCO's "segmentation" in all its forms, and the colours of panoptic pictures, as masks.

What a file says is not trusted: runs and sizes are checked. Knows no file and no dataset.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ShapeError
from matir_nb.geometry.masks import encode, encode_many, from_compressed, from_polygons, from_runs
from matir_nb.types import MaskRLE

BROKEN = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What `mask_of_segmentation` raises for what is no segmentation: `ShapeError` is one of them."""


def mask_of_segmentation(segmentation: Any, height: int, width: int) -> MaskRLE:
    """Return one mask from polygons, from run lengths or from rows of booleans.

    Args:
        segmentation: polygons [[x0, y0, x1, y1, ...], ...] or one of them; run lengths {"size":
            [height, width], "counts": a list, or compressed as text or bytes}; or (height, width)
            rows of booleans. No polygon at all = a mask without a pixel.
        height: of the image.
        width: of the image.

    Raises:
        LookupError, TypeError, ValueError, AttributeError, OverflowError: it is none of these
            (`BROKEN`), or of another size.

    >>> mask_of_segmentation({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2).size
    (2, 2)
    """
    if isinstance(segmentation, Mapping):
        require_size("mask", tuple(segmentation["size"]), (height, width))
        return _mask_of_counts(segmentation["counts"], height, width)
    if len(segmentation) == 0:
        return encode(np.zeros((height, width), dtype=bool))
    if isinstance(segmentation[0], int | float):
        return from_polygons([segmentation], height, width)
    if len(segmentation) == height and all(len(row) == width for row in segmentation):
        return encode(np.array(segmentation, dtype=bool))
    return from_polygons(segmentation, height, width)


def masks_of_panoptic(rgb: NDArray[np.uint8], ids: Sequence[int]) -> tuple[MaskRLE, ...]:
    """Return the masks of panoptic segments: id = R + 256 G + 65536 B.

    Args:
        rgb: (H, W, 3) the picture.
        ids: of the segments; one that no pixel has gets an empty mask.

    >>> rgb = np.array([[[7, 1, 0], [0, 0, 0]]], np.uint8)
    >>> [mask.counts for mask in masks_of_panoptic(rgb, [263])] == [encode([[1, 0]]).counts]
    True
    """
    if not ids:
        return ()
    labels = rgb.astype(np.uint32) @ np.array([1, 256, 65536], dtype=np.uint32)
    return encode_many(labels == np.array(ids, dtype=np.int64)[:, None, None])


def require_size(what: str, size: tuple[int, ...], expected_hw: tuple[int, int]) -> None:
    """Raise unless a mask has the size of its image.

    Raises:
        ShapeError: it has not.
    """
    if size != expected_hw:
        message = f"{what}: expected (height, width) {expected_hw}, got {size}"
        raise ShapeError(message)


def _mask_of_counts(counts: Any, height: int, width: int) -> MaskRLE:
    if isinstance(counts, str):
        counts = counts.encode("ascii")
    if isinstance(counts, bytes):
        return from_compressed(counts, height, width)
    return from_runs(counts, height, width)
