"""The numbers that an arm has as a whole, and no query by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from matir_nb.evaluation.bootstrap import bootstrap_intervals
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.metrics.abstention import answer_auc
from matir_nb.evaluation.metrics.detection import GROUP_OF_SIZE, d3_average_precision
from matir_nb.evaluation.metrics.grounding import overall_iou
from matir_nb.evaluation.metrics.pixel import released_pixel_map
from matir_nb.evaluation.metrics.sizes import recall_by_size
from matir_nb.evaluation.runs.arrays import HitArrays, K
from matir_nb.evaluation.runs.curves import (
    N_BINS,
    N_NEAREST,
    best_scores,
    judged_of,
    nearest_of,
    risk_of,
)

TOP = 10
"""Depth of recall by size."""
RELEASED = "pixel mAP/released"
"""Queries have it, too; the number of an arm is not their mean."""


@dataclass(frozen=True, slots=True)
class WholeMeasure:
    """A metric of a whole arm.

    Attributes:
        name: in the report.
        convention: one sentence: what is counted, and whose rule it is.
        higher_is_better: False for errors.
    """

    name: str
    convention: str
    higher_is_better: bool = True


_WHOLE = (
    WholeMeasure(
        "oIoU",
        f"all intersections over all unions, in pixels, of the masks of the relevant images among "
        f"the best {K} with the union of the true instances (cIoU; LAVT, 2022)",
    ),
    WholeMeasure(
        "ECE",
        "expected calibration error of the judge's p over all judged hits that are recorded, "
        f"{N_BINS} bins of equal width (Guo et al., 2017)",
        higher_is_better=False,
    ),
    WholeMeasure(
        "AURC",
        "area under the risk-coverage curve: the score of the best hit decides which queries are "
        "answered, a query is right where its best hit is relevant (Geifman et al., 2019)",
        higher_is_better=False,
    ),
    WholeMeasure(
        "AUROC",
        "how well the score of the best hit tells queries with something to find from those with "
        "nothing: area under the ROC curve, 0.5 by chance (Mann & Whitney, 1947)",
    ),
    WholeMeasure(
        "hubness",
        f"skewness of how often each image is in a top {N_NEAREST} (Radovanović et al., 2010); "
        "left out where queries search parts of the gallery",
        higher_is_better=False,
    ),
    *(
        WholeMeasure(name, f"COCO's {rule} over boxes, one per hit, score = the final score")
        for name, rule in (
            ("AP", "AP@[.50:.95]"),
            ("AP50", "AP at IoU .50"),
            ("AP75", "AP at IoU .75"),
        )
    ),
)
WHOLE_MEASURES: Mapping[str, WholeMeasure] = {measure.name: measure for measure in _WHOLE}
"""Name -> metric. Recall by size ("recall@10" of the groups "size: small", ...) is the share of
(query, image) pairs whose largest instance has that size (COCO's areas) that are in the top 10."""


def whole_arm(of_arm: pl.DataFrame, dataset: Dataset, *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield group (but for "overall"), metric, value, low, high and n of each number.

    Args:
        of_arm: rows of one arm.
        dataset: they are of.
        seed: of the bootstrap.
    """
    hits = HitArrays(of_arm, dataset.depth)
    if hits.is_whole(K):
        yield from _overall_iou(hits, seed)
    if hits.has("mask_iou"):
        value = released_pixel_map(hits.ranked, hits.mask_ious)
        yield from _number(RELEASED, value, int((hits.n_relevant > 0).sum()))
    if judged := judged_of(hits):
        yield from _number("ECE", judged.ece, judged.n)
    if risk := risk_of(hits):
        yield from _number("AURC", risk.aurc, risk.n)
    yield from _number("AUROC", _presence(hits), len(of_arm))
    if near := nearest_of(hits, len(dataset.image_ids)):
        yield from _number("hubness", near.skew, near.n_queries)
    if hits.is_whole(TOP):
        yield from _by_size(of_arm, seed)
    if "AP" in dataset.headline:
        yield from d3_average_precision(of_arm, dataset).drop("arm", strict=False).to_dicts()


def _number(name: str, value: float | None, n: int) -> Iterator[dict[str, Any]]:
    if value is not None:
        yield {"metric": name, "value": value, "n": n}


def _overall_iou(hits: HitArrays, seed: int) -> Iterator[dict[str, Any]]:
    """Yield oIoU; a query weighs as much as it has pixels of union."""
    above, below = (
        np.where(hits.is_ranked, hits.padded(name), np.nan)[:, :K]
        for name in ("intersection_px", "union_px")
    )
    value = overall_iou(above.ravel(), below.ravel())
    if value is None:
        return
    unions = np.nansum(below, axis=1)
    shares = np.divide(
        np.nansum(above, axis=1), unions, out=np.full(len(unions), np.nan), where=unions > 0
    )
    (low, high), *_ = bootstrap_intervals(shares[:, None], unions[:, None], seed=seed)
    n = int((~np.isnan(below)).sum())
    yield {"metric": "oIoU", "value": value, "low": float(low), "high": float(high), "n": n}


def _presence(hits: HitArrays) -> float | None:
    best, is_present = best_scores(hits), hits.n_relevant > 0
    return answer_auc(best[is_present], best[~is_present])


def _by_size(of_arm: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Yield recall@10 of each size of target; a query weighs as much as it has such targets."""
    # one "arm" per query gives each query's own share
    each = recall_by_size(of_arm.with_columns(arm=pl.col("query_id")), TOP)
    for row in recall_by_size(of_arm, TOP).iter_rows(named=True):
        of_size = each.filter(pl.col("size") == row["size"])
        columns = of_size.select(pl.col("value", "n").cast(pl.Float64)).to_numpy()
        (low, high), *_ = bootstrap_intervals(columns[:, :1], columns[:, 1:], seed=seed)
        yield {
            "group": GROUP_OF_SIZE.format(row["size"]),
            "metric": f"recall@{TOP}",
            "value": row["value"],
            "low": float(low),
            "high": float(high),
            "n": row["n"],
        }
