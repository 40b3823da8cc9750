"""How precise a list is, how many relevant hits are left in it, and whether to stop: formulas.

All take numbers and give numbers: this module knows no result, no mark and no file.

What is left is estimated by a logistic curve that does not rise along the list,

    logit P(relevant | rank r) = a - b * ln(r) - c * r / n + d * x,    b, c, d >= 0,

where n is the length of the list and x the judge's log-odds, clipped to +-4 and 0 where it did not
judge. With b = c = 0 and d = 1 that is Cox's recalibration of the judge "in the large" (D. R. Cox,
Two further applications of a model for binary regression, Biometrika 45, 1958: p is right up to a
shift of its log-odds, which observed against expected among the seen hits gives). All curves of a
grid are weighed by how well they explain the labels (Gelman et al., Bayesian Data Analysis, 3.7),
and the number left is drawn from them: so the interval covers both the curve and chance. Its upper
end is never below what the last `TAIL` hits looked at promise if the list got no worse behind them
(Jeffreys' beta-binomial): it holds for every list whose precision does not rise. Its lower end, and
the mean, hold where the precision falls as gradually as these curves do.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ConfigError

Floats = NDArray[np.float64]
MAX_LOGIT = 4.0
A = np.linspace(-9.0, 4.0, 27)
B = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5])
C = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
D = np.array([0.0, 0.5, 1.0])
A_PRIOR = (-1.0, 2.5)
"""Mean and standard deviation of a before anything is seen; b, c and d are uniform."""
N_BINS = 32
N_DRAWS = 4000
TAIL = 100
"""Hits looked at last that bound what is behind them."""
MOST = 0.75


@dataclass(frozen=True, slots=True)
class Rule:
    """When a review can stop.

    Attributes:
        target_recall: share of the relevant hits that is enough, between 0 and 1.
        confidence: that it is reached, between 0 and 1.
    """

    target_recall: float = 0.95
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Check both."""
        for name in ("target_recall", "confidence"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 < value < 1:
                message = f"{name} = {value!r} is not allowed: give a number between 0 and 1"
                raise ConfigError(message)


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share: `k` of `n`; (0, 1) for n = 0.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22,
    1927: all shares p with (k/n - p)^2 <= z^2 p (1 - p) / n.

    >>> low, high = wilson(35, 100)
    >>> round(low, 3), round(high, 3)
    (0.264, 0.447)
    """
    if n == 0:
        return (0.0, 1.0)
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    middle = (k + z2 / 2) / (n + z2)
    half = sqrt(z2) / (n + z2) * sqrt(k * (n - k) / n + z2 / 4)
    low = 0.0 if k == 0 else max(middle - half, 0.0)
    high = 1.0 if k == n else min(middle + half, 1.0)
    return (low, high)


def total_that_misses(n_relevant: int, target_recall: float) -> int:
    """Return the fewest relevant hits a list can hold if those found miss the target recall.

    >>> total_that_misses(19, 0.95), total_that_misses(20, 0.95)
    (21, 22)
    """
    # 0.95 is meant as 95/100, which no float is
    return int(n_relevant / Fraction(str(target_recall))) + 1


def missed_target_p(labels: NDArray[np.bool_], n_hits: int, target_recall: float) -> float:
    """Return the p-value of: "the recall among these hits is below `target_recall`".

    M. Callaghan and F. Mueller-Hansen, Statistical stopping criteria for automated screening in
    systematic reviews, Systematic Reviews 9:273, 2020, by ranked quasi-sampling: the last i hits
    looked at are taken for a random sample of all that had not been looked at before them, which
    errs on the safe side as those are the more relevant ones. With r relevant hits found, k of
    them among the last i, a missed target leaves at least K = floor(r / target) + 1 - (r - k) in
    that population of N = n_hits - n + i, and p_i = P(X <= k), X ~ hypergeometric(N, K, i). The
    least p_i counts.

    Args:
        labels: (n,) whether a hit is relevant, in the order of the list, all from the top.
        n_hits: in the list, n or more.
        target_recall: between 0 and 1.

    >>> round(missed_target_p(np.array([True] + [False] * 9), 12, 0.95), 4)
    0.1818
    """
    n = len(labels)
    missing = total_that_misses(int(labels.sum()), target_recall) - int(labels.sum())
    if missing > n_hits - n:
        return 0.0
    if n == 0:
        return 1.0
    sizes = np.arange(1, n + 1)
    good = np.cumsum(labels[::-1], dtype=np.int64) + missing
    n_unseen = np.full(n, n_hits - n)
    # X <= k says the same as: at least K - k of the K are among the N - i that were not drawn
    p = 1 - hypergeometric_cdf(missing - 1, sizes + n_unseen, good, n_unseen)
    return float(p.min().clip(0, 1))


def hypergeometric_cdf(
    k: int, population: NDArray[np.int_], n_good: NDArray[np.int_], n: NDArray[np.int_]
) -> Floats:
    """Return (w,) P(X <= k), X = how many of `n_good` are among `n` drawn of `population`.

    >>> one = np.array([1])
    >>> hypergeometric_cdf(0, 10 * one, 2 * one, 5 * one).round(4)
    array([0.2222])
    """
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, population.max() + 1)))])

    def log_choose(total: NDArray[np.int_], picked: NDArray[np.int_]) -> Floats:
        inside = (picked >= 0) & (picked <= total)
        safe = np.where(inside, picked, 0)
        value = log_factorial[total] - log_factorial[safe] - log_factorial[total - safe]
        return np.where(inside, value, -np.inf)

    x = np.arange(k + 1)[None, :]
    good, bad = n_good[:, None], (population - n_good)[:, None]
    log_p = log_choose(good, x) + log_choose(bad, n[:, None] - x)
    chances: Floats = np.exp(log_p - log_choose(population, n)[:, None]).sum(axis=1)
    return chances


@dataclass(frozen=True, slots=True)
class Remaining:
    """How many relevant hits are left among the open ones.

    Attributes:
        expected: their mean number.
        low: lower end of the interval, a whole number.
        high: upper end of the interval, a whole number.
        per_hit: (m,) chance of each open hit to be relevant.
    """

    expected: float
    low: int
    high: int
    per_hit: Floats

    def where(self, ranks: NDArray[np.int_]) -> tuple[int, int]:
        """Return first and last rank of the shortest run of open hits that holds most of them.

        >>> left = Remaining(2.0, 0, 4, np.array([0.9, 0.8, 0.2, 0.1]))
        >>> left.where(np.array([11, 12, 13, 14]))
        (11, 12)
        """
        sums = np.concatenate([[0.0], np.cumsum(self.per_hit)])
        ends = np.searchsorted(sums, sums[:-1] + MOST * sums[-1] - 1e-12)
        lengths = np.where(ends < len(sums), ends - np.arange(len(ranks)), len(sums))
        start = int(lengths.argmin())
        return int(ranks[start]), int(ranks[ends[start] - 1])


def remaining(
    relevant: NDArray[np.bool_],
    is_counted: NDArray[np.bool_],
    is_open: NDArray[np.bool_],
    logits: Floats,
    *,
    confidence: float = 0.95,
) -> Remaining:
    """Return how many of the open hits are relevant, after what the counted ones were.

    Args:
        relevant: (n,) by rank; read where a hit is counted.
        is_counted: (n,) whether a hit is known to be relevant or not.
        is_open: (n,) whether it is still to be looked at.
        logits: (n,) the judge's log-odds, NaN = not judged.
        confidence: of the interval.

    Raises:
        ConfigError: no hit is counted.
    """
    if not is_counted.any():
        raise ConfigError("nothing is marked: what is left cannot be estimated")
    n = len(relevant)
    x = np.clip(np.nan_to_num(logits), -MAX_LOGIT, MAX_LOGIT)
    cells, cell_of = _cells(n, x)
    curves = _curves(cells, n, has_judge=bool(np.isfinite(logits).any()))
    n_cells = len(cells)
    good = np.bincount(cell_of[is_counted & relevant], minlength=n_cells)
    bad = np.bincount(cell_of[is_counted & ~relevant], minlength=n_cells)
    weights = _weights(curves, good, bad)
    chances = 1 / (1 + np.exp(-curves.log_odds))
    per_hit = (weights @ chances)[cell_of[is_open]]
    n_open = np.bincount(cell_of[is_open], minlength=n_cells)
    left = _drawn(weights, chances, n_open)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(left, tails, method="inverted_cdf")
    most = np.quantile(_drawn_flat(relevant[is_counted], len(per_hit)), tails[1])
    return Remaining(float(per_hit.sum()), int(low), max(int(high), int(most)), per_hit)


@dataclass(frozen=True, slots=True)
class _Curves:
    """Curves of the grid: (g,) intercepts and (g, c) log-odds in each cell."""

    a: Floats
    log_odds: Floats


def _cells(n: int, x: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return (c, 3) ln(rank), rank and x of groups of like hits, and (n,) the group of each."""
    ranks = np.arange(1, n + 1)
    bins = np.floor(np.log(ranks) / np.log(n + 1) * N_BINS)
    _, cell_of = np.unique(np.stack([bins, np.round(x)]), axis=1, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    columns = np.stack([np.log(ranks), ranks.astype(np.float64), x])
    sums = np.stack([np.bincount(cell_of, weights=column) for column in columns], axis=1)
    return sums / np.bincount(cell_of)[:, None], cell_of


def _curves(cells: Floats, n: int, *, has_judge: bool) -> _Curves:
    grid = np.meshgrid(A, B, C, D if has_judge else np.zeros(1), indexing="ij")
    a, b, c, d = (axis.reshape(-1, 1) for axis in grid)
    log_rank, rank, x = cells.T
    return _Curves(a[:, 0], a - b * log_rank - c * rank / n + d * x)


def _weights(curves: _Curves, good: NDArray[np.int_], bad: NDArray[np.int_]) -> Floats:
    """Return (g,) how likely each curve is: a normal prior on a times the labels' likelihood."""
    mean, deviation = A_PRIOR
    prior = -(((curves.a - mean) / deviation) ** 2) / 2
    # ln sigmoid(z) = -ln(1 + exp(-z))
    log_yes = -np.logaddexp(0, -curves.log_odds)
    log_no = -np.logaddexp(0, curves.log_odds)
    log_weight = prior + log_yes @ good + log_no @ bad
    weights: Floats = np.exp(log_weight - log_weight.max())
    weights /= weights.sum()
    return weights


def _drawn(weights: Floats, chances: Floats, n_open: NDArray[np.int_]) -> NDArray[np.int64]:
    """Return draws, of a fixed seed, of how many open hits are relevant: a curve, then chance."""
    random = np.random.default_rng(0)
    curves = random.choice(len(weights), N_DRAWS, p=weights)
    left: NDArray[np.int64] = random.binomial(n_open, chances[curves]).sum(axis=1)
    return left


def _drawn_flat(labels: NDArray[np.bool_], n_open: int) -> NDArray[np.int64]:
    """Return draws of how many of `n_open` are relevant if they are like the last of `labels`."""
    random = np.random.default_rng(0)
    last = labels[-TAIL:]
    n_good = int(last.sum())
    shares = random.beta(n_good + 0.5, len(last) - n_good + 0.5, N_DRAWS)
    left: NDArray[np.int64] = random.binomial(n_open, shares)
    return left
