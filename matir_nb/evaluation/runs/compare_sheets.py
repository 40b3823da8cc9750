"""Queries that were won and lost, as pictures: both sides' best hits, one above the other.

This module computes no metric.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from PIL import Image

from matir_nb.evaluation.runs.blocks import Picture
from matir_nb.evaluation.runs.compare import RunComparison
from matir_nb.evaluation.runs.sheets import alt_text, query_sheet
from matir_nb.evaluation.runs.worst import MAX_SHEET_BYTES, Album
from matir_nb.exports.jpeg import jpeg_within
from matir_nb.printing import number

N_SHOWN = 5
"""Hits of a query that a picture shows."""


def comparison_sheets(
    comparison: RunComparison, metric: str, album: Album, n: int
) -> dict[str, list[Picture]]:
    """Return "wins" and "losses" -> a picture of each of the `n` queries that differ most.

    Args:
        comparison: of two runs.
        metric: by which queries are won and lost.
        album: gives pictures and masks.
        n: of wins, and of losses.
    """
    found = {"wins": comparison.wins(metric, n), "losses": comparison.losses(metric, n)}
    return {
        which: [
            _picture(comparison, row, f"{which}-{place}", metric, album)
            for place, row in enumerate(rows.to_dicts(), 1)
        ]
        for which, rows in found.items()
    }


def _picture(
    comparison: RunComparison, found: Mapping[str, Any], name: str, metric: str, album: Album
) -> Picture:
    """Return both sides' best hits for a query, A's above B's."""
    query_id = found["query_id"]
    parts, told = [], []
    for label, side, value in (("A", comparison.a, found["a"]), ("B", comparison.b, found["b"])):
        row = side.queries.row(by_predicate=pl.col("query_id") == query_id, named=True)
        remark = f"{label}: {side.name}, {metric} {number(value)}"
        truth = album.truths.get(query_id)
        options: dict[str, Any] = {"n": N_SHOWN, "mask_of": album.mask_of, "remark": remark}
        parts.append(query_sheet(row, album.load_image, truth, **options))
        told.append(f"{label}: {alt_text(row, n=N_SHOWN)}")
    sheet = _stacked(parts)
    caption = (
        f"“{found['text']}” ({query_id}): {metric} {number(found['a'])} with A, "
        f"{number(found['b'])} with B."
    )
    jpeg = jpeg_within(sheet, MAX_SHEET_BYTES)
    return Picture(name, " ".join(told), caption, jpeg, sheet.size)


def _stacked(parts: Iterable[Image.Image]) -> Image.Image:
    pictures = list(parts)
    size = (max(p.width for p in pictures), sum(p.height for p in pictures))
    whole = Image.new("RGB", size)
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole
