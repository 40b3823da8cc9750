"""What a ranking metric is worth by chance: its exact mean over all orders of the gallery.

The gallery has n images, N of them relevant, and every order is equally likely, so that the
relevant images among the first m are hypergeometric. No simulation: each function is a closed
form, or a sum over ranks. They mirror `ranking`, metric by metric, with its conventions:
`n_relevant` (q,), `n_gallery` (q,) or one number for all queries, (q,) float64 out, NaN where
`n_relevant` is 0. All raise ShapeError for other shapes, and ConfigError for a `k` below 1 or more
relevant images than the gallery has.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError, require_known
from matir_nb.evaluation.metrics.ranking import (
    NORMALISERS,
    Counts,
    Normaliser,
    Scores,
    checked_counts,
    checked_k,
    discounts,
    ideal_gain,
)

_BLOCK = 1 << 18
"""Numbers held at once: ranks times distinct pairs (N, n)."""
_Block: TypeAlias = tuple[NDArray[np.int64], Scores, Scores]


def expected_recall_at_k(n_relevant: ArrayLike, n_gallery: ArrayLike, k: int) -> Scores:
    """Return E[R@K], the chance that any relevant image is among the best K.

    Formula: 1 - C(n - N, K) / C(n, K), as the product over i < K of (n - N - i) / (n - i).

    >>> expected_recall_at_k([1, 2], 4, 2)  # 1 - 3/4 * 2/3; 1 - 2/4 * 1/3
    array([0.5       , 0.83333333])
    """
    n_right, n, k = _checked(n_relevant, n_gallery, k)
    return _any_hit(n_right, n, k)


def expected_share_recall(n_relevant: ArrayLike, n_gallery: ArrayLike, k: int) -> Scores:
    """Return E[share recall@K] = min(K, n) / n: it does not depend on N.

    >>> expected_share_recall([1, 3], 4, 2)
    array([0.5, 0.5])
    """
    n_right, n, k = _checked(n_relevant, n_gallery, k)
    return _known(np.minimum(n, k) / np.maximum(n, 1), n_right)


def expected_precision(n_relevant: ArrayLike, n_gallery: ArrayLike, k: int) -> Scores:
    """Return E[P@K] = N / n * min(K, n) / K.

    >>> expected_precision([1, 3], 4, 2)
    array([0.25, 0.75])
    """
    n_right, n, k = _checked(n_relevant, n_gallery, k)
    return _known(n_right / np.maximum(n, 1) * np.minimum(n, k) / k, n_right)


def expected_reciprocal_rank(
    n_relevant: ArrayLike, n_gallery: ArrayLike, k: int | None = None
) -> Scores:
    """Return E[RR], within the best K, or the whole gallery where `k` is None.

    Formula: sum over i <= K of 1/i * N / (n - i + 1) * product over j < i - 1 of
    (n - N - j) / (n - j): the first i - 1 images are wrong, and the next is right.

    >>> expected_reciprocal_rank([1], 3)  # (1 + 1/2 + 1/3) / 3
    array([0.61111111])
    """
    n_right, n, depth = _checked(n_relevant, n_gallery, 1 if k is None else k)
    if k is None:
        depth = int((n - n_right).max(initial=0)) + 1
    pairs, inverse = _distinct(n_right, n)
    total = np.zeros(len(pairs))
    for ranks, none_before, left in _blocks(pairs, depth):
        total += (none_before * pairs[:, :1] / left / ranks).sum(axis=1)
    return _known(total[inverse], n_right)


def expected_ndcg(n_relevant: ArrayLike, n_gallery: ArrayLike, k: int) -> Scores:
    """Return E[nDCG@K] = N / n * sum over i <= min(K, n) of 1 / log2(i + 1), over the ideal DCG.

    >>> expected_ndcg([1], 2, 2)  # (1 + 1/log2(3)) / 2
    array([0.81546488])
    """
    n_right, n, k = _checked(n_relevant, n_gallery, k)
    gain = _summed(discounts, np.minimum(n, k)) * n_right / np.maximum(n, 1)
    return _known(gain / np.where(n_right > 0, ideal_gain(n_right, k), 1.0), n_right)


def expected_average_precision(
    n_relevant: ArrayLike, n_gallery: ArrayLike, k: int, *, normaliser: Normaliser = "min"
) -> Scores:
    """Return E[AP@K] under the normaliser of `ranking.average_precision_at_k`.

    Formula: with m = min(K, n), a = (N - 1) / (n - 1) and H the harmonic number,
    E[sum of P(i) rel(i)] = N / n * (H_m + a * (m - H_m)), for E[P(i) rel(i)] =
    N / n * (1 + (i - 1) * a) / i (for K = n: Bestgen, Prague Bulletin of Mathematical
    Linguistics 103, 2015). "found": given h hits among the first m, they lie there in any
    order, so the same holds with N = h and n = m; its mean over h is
    (p H_m + (m - H_m) * (E[h] - p) / (m - 1)) / m, where p = E[R@K] is the chance of any.

    >>> expected_average_precision([1], 2, 2)  # (1 + 1/2) / 2
    array([0.75])
    """
    require_known("normaliser", [normaliser], NORMALISERS)
    n_right, n, k = _checked(n_relevant, n_gallery, k)
    m = np.minimum(n, k)
    harmonic = _summed(_reciprocals, m)
    if normaliser == "found":
        any_hit = np.nan_to_num(_any_hit(n_right, n, k))
        others = m * n_right / np.maximum(n, 1) - any_hit
        total = any_hit * harmonic + (m - harmonic) * others / np.maximum(m - 1, 1)
        return _known(total / np.maximum(m, 1), n_right)
    other = (n_right - 1) / np.maximum(n - 1, 1)
    total = n_right / np.maximum(n, 1) * (harmonic + other * (m - harmonic))
    by = np.minimum(n_right, k) if normaliser == "min" else n_right
    return _known(total / np.maximum(by, 1), n_right)


def _checked(n_relevant: ArrayLike, n_gallery: ArrayLike, k: int) -> tuple[Counts, Counts, int]:
    n_right = checked_counts("n_relevant", n_relevant)
    given = np.asarray(n_gallery)
    n = checked_counts("n_gallery", np.full(n_right.shape, given) if given.ndim == 0 else given)
    if n.shape != n_right.shape:
        message = f"n_gallery: expected shape {n_right.shape} or one number, got {n.shape}"
        raise ShapeError(message)
    if (n_right > n).any():
        row = int((n_right > n).argmax())
        message = (
            f"query {row} has n_relevant = {n_right[row]} in a gallery of {n[row]}: "
            "count the relevant images among those that can be found"
        )
        raise ConfigError(message)
    return n_right, n, checked_k(k)


def _any_hit(n_right: Counts, n: Counts, k: int) -> Scores:
    pairs, inverse = _distinct(n_right, n)
    none = np.ones(len(pairs))
    for _, none_before, left in _blocks(pairs, k):
        none = none_before[:, -1] * np.maximum(left[:, -1] - pairs[:, 0], 0) / left[:, -1]
    return _known(1 - none[inverse], n_right)


def _distinct(n_right: Counts, n: Counts) -> tuple[Counts, NDArray[np.intp]]:
    """Return the distinct pairs (N, n) as (u, 2), and each query's row of them."""
    pairs, inverse = np.unique(np.stack([n_right, n], axis=1), axis=0, return_inverse=True)
    return pairs, inverse.reshape(-1)


def _blocks(pairs: Counts, depth: int) -> Iterator[_Block]:
    """Yield the ranks 1 ... depth in blocks, until a relevant image must have come.

    Of each: the ranks (b,), the chance (u, b) that no relevant image stands before the rank, and
    how many images (u, b) are left at it (at least 1).
    """
    n_right, n = pairs[:, :1], pairs[:, 1:]
    none = np.ones((len(pairs), 1))
    width = max(_BLOCK // max(len(pairs), 1), 1)
    for start in range(0, depth, width):
        ranks = np.arange(start + 1, min(start + width, depth) + 1)
        left = np.maximum(n - ranks + 1, 1).astype(np.float64)
        missed = none * np.cumprod(np.maximum(n - ranks + 1 - n_right, 0) / left, axis=1)
        yield ranks, np.concatenate([none, missed[:, :-1]], axis=1), left
        none = missed[:, -1:]
        if not none.any():
            return


def _reciprocals(n: int) -> Scores:
    return 1 / np.arange(1, n + 1)


def _summed(terms: Callable[[int], Scores], counts: Counts) -> Scores:
    """Return the sum of the first m terms for every m of `counts`."""
    sums = np.cumsum(terms(int(counts.max(initial=0))))
    return np.concatenate([[0.0], sums])[counts]


def _known(values: Scores, n_right: Counts) -> Scores:
    """Return the values; NaN where nothing is relevant."""
    return np.where(n_right > 0, values, np.nan)
