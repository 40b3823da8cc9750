"""A picture of a result: a grid of images with their masks, boxes, scores and ranks.

This module knows no model and no index: pixels come from a function, hit by hit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from matir_nb.errors import ConfigError, MatirError
from matir_nb.exports.drawing import (
    CARD,
    DARK,
    DOWN,
    EDGE,
    FAINT,
    INK,
    MASK,
    MASK_OPACITY,
    PAPER,
    UP,
    draw_arrow,
    draw_dashes,
    draw_mark,
    draw_move,
    first_lines,
    fit,
    font_of,
    picture,
    wrap,
)
from matir_nb.printing import number, printable
from matir_nb.results import SearchResult
from matir_nb.types import Hit, RGBImage

LoadImage = Callable[[Hit], RGBImage]

MAX_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Look:
    """Sizes of a sheet, in pixels.

    Attributes:
        tile: side of a picture.
        caption: height of the text below it.
        margin: around the sheet.
        gap: between cards.
        pad: left and right of a caption.
        title: font of the query.
        rank: font of a rank.
        name: font of file names.
        text: font of scores.
        note: font of legend and notices.
        max_notes: lines of notices.
    """

    tile: int
    caption: int
    margin: int
    gap: int
    pad: int
    title: int
    rank: int
    name: int
    text: int
    note: int
    max_notes: int


SHEET = Look(296, 78, 32, 18, 12, title=26, rank=22, name=15, text=15, note=14, max_notes=20)
PREVIEW = Look(172, 56, 16, 10, 7, title=22, rank=19, name=15, text=14, note=14, max_notes=3)


@dataclass(frozen=True, slots=True)
class _Layout:
    look: Look
    hits: tuple[Hit, ...]
    columns: int
    title: tuple[str, ...]
    subtitle: str
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        look = self.look
        return 2 * look.margin + self.columns * (look.tile + look.gap) - look.gap

    @property
    def top(self) -> int:
        look = self.look
        return look.margin + (look.title + 8) * len(self.title) + 2 * look.name + look.gap // 3

    @property
    def legend_top(self) -> int:
        look = self.look
        n_rows = -(-len(self.hits) // self.columns)
        return self.top + n_rows * (look.tile + look.caption + look.gap) + 6

    @property
    def height(self) -> int:
        look = self.look
        return self.legend_top + 26 + (look.note + 6) * len(self.notes) + look.margin

    def corners(self) -> Iterator[tuple[Hit, int, int]]:
        """Yield each hit with the x, y of its card."""
        look = self.look
        for place, hit in enumerate(self.hits):
            row, column = divmod(place, self.columns)
            x = look.margin + column * (look.tile + look.gap)
            yield hit, x, self.top + row * (look.tile + look.caption + look.gap)


def contact_sheet(
    result: SearchResult,
    load_image: LoadImage,
    *,
    columns: int = 4,
    max_hits: int | None = None,
    marks: Mapping[str, str] | None = None,
    look: Look = SHEET,
) -> Image.Image:
    """Return a picture of the hits of `result`, best first.

    A tile shows the image (aspect kept) with its mask and, dashed, the judge's box; below it rank,
    file name, final score, the judge's probability, and the way from stage 1's rank to the final
    one. An image that cannot be read leaves an empty tile that says so.

    Args:
        result: what to show.
        load_image: gives a hit's upright RGB pixels, or raises a `MatirError`.
        columns: tiles per row, 1 to 12.
        max_hits: at most so many of them, and the sheet says so; None = all.
        marks: image id -> mark, written onto its tile; None = none.
        look: sizes.

    Raises:
        ConfigError: `columns` or `max_hits` is out of range.
    """
    if not 1 <= columns <= MAX_COLUMNS:
        message = f"columns = {columns} is not allowed: give 1 to {MAX_COLUMNS}"
        raise ConfigError(message)
    if max_hits is not None and max_hits < 1:
        message = f"max_hits = {max_hits} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    layout = _layout(result, result.hits[:max_hits], columns, look)
    sheet = Image.new("RGB", (layout.width, layout.height), PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_title(pen, layout)
    for hit, x, y in layout.corners():
        card = (x - 1, y - 1, x + look.tile, y + look.tile + look.caption)
        pen.rounded_rectangle(card, 8, fill=CARD, outline=EDGE)
        sheet.paste(picture(hit, _pixels(hit, load_image), look.tile), (x, y))
        if marks and hit.image_id in marks:
            draw_mark(pen, marks[hit.image_id], (x, y))
        _draw_caption(pen, hit, (x, y + look.tile), look)
    _draw_legend(pen, layout)
    return sheet


def _layout(result: SearchResult, hits: tuple[Hit, ...], columns: int, look: Look) -> _Layout:
    columns = max(min(columns, len(hits)), min(columns, 3))
    width = columns * (look.tile + look.gap) - look.gap
    title = first_lines(wrap(printable(result.query), font_of(look.title), width), 2)
    notices = [printable(notice) for notice in result.provenance.notices]
    lines = [line for notice in notices for line in wrap(notice, font_of(look.note), width)]
    subtitle = fit(_subtitle(result, len(hits)), font_of(look.name), width)
    return _Layout(look, hits, columns, title, subtitle, first_lines(lines, look.max_notes))


def _subtitle(result: SearchResult, n_shown: int) -> str:
    n = len(result)
    shown = f"{n} hit{'s' * (n != 1)}" if n == n_shown else f"best {n_shown} of {n} hits"
    judge = result.provenance.models.get("judge")
    # a model id is a name and, from the first blank on, its options
    stages = f"stage 1 + judge {printable(judge).split(' ')[0]}" if judge else "stage 1 only"
    return f"{shown}  ·  {stages}"


def _pixels(hit: Hit, load_image: LoadImage) -> RGBImage | None:
    try:
        return load_image(hit)
    except MatirError:
        return None


def _draw_title(pen: ImageDraw.ImageDraw, layout: _Layout) -> None:
    look = layout.look
    x, y = look.margin, look.margin - 6
    for line in layout.title:
        pen.text((x, y), line, INK, font_of(look.title))
        y += look.title + 8
    pen.text((x, y + 3), layout.subtitle, FAINT, font_of(look.name))


def _draw_caption(pen: ImageDraw.ImageDraw, hit: Hit, corner: tuple[int, int], look: Look) -> None:
    x, right = corner[0] + look.pad, corner[0] + look.tile - look.pad
    top, bottom = corner[1] + look.caption // 3, corner[1] + look.caption * 3 // 4
    rank = f"{hit.rank}"
    pen.text((x, top), rank, INK, font_of(look.rank), anchor="lm")
    left = x + font_of(look.rank).getlength(rank) + look.pad
    pen.text((left, top), _name(hit, right - left, look), INK, font_of(look.name), anchor="lm")
    room = draw_move(pen, hit, (right, bottom), look.text) - x
    pen.text((x, bottom), _scores(hit, room - 8, look), FAINT, font_of(look.text), anchor="lm")


def _name(hit: Hit, width: float, look: Look) -> str:
    """Return the image's id, or without its folders, or shortened: the first that fits."""
    name, font = printable(hit.image_id), font_of(look.name)
    if font.getlength(name) <= width:
        return name
    return fit(name.rpartition("/")[2] or name, font, width)


def _scores(hit: Hit, width: float, look: Look) -> str:
    """Return final score and the judge's probability, with as many words and digits as fit."""
    p = "" if hit.p_relevant is None else f"   p {number(hit.p_relevant, 2)}"
    exact, short = number(hit.final_score, 2), number(hit.final_score, 1)
    choices = (f"score {exact}{p}", f"{exact}{p}", f"{exact}{p}".replace("   ", "  "), exact)
    fitting = (text for text in choices if font_of(look.text).getlength(text) <= width)
    return next(fitting, short)


def _draw_legend(pen: ImageDraw.ImageDraw, layout: _Layout) -> None:
    look, hits = layout.look, layout.hits
    x, y, font = float(look.margin), layout.legend_top, font_of(look.note)
    end = layout.width - look.margin
    faint = tuple(round(m * MASK_OPACITY + 255 * (1 - MASK_OPACITY)) for m in MASK)
    pen.rounded_rectangle((x, y + 1, x + 22, y + 15), 3, fill=faint, outline=MASK, width=2)
    x = _draw_label(pen, "mask", (x + 30, y), look)
    if any(hit.judged_box_xyxy for hit in hits):
        pen.rectangle((x, y + 1, x + 22, y + 15), outline=DARK, width=2)
        for row in (y + 1, y + 15):
            draw_dashes(pen, (x, row), (x + 22, row))
        x = _draw_label(pen, "judged box", (x + 30, y), look)
    words = ["score: log-odds, higher is better"]
    if any(hit.p_relevant is not None for hit in hits):
        words.append("p: the judge's probability")
    if x + 52 + font.getlength("stage-1 rank to final rank") <= end:
        pen.text((x, y), "7", UP, font)
        draw_arrow(pen, (x + 32, y + 8), UP)
        pen.text((x + 36, y), "1", UP, font)
        x = _draw_label(pen, "stage-1 rank to final rank", (x + 52, y), look)
    for text in words:
        if x + font.getlength(text) <= end:
            x = _draw_label(pen, text, (x, y), look)
    for i, note in enumerate(layout.notes):
        pen.text((look.margin, y + 26 + (look.note + 6) * i), note, DOWN, font)


def _draw_label(
    pen: ImageDraw.ImageDraw, text: str, corner: tuple[float, float], look: Look
) -> float:
    """Draw `text` and return where the next entry starts."""
    font = font_of(look.note)
    pen.text(corner, text, FAINT, font)
    return corner[0] + font.getlength(text) + 26
