"""What a judge or a cut says of images for queries about what is not there."""

import numpy as np
from numpy.typing import NDArray

from matir_nb.evaluation.runs.arrays import HitArrays

P_RELEVANT = 0.5
"""A judge rejects an image when its probability is lower."""


def rejection(hits: HitArrays) -> NDArray[np.float64]:
    """Return (q,) the share of judged wrong images with p < 0.5; NaN for other queries."""
    return _share(hits.p_relevant < P_RELEVANT, ~hits.is_relevant & hits.is_judged, hits)


def acceptance(hits: HitArrays) -> NDArray[np.float64]:
    """Return (q,) the share of judged right images with p >= 0.5; NaN for other queries."""
    return _share(hits.p_relevant >= P_RELEVANT, hits.is_relevant & hits.is_judged, hits)


def false_positives(hits: HitArrays) -> NDArray[np.float64]:
    """Return (q,) 1.0 where anything stands out though nothing is right; NaN for other queries.

    A hit stands out above the query's cut, or by p >= 0.5 where there is no cut; a query without
    cut and judge is NaN, too.
    """
    cut = hits.padded("above_cut")
    known = ~np.isnan(cut) | hits.is_judged
    stands_out = np.where(np.isnan(cut), hits.p_relevant >= P_RELEVANT, cut > 0)
    applies = (hits.n_relevant == 0) & known.any(axis=1)
    return np.where(applies, stands_out.any(axis=1), np.nan)


def _share(
    verdict: NDArray[np.bool_], asked: NDArray[np.bool_], hits: HitArrays
) -> NDArray[np.float64]:
    """Return (q,) the share of the `asked` images with the verdict."""
    n = np.where(hits.is_absence, asked.sum(axis=1), 0)
    right = (verdict & asked).sum(axis=1)
    result: NDArray[np.float64] = np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0)
    return result
