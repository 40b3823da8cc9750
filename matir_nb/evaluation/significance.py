"""Whether one system is better than another on the same queries: paired tests, many at once.

Intervals: the percentile bootstrap over queries (Efron & Tibshirani, 1993, ch. 13). Tests: the
paired bootstrap shifted to the null hypothesis (ibid., ch. 16), and Fisher's randomisation by
sign flips, which Smucker, Allan & Carterette (CIKM 2007) recommend for retrieval. Corrections for
many tests: Holm (1979), and Benjamini & Hochberg (1995). This module knows no metric and no run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ShapeError
from matir_nb.evaluation.bootstrap import LEVEL, N_RESAMPLES

Floats: TypeAlias = NDArray[np.float64]

N_FLIPS = 9999
"""Draws of the randomisation test: its smallest p is 1 / 10,000."""
MAX_EXACT = 13
"""Up to so many queries that differ, all sign flips are counted: 2 ** 13 are fewer than
`N_FLIPS`."""
MAX_CELLS = 4_000_000
"""Numbers of a block of draws: 32 MB."""
ALIKE = 1e-9
"""Two sums closer than this share of what they could be at most are equal."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Paired bootstraps of the means of m columns, (m,) each; NaN where a column is empty.

    Attributes:
        low: lower end of the 95 % percentile interval of the mean.
        high: upper end.
        p: two-sided, of the hypothesis that the mean is 0.
    """

    low: Floats
    high: Floats
    p: Floats


def paired_bootstrap(
    differences: ArrayLike, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> Bootstrap:
    """Return intervals and p of mean differences; all columns share the draws of queries.

    With d* the mean of a resample and d the mean, p = (1 + #{|d* - d| >= |d|}) / (1 + n): the
    resamples, shifted so that the hypothesis holds, reach what was seen. The draws are those of
    `bootstrap_interval`, and so is the interval.

    Args:
        differences: (n,) or (n, m): a row per query, a column per metric; NaN = the metric does
            not apply to the query.
        n_resamples: of the queries.
        seed: of the draws.

    Raises:
        ShapeError: another shape.
    """
    values, there = _columns(differences)
    sums, counts = values.sum(axis=0), there.sum(axis=0)
    means = _share(sums, counts)
    drawn = np.full((n_resamples, values.shape[1]), np.nan)
    for start, times in _resamples(len(values), n_resamples, seed):
        drawn[start : start + len(times)] = _share(times @ values, times @ there)
    low, high = (_quantile(drawn, tail) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    room = ALIKE * np.abs(values).max(axis=0, initial=0)
    reached = np.sum(np.abs(drawn - means) >= np.abs(means) - room, axis=0)
    n_drawn = np.sum(np.isfinite(drawn), axis=0)
    p = np.where(counts > 0, (1 + reached) / (1 + n_drawn), np.nan)
    return Bootstrap(low, high, p)


def randomisation_p(differences: ArrayLike, *, n_flips: int = N_FLIPS, seed: int = 0) -> Floats:
    """Return (m,) two-sided p of the paired randomisation test; all columns share the draws.

    If the two systems were alike, a query's difference could as well have the other sign. p is
    the share of sign flips whose sum is at least as far from 0 as what was seen: of all 2 ** n,
    where at most `MAX_EXACT` queries of a column differ; else of `n_flips` draws and of what was
    seen, (b + 1) / (n_flips + 1), which is valid for any number of draws (Phipson & Smyth, 2010).
    A column without any difference has p = 1; one without any value, NaN.

    Args:
        differences: as for `paired_bootstrap`.
        n_flips: draws.
        seed: of the draws.

    Raises:
        ShapeError: another shape.

    >>> randomisation_p([0.1, 0.3, 0.2]).tolist()
    [0.25]
    """
    values, there = _columns(differences)
    n_unlike = np.count_nonzero(values, axis=0)
    many = n_unlike > MAX_EXACT
    p = np.full(len(n_unlike), np.nan)
    for column in np.flatnonzero(~many & there.any(axis=0)):
        p[column] = _exact_p(values[values[:, column] != 0, column])
    if many.any():
        rows = values[:, many].any(axis=1)
        p[many] = _drawn_p(values[np.ix_(rows, many)], n_flips, seed)
    return p


def holm(p_values: ArrayLike) -> Floats:
    """Return p values corrected so that the chance of any false finding stays below the level.

    The i-th smallest of m (i from 0) becomes the largest of (m - j) p_j over j <= i, at most 1.
    NaN stays NaN, and is no test.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    return _corrected(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Return p values corrected so that the expected share of false findings stays below the level.

    The i-th smallest of m (i from 1) becomes the smallest of m p_j / j over j >= i. It holds for
    tests that are independent or positively dependent. NaN stays NaN, and is no test.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """

    def stepped(p: Floats) -> Floats:
        scaled = p * len(p) / np.arange(1, len(p) + 1)
        found: Floats = np.minimum.accumulate(scaled[::-1])[::-1]
        return found

    return _corrected(p_values, stepped)


def _columns(differences: ArrayLike) -> tuple[Floats, Floats]:
    """Return (n, m) values with 0 for what is missing, and (n, m) 1.0 where there is a value."""
    values = np.asarray(differences, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        message = f"differences: expected shape (n,) or (n, m), got {values.shape}"
        raise ShapeError(message)
    there = ~np.isnan(values)
    return np.where(there, values, 0.0), there.astype(np.float64)


def _resamples(n: int, n_resamples: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Yield a block's first resample and (b, n) how often each query is drawn."""
    rng = np.random.default_rng(seed)
    for start, size in _blocks(n, n_resamples):
        drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        yield start, times.astype(np.float64)


def _exact_p(values: Floats) -> float:
    """Return the share of all sign flips of (n,) values whose sum is as far from 0 as theirs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    room = ALIKE * np.abs(values).sum()
    return float(np.mean(np.abs(sums) >= abs(values.sum()) - room))


def _drawn_p(values: Floats, n_flips: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    n, m = values.shape
    wanted = np.abs(values.sum(axis=0)) - ALIKE * np.abs(values).sum(axis=0)
    reached = np.zeros(m)
    for _, size in _blocks(n, n_flips):
        bits = np.unpackbits(np.frombuffer(rng.bytes(size * n // 8 + 1), np.uint8), count=size * n)
        signs = bits.reshape(size, n) * 2.0 - 1.0
        reached += np.sum(np.abs(signs @ values) >= wanted, axis=0)
    p: Floats = (reached + 1) / (n_flips + 1)
    return p


def _blocks(n: int, n_draws: int) -> Iterator[tuple[int, int]]:
    """Yield first draw and number of draws of blocks of `MAX_CELLS`; none of no query."""
    size = max(MAX_CELLS // max(n, 1), 1)
    for start in range(0, n_draws if n else 0, size):
        yield start, min(size, n_draws - start)


def _share(sums: Floats, counts: Floats) -> Floats:
    found: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return found


def _quantile(drawn: Floats, tail: float) -> Floats:
    """Return (m,) quantiles of the columns; NaN where nothing was drawn."""
    found = np.full(drawn.shape[1], np.nan)
    for place, column in enumerate(drawn.T):
        there = column[np.isfinite(column)]
        if len(there):
            found[place] = np.quantile(there, tail)
    return found


def _corrected(p_values: ArrayLike, steps: Callable[[Floats], Floats]) -> Floats:
    """Return p values after `steps`, which takes and gives those that are there in order."""
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    corrected[order] = np.minimum(steps(p[order]), 1.0)
    return corrected
