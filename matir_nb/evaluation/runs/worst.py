"""The queries that an arm answers worst, as a table and as contact sheets.

This module reads pictures and masks through an engine; it computes no metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from matir_nb.errors import ImageError, MatirError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.blocks import Cell, Picture, Table
from matir_nb.evaluation.runs.gains import arms_of, base_of, paired
from matir_nb.evaluation.runs.sheets import FindMask, LoadImage, alt_text, query_sheet
from matir_nb.evaluation.runs.tables import NOTHING, plain
from matir_nb.exports.jpeg import jpeg_within
from matir_nb.index.store import Index
from matir_nb.printing import number
from matir_nb.terms import signed
from matir_nb.types import MaskRLE, QueryTruth, RGBImage

MAX_SHEETS = 12
MAX_SHEET_BYTES = 250_000
N_LISTED = 8
N_SHOWN = 5
WHOLE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Bad:
    """A query that an arm answers badly.

    Attributes:
        row: of the per-query frame.
        metric: that it is judged by.
        loss: against stage 1; None where there is nothing to compare, or it is stage 1.
    """

    row: Mapping[str, Any] = field(repr=False)
    metric: str
    loss: float | None


@dataclass(frozen=True, slots=True)
class Album:
    """What sheets are made of.

    Attributes:
        load_image: gives an image's upright pixels.
        mask_of: gives the mask of an image's region.
        truths: query id -> what is right; empty = true masks are not known.
    """

    load_image: LoadImage
    mask_of: FindMask
    truths: Mapping[str, QueryTruth]


def album_of(index: Index, dataset: Dataset | None) -> Album:
    """Return the pictures of an index, and the truth of a dataset about them."""

    def held(image_id: str) -> str | None:
        """Return the image that stands for a file: itself, or that of the same bytes."""
        return image_id if index.has_image(image_id) else index.holder_of([image_id])

    def load(image_id: str) -> RGBImage:
        found = held(image_id)
        if found is None:
            message = f"image {image_id!r} is not in the index: index its folder"
            raise ImageError(message)
        return index.load_image(found)

    def mask_of(image_id: str, region_id: int) -> MaskRLE | None:
        found = held(image_id)
        masks = () if found is None else index.regions_of(found).masks
        return masks[region_id] if 0 <= region_id < len(masks) else None

    if dataset is None:
        return Album(load, mask_of, {})
    try:
        dataset = dataset.placed(index.image_ids)
    except MatirError:
        return Album(load, mask_of, {})
    return Album(load, mask_of, {query.query_id: query for query in dataset.queries})


def ranking_metric(queries: pl.DataFrame, metrics: Sequence[str]) -> str | None:
    """Return the metric by which queries are bad: AP where there is one, else the first known."""
    wanted = ("mAP@50", *metrics)
    return next((metric for metric in wanted if metric in queries.columns), None)


def worst_of(queries: pl.DataFrame, arm: str, metric: str, n: int) -> list[Bad]:
    """Return up to `n` queries with something to find that an arm does not answer in full.

    Stage 1: lowest value first. Other arms: largest loss against stage 1 first, then the lowest
    values. Ties go by query id.
    """
    base = base_of(arms_of(queries))
    losses = {} if arm == base else dict(_losses(queries, arm, base, metric))
    rows = queries.filter(
        (pl.col("arm") == arm) & (pl.col("n_relevant") > 0) & (pl.col(metric) < WHOLE)
    ).to_dicts()

    def badness(row: Mapping[str, Any]) -> tuple[float, float, str]:
        return min(losses.get(row["query_id"], 0.0), 0.0), row[metric], row["query_id"]

    return [Bad(row, metric, losses.get(row["query_id"])) for row in sorted(rows, key=badness)[:n]]


def _losses(queries: pl.DataFrame, arm: str, base: str, metric: str) -> list[tuple[str, float]]:
    return list(paired(queries, metric, arm, base).select("query_id", "difference").iter_rows())


def worst_table(bad: Sequence[Bad], arm: str, base: str) -> Table:
    """Return the worst queries of an arm, one in a row."""
    metric = bad[0].metric
    with_loss = any(query.loss is not None for query in bad)
    order = f"by loss against {base}, then lowest value" if with_loss else "lowest value first"
    name = "AP@50" if metric == "mAP@50" else metric
    head: tuple[str, ...] = ("query", "kind", "relevant", name, f"− {base}", "first relevant at")
    caption = (
        f"Worst queries of {arm} ({order}), of those with something to find. A query may be hard, "
        "badly answered, or badly annotated: the sheets help to tell."
    )
    rows = tuple(_worst_row(query) for query in bad)
    if not with_loss:
        head, rows = head[:4] + head[5:], tuple(row[:4] + row[5:] for row in rows)
    return Table(caption, head, rows, n_words=2)


def _worst_row(bad: Bad) -> tuple[Cell, ...]:
    row = bad.row
    hits = row["hits"] or []
    first = next((hit["rank"] for hit in hits if hit["is_relevant"]), None)
    return (
        Cell(row["text"], row["query_id"]),
        Cell(row["kind"]),
        Cell(f"{row['n_relevant']} of {row['n_gallery']}"),
        Cell(plain(row[bad.metric])),
        Cell(NOTHING if bad.loss is None else signed(bad.loss, 3)),
        Cell(f"rank {first}" if first is not None else f"beyond {len(hits)}"),
    )


def sheets_of(queries: pl.DataFrame, metric: str, album: Album) -> dict[str, list[Picture]]:
    """Return arm -> contact sheets of its worst queries; `MAX_SHEETS` at most, in all."""
    arms = arms_of(queries)[:MAX_SHEETS]
    n = min(MAX_SHEETS // len(arms), 4)
    return {
        arm: [
            _picture(bad, f"{_safe(arm, place)}-{i}", album)
            for i, bad in enumerate(worst_of(queries, arm, metric, n), 1)
        ]
        for place, arm in enumerate(arms)
    }


def _safe(arm: str, place: int) -> str:
    """Return a file name for an arm: the same on every system, whatever the arm is called."""
    letters = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in arm)
    return f"{place + 1}-{letters[:40].strip('-') or 'arm'}"


def _picture(bad: Bad, name: str, album: Album) -> Picture:
    row = bad.row
    value = f"{'AP@50' if bad.metric == 'mAP@50' else bad.metric} {number(row[bad.metric])}"
    loss = "" if bad.loss is None else f", {signed(bad.loss, 3)} against stage 1"
    about = f"{row['arm']}: {value}{loss}; {row['n_relevant']} of {row['n_gallery']} relevant"
    truth = album.truths.get(row["query_id"])
    sheet = query_sheet(
        row, album.load_image, truth, n=N_SHOWN, mask_of=album.mask_of, remark=about
    )
    caption = f"“{row['text']}” ({row['query_id']}), {about}."
    jpeg = jpeg_within(sheet, MAX_SHEET_BYTES)
    return Picture(name, alt_text(row, n=N_SHOWN), caption, jpeg, sheet.size)
