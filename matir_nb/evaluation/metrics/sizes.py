"""Recall by the size of what is looked for. Knows no engine.

A target is a relevant image of a query; its size is that of its largest true instance.
"""

import numpy as np
import polars as pl

from matir_nb.evaluation.metrics.ranking import checked_k

EDGES_PX = (32**2, 96**2)
"""Areas from which COCO calls an object medium, and large.

COCOeval counts an area of exactly 32² or 96² in both neighbours; here it is in the larger."""
SIZES = ("small", "medium", "large")

SIZE_SCHEMA = pl.Schema(
    {"arm": pl.String, "size": pl.String, "value": pl.Float64, "n": pl.Int64, "n_found": pl.Int64}
)
"""A size of an arm: `value` is the share found of `n` targets; sizes without any are left out."""


def recall_by_size(observed: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return the share of targets of each COCO size whose image is in the top `k`.

    Formula: |{(query, image) relevant, of that size, rank <= K}| / |{... of that size}|: every
    pair counts once, so a query with many relevant images weighs more. The mask shown does not
    matter. Targets without an area are left out.

    Args:
        observed: `matir_nb.evaluation.runs.observed.OBSERVED_SCHEMA`: arm, query_id, hits, targets.
        k: hits that count.

    Returns:
        `SIZE_SCHEMA`, by arm in the order of the frame, then size.

    Raises:
        ConfigError: `k` < 1.
    """
    checked_k(k)
    rows = observed.with_row_index("row").with_columns(place=pl.col("arm").rle_id())
    targets = _unnested(rows, "targets").drop_nulls("area_px")
    buckets = np.searchsorted(EDGES_PX, targets["area_px"].to_numpy(), side="right")
    hits = _unnested(rows, "hits").filter(pl.col("rank") <= k).select("row", "image_id").unique()
    found = targets.with_columns(bucket=buckets).join(
        hits.with_columns(is_found=1), on=["row", "image_id"], how="left"
    )
    return (
        found.group_by("arm", "bucket")
        .agg(pl.col("place").min(), n=pl.len(), n_found=pl.col("is_found").count())
        .sort("place", "bucket")
        .with_columns(
            value=pl.col("n_found") / pl.col("n"),
            size=pl.col("bucket").replace_strict(range(len(SIZES)), SIZES, return_dtype=pl.String),
        )
        .select(SIZE_SCHEMA.names())
        .cast(SIZE_SCHEMA)
    )


def _unnested(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return one row per element of a list of structs, with row, place and arm beside it."""
    lists = rows.select("row", "place", "arm", column).filter(pl.col(column).list.len() > 0)
    return lists.explode(column).unnest(column)
