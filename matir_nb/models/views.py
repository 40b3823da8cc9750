"""The square picture of a region that a model sees: one geometry for image and mask.

This module knows pixels and boxes, and no model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matir_nb.geometry.masks import decode, tight_box_xyxy
from matir_nb.types import BoxXYXY, MaskRLE

Window = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in whole pixels of the image; it may leave the image."""
MOST_PIXELS = 64_000_000
"""Of a window; a larger one is looked at in a smaller picture."""


@dataclass(frozen=True, slots=True)
class View:
    """The square window around a region that the encoder sees.

    The window's side is ``scale * box_side**(1 - power) * image_side**power`` with box_side the
    box's longer and image_side the image's shorter side. power 0, scale 1.5 is the object crop
    of Alpha-CLIP's COCO evaluation; power 1 shows every region at the same magnification;
    power 0.5 zooms in on small regions and still tells small from large.
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


@dataclass(frozen=True, slots=True)
class Framing:
    """What is shown of a region: the window, and what stands in it outside the image.

    Attributes:
        view: the window; None = the whole image, padded to a square.
        outside: grey value of red, green and blue outside the image, 0 to 255. There is no mask
            there, whatever the value.
    """

    view: View | None
    outside: int = 0

    def window(self, box: BoxXYXY, width: int, height: int) -> Window:
        """Return the window of the region with that box."""
        return self.view.window(box, width, height) if self.view else whole_window(width, height)

    def described(self) -> str | dict[str, float]:
        """Return all that decides the picture, for a model's id.

        >>> WHOLE.described(), CROP.described()
        ('whole', {'scale': 1.5, 'power': 0.0, 'outside': 255})
        """
        if self.view is None:
            return "whole" if self.outside == 0 else f"whole on {self.outside}"
        window = {"scale": self.view.scale, "power": self.view.power}
        return window | ({"outside": self.outside} if self.outside else {})


WHOLE = Framing(None)
"""The whole image on black: Alpha-CLIP's training on GRIT, and its LVIS evaluation."""
CROP = Framing(View(scale=1.5, power=0.0), outside=255)
"""A window of 1.5 times the box, on white: Alpha-CLIP's COCO evaluation."""
FRAMINGS = {"crop": (CROP,), "whole": (WHOLE,), "both": (CROP, WHOLE)}


def framings(view: str | Mapping[str, Any]) -> tuple[Framing, ...]:
    """Return what is shown of a region, as a file of options says it.

    Args:
        view: "crop", "whole" or "both"; or a window's scale and power, and perhaps outside.

    Raises:
        LookupError: no such name.
        TypeError: no such option of a window.

    >>> framings({"scale": 1.0, "power": 0.5})
    (Framing(view=View(scale=1.0, power=0.5), outside=0),)
    """
    if isinstance(view, str):
        return FRAMINGS[view]
    options = dict(view)
    outside = int(options.pop("outside", 0))
    return (Framing(View(**options), outside),)


def cut(
    image: Image.Image, mask: Image.Image, window: Window, side: int, *, outside: int = 0
) -> NDArray[np.uint8]:
    """Return (side, side, 4) uint8: the window of image and mask, resized by one geometry.

    Args:
        image: RGB.
        mask: of mode "L" and the image's size: 255 inside, 0 outside.
        window: of the image and of the mask.
        side: pixels of the result.
        outside: grey value where the window leaves the image; the mask is 0 there.
    """
    return np.dstack([_colours(image, window, side, outside), _alpha(mask, window, side)])


def cut_regions(
    regions: Sequence[tuple[Image.Image, MaskRLE]],
    framing: Framing,
    side: int,
    *,
    each: Callable[..., Iterable[Any]] = map,
) -> NDArray[np.uint8]:
    """Return (n, side, side, 4) uint8: what `cut` gives of each region's window.

    A window that several regions of a picture share, such as the whole of it, is resized once.

    Args:
        regions: picture (RGB) and mask of each; at least one.
        framing: the window of each.
        side: pixels of the results.
        each: `map`, or the map of a pool of threads.
    """
    windows = [framing.window(tight_box_xyxy(mask), *picture.size) for picture, mask in regions]
    places = [(id(picture), w) for (picture, _), w in zip(regions, windows, strict=True)]
    shown = {at: (picture, at[1]) for at, (picture, _) in zip(places, regions, strict=True)}
    colours = each(lambda seen: _colours(seen[0], seen[1], side, framing.outside), shown.values())
    colour_at = dict(zip(shown, colours, strict=True))
    views = np.empty((len(regions), side, side, 4), np.uint8)
    views[..., :3] = [colour_at[at] for at in places]
    masks = [mask for _, mask in regions]
    views[..., 3] = list(each(lambda m, w: _alpha(_as_image(m), w, side), masks, windows))
    return views


def _as_image(mask: MaskRLE) -> Image.Image:
    return Image.fromarray(decode(mask).astype(np.uint8) * 255)


def _colours(image: Image.Image, window: Window, side: int, outside: int) -> NDArray[np.uint8]:
    image, window = _shrunk(image, window)
    x0, y0, x1, y1 = window
    is_inside = x0 >= 0 and y0 >= 0 and x1 <= image.width and y1 <= image.height
    if outside == 0 or is_inside:
        framed = image.crop(window)
    else:
        framed = Image.new("RGB", (x1 - x0, y1 - y0), (outside, outside, outside))
        framed.paste(image, (-x0, -y0))
    return np.asarray(framed.resize((side, side), Image.Resampling.BICUBIC))


def _alpha(mask: Image.Image, window: Window, side: int) -> NDArray[np.uint8]:
    mask, window = _shrunk(mask, window)
    return np.asarray(mask.crop(window).resize((side, side), Image.Resampling.BILINEAR))


def _shrunk(image: Image.Image, window: Window) -> tuple[Image.Image, Window]:
    """Return picture and window at a whole fraction of their size where the window is vast.

    The square around a panorama is many times the panorama, and Pillow refuses to make it.
    """
    x0, y0, x1, y1 = window
    factor = ceil(sqrt((x1 - x0) * (y1 - y0) / MOST_PIXELS))
    if factor <= 1:
        return image, window
    left, top = floor(x0 / factor), floor(y0 / factor)
    return image.reduce(factor), (left, top, ceil(x1 / factor), ceil(y1 / factor))
