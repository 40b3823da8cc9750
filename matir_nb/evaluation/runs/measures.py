"""The metrics that each query of a run has: name, convention, and how they are computed.

Formulas are in `matir_nb.evaluation.metrics`; the numbers of whole arms in `runs.whole_arm`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.evaluation.metrics import chance, grounding, pixel, ranking
from matir_nb.evaluation.metrics.box_recall import box_recall_at_k
from matir_nb.evaluation.runs import verdicts
from matir_nb.evaluation.runs.arrays import HitArrays, K

PerQuery: TypeAlias = NDArray[np.float64]
"""(q,) a number for each query; NaN = the metric does not apply to it."""

ALWAYS, MASKS, BOXES, ABSENCE = "", "mask_iou", "box_iou", "absence"
TAUS = (0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric that each query has.

    Attributes:
        name: of the column, and in the report.
        convention: one sentence: what is counted, and whose rule it is.
        of: computes it.
        chance: expectation under a random order of what could be found; None = not known.
        k: hits that it looks at; where fewer are recorded it is left out; 0 = all that are there.
        needs: a number of hits (`runs.observed.HIT`) without which it is left out; empty = none.
        higher_is_better: False for shares of errors.
    """

    name: str
    convention: str
    of: Callable[[HitArrays], PerQuery]
    chance: Callable[[HitArrays], PerQuery] | None = None
    needs: str = ALWAYS
    higher_is_better: bool = True
    k: int = 0


def _found_at(k: int) -> Measure:
    return Measure(
        f"R@{k}",
        f"1 where any relevant image is among the best {k}, else 0 (Karpathy & Fei-Fei, 2015)",
        lambda hits: ranking.recall_at_k(hits.ranked, hits.n_relevant, k),
        lambda hits: chance.expected_recall_at_k(hits.n_relevant, hits.n_gallery, k),
        k=k,
    )


def _share_at(k: int) -> Measure:
    return Measure(
        f"recall@{k}",
        f"share of the relevant images that are among the best {k} (Manning et al., 2008, ch. 8)",
        lambda hits: ranking.share_recall_at_k(hits.ranked, hits.n_relevant, k),
        lambda hits: chance.expected_share_recall(hits.n_relevant, hits.n_gallery, k),
        k=k,
    )


def _ndcg_at(k: int) -> Measure:
    return Measure(
        f"nDCG@{k}",
        f"binary gains, discounted by log2(rank + 1), over those of an ideal list of {k} "
        "(Järvelin & Kekäläinen, 2002)",
        lambda hits: ranking.ndcg_at_k(hits.ranked, hits.n_relevant, k),
        lambda hits: chance.expected_ndcg(hits.n_relevant, hits.n_gallery, k),
        k=k,
    )


def _map_at(k: int, name: str, normaliser: Any, rule: str) -> Measure:
    return Measure(
        name,
        f"average precision of the best {k}, divided by {rule}",
        lambda hits: ranking.average_precision_at_k(
            hits.ranked, hits.n_relevant, k, normaliser=normaliser
        ),
        lambda hits: chance.expected_average_precision(
            hits.n_relevant, hits.n_gallery, k, normaliser=normaliser
        ),
        k=k,
    )


def _each(
    metric: Callable[[NDArray[np.float64]], float | None], ious: str
) -> Callable[[HitArrays], PerQuery]:
    """Return a metric of the IoUs of a query's best `K` hits, for all queries."""

    def of(hits: HitArrays) -> PerQuery:
        rows = getattr(hits, ious)[:, :K]
        return np.array([metric(row) for row in rows], np.float64)

    return of


def _joint(name: str, ious: str, rule: str) -> Measure:
    return Measure(
        name,
        f"mAP@50 where a hit counts only if its mask has IoU >= 0.5 with {rule}",
        lambda hits: grounding.joint_average_precision_at_k(
            hits.ranked, getattr(hits, ious), hits.n_relevant, k=K, tau=0.5
        ),
        needs=MASKS,
        k=K,
    )


def _precision_at_iou(tau: float) -> Measure:
    return Measure(
        f"P@{tau}",
        f"share of the masks of mIoU whose IoU is {tau} or more (Prec@X of RefCOCO)",
        _each(partial(grounding.precision_at_iou, tau=tau), "mask_ious"),
        needs=MASKS,
        k=K,
    )


def _box_recall(k: int, tau: float) -> Measure:
    return Measure(
        f"BR@{k},{tau}",
        f"1 where the best ranked box of a relevant image is among the first {k} boxes and has "
        f"IoU >= {tau} with a true one (REIR, 2025); one box per hit, so boxes and images rank "
        "alike",
        lambda hits: _where_boxed(box_recall_at_k(hits.box_ious, k, tau), hits),
        needs=BOXES,
        k=k,
    )


def _where_boxed(values: PerQuery, hits: HitArrays) -> PerQuery:
    """Return NaN for queries with nothing to find, or no box to compare with."""
    return np.where((hits.n_relevant > 0) & hits.has_target, values, np.nan)


_UNION = "the union of the true instances"
_ANY = (
    "any true instance; an image masked wrongly costs recall, one without true masks counts as it "
    "is"
)
_MEASURES: Sequence[Measure] = (
    *map(_found_at, (1, 5, 10, 50)),
    *map(_share_at, (10, 100)),
    Measure(
        "P@10",
        "share of the best 10 that is relevant (Manning et al., 2008, ch. 8)",
        lambda hits: ranking.precision_at_k(hits.ranked, hits.n_relevant, 10),
        lambda hits: chance.expected_precision(hits.n_relevant, hits.n_gallery, 10),
        k=10,
    ),
    Measure(
        "MRR",
        "1 / rank of the first relevant image, 0 where none is recorded (Voorhees, 1999)",
        lambda hits: ranking.reciprocal_rank(hits.ranked, hits.n_relevant),
        lambda hits: chance.expected_reciprocal_rank(hits.n_relevant, hits.n_gallery, hits.depth),
    ),
    *map(_ndcg_at, (10, 50)),
    _map_at(K, "mAP@50", "min", "min(relevant images, 50) (INQUIRE, 2024)"),
    _map_at(K, "mAP@50/relevant", "relevant", "the number of relevant images (TREC)"),
    _map_at(K, "mAP@50/found", "found", "the hits found (sklearn's rule)"),
    Measure(
        "mIoU",
        "mean IoU of the masks of the relevant images among the best 50, each with the true "
        "instance it fits best; 0 where no mask is shown, as by a judge that sees nothing",
        _each(grounding.mean_iou, "mask_ious"),
        needs=MASKS,
        k=K,
    ),
    Measure(
        "mIoU/union",
        f"mIoU with {_UNION} (gRefCOCO, 2023)",
        _each(grounding.mean_iou, "union_ious"),
        needs=MASKS,
        k=K,
    ),
    *map(_precision_at_iou, TAUS),
    _joint("mAP@50@50", "mask_ious", _ANY),
    _joint("mAP@50@50/union", "union_ious", _UNION),
    Measure(
        "pixel mAP",
        "mean over IoU .50:.05:.95 of the trapezoid AP of rightly masked images among all that "
        "are recorded, over all relevant ones (strict; An et al., 2023)",
        lambda hits: pixel.pixel_average_precision(hits.ranked, hits.mask_ious, hits.n_relevant),
        needs=MASKS,
    ),
    Measure(
        "pixel mAP/released",
        "the authors' released code: images masked wrongly are no positives (lenient)",
        lambda hits: pixel.released_pixel_average_precision(hits.ranked, hits.mask_ious),
        needs=MASKS,
    ),
    *(_box_recall(k, tau) for tau in TAUS for k in (1, 5, 10)),
    Measure(
        "rejection",
        "absence queries: share of the wrong images that the judge saw and gave p < 0.5",
        verdicts.rejection,
        needs=ABSENCE,
    ),
    Measure(
        "acceptance",
        "absence queries: share of the right images that the judge saw and gave p >= 0.5",
        verdicts.acceptance,
        needs=ABSENCE,
    ),
    Measure(
        "false positives",
        "queries with nothing to find: 1 where a hit is above the cut, or without a cut has "
        "p >= 0.5",
        verdicts.false_positives,
        needs=ABSENCE,
        higher_is_better=False,
    ),
)
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _MEASURES}
"""Name -> metric, in the order of the columns."""
DEEPEST = max(measure.k for measure in _MEASURES)
"""Hits that the metrics look at."""
RANKING: Mapping[str, Callable[[Any], PerQuery]] = {
    name: measure.of for name, measure in MEASURES.items() if measure.needs == ALWAYS
}
"""Those that need nothing but `ranked` and `n_relevant` (`metrics.relevance.RankedQueries`)."""


def measured(observed: pl.DataFrame, depth: int | None = None) -> pl.DataFrame:
    """Return the rows with one Float64 column for each metric that applies to any query.

    Args:
        observed: `OBSERVED_SCHEMA`.
        depth: hits that were recorded for each query; None = all.
    """
    hits = HitArrays(observed, depth)
    columns = {name: measure.of(hits) for name, measure in _that_apply(hits).items()}
    series = [pl.Series(name, values).fill_nan(None) for name, values in columns.items()]
    return observed.with_columns(column for column in series if column.null_count() < len(column))


def chances(observed: pl.DataFrame, depth: int | None = None) -> dict[str, PerQuery]:
    """Return metric -> (q,) what a random order would give, where that is known.

    Args:
        observed: `OBSERVED_SCHEMA`.
        depth: hits that were recorded for each query; None = all.
    """
    hits = HitArrays(observed, depth)
    found = {name: measure.chance for name, measure in _that_apply(hits).items()}
    return {name: of(hits) for name, of in found.items() if of is not None}


def _that_apply(hits: HitArrays) -> dict[str, Measure]:
    return {
        name: measure
        for name, measure in MEASURES.items()
        if (measure.needs in (ALWAYS, ABSENCE) or hits.has(measure.needs))
        and hits.is_whole(measure.k)
    }
