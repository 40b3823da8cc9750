"""A picture of a result: a grid of images with their masks, boxes, scores and ranks.

This module knows no model and no index: pixels come from a function, hit by hit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from matir_nb.errors import ConfigError, MatirError
from matir_nb.geometry.masks import decode
from matir_nb.printing import ELLIPSIS, number, printable, shorten
from matir_nb.results import SearchResult
from matir_nb.types import BoxXYXY, Hit, MaskRLE, RGBImage

LoadImage = Callable[[Hit], RGBImage]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER: Colour = (250, 250, 248)
CARD: Colour = (255, 255, 255)
LETTERBOX: Colour = (236, 237, 240)
EDGE: Colour = (220, 222, 227)
INK: Colour = (28, 32, 40)
FAINT: Colour = (112, 119, 131)
MASK: Colour = (255, 0, 144)
BOX: Colour = (255, 214, 0)
UP: Colour = (18, 132, 72)
DOWN: Colour = (188, 58, 40)

MARGIN = 32
GAP = 18
TILE = 296
CAPTION = 78
PAD = 12
SUPERSAMPLE = 3
MASK_OPACITY = 0.14
MAX_TITLE_LINES = 2
MAX_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: int
    n_rows: int
    title: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        return 2 * MARGIN + self.columns * TILE + (self.columns - 1) * GAP

    @property
    def top(self) -> int:
        return MARGIN + 34 * len(self.title) + 30

    @property
    def legend_top(self) -> int:
        return self.top + self.n_rows * (TILE + CAPTION + GAP) + 6

    @property
    def height(self) -> int:
        return self.legend_top + 26 + 20 * len(self.notes) + MARGIN


def contact_sheet(result: SearchResult, load_image: LoadImage, *, columns: int = 4) -> Image.Image:
    """Return a picture of all hits of `result`, best first.

    A tile shows the image (aspect kept) with its mask and, dashed, the judge's box; below it rank,
    file name, final score, the judge's probability, and the way from stage 1's rank to the final
    one. An image that cannot be read leaves an empty tile that says so.

    Args:
        result: what to show.
        load_image: gives a hit's upright RGB pixels, or raises a `MatirError`.
        columns: tiles per row, 1 to 12.

    Raises:
        ConfigError: `columns` is out of range.
    """
    if not 1 <= columns <= MAX_COLUMNS:
        message = f"columns = {columns} is not allowed: give 1 to {MAX_COLUMNS}"
        raise ConfigError(message)
    layout = _layout(result, columns)
    sheet = Image.new("RGB", (layout.width, layout.height), PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_title(pen, layout, result)
    for place, hit in enumerate(result.hits):
        row, column = divmod(place, layout.columns)
        x = MARGIN + column * (TILE + GAP)
        y = layout.top + row * (TILE + CAPTION + GAP)
        card = (x - 1, y - 1, x + TILE, y + TILE + CAPTION)
        pen.rounded_rectangle(card, 8, fill=CARD, outline=EDGE)
        sheet.paste(_picture(hit, load_image), (x, y))
        _draw_caption(pen, hit, (x, y + TILE))
    _draw_legend(pen, layout, result)
    return sheet


def _layout(result: SearchResult, columns: int) -> _Layout:
    columns = max(min(columns, len(result)), min(columns, 3))
    width = columns * TILE + (columns - 1) * GAP
    title = _wrap(printable(result.query), _font(26), width)[:MAX_TITLE_LINES]
    notices = [printable(notice) for notice in result.provenance.notices]
    notes = [line for notice in notices for line in _wrap(notice, _font(14), width)]
    return _Layout(columns, -(-len(result) // columns), tuple(title), tuple(notes))


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Return `text` in lines of at most `width` pixels; a word that is too long is shortened."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_fit(word, font, width))
    return [line for line in lines if line]


def _fit(text: str, font: Font, width: float) -> str:
    """Return `text` with its middle left out until it is at most `width` pixels wide."""
    short = text
    for n in range(len(text), 0, -1):
        short = shorten(text, n)
        if font.getlength(short) <= width:
            return short
    return ELLIPSIS


def _draw_title(pen: ImageDraw.ImageDraw, layout: _Layout, result: SearchResult) -> None:
    for i, line in enumerate(layout.title):
        pen.text((MARGIN, MARGIN - 8 + 34 * i), line, INK, _font(26))
    judge = result.provenance.models.get("judge")
    stages = f"stage 1 + judge {_name_of(judge)}" if judge else "stage 1 only"
    n = f"{len(result)} hits" if len(result) != 1 else "1 hit"
    line = _fit(f"{n}  ·  {stages}", _font(15), layout.width - 2 * MARGIN)
    pen.text((MARGIN, MARGIN - 4 + 34 * len(layout.title)), line, FAINT, _font(15))


def _name_of(model_id: str) -> str:
    """Return a model id without the options that follow it."""
    return printable(model_id.partition(" {")[0])


def _picture(hit: Hit, load_image: LoadImage) -> Image.Image:
    """Return the square tile of a hit."""
    tile = Image.new("RGB", (TILE, TILE), LETTERBOX)
    try:
        pixels = load_image(hit)
    except MatirError:
        pen = ImageDraw.Draw(tile)
        pen.text((TILE / 2, TILE / 2), "image cannot be read", FAINT, _font(15), anchor="mm")
        return tile
    height, width = pixels.shape[:2]
    scale = min(TILE / width, TILE / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    if hit.mask is not None:
        image = _with_mask(image, hit.mask)
    if hit.judged_box_xyxy is not None:
        _draw_box(image, hit.judged_box_xyxy, (size[0] / hit.width, size[1] / hit.height))
    tile.paste(image, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    if hit.mask is None:
        _draw_badge(tile, "no mask")
    return tile


def _draw_badge(tile: Image.Image, text: str) -> None:
    """Draw `text` on a light pill in the tile's lower left corner."""
    pen, font = ImageDraw.Draw(tile), _font(13)
    pill = (8, TILE - 28, 24 + font.getlength(text), TILE - 8)
    pen.rounded_rectangle(pill, 10, fill=CARD, outline=EDGE)
    pen.text((16, TILE - 18), text, FAINT, font, anchor="lm")


def _with_mask(image: Image.Image, mask: MaskRLE) -> Image.Image:
    """Return `image` under a translucent mask with a white-edged outline."""
    big = (image.width * SUPERSAMPLE, image.height * SUPERSAMPLE)
    grey = Image.fromarray(decode(mask).astype(np.uint8) * 255)
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


def _grown(mask: Image.Image, pixels: int) -> Image.Image:
    # a box blur and a threshold: what MaxFilter gives, in a twentieth of its time
    return mask.filter(ImageFilter.BoxBlur(pixels)).point([0] + [255] * 255)


def _shrunk(mask: Image.Image, pixels: int) -> Image.Image:
    return mask.filter(ImageFilter.BoxBlur(pixels)).point([0] * 255 + [255])


def _draw_box(image: Image.Image, box_xyxy: BoxXYXY, scale: tuple[float, float]) -> None:
    """Draw a dashed rectangle, yellow on dark, onto `image`."""
    x0, x1 = (min(max(x * scale[0], 1), image.width - 2) for x in box_xyxy[::2])
    y0, y1 = (min(max(y * scale[1], 1), image.height - 2) for y in box_xyxy[1::2])
    pen = ImageDraw.Draw(image)
    pen.rectangle((x0, y0, x1, y1), outline=(20, 20, 20), width=2)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for start, end in pairwise(corners):
        _draw_dashes(pen, start, end)


def _draw_dashes(
    pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]
) -> None:
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0))
    n = max(round(length / 12), 1)
    for i in range(n):
        a, b = i / n, (i + 0.6) / n
        dash = (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)
        pen.line(dash, BOX, 2)


def _draw_caption(pen: ImageDraw.ImageDraw, hit: Hit, corner: tuple[int, int]) -> None:
    x, y = corner[0] + PAD, corner[1] + 8
    right = corner[0] + TILE - PAD
    rank = f"{hit.rank}"
    pen.text((x, y - 2), rank, INK, _font(22))
    left = x + _font(22).getlength(rank) + 10
    name = _fit(printable(hit.image_id), _font(15), right - left)
    pen.text((left, y + 5), name, INK, _font(15))
    line = f"score {number(hit.final_score, 2)}"
    if hit.p_relevant is not None:
        line += f"    p {number(hit.p_relevant, 2)}"
    pen.text((x, y + 39), line, FAINT, _font(15))
    _draw_move(pen, hit, (right, y + 39))


def _draw_move(pen: ImageDraw.ImageDraw, hit: Hit, end: tuple[float, float]) -> None:
    """Draw "stage-1 rank → final rank", right-aligned at `end`."""
    x, y = end
    step = hit.stage1_rank - hit.rank
    colour = UP if step > 0 else DOWN if step < 0 else FAINT
    font = _font(15)
    pen.text((x, y), f"{hit.rank}", colour, font, anchor="ra")
    x -= font.getlength(f"{hit.rank}") + 8
    _draw_arrow(pen, (x, y + 9), colour)
    pen.text((x - 28, y), f"{hit.stage1_rank}", colour, font, anchor="ra")


def _draw_arrow(pen: ImageDraw.ImageDraw, tip: tuple[float, float], colour: Colour) -> None:
    x, y = tip
    pen.line((x - 20, y, x - 5, y), colour, 2)
    pen.polygon([(x, y), (x - 7, y - 4), (x - 7, y + 4)], fill=colour)


def _draw_legend(pen: ImageDraw.ImageDraw, layout: _Layout, result: SearchResult) -> None:
    x, y, font = float(MARGIN), layout.legend_top, _font(14)
    faint = tuple(round(m * MASK_OPACITY + 255 * (1 - MASK_OPACITY)) for m in MASK)
    pen.rounded_rectangle((x, y + 1, x + 22, y + 15), 3, fill=faint, outline=MASK, width=2)
    x = _draw_label(pen, "mask", (x + 30, y), font)
    if any(hit.judged_box_xyxy for hit in result.hits):
        pen.rectangle((x, y + 1, x + 22, y + 15), outline=(20, 20, 20), width=2)
        for row in (y + 1, y + 15):
            _draw_dashes(pen, (x, row), (x + 22, row))
        x = _draw_label(pen, "judged box", (x + 30, y), font)
    pen.text((x, y), "7", UP, font)
    _draw_arrow(pen, (x + 32, y + 8), UP)
    pen.text((x + 36, y), "1", UP, font)
    x = _draw_label(pen, "stage-1 rank to final rank", (x + 52, y), font)
    x = _draw_label(pen, "score: log-odds, higher is better", (x, y), font)
    if any(hit.p_relevant is not None for hit in result.hits):
        _draw_label(pen, "p: the judge's probability", (x, y), font)
    for i, note in enumerate(layout.notes):
        pen.text((MARGIN, y + 28 + 20 * i), note, DOWN, font)


def _draw_label(
    pen: ImageDraw.ImageDraw, text: str, corner: tuple[float, float], font: Font
) -> float:
    """Draw `text` and return where the next entry starts."""
    pen.text(corner, text, FAINT, font)
    return corner[0] + font.getlength(text) + 26
