"""Numbered regions drawn on a picture: what a judge sees in prompt mode "marks".

Set-of-mark prompting: Yang et al. 2023, arXiv 2310.11441. Every region gets an outline and a
number. Outlines are drawn around the regions, so that a small object is not covered. A number
stands inside its region where it leaves room, else beside it. Knows pixels, and no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.geometry.masks import area, decode, scale, tight_box_xyxy
from matir_nb.types import BoxXYXY, MaskRLE, RGBImage

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Mask = NDArray[np.bool_]

COLOURS: tuple[Colour, ...] = (
    (255, 64, 64),
    (64, 160, 255),
    (255, 214, 0),
    (40, 200, 90),
    (255, 110, 240),
    (255, 140, 20),
    (0, 215, 215),
    (170, 110, 255),
    (180, 230, 40),
    (255, 175, 160),
)
DARK: Colour = (12, 12, 12)
WHITE: Colour = (255, 255, 255)
COARSE = 64
"""Cells along the longer side of a picture in which the middle of a region is looked for."""
COVERED = 0.35
"""A number that would cover more than this part of its region stands beside it."""


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes that suit a picture, in pixels.

    Attributes:
        line: width of outlines.
        text: height of numbers.
    """

    line: int
    text: int


def pen_for(width: int, height: int) -> Pen:
    """Return line and text sizes in proportion to a picture.

    >>> pen_for(1000, 1000), pen_for(300, 200)
    (Pen(line=3, text=30), Pen(line=1, text=12))
    """
    side = (width * height) ** 0.5
    return Pen(max(1, round(side / 330)), round(min(max(side * 0.03, 12), 48)))


def draw_marks(image: RGBImage, masks: Sequence[MaskRLE]) -> RGBImage:
    """Return the picture with the regions outlined and numbered 1, 2, ... in the order given.

    Args:
        image: (H, W, 3) uint8; is not changed.
        masks: of any size: they are scaled to the picture; one without a pixel is not drawn.
    """
    height, width = image.shape[:2]
    pen = pen_for(width, height)
    picture = Image.fromarray(image)
    fitted = [scale(mask, height, width) for mask in masks]
    numbered = [(i, mask) for i, mask in enumerate(fitted) if area(mask)]
    for i, mask in numbered:
        _outline(picture, mask, COLOURS[i % len(COLOURS)], pen.line)
    taken: list[BoxXYXY] = []
    for i, mask in numbered:
        taken.append(_label(picture, mask, i, pen, taken))
    return np.asarray(picture)


def _outline(picture: Image.Image, mask: MaskRLE, colour: Colour, line: int) -> None:
    """Draw a line of `colour` around the mask, between two dark ones."""
    margin = 2 * line + 2
    x0, y0, x1, y1 = (int(v) for v in tight_box_xyxy(mask))
    window = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    grey = Image.fromarray(decode(mask).astype(np.uint8) * 255).crop(window)
    inside = np.asarray(grey) > 0
    near = _grown(grey, line) & ~inside
    halo = _grown(grey, 2 * line) & ~inside & ~near
    # at the picture's edge there is no outside: the line runs along the edge, inside the mask
    rows = np.arange(window[1], window[3])[:, None]
    columns = np.arange(window[0], window[2])[None, :]
    along = np.minimum(rows, picture.height - 1 - rows) < line
    along = along | (np.minimum(columns, picture.width - 1 - columns) < line)
    near = near | (inside & along)
    for where, paint in ((halo, DARK), (near, colour)):
        picture.paste(paint, window[:2], Image.fromarray(where.astype(np.uint8) * 255))


def _grown(grey: Image.Image, pixels: int) -> Mask:
    """Return the mask and all that is within `pixels` of it, in squares."""
    # a box blur and a threshold: what MaxFilter gives, in a twentieth of its time
    grown: Mask = np.asarray(grey.filter(ImageFilter.BoxBlur(pixels))) > 0
    return grown


def _label(
    picture: Image.Image, mask: MaskRLE, row: int, pen: Pen, taken: Sequence[BoxXYXY]
) -> BoxXYXY:
    """Draw a region's number on a plate; return the plate's box."""
    text, font = str(row + 1), _font(pen.text)
    size = (round(font.getlength(text)) + pen.text // 2, pen.text + pen.text // 4)
    box = _plate(mask, size, taken)
    colour = COLOURS[row % len(COLOURS)]
    ink = DARK if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else WHITE
    draw = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = (round(v) for v in box)
    draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour, outline=DARK)
    draw.text(((x0 + x1) / 2, (y0 + y1) / 2), text, ink, font, anchor="mm")
    return box


def _plate(mask: MaskRLE, size: tuple[int, int], taken: Sequence[BoxXYXY]) -> BoxXYXY:
    """Return where a plate of that size stands: in the mask's middle, or beside a small mask.

    Of some places the first that overlaps no other plate is taken, else the first.
    """
    height, width = mask.size
    x0, y0, x1, y1 = tight_box_xyxy(mask)
    inside = decode(mask)
    middle = _middle(mask, inside)
    above, below = y0 - size[1] / 2, y1 + size[1] / 2
    beside = [((x0 + x1) / 2, above if above > size[1] / 2 else below)]
    beside += [(x1 + size[0] / 2, (y0 + y1) / 2), (x0 - size[0] / 2, (y0 + y1) / 2)]
    beside += [((x0 + x1) / 2, below)]
    is_small = size[0] * size[1] > COVERED * inside.sum()
    centres = beside if is_small else [middle, *_others(middle, inside, size)]
    places = [_placed(centre, size, width, height) for centre in centres]
    free = [box for box in places if not len(taken) or not pairwise_iou([box], taken).any()]
    return (free or places)[0]


def _middle(mask: MaskRLE, inside: Mask) -> tuple[float, float]:
    """Return x, y of a pixel of the mask far from its outline: the centre of its last erosion."""
    height, width = mask.size
    factor = max(height, width) / COARSE
    coarse = decode(scale(mask, max(round(height / factor), 1), max(round(width / factor), 1)))
    left = np.pad(coarse, 1)
    while True:
        less = left & np.roll(left, 1, 0) & np.roll(left, -1, 0)
        less &= np.roll(left, 1, 1) & np.roll(left, -1, 1)
        if not less.any():
            break
        left = less
    rows, columns = np.nonzero(left[1:-1, 1:-1])
    nearest = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
    y = (rows[nearest] + 0.5) * height / coarse.shape[0]
    x = (columns[nearest] + 0.5) * width / coarse.shape[1]
    return _nearest(inside, x, y)


def _nearest(inside: Mask, x: float, y: float) -> tuple[float, float]:
    """Return the centre of the mask's pixel that is nearest to (x, y)."""
    rows, columns = np.nonzero(inside)
    i = int(np.argmin((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2))
    return float(columns[i]) + 0.5, float(rows[i]) + 0.5


def _others(
    middle: tuple[float, float], inside: Mask, size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Return other places in the mask, around its middle, for plates of nested regions."""
    steps = ((0, 2), (0, -2), (2, 0), (-2, 0), (2, 2), (-2, -2), (0, 4), (0, -4), (4, 0), (-4, 0))
    return [
        _nearest(inside, middle[0] + dx * size[0], middle[1] + dy * size[1]) for dx, dy in steps
    ]


def _placed(centre: tuple[float, float], size: tuple[int, int], width: int, height: int) -> BoxXYXY:
    """Return the box around `centre`, moved into the picture."""
    x0 = min(max(round(centre[0] - size[0] / 2), 0), max(width - size[0], 0))
    y0 = min(max(round(centre[1] - size[1] / 2), 0), max(height - size[1], 0))
    return float(x0), float(y0), float(x0 + size[0]), float(y0 + size[1])


@cache
def _font(size: int) -> Font:
    """Return the font that Pillow brings along, `size` pixels high."""
    return ImageFont.load_default(size)
