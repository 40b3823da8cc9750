"""Pixel retrieval: one number for the ranking of images and the masks in them. Knows no engine.

The metric of PROxford and PRParis (An et al., ICCV 2023): the revisited-Oxford AP, averaged over
the IoU thresholds .50, .55, ... .95. Two versions, which differ much:

- strict (`pixel_average_precision`): a relevant image whose mask misses the threshold is not
  found, and still is one of those to be found;
- released (`released_...`): what the authors' code computes. Such an image is no positive any
  more, in numerator and denominator; IoU must be above the threshold; a query that keeps no
  positive is left out at that threshold. One good mask of four, ranked first, scores 1.000
  there, and 0.250 strictly.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.grounding import joint_relevance
from matir_nb.evaluation.metrics.ranking import checked_counts

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""IoUs that a mask must reach."""


def trapezoid_average_precision(ranked: ArrayLike, n_relevant: ArrayLike) -> NDArray[np.float64]:
    """Return (q,) AP as revisited Oxford and Paris compute it; NaN where nothing is relevant.

    Formula: AP = 1/N * sum over hits, at ranks i, of (P(i - 1) + P(i)) / 2, P(0) = 1: the area
    under the precision-recall curve by trapezoids (Radenović et al., CVPR 2018; Philbin et al.,
    CVPR 2007). It differs from `ranking.average_precision_at_k`, which takes P(i) alone.

    Args:
        ranked: (q, n) bool, best first: relevant. Junk images must be taken out before.
        n_relevant: (q,) relevant images of each query; those not in the list are not found.

    Raises:
        ShapeError: the shapes do not fit.
        ConfigError: a query has more hits than relevant images.

    >>> trapezoid_average_precision([[True, False, True]], [2]).tolist()  # (1 + (1/2 + 2/3)/2) / 2
    [0.7916666666666666]
    """
    hits, n = np.asarray(ranked, np.bool_), checked_counts("n_relevant", n_relevant)
    if hits.ndim != 2 or n.shape != hits.shape[:1]:
        message = f"ranked, n_relevant: expected (q, n) and (q,), got {hits.shape} and {n.shape}"
        raise ShapeError(message)
    if (hits.sum(axis=1) > n).any():
        message = "n_relevant: a query has more hits than that: give all that exist"
        raise ConfigError(message)
    place, found = np.arange(hits.shape[1]), np.cumsum(hits, axis=1)
    before = np.where(place > 0, (found - 1) / np.maximum(place, 1), 1.0)
    area = (hits * (before + found / (place + 1)) / 2).sum(axis=1)
    result: NDArray[np.float64] = np.divide(area, n, out=np.full(len(n), np.nan), where=n > 0)
    return result


def pixel_average_precision(
    ranked: ArrayLike, ious: ArrayLike, n_relevant: ArrayLike
) -> NDArray[np.float64]:
    """Return (q,) strict pixel AP; NaN where nothing is relevant.

    Formula: the mean over τ of `THRESHOLDS` of the trapezoid AP of rel_τ (`joint_relevance`:
    relevant, and IoU >= τ where there is a target), over all N relevant images.

    Args:
        ranked: (q, n) bool, best first, padded with False: the image is relevant.
        ious: (q, n) of the shown masks; 0 = no mask; NaN = no target.
        n_relevant: (q,) relevant images of each query.

    Raises:
        ShapeError: the shapes do not fit.
        ConfigError: a query has more hits than relevant images.

    >>> pixel_average_precision([[True] * 4], [[1.0, 0.1, 0.1, 0.1]], [4]).tolist()
    [0.25]
    """
    each = [
        trapezoid_average_precision(joint_relevance(ranked, ious, tau), n_relevant)
        for tau in THRESHOLDS
    ]
    result: NDArray[np.float64] = np.mean(each, axis=0)
    return result


def released_pixel_average_precision(ranked: ArrayLike, ious: ArrayLike) -> NDArray[np.float64]:
    """Return (q,) pixel AP by the released rule, averaged over the τ at which it exists.

    NaN where the query keeps no positive at any τ. The dataset's published number is
    `released_pixel_map`, not the mean of these. For comparison with published numbers only.

    Args:
        ranked: (q, n) bool, best first, padded with False: the image is relevant.
        ious: (q, n) of the shown masks; NaN = none is known (the released code skips such pairs).

    Raises:
        ShapeError: the shapes do not fit.

    >>> released_pixel_average_precision([[True] * 4], [[1.0, 0.1, 0.1, 0.1]]).tolist()
    [1.0]
    """
    table = _released(ranked, ious)
    exists = ~np.isnan(table)
    n, total = exists.sum(axis=0), np.nansum(table, axis=0)
    result: NDArray[np.float64] = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return result


def released_pixel_map(ranked: ArrayLike, ious: ArrayLike) -> float | None:
    """Return pixel mAP@50:5:95 as the released code computes it.

    Formula: the mean over τ of the mean over the queries that keep a positive at τ. Where some
    τ leaves none, the released code divides by zero; this is None. (It also divides by the two
    queries of each set that it ignores; leave them out before, and this is the mean it means.)

    Args:
        ranked: (q, n) bool, best first, padded with False: the image is relevant.
        ious: (q, n) of the shown masks; NaN = none is known.

    Raises:
        ShapeError: the shapes do not fit.

    >>> released_pixel_map([[True], [True]], [[1.0], [0.6]]), released_pixel_map([[True]], [[0.6]])
    (1.0, None)
    """
    table = _released(ranked, ious)
    n = (~np.isnan(table)).sum(axis=1)
    if not n.all():
        return None
    return float((np.nansum(table, axis=1) / n).mean())


def _released(ranked: ArrayLike, ious: ArrayLike) -> NDArray[np.float64]:
    """Return (τ, q) trapezoid AP of the positives whose mask is above τ; NaN without any."""
    relevant, shown = np.asarray(ranked, np.bool_), np.asarray(ious, np.float64)
    if relevant.shape != shown.shape or relevant.ndim != 2:
        message = f"ranked, ious: expected two of (q, n), got {relevant.shape} and {shown.shape}"
        raise ShapeError(message)
    kept = [relevant & (shown > tau) for tau in THRESHOLDS]
    return np.array([trapezoid_average_precision(hits, hits.sum(axis=1)) for hits in kept])
