"""Ranking metrics: how high the relevant images stand. Knows no masks, no ids, no engine.

Every function takes all queries at once and returns one float64 number per query, shape (q,):

- `ranked` (q, n) bool: row = query, column = rank - 1, best first; True where the image at that
  rank is relevant. Shorter lists are padded with False (`relevance.ranked_relevance`).
- `n_relevant` (q,) whole numbers: N, all relevant images of the gallery, found or not.
- `k`: K, the ranks that count; it may exceed n: what is not listed is not found.

Conventions. Ranks are over images, never over boxes or masks. They are a total order, by
(-score, image id), that is settled before: no metric averages over ties. NaN where `n_relevant`
is 0: nothing is right, so nothing can be ranked well; `numpy.nanmean` leaves such queries out.
All raise ShapeError for other shapes or types, and ConfigError for a `k` below 1 or for a row
with more hits than N, which would score above 1.
"""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError, require_known

Normaliser: TypeAlias = Literal["min", "relevant", "found"]
NORMALISERS: tuple[Normaliser, ...] = ("min", "relevant", "found")
Scores: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]


def recall_at_k(ranked: ArrayLike, n_relevant: ArrayLike, k: int) -> Scores:
    """Return R@K: 1 where any relevant image is among the best K, else 0.

    Formula: R@K = max over ranks i <= K of rel(i) (Karpathy & Fei-Fei, CVPR 2015, §4.2).
    Convention: what text-to-image retrieval calls R@K (others: hit rate, success@K); with
    several relevant images it is not the share of them that was found (`share_recall_at_k`).

    >>> recall_at_k([[False, True, True]], [5], 1), recall_at_k([[False, True, True]], [5], 2)
    (array([0.]), array([1.]))
    """
    top, n = _best(ranked, n_relevant, k)
    return _over(_hits(top, n) > 0, np.minimum(n, 1))


def share_recall_at_k(ranked: ArrayLike, n_relevant: ArrayLike, k: int) -> Scores:
    """Return the share of the relevant images that is among the best K.

    Formula: 1/N * sum over i <= K of rel(i) (Manning et al., Introduction to Information
    Retrieval, 2008, §8.3). Convention: over N, so that it is at most K/N where N > K.

    >>> share_recall_at_k([[True, False, True]], [4], 3)
    array([0.5])
    """
    top, n = _best(ranked, n_relevant, k)
    return _over(_hits(top, n), n)


def precision_at_k(ranked: ArrayLike, n_relevant: ArrayLike, k: int) -> Scores:
    """Return the share of the best K that is relevant.

    Formula: 1/K * sum over i <= K of rel(i) (Manning et al., 2008, §8.4). Convention: over K,
    though fewer are listed (as trec_eval; torchmetrics' `adaptive_k` divides by the list).

    >>> precision_at_k([[True, False, True]], [4], 4)
    array([0.5])
    """
    top, n = _best(ranked, n_relevant, k)
    return _over(_hits(top, n), np.where(n > 0, k, 0))


def reciprocal_rank(ranked: ArrayLike, n_relevant: ArrayLike, k: int | None = None) -> Scores:
    """Return 1 / rank of the first relevant image, 0 where none is found; its mean is MRR.

    Formula: RR = 1 / min{i <= K: rel(i)} (Voorhees, TREC-8, 1999). Convention: all listed ranks
    where `k` is None.

    >>> reciprocal_rank([[False, True, True]], [2]), reciprocal_rank([[False, True]], [1], k=1)
    (array([0.5]), array([0.]))
    """
    top, n = _best(ranked, n_relevant, k)
    first = top.argmax(axis=1) + 1 if top.shape[1] else np.ones(len(top), np.int64)
    return _over(_hits(top, n) > 0, np.where(n > 0, first, 0))


def ndcg_at_k(ranked: ArrayLike, n_relevant: ArrayLike, k: int) -> Scores:
    """Return nDCG@K of binary gains.

    Formula: DCG@K = sum over i <= K of rel(i) / log2(i + 1), over that of min(N, K) relevant
    images on top (Järvelin & Kekäläinen, TOIS 2002, with the discount that trec_eval made usual).
    Convention: the ideal list holds all N images of the gallery, not only those that were listed.

    >>> ndcg_at_k([[True, False, True]], [2], 3)  # (1 + 1/2) / (1 + 1/log2(3))
    array([0.91972079])
    """
    top, n = _best(ranked, n_relevant, k)
    rows, ranks, _ = _places(top, n)
    gain = np.bincount(rows, weights=discounts(top.shape[1])[ranks - 1], minlength=len(top))
    return _over(gain, ideal_gain(n, k))


def average_precision_at_k(
    ranked: ArrayLike, n_relevant: ArrayLike, k: int, *, normaliser: Normaliser = "min"
) -> Scores:
    """Return AP@K; its mean over queries is mAP@K.

    Formula: AP@K = 1/Z * sum over i <= K of P(i) * rel(i), where P(i) is the share of relevant
    images among the first i. Published numbers differ in Z, by factors:

    - "min": Z = min(N, K): a perfect list scores 1 (INQUIRE, Vendrow et al., NeurIPS 2024).
    - "relevant": Z = N: at most K/N where N > K (trec_eval, ranx; ObjEmbed, ICML 2026).
    - "found": Z = relevant images among the best K, 0 where there are none: what scikit-learn
      and torchmetrics give when they see only the best K. What is not found costs nothing.

    >>> ranked, n = [[True, False, True, False]], [4]
    >>> [float(average_precision_at_k(ranked, n, 2, normaliser=z)[0]) for z in NORMALISERS]
    [0.5, 0.25, 1.0]
    """
    require_known("normaliser", [normaliser], NORMALISERS)
    top, n = _best(ranked, n_relevant, k)
    rows, ranks, hits = _places(top, n)
    ordinal = np.arange(1, len(rows) + 1) - (np.cumsum(hits) - hits)[rows]
    total = np.bincount(rows, weights=ordinal / ranks, minlength=len(top))
    if normaliser == "found":
        return np.where(n > 0, _over(total, np.maximum(hits, 1)), np.nan)
    return _over(total, np.minimum(n, k) if normaliser == "min" else n)


def discounts(n: int) -> Scores:
    """Return 1 / log2(i + 1) of the ranks i = 1 ... n.

    >>> discounts(3)
    array([1.        , 0.63092975, 0.5       ])
    """
    return 1 / np.log2(np.arange(2, n + 2))


def ideal_gain(n_relevant: Counts, k: int) -> Scores:
    """Return the DCG@K of lists with all relevant images on top; 0 where there are none.

    >>> ideal_gain(np.array([0, 1, 5]), 3)
    array([0.        , 1.        , 2.13092975])
    """
    n_counted = np.minimum(n_relevant, k)
    sums = np.cumsum(discounts(int(n_counted.max(initial=0))))
    return np.concatenate([[0.0], sums])[n_counted]


def checked_k(k: object) -> int:
    """Return `k`.

    Raises:
        ConfigError: it is no whole number >= 1.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        message = f"k = {k!r} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    return int(k)


def checked_counts(name: str, counts: ArrayLike) -> Counts:
    """Return `counts` as (q,) int64.

    Raises:
        ShapeError: they have another shape, or are no whole numbers.
        ConfigError: one is negative.
    """
    array = np.asarray(counts)
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        message = f"{name}: expected (q,) whole numbers, got shape {array.shape} of {array.dtype}"
        raise ShapeError(message)
    if array.size and array.min() < 0:
        message = f"{name} = {array.min()} is not allowed: give counts >= 0"
        raise ConfigError(message)
    return array.astype(np.int64)


def _best(
    ranked: ArrayLike, n_relevant: ArrayLike, k: int | None
) -> tuple[NDArray[np.bool_], Counts]:
    """Return the best K columns, and N."""
    rows = np.asarray(ranked)
    if rows.ndim != 2 or not (rows.dtype == np.bool_ or rows.size == 0):
        message = f"ranked: expected (q, n) booleans, got shape {rows.shape} of {rows.dtype}"
        raise ShapeError(message)
    n = checked_counts("n_relevant", n_relevant)
    if len(n) != len(rows):
        message = f"n_relevant: expected one count for each of {len(rows)} rows, got {len(n)}"
        raise ShapeError(message)
    return rows.astype(np.bool_, copy=False)[:, : None if k is None else checked_k(k)], n


def _hits(top: NDArray[np.bool_], n: Counts) -> Counts:
    """Return how many of each row are hits."""
    return _possible(np.count_nonzero(top, axis=1), n)


def _places(top: NDArray[np.bool_], n: Counts) -> tuple[Counts, Counts, Counts]:
    """Return the row, and the rank from 1, of every hit, row by row, and the hits of each row."""
    # three times as fast on the contiguous copy as `nonzero` of two axes
    rows, columns = np.divmod(np.flatnonzero(np.ascontiguousarray(top)), max(top.shape[1], 1))
    return rows, columns + 1, _possible(np.bincount(rows, minlength=len(top)), n)


def _possible(hits: Counts, n: Counts) -> Counts:
    if (hits > n).any():
        row = int((hits > n).argmax())
        message = f"row {row} has {hits[row]} hits, but n_relevant = {n[row]}: give all that exist"
        raise ConfigError(message)
    return hits


def _over(total: ArrayLike, by: ArrayLike) -> Scores:
    """Return total / by; NaN where `by` is 0."""
    share = np.full(np.shape(by), np.nan)
    np.divide(total, by, out=share, where=np.asarray(by) > 0)
    return share
