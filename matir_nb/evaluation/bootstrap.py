"""Bootstrap intervals over queries (Efron & Tibshirani, 1993, ch. 13). Knows no metric."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ShapeError

N_RESAMPLES = 2000
LEVEL = 0.95
NUMBERS_AT_ONCE = 1 << 22
"""Resamples are drawn in pieces of so many numbers."""


def bootstrap_interval(
    values: Sequence[float], weights: Sequence[float] | None = None, *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of the weighted mean; None without any weight.

    Queries are drawn with replacement, `N_RESAMPLES` times. The draws depend on `seed` and the
    number of queries only: two systems asked the same queries are resampled alike, and the
    interval of their paired difference is `bootstrap_interval(a - b)`.

    Args:
        values: (n,) one value per query.
        weights: (n,) >= 0: how many observations a query's value is the mean of; None = 1 each.
        seed: of the draws.

    Raises:
        ShapeError: values and weights differ in length.

    >>> bootstrap_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    v = np.asarray(values, dtype=np.float64)
    w = np.ones_like(v) if weights is None else np.asarray(weights, dtype=np.float64)
    if v.shape != w.shape or v.ndim != 1:
        message = f"values and weights: expected two of shape (n,), got {v.shape} and {w.shape}"
        raise ShapeError(message)
    if not w.sum() > 0:
        return None
    draws = np.random.default_rng(seed).integers(0, len(v), (N_RESAMPLES, len(v)))
    totals = w[draws].sum(axis=1)
    drawn = totals > 0
    means = (v * w)[draws].sum(axis=1)[drawn] / totals[drawn]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


def bootstrap_intervals(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None = None, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return (m, 2) `bootstrap_interval` of each of m columns, all from the same draws.

    Args:
        values: (n, m) one row per query; NaN = the query has no such value, and weighs nothing.
        weights: (n, m) >= 0; None = 1 each.
        seed: of the draws.

    Returns:
        Low and high; NaN for a column without any weight.

    >>> bootstrap_intervals(np.array([[0.5, np.nan], [0.5, np.nan]])).tolist()
    [[0.5, 0.5], [nan, nan]]
    """
    n, m = values.shape
    known = ~np.isnan(values)
    w = known * (1.0 if weights is None else weights)
    weighted = np.where(known, values, 0.0) * w
    means = np.full((N_RESAMPLES, m), np.nan)
    rng = np.random.default_rng(seed)
    step = max(NUMBERS_AT_ONCE // max(n, 1), 1)
    for start in range(0, N_RESAMPLES if n else 0, step):
        c = min(step, N_RESAMPLES - start)
        draws = rng.integers(0, n, (c, n)) + n * np.arange(c)[:, None]
        counts = np.bincount(draws.ravel(), minlength=c * n).reshape(c, n).astype(np.float64)
        totals = counts @ w
        np.divide(counts @ weighted, totals, out=means[start : start + c], where=totals > 0)
    tail = (1 - LEVEL) / 2
    found = np.full((m, 2), np.nan)
    for column in np.flatnonzero(w.sum(axis=0) > 0):
        drawn = means[:, column][~np.isnan(means[:, column])]
        found[column] = np.quantile(drawn, (tail, 1 - tail))
    return found
