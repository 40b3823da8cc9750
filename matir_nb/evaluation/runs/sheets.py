"""A query's answers as a picture: what was shown, what is true, what was missed.

The shown mask is magenta with a whole line, the true ones are cyan with a broken line: line as
well as colour tells them apart. This module knows rows of a run, pixels and masks; no index.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from matir_nb.errors import MatirError
from matir_nb.exports.drawing import (
    CARD,
    DARK,
    DOWN,
    EDGE,
    FAINT,
    INK,
    LETTERBOX,
    MASK,
    PAPER,
    UP,
    Colour,
    draw_box,
    draw_dashes,
    first_lines,
    fit,
    font_of,
    with_mask,
    wrap,
)
from matir_nb.geometry.masks import decode, scale, tight_box_xyxy
from matir_nb.printing import number, printable
from matir_nb.terms import MINUS
from matir_nb.types import MaskRLE, QueryTruth, RGBImage

LoadImage = Callable[[str], RGBImage]
FindMask = Callable[[str, int], MaskRLE | None]

TILE, CAPTION, GAP, MARGIN = 208, 62, 10, 18
TRUTH: Colour = (0, 229, 255)
TRUTH_GAP: Colour = (6, 40, 52)
DASH = 5
SMALL_TARGET = 14
"""A target whose box is smaller, in pixels of the tile, gets a ring."""
MAX_TRUE_MASKS = 40


@dataclass(frozen=True, slots=True)
class Card:
    """A picture of a sheet and what stands below it.

    Attributes:
        image_id: of the picture.
        name: first line.
        verdict: second line.
        colour: of the second line.
        note: third line.
        mask: that was shown.
        box_xyxy: that was shown, pixels of the whole picture.
        truth: the true masks.
    """

    image_id: str
    name: str
    verdict: str
    colour: Colour = FAINT
    note: str = ""
    mask: MaskRLE | None = None
    box_xyxy: Sequence[float] | None = None
    truth: tuple[MaskRLE, ...] = field(default=(), repr=False)


def query_sheet(
    row: Mapping[str, Any],
    load_image: LoadImage,
    truth: QueryTruth | None,
    *,
    n: int = 5,
    mask_of: FindMask | None = None,
    remark: str = "",
) -> Image.Image:
    """Return the best `n` answers to a query, and below them relevant pictures that they lack.

    Args:
        row: of a run's per-query frame.
        load_image: gives an image's upright pixels, or raises a `MatirError`.
        truth: of the query; None = true masks are not outlined.
        n: pictures in a row of the sheet.
        mask_of: gives the mask of an image's region; None = masks are not drawn.
        remark: second line of the sheet.
    """
    answers, missed = cards(row, truth, n=n, mask_of=mask_of)
    parts = [("Best answers", answers), ("Relevant, and not among them", missed)]
    parts = [(name, of_part) for name, of_part in parts if of_part]
    width = 2 * MARGIN + n * (TILE + GAP) - GAP
    title = first_lines(wrap(printable(row["text"]), font_of(20), width - 2 * MARGIN), 2)
    top = MARGIN + 26 * max(len(title), 1) + 26
    height = top + len(parts) * (TILE + CAPTION + 34) + 20 + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, line in enumerate(title):
        pen.text((MARGIN, MARGIN - 6 + 26 * i), line, INK, font_of(20))
    remark = remark.replace(MINUS, "-")  # Pillow's own font has no true minus
    subtitle = fit(printable(remark), font_of(14), width - 2 * MARGIN)
    pen.text((MARGIN, top - 28), subtitle, FAINT, font_of(14))
    for name, of_part in parts:
        pen.text((MARGIN, top), name, INK, font_of(14))
        for place, card in enumerate(of_part):
            _paste(sheet, card, (MARGIN + place * (TILE + GAP), top + 22), load_image)
        top += TILE + CAPTION + 34
    _draw_legend(pen, top + 2)
    return sheet


def cards(
    row: Mapping[str, Any], truth: QueryTruth | None, *, n: int, mask_of: FindMask | None
) -> tuple[list[Card], list[Card]]:
    """Return what a sheet shows: the best `n` answers, and up to `n` relevant pictures beside."""
    hits = list(row["hits"] or [])
    true_masks = {} if truth is None else truth.masks
    answers = [_answer(hit, true_masks, mask_of) for hit in hits[:n]]
    shown = {card.image_id for card in answers}
    ranks = {hit["image_id"]: hit["rank"] for hit in hits}
    targets = [t["image_id"] for t in row["targets"] or [] if t["image_id"] not in shown]
    targets.sort(key=lambda image_id: (ranks.get(image_id, len(hits) + 1), image_id))
    depth, known = len(hits), None if truth is None else true_masks
    return answers, [_missed(i, ranks.get(i), depth, known) for i in targets[:n]]


def _answer(
    hit: Mapping[str, Any],
    true_masks: Mapping[str, tuple[MaskRLE, ...]],
    mask_of: FindMask | None,
) -> Card:
    image_id, region = hit["image_id"], hit["region_id"]
    p = "" if hit["p_relevant"] is None else f"  p {number(hit['p_relevant'], 2)}"
    ious = [("", hit["mask_iou"]), ("box ", hit["box_iou"])]  # short: a card is narrow
    known = [f"{name}{number(iou, 2)}" for name, iou in ious if iou is not None]
    verdict, colour = ("+ relevant", UP) if hit["is_relevant"] else ("x not relevant", DOWN)
    return Card(
        image_id,
        f"{hit['rank']}  {_short(image_id)}",
        verdict + ("  IoU " + ", ".join(known) if known else ""),
        colour,
        f"score {number(hit['score'], 2)}{p}",
        None if mask_of is None or region is None else mask_of(image_id, region),
        hit["box_xyxy"],
        tuple(true_masks.get(image_id, ())),
    )


def _missed(
    image_id: str,
    rank: int | None,
    depth: int,
    true_masks: Mapping[str, tuple[MaskRLE, ...]] | None,
) -> Card:
    """Return the card of a picture that was missed; None = its true masks are not at hand."""
    place = f"rank {rank}" if rank is not None else f"not in the first {depth}"
    masks = () if true_masks is None else tuple(true_masks.get(image_id, ()))
    note = "" if true_masks is None else f"true masks: {len(masks)}"
    return Card(image_id, _short(image_id), place, note=note, truth=masks)


def _short(image_id: str) -> str:
    return printable(image_id).rpartition("/")[2] or printable(image_id)


def alt_text(row: Mapping[str, Any], *, n: int = 5) -> str:
    """Return what a sheet shows, in words."""
    answers, missed = cards(row, None, n=n, mask_of=None)
    told = "; ".join(f"{card.name}: {card.verdict[2:]}" for card in answers) or "no answers"
    lacking = "; ".join(f"{card.name} ({card.verdict})" for card in missed)
    return f"Answers by rank: {told}." + (f" Missed: {lacking}." if lacking else "")


def _paste(sheet: Image.Image, card: Card, corner: tuple[int, int], load_image: LoadImage) -> None:
    """Draw a card with its upper left corner there."""
    x, y = corner
    pen = ImageDraw.Draw(sheet)
    pen.rounded_rectangle((x - 1, y - 1, x + TILE, y + TILE + CAPTION), 6, fill=CARD, outline=EDGE)
    sheet.paste(_tile(card, load_image), corner)
    texts = ((card.name, INK), (card.verdict, card.colour), (card.note, FAINT))
    for i, (text, colour) in enumerate(texts):
        line = fit(text, font_of(13), TILE - 14)
        pen.text((x + 7, y + TILE + 5 + 18 * i), line, colour, font_of(13))


def _tile(card: Card, load_image: LoadImage) -> Image.Image:
    """Return the square picture of a card."""
    tile = Image.new("RGB", (TILE, TILE), LETTERBOX)
    try:
        pixels = load_image(card.image_id)
    except MatirError:
        pen = ImageDraw.Draw(tile)
        pen.text((TILE / 2, TILE / 2), "image cannot be read", FAINT, font_of(14), anchor="mm")
        return tile
    height, width = pixels.shape[:2]
    factor = min(TILE / width, TILE / height)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if card.mask is not None:
        image = with_mask(image, card.mask)
    if card.box_xyxy is not None:
        x0, y0, x1, y1 = card.box_xyxy
        draw_box(image, (x0, y0, x1, y1), (size[0] / width, size[1] / height))
    _draw_truth(image, card.truth)
    tile.paste(image, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile


def _draw_truth(image: Image.Image, masks: Sequence[MaskRLE]) -> None:
    """Outline true masks with a broken line, and put a ring around those that are tiny."""
    pen = ImageDraw.Draw(image)
    rows, columns = np.indices((image.height, image.width))
    is_dash = Image.fromarray(((rows + columns) // DASH % 2 * 255).astype(np.uint8))
    for mask in masks[:MAX_TRUE_MASKS]:
        height, width = mask.size
        x0, y0, x1, y1 = tight_box_xyxy(mask)
        across, down = image.width / width, image.height / height
        if max((x1 - x0) * across, (y1 - y0) * down) < SMALL_TARGET:
            _draw_ring(pen, ((x0 + x1) / 2 * across, (y0 + y1) / 2 * down))
            continue
        line = _outline(mask, image.size)
        image.paste(TRUTH_GAP, (0, 0), line)
        image.paste(TRUTH, (0, 0), ImageChops.darker(line, is_dash))


def _outline(mask: MaskRLE, size: tuple[int, int]) -> Image.Image:
    """Return the boundary of a mask, two pixels wide, 255 where it is."""
    small = decode(scale(mask, size[1], size[0]))
    inside = Image.fromarray(small.astype(np.uint8) * 255)
    # a border of background, so that a mask at the picture's edge is outlined there too
    ImageDraw.Draw(inside).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=0)
    grown = inside.filter(ImageFilter.MaxFilter(3))
    return ImageChops.subtract(grown, inside.filter(ImageFilter.MinFilter(3)))


def _draw_ring(pen: ImageDraw.ImageDraw, centre: tuple[float, float]) -> None:
    x, y = centre
    for radius, colour, width in ((13, TRUTH_GAP, 4), (12, TRUTH, 2)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)


def _draw_legend(pen: ImageDraw.ImageDraw, y: int) -> None:
    x = float(MARGIN)
    pen.rectangle((x, y + 2, x + 20, y + 14), outline=MASK, width=2)
    x = _draw_label(pen, (x + 26, y), "shown mask")
    pen.rectangle((x, y + 2, x + 20, y + 14), outline=DARK, width=2)
    for row in (y + 2, y + 14):
        draw_dashes(pen, (x, row), (x + 20, row))
    x = _draw_label(pen, (x + 26, y), "shown box")
    for i, part in enumerate(range(int(x), int(x) + 24, DASH)):
        pen.rectangle((part, y + 6, part + DASH - 1, y + 9), fill=TRUTH if i % 2 else TRUTH_GAP)
    x = _draw_label(pen, (x + 30, y), "true mask")
    _draw_ring(pen, (x + 12, y + 8))
    _draw_label(pen, (x + 30, y), "true mask too small to outline")


def _draw_label(pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str) -> float:
    """Write `text` and return where the next entry starts."""
    pen.text(corner, text, FAINT, font_of(13))
    return corner[0] + font_of(13).getlength(text) + 22
