"""Bootstrap intervals over queries (Efron & Tibshirani, 1993, ch. 13). Knows no metric."""

from collections.abc import Sequence

import numpy as np

from matir_nb.errors import ShapeError

N_RESAMPLES = 2000
LEVEL = 0.95


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
