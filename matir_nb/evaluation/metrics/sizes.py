"""Recall by the size of what is looked for. Knows no engine.

A target is a relevant image of a query; its size is that of its largest true instance.
"""

from bisect import bisect_right

import numpy as np
import polars as pl

from matir_nb.evaluation.metrics.ranking import checked_k

EDGES_PX = (32**2, 96**2)
"""Areas from which COCO calls an object medium, and large."""
SIZES = ("small", "medium", "large")
FRACTIONS = (0.001, 0.01, 0.1)
"""Shares of the picture from which an object is in the next bucket."""
SHARES = ("< 0.1 %", "0.1–1 %", "1–10 %", "≥ 10 %")

SIZE_SCHEMA = pl.Schema(
    {"arm": pl.String, "size": pl.String, "value": pl.Float64, "n": pl.Int64, "n_found": pl.Int64}
)
"""A size of an arm: `value` is the share found of `n` targets; sizes without any are left out."""


def size_of(area_px: float) -> str:
    """Return COCO's name of an object's size: small < 32² <= medium < 96² <= large.

    COCOeval counts an area of exactly 32² or 96² in both neighbours; here it is in the larger.

    >>> size_of(1023), size_of(1024), size_of(9216)
    ('small', 'medium', 'large')
    """
    return SIZES[bisect_right(EDGES_PX, area_px)]


def share_of(area_fraction: float) -> str:
    """Return the bucket of the share of the picture that an object covers, of `SHARES`.

    >>> share_of(0.0005), share_of(0.01), share_of(0.5)
    ('< 0.1 %', '1–10 %', '≥ 10 %')
    """
    return SHARES[bisect_right(FRACTIONS, area_fraction)]


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
    return _recall(observed, k, "area_px", EDGES_PX, SIZES)


def recall_by_share(observed: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return `recall_by_size` with the buckets of `share_of`: the part of the picture covered.

    Args:
        observed: `matir_nb.evaluation.runs.observed.OBSERVED_SCHEMA`: arm, query_id, hits, targets.
        k: hits that count.

    Returns:
        `SIZE_SCHEMA`, by arm in the order of the frame, then size.

    Raises:
        ConfigError: `k` < 1.
    """
    return _recall(observed, k, "area_fraction", FRACTIONS, SHARES)


def _recall(
    observed: pl.DataFrame, k: int, area: str, edges: tuple[float, ...], names: tuple[str, ...]
) -> pl.DataFrame:
    checked_k(k)
    rows = observed.with_row_index("row").with_columns(place=pl.col("arm").rle_id())
    targets = _unnested(rows, "targets").drop_nulls(area)
    buckets = np.searchsorted(edges, targets[area].to_numpy(), side="right")
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
            size=pl.col("bucket").replace_strict(range(len(names)), names, return_dtype=pl.String),
        )
        .select(SIZE_SCHEMA.names())
        .cast(SIZE_SCHEMA)
    )


def _unnested(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return one row per element of a list of structs, with row, place and arm beside it."""
    lists = rows.select("row", "place", "arm", column).filter(pl.col(column).list.len() > 0)
    return lists.explode(column).unnest(column)
