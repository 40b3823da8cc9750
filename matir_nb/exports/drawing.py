"""Pencil and brushes of a contact sheet: one hit's picture, dashes, arrows, text that fits.

This module knows hits and pixels; it knows no result, no layout and no file.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from matir_nb.geometry.masks import decode_coarsely
from matir_nb.printing import ELLIPSIS, shorten
from matir_nb.types import BoxXYXY, Hit, MaskRLE, RGBImage

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER: Colour = (250, 250, 248)
CARD: Colour = (255, 255, 255)
LETTERBOX: Colour = (236, 237, 240)
EDGE: Colour = (220, 222, 227)
INK: Colour = (28, 32, 40)
FAINT: Colour = (96, 103, 115)
MASK: Colour = (255, 0, 144)
BOX: Colour = (255, 214, 0)
DARK: Colour = (20, 20, 20)
UP: Colour = (18, 132, 72)
DOWN: Colour = (188, 58, 40)
MARKED: Mapping[str, Colour] = {
    "relevant": (0, 104, 78),
    "not relevant": (138, 58, 0),
    "unsure": (74, 79, 87),
}

ARROW = 17
SUPERSAMPLE = 3
MASK_OPACITY = 0.14


@cache
def font_of(size: int) -> Font:
    """Return the font that Pillow brings along, `size` pixels high."""
    return ImageFont.load_default(size)


def wrap(text: str, font: Font, width: int) -> list[str]:
    """Return `text` in lines of at most `width` pixels; a word that is too long is shortened."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(fit(word, font, width))
    return [line for line in lines if line]


def first_lines(lines: list[str], n: int) -> tuple[str, ...]:
    """Return at most `n` lines; an ellipsis ends the last one when some were left out.

    >>> first_lines(["one", "two", "three"], 2)
    ('one', 'two …')
    """
    kept = lines[:n]
    return tuple(kept if len(lines) <= n else [*kept[:-1], f"{kept[-1]} {ELLIPSIS}"])


def fit(text: str, font: Font, width: float) -> str:
    """Return `text` with its middle left out until it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    fits, too_long = 0, min(len(text), 1000)
    while too_long - fits > 1:
        n = (fits + too_long) // 2
        fits, too_long = (n, too_long) if font.getlength(shorten(text, n)) <= width else (fits, n)
    return shorten(text, fits) if fits else ELLIPSIS


def picture(hit: Hit, pixels: RGBImage | None, side: int) -> Image.Image:
    """Return a hit's square tile: the image, its aspect kept, its mask and the judge's box.

    Args:
        hit: gives mask and box.
        pixels: (H, W, 3) uint8, upright, at any scale; None = the image cannot be read.
        side: of the tile, pixels.
    """
    tile = Image.new("RGB", (side, side), LETTERBOX)
    if pixels is None:
        _draw_words(tile, ["image cannot", "be read"])
        return tile
    height, width = pixels.shape[:2]
    scale = min(side / width, side / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    if hit.mask is not None:
        image = with_mask(image, hit.mask)
    if hit.judged_box_xyxy is not None:
        draw_box(image, hit.judged_box_xyxy, (size[0] / hit.width, size[1] / hit.height))
    tile.paste(image, ((side - size[0]) // 2, (side - size[1]) // 2))
    if hit.mask is None:
        _draw_badge(tile, "no mask")
    return tile


def _draw_words(tile: Image.Image, lines: list[str]) -> None:
    """Write lines into the middle of an empty tile."""
    pen = ImageDraw.Draw(tile)
    middle = tile.width / 2
    for i, line in enumerate(lines):
        y = middle + 20 * (i - (len(lines) - 1) / 2)
        pen.text((middle, y), line, FAINT, font_of(15), anchor="mm")


def _draw_badge(tile: Image.Image, text: str) -> None:
    """Draw `text` on a light pill in the tile's lower left corner."""
    pen, font = ImageDraw.Draw(tile), font_of(13)
    bottom = tile.height
    pill = (8, bottom - 28, 24 + font.getlength(text), bottom - 8)
    pen.rounded_rectangle(pill, 10, fill=CARD, outline=EDGE)
    pen.text((16, bottom - 18), text, FAINT, font, anchor="lm")


def draw_mark(pen: ImageDraw.ImageDraw, mark: str, corner: tuple[int, int]) -> None:
    """Write what a person said of a hit onto its tile, `corner` its upper left one."""
    x, y, font = corner[0] + 6, corner[1] + 6, font_of(13)
    tag = (x, y, x + 12 + font.getlength(mark), y + 20)
    pen.rounded_rectangle(tag, 4, fill=MARKED[mark], outline=CARD)
    pen.text((x + 6, y + 10), mark, CARD, font, anchor="lm")


def with_mask(image: Image.Image, mask: MaskRLE) -> Image.Image:
    """Return `image` under a translucent mask with a white-edged outline."""
    big = (image.width * SUPERSAMPLE, image.height * SUPERSAMPLE)
    grey = grey_of(mask, big)
    smooth = ImageFilter.GaussianBlur(max(big[0] / grey.width / 2, 1))
    inside = grey.resize(big, Image.Resampling.BICUBIC).filter(smooth)
    inside = inside.point([0] * 128 + [255] * 128)
    # a border of background, so that a mask at the image's edge is outlined there too
    pen = ImageDraw.Draw(inside)
    pen.rectangle((0, 0, big[0] - 1, big[1] - 1), outline=0)
    line = ImageChops.subtract(_grown(inside, 2), _shrunk(inside, 3))
    halo = ImageChops.subtract(_grown(inside, 4), inside)
    faint = inside.point([round(v * MASK_OPACITY) for v in range(256)])
    for colour, alpha in ((MASK, faint), ((255, 255, 255), halo), (MASK, line)):
        image.paste(colour, (0, 0), alpha.resize(image.size, Image.Resampling.BOX))
    return image


def grey_of(mask: MaskRLE, size: tuple[int, int]) -> Image.Image:
    """Return a mask as a picture of 0 and 255, to be drawn at `size`: at least twice as fine.

    Where the mask is less fine than that, it is returned as it is.
    """
    height, width = mask.size
    step = max(min(width // (2 * size[0]), height // (2 * size[1])), 1)
    return Image.fromarray(decode_coarsely(mask, step).astype(np.uint8) * 255)


def _grown(mask: Image.Image, pixels: int) -> Image.Image:
    # a box blur and a threshold: what MaxFilter gives, in a twentieth of its time
    return mask.filter(ImageFilter.BoxBlur(pixels)).point([0] + [255] * 255)


def _shrunk(mask: Image.Image, pixels: int) -> Image.Image:
    return mask.filter(ImageFilter.BoxBlur(pixels)).point([0] * 255 + [255])


def draw_box(image: Image.Image, box_xyxy: BoxXYXY, scale: tuple[float, float]) -> None:
    """Draw a dashed rectangle, yellow on dark, onto `image`."""
    x0, x1 = (_inside(x * scale[0], image.width) for x in box_xyxy[::2])
    y0, y1 = (_inside(y * scale[1], image.height) for y in box_xyxy[1::2])
    pen = ImageDraw.Draw(image)
    pen.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=DARK, width=2)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for start, end in pairwise(corners):
        draw_dashes(pen, start, end)


def _inside(value: float, length: int) -> float:
    """Return a coordinate whose two-pixel line lies within `length` pixels."""
    return min(max(value, 1), max(length - 2, 0))


def draw_dashes(
    pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]
) -> None:
    """Draw yellow dashes along a straight line."""
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0))
    n = max(round(length / 12), 1)
    for i in range(n):
        a, b = i / n, (i + 0.6) / n
        dash = (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)
        pen.line(dash, BOX, 2)


def draw_move(pen: ImageDraw.ImageDraw, hit: Hit, end: tuple[float, float], size: int) -> float:
    """Draw "stage-1 rank → final rank", ending at `end`, halfway up; return where it starts."""
    x, y = end
    step = hit.stage1_rank - hit.rank
    colour = UP if step > 0 else DOWN if step < 0 else FAINT
    font = font_of(size)
    pen.text((x, y), f"{hit.rank}", colour, font, anchor="rm")
    x -= font.getlength(f"{hit.rank}") + 5
    draw_arrow(pen, (x, y), colour)
    x -= ARROW + 5
    pen.text((x, y), f"{hit.stage1_rank}", colour, font, anchor="rm")
    return x - font.getlength(f"{hit.stage1_rank}")


def draw_arrow(pen: ImageDraw.ImageDraw, tip: tuple[float, float], colour: Colour) -> None:
    """Draw an arrow that points right and ends at `tip`."""
    x, y = tip
    pen.line((x - ARROW, y, x - 5, y), colour, 2)
    pen.polygon([(x, y), (x - 7, y - 4), (x - 7, y + 4)], fill=colour)
