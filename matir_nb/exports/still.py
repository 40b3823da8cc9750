"""Still pictures of an inspector and of a stage flow: what a notebook shows without its kernel.

This module knows no model and no index: pixels come from a function, regions from the caller.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from matir_nb.explain.entries import Entry, entries
from matir_nb.explain.ledger import hit_of
from matir_nb.exports.drawing import (
    CARD,
    DARK,
    DOWN,
    EDGE,
    FAINT,
    INK,
    MASK,
    PAPER,
    UP,
    Colour,
    draw_box,
    first_lines,
    fit,
    font_of,
    grey_of,
    with_mask,
    wrap,
)
from matir_nb.printing import number, printable
from matir_nb.results import SearchResult
from matir_nb.terms import MINUS, signed
from matir_nb.types import FloatArray, Hit, MaskRLE, Regions, RGBImage

MARGIN, GAP = 16, 24
SIDE = 400
"""Longest side of the inspected picture."""
LEDGER = 520
"""Width of the column with words and ledger."""
ROW = 26
MAX_FLOW = 16
THUMB, STEP, LINES = 44, 50, 300
HALF, FAINT_LINE = 127, 150
LABEL = (25, 20)
"""Width and height that a region's number takes."""
NAMED = re.compile(r"region (\d{1,6})\b")


def inspected(result: SearchResult, rank: int, pixels: RGBImage, regions: Regions) -> Image.Image:
    """Return one hit as a picture: all its regions, the judge's words, the ledger as bars.

    Every region is outlined and bears its number where there is room, those first that the judge
    speaks of; the one shown is magenta, the judge's box dashed.

    Args:
        result: of a search.
        rank: 1 = best.
        pixels: (H, W, 3) uint8 of the hit's image, upright, at any scale.
        regions: of the image.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    left = _regions(hit, pixels, regions)
    lines = _words(result, hit)
    bars = [e for e in entries(hit, result.provenance.config) if e.contribution]
    height = max(left.height, len(lines) * 22 + 14 + ROW * (len(bars) + 2))
    sheet = Image.new("RGB", (2 * MARGIN + SIDE + GAP + LEDGER, height + 2 * MARGIN), PAPER)
    sheet.paste(left, (MARGIN, MARGIN))
    pen, x = ImageDraw.Draw(sheet), MARGIN + SIDE + GAP
    for i, (text, size, ink) in enumerate(lines):
        pen.text((x, MARGIN + 22 * i), text, ink, font_of(size))
    _draw_bars(pen, bars, hit.final_score, (x, MARGIN + 22 * len(lines) + 14))
    return sheet


def flowed(result: SearchResult, load_image: Callable[[Hit], RGBImage | None]) -> Image.Image:
    """Return the best hits' way from stage 1 to the final order as a picture.

    Both sides are evenly spaced; the numbers are the ranks among all images. A line is green where
    the rank rose, red where it fell, as in the live view.

    Args:
        result: of a search, with at least one hit.
        load_image: gives a hit's upright RGB pixels; None = the image cannot be read.
    """
    hits = result.hits[:MAX_FLOW]
    by_stage1 = sorted(hits, key=lambda hit: hit.stage1_rank)
    width, top = 2 * MARGIN + 2 * (THUMB + 48) + LINES + 320, MARGIN + 54
    sheet = Image.new("RGB", (width, top + STEP * len(hits) + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    title = fit(printable(result.query), font_of(20), width - 2 * MARGIN)
    pen.text((MARGIN, MARGIN - 4), title, INK, font_of(20))
    start, end = MARGIN + THUMB + 44, MARGIN + THUMB + 44 + LINES
    for x, anchor, text in ((start, "rm", "stage 1"), (end, "lm", "final")):
        pen.text((x, top - 14), text, FAINT, font_of(15), anchor=anchor)
    legend = "green: rank rose, red: rank fell"
    pen.text(((start + end) // 2, top - 14), legend, FAINT, font_of(13), anchor="mm")
    for place, hit in enumerate(hits):
        tile = _thumb(hit, load_image(hit))
        before = top + STEP * by_stage1.index(hit) + THUMB // 2
        after = top + STEP * place + THUMB // 2
        for x, middle in ((MARGIN, before), (end + 38, after)):
            sheet.paste(tile, (x, middle - tile.height // 2))
        _draw_way(pen, hit, (start, before), (end, after))
        pen.text((end + 92, after), _standing(hit), FAINT, font_of(14), anchor="lm")
    return sheet


def _regions(hit: Hit, pixels: RGBImage, regions: Regions) -> Image.Image:
    """Return the image, `SIDE` pixels on its longer side, under its regions."""
    scale = SIDE / max(hit.width, hit.height)
    size = (max(round(hit.width * scale), 1), max(round(hit.height * scale), 1))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    for mask in regions.masks:
        _outline(image, mask)
    if hit.mask is not None:
        image = with_mask(image, hit.mask)
    if hit.judged_box_xyxy is not None:
        draw_box(image, hit.judged_box_xyxy, (size[0] / hit.width, size[1] / hit.height))
    _draw_numbers(ImageDraw.Draw(image), hit, regions.boxes_xyxy * scale)
    return image


def _thumb(hit: Hit, pixels: RGBImage | None) -> Image.Image:
    """Return an image `THUMB` pixels wide or high, with the mask that the hit shows."""
    image = Image.fromarray(np.full((1, 1, 3), 220, np.uint8) if pixels is None else pixels)
    scale = THUMB / max(hit.width, hit.height)
    image = image.resize((max(round(hit.width * scale), 1), max(round(hit.height * scale), 1)))
    return image if hit.mask is None else with_mask(image, hit.mask)


def _outline(image: Image.Image, mask: MaskRLE) -> None:
    """Draw a mask's inner edge in white."""
    grey = grey_of(mask, image.size)
    inside = np.pad(np.asarray(grey.resize(image.size, Image.Resampling.BICUBIC)) > HALF, 1)
    within = inside[2:, 1:-1] & inside[:-2, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2]
    edge = (inside[1:-1, 1:-1] & ~within).astype(np.uint8) * FAINT_LINE
    image.paste(CARD, (0, 0), Image.fromarray(edge))


def _draw_numbers(pen: ImageDraw.ImageDraw, hit: Hit, boxes_xyxy: FloatArray) -> None:
    """Write the numbers of regions onto them, each where none stands yet."""
    named = [int(number) for number in NAMED.findall(hit.answer or "")]
    first = [row for row in (hit.region_id, *named) if row is not None and row < len(boxes_xyxy)]
    taken: list[tuple[float, float]] = []
    for row in dict.fromkeys([*first, *range(len(boxes_xyxy))]):
        x0, y0, x1, y1 = boxes_xyxy[row].tolist()
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if all(abs(x - u) > LABEL[0] or abs(y - v) > LABEL[1] for u, v in taken):
            taken.append((x, y))
            _draw_number(pen, str(row), (x, y), is_shown=row == hit.region_id)


def _draw_number(
    pen: ImageDraw.ImageDraw, text: str, centre: tuple[float, float], *, is_shown: bool
) -> None:
    x, y = centre
    half = font_of(14).getlength(text) / 2 + 4
    fill = MASK if is_shown else DARK
    pen.rounded_rectangle((x - half, y - 9, x + half, y + 9), 5, fill=fill)
    pen.text((x, y), text, CARD, font_of(14), anchor="mm")


def _words(result: SearchResult, hit: Hit) -> list[tuple[str, int, Colour]]:
    """Return (text, size, colour) of each line above the ledger."""
    judged = "not judged" if hit.judge_rank is None else f"judge: {hit.judge_rank}"
    ranks = f"ranks   stage 1: {hit.stage1_rank}   {judged}   final: {hit.rank}"
    answer = "" if hit.answer is None else f"“{printable(hit.answer)}”"
    said = [] if hit.p_relevant is None else [f"the judge: p = {number(hit.p_relevant, 3)}"]
    return [
        (fit(printable(result.query), font_of(19), LEDGER), 19, INK),
        (fit(printable(hit.image_id), font_of(15), LEDGER), 15, FAINT),
        (ranks, 15, INK),
        *((line, 15, INK) for line in said),
        *((line, 14, FAINT) for line in first_lines(wrap(answer, font_of(14), LEDGER), 4)),
    ]


def _draw_bars(
    pen: ImageDraw.ImageDraw, bars: Sequence[Entry], total: float, corner: tuple[int, int]
) -> None:
    """Draw contributions one below the other, each beginning where the one before ended."""
    x, y = corner
    sums = [0.0]
    for entry in bars:
        sums.append(sums[-1] + entry.contribution)
    low, high = min(*sums, total, 0.0), max(*sums, total, 0.0)
    left, room = x + 190, LEDGER - 190 - 70
    unit = room / ((high - low) or 1.0)
    pen.text((x, y), "what the score is made of (log-odds)", FAINT, font_of(14))
    rows = [
        (e.name, e.contribution, start, end)
        for e, start, end in zip(bars, sums, sums[1:], strict=False)
    ]
    for i, (name, value, start, end) in enumerate([*rows, ("= final score", total, 0.0, total)]):
        middle = y + ROW * (i + 1) + ROW // 2
        colour = INK if i == len(rows) else UP if value >= 0 else DOWN
        ends = sorted((left + (start - low) * unit, left + (end - low) * unit))
        pen.rectangle((ends[0], middle - 7, max(ends[1], ends[0] + 1), middle + 7), fill=colour)
        pen.text((x, middle), fit(name, font_of(15), 182), INK, font_of(15), anchor="lm")
        text = signed(value, 3).replace(MINUS, "-")  # the font has no true minus
        pen.text((x + LEDGER, middle), text, INK, font_of(15), anchor="rm")
    zero = left - low * unit
    pen.line((zero, y + ROW, zero, y + ROW * (len(rows) + 2)), EDGE, 1)


def _draw_way(
    pen: ImageDraw.ImageDraw, hit: Hit, start: tuple[int, int], end: tuple[int, int]
) -> None:
    """Draw a hit's line between its two ranks."""
    colour = UP if hit.rank < hit.stage1_rank else DOWN if hit.rank > hit.stage1_rank else FAINT
    pen.line((start[0] + 8, start[1], end[0] - 8, end[1]), colour, 3)
    pen.text(start, f"{hit.stage1_rank}", INK, font_of(17), anchor="rm")
    pen.text(end, f"{hit.rank}", INK, font_of(17), anchor="lm")


def _standing(hit: Hit) -> str:
    """Return "a.png   score 1.23   p 0.98", the name shortened where it is long."""
    p = "" if hit.p_relevant is None else f"   p {number(hit.p_relevant, 2)}"
    name = fit(printable(hit.image_id), font_of(14), 190)
    return f"{name}   score {number(hit.final_score, 2)}{p}"
