"""A hit as a row of a table, and back: `HIT_SCHEMA`. This module knows no file and no index."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.types import BoxXYXY, Hit, MaskRLE

BOX = pl.Array(pl.Float64, 4)
STAGES = ("retrieve", "judge", "align")
HIT_SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "rank": pl.Int64(),
        "image_id": pl.String(),
        "path": pl.String(),
        "copies": pl.List(pl.String),
        "width": pl.Int64(),
        "height": pl.Int64(),
        "final_score": pl.Float64(),
        "stage1_rank": pl.Int64(),
        "stage1_score": pl.Float64(),
        "best_region_id": pl.Int64(),
        "best_region_score": pl.Float64(),
        "runner_up_score": pl.Float64(),
        "whole_image_score": pl.Float64(),
        "hub_score": pl.Float64(),
        "reference_score": pl.Float64(),
        "null_percentile": pl.Float64(),
        "judge_rank": pl.Int64(),
        "p_relevant": pl.Float64(),
        "logit": pl.Float64(),
        "answer": pl.String(),
        "above_cut": pl.Boolean(),
        "judged_box_xyxy": BOX,
        "region_id": pl.Int64(),
        "region_score": pl.Float64(),
        "align_iou": pl.Float64(),
        "box_xyxy": BOX,
        "mask_height": pl.Int64(),
        "mask_width": pl.Int64(),
        "mask_counts": pl.Binary(),
        **{f"seconds_{stage}": pl.Float64() for stage in STAGES},
    }
)
"""Null = the stage did not run or found nothing; boxes are xyxy pixels, masks COCO RLE."""

_MADE = ("judged_box_xyxy", "box_xyxy", "copies")
_PLAIN = tuple(f.name for f in fields(Hit) if f.name in HIT_SCHEMA and f.name not in _MADE)


def row_of(hit: Hit) -> dict[str, Any]:
    """Return a hit's columns of `HIT_SCHEMA`."""
    mask = hit.mask
    return {name: getattr(hit, name) for name in _PLAIN} | {
        "copies": list(hit.copies),
        "judged_box_xyxy": hit.judged_box_xyxy,
        "box_xyxy": hit.box_xyxy,
        "mask_height": None if mask is None else mask.size[0],
        "mask_width": None if mask is None else mask.size[1],
        "mask_counts": None if mask is None else mask.counts,
    }


def hit_of_row(row: Mapping[str, Any]) -> Hit:
    """Return the hit whose columns are in `row`; of what a file lacks nothing is known."""
    size = (row["mask_height"], row["mask_width"])
    return Hit(
        **{name: row[name] for name in _PLAIN},
        copies=tuple(row["copies"] or ()),
        judged_box_xyxy=_box(row["judged_box_xyxy"]),
        box_xyxy=_box(row["box_xyxy"]),
        mask=None if row["mask_counts"] is None else MaskRLE(size, row["mask_counts"]),
    )


def renamed_hit(hit: Hit, image_id: str) -> Hit:
    """Return the hit under another image id, which is also its file's path below the root."""
    return hit if image_id == hit.image_id else replace(hit, image_id=image_id, path=image_id)


def renamed_ids(image_ids: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return image ids as `names` (old -> new) calls them; ids that it lacks stay.

    >>> renamed_ids(["a.png", "b.png"], {"b.png": "sorted/b.png"})
    ('a.png', 'sorted/b.png')

    Raises:
        ConfigError: two of them would have one id.
    """
    found: dict[str, str] = {}
    for image_id in image_ids:
        name = names.get(image_id, image_id)
        if name in found:
            both = f"{found[name]!r:.80} and {image_id!r:.80} would both be called {name!r:.80}"
            gone = f"; if that file is gone, add a name for it: {name!r}: {f'deleted/{name}'!r}"
            hint = gone if name in image_ids and name not in names else ""
            message = f"{both}: give every image a name of its own{hint}"
            raise ConfigError(message)
        found[name] = image_id
    return tuple(found)


def _box(values: list[float] | None) -> BoxXYXY | None:
    if values is None:
        return None
    x0, y0, x1, y1 = values
    return (x0, y0, x1, y1)
