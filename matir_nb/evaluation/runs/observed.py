"""What an evaluation writes down of every query: the hits, and how each compares with the truth.

All metrics are computed from these columns, so a metric can be added without asking again. This
module knows no engine and no metric.
"""

import polars as pl

HIT = pl.Struct(
    {
        "image_id": pl.String,
        "rank": pl.Int64,
        "score": pl.Float64,
        "stage1_rank": pl.Int64,
        "stage1_score": pl.Float64,
        "p_relevant": pl.Float64,
        "above_cut": pl.Boolean,
        "is_relevant": pl.Boolean,
        "region_id": pl.Int64,
        "mask_iou": pl.Float64,
        "union_iou": pl.Float64,
        "intersection_px": pl.Int64,
        "union_px": pl.Int64,
        "box_iou": pl.Float64,
        "box_xyxy": pl.List(pl.Float64),
    }
)
"""A hit, in the order of the final rank.

mask_iou: of the shown mask, the highest IoU with any true instance mask; 0 where no mask is shown;
null where the image is not relevant or has no true mask.
union_iou: of the shown mask with the union of the true instance masks; 0 and null likewise.
intersection_px, union_px: the pixels of `union_iou`, for overall IoU; null as it is.
box_iou: of `box_xyxy`, the highest IoU with any true box; 0 without a box; null where the image is
not relevant or has no true box.
box_xyxy: the judge's box, else the tight box of the shown mask; null without either.
"""

TARGET = pl.Struct(
    {
        "image_id": pl.String,
        "n_targets": pl.Int64,
        "area_px": pl.Float64,
        "area_fraction": pl.Float64,
    }
)
"""A relevant image: true instances in it, and the area of the largest (of its mask, else its box):
pixels, and share of the picture. Null areas, and 0 targets, where nothing is annotated."""

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "arm": pl.String,
    "query_id": pl.String,
    "text": pl.String,
    "kind": pl.String,
    "n_relevant": pl.Int64,
    "n_gallery": pl.Int64,
    "seconds": pl.Float64,
    "hits": pl.List(HIT),
    "targets": pl.List(TARGET),
}
OBSERVED_SCHEMA = pl.Schema(_COLUMNS)
"""One row per arm and query. `n_gallery`: images that could have been found: the gallery, or those
that are judged for the query. `seconds`: of all stages. `targets`: one per relevant image."""

REPORT_SCHEMA = pl.Schema(
    {
        "arm": pl.String,
        "group": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,
        "chance": pl.Float64,
    }
)
"""A number of the report. `group`: "overall", or a kind of query. `low`, `high`: 95 % bootstrap
interval over queries; null where there is none. `n`: observations (queries, pairs or hits).
`chance`: what a random order of the gallery would give; null where that is not known."""
