"""The square window around a region that a model sees: one geometry for image and mask.

This module knows pixels and boxes, and no model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matir_nb.types import BoxXYXY

Window = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """The square window around a region that the encoder sees.

    The window's side is ``scale * box_side**(1 - power) * image_side**power`` with box_side the
    box's longer and image_side the image's shorter side. power 0, scale 1.5 is the object crop
    of Alpha-CLIP's COCO evaluation; power 1 shows every region at the same magnification;
    power 0.5 zooms in on small regions and still tells small from large.
    Outside the image the window is black.
    """

    scale: float = 1.5
    power: float = 0.0

    def window(self, box: BoxXYXY, width: int, height: int) -> Window:
        """Return the window (x0, y0, x1, y1) in whole pixels; it may leave the image.

        >>> View(scale=1.5, power=0.0).window((10, 10, 30, 20), 100, 80)
        (5, 0, 35, 30)
        """
        x0, y0, x1, y1 = box
        box_side = max(x1 - x0, y1 - y0, 1.0)
        side = self.scale * box_side ** (1 - self.power) * min(width, height) ** self.power
        left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
        size = max(round(side), 1)
        return round(left), round(top), round(left) + size, round(top) + size


def whole_window(width: int, height: int) -> Window:
    """Return the smallest centred square window that holds the whole image.

    >>> whole_window(100, 60)
    (0, -20, 100, 80)
    """
    side = max(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def cut(image: Image.Image, mask: Image.Image, window: Window, side: int) -> NDArray[np.uint8]:
    """Return (side, side, 4) uint8: the window of image and mask, resized by one geometry."""
    size = (side, side)
    rgb = image.crop(window).resize(size, Image.Resampling.BICUBIC)
    alpha = mask.crop(window).resize(size, Image.Resampling.BILINEAR)
    return np.dstack([np.asarray(rgb), np.asarray(alpha)])
