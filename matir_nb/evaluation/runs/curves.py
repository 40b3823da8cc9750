"""The curves of an arm, and what each comes to as one number, from the hits that a run recorded.

The report's numbers and its plots are both made of these. This module draws nothing.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from matir_nb.evaluation.metrics.abstention import aurc, risk_coverage
from matir_nb.evaluation.metrics.calibration import expected_calibration_error, reliability
from matir_nb.evaluation.metrics.hubness import hubness, never_found, occurrences
from matir_nb.evaluation.runs.arrays import HitArrays
from matir_nb.types import FloatArray

N_BINS = 15
N_NEAREST = 10
"""Length of the lists in which hubs are counted."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Means over `n` queries with something to find, at every depth from 1 on.

    Attributes:
        recall: (k,) share of the relevant images that were found.
        precision: (k,) share of the images down to there that are relevant.
        chance_recall: (k,) of a random order.
        chance_precision: of a random order, the same at every depth.
        n: queries.
    """

    recall: FloatArray
    precision: FloatArray
    chance_recall: FloatArray
    chance_precision: float
    n: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge's probabilities were worth.

    Attributes:
        bins: `matir_nb.evaluation.metrics.calibration.reliability`.
        ece: expected calibration error, `N_BINS` bins of equal width.
        n: hits with a probability.
    """

    bins: pl.DataFrame
    ece: float
    n: int


@dataclass(frozen=True, slots=True)
class Risk:
    """What is gained by answering only where the first hit scores high.

    Attributes:
        coverage: (m,) share of the queries that are answered, ascending.
        risk: (m,) share of these answers whose first hit is wrong.
        aurc: area under the curve.
        n: queries.
    """

    coverage: FloatArray
    risk: FloatArray
    aurc: float
    n: int


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often each image of the gallery is among the first ten.

    Attributes:
        counts: (n_gallery,) N_10.
        skew: of the counts; None where all are equal.
        unfound: share of the gallery that is in no list.
        n_queries: lists that were counted.
    """

    counts: FloatArray
    skew: float | None
    unfound: float
    n_queries: int


def depth_of(hits: HitArrays) -> Depth | None:
    """Return precision and recall down to the depth that the run recorded; None of no hits."""
    asked = hits.n_relevant > 0
    lists = hits.ranked[asked][:, : hits.is_ranked[asked].sum(axis=1).max(initial=0)]
    if not lists.size:
        return None
    k = np.arange(1, lists.shape[1] + 1, dtype=np.float64)
    found = lists.cumsum(axis=1, dtype=np.float64)
    n_relevant, n_gallery = hits.n_relevant[asked, None], hits.n_gallery[asked, None]
    return Depth(
        recall=(found / n_relevant).mean(axis=0),
        precision=(found / k).mean(axis=0),
        chance_recall=np.minimum(k / n_gallery, 1.0).mean(axis=0),
        chance_precision=float((n_relevant / n_gallery).mean()),
        n=int(asked.sum()),
    )


def judged_of(hits: HitArrays) -> Judged | None:
    """Return the judge's reliability over all that it saw; None where it saw nothing."""
    p, right = hits.p_relevant[hits.is_judged], hits.is_relevant[hits.is_judged]
    error = expected_calibration_error(p, right, n_bins=N_BINS)
    return None if error is None else Judged(reliability(p, right, N_BINS), error, p.size)


def risk_of(hits: HitArrays) -> Risk | None:
    """Return the risk-coverage curve: confidence is the final score of the first hit.

    A query is answered rightly where that hit is relevant. None where nothing is answered.
    """
    scores, right = best_scores(hits), hits.ranked[:, :1].any(axis=1)
    area, curve = aurc(scores, right), risk_coverage(scores, right)
    if area is None:
        return None
    return Risk(curve["coverage"].to_numpy(), curve["risk"].to_numpy(), area, right.size)


def best_scores(hits: HitArrays) -> FloatArray:
    """Return (q,) the final score of each query's first hit; -inf = nothing was found."""
    first = hits.padded("score")[:, :1]
    scores: FloatArray = np.where(np.isnan(first), -np.inf, first).max(axis=1, initial=-np.inf)
    return scores


def nearest_of(hits: HitArrays, n_images: int) -> Occurrences | None:
    """Return N_10 of every image of a gallery.

    Args:
        hits: of all queries.
        n_images: of the dataset, which each query must have searched as a whole.

    Returns:
        None where a query searched a part: how often an image is judged is not how often it is
        found; or where ten hits are not recorded.
    """
    if (hits.n_gallery < n_images).any() or not hits.is_whole(N_NEAREST):
        return None
    top = hits.images[:, :N_NEAREST]
    counts = occurrences([row[row >= 0] for row in top], n_images)
    unfound = never_found(counts) or 0.0
    return Occurrences(np.asarray(counts, np.float64), hubness(counts), unfound, len(top))
