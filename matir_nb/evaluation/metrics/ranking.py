"""Ranking metrics: how high the relevant images stand. Knows no masks, no queries, no engine.

Every function takes one query's ranked list as booleans, best first: entry i is True when the
image at rank i + 1 is relevant. Images below the list count as not found.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ConfigError


def recall_at_k(ranked_relevance: Sequence[bool], n_relevant: int, k: int) -> float:
    """Return R@K: 1.0 when any relevant image is among the best `k`, else 0.0.

    This is what text-to-image retrieval calls R@K (also "hit rate", "success@K"): with several
    relevant images it is not the share of them that was found.

    Formula: R@K = max over ranks i <= K of rel(i) (Karpathy & Fei-Fei, CVPR 2015, §4.2).

    Raises:
        ConfigError: the query has no relevant image, or `k` < 1.

    >>> recall_at_k([False, True, True], 5, 1), recall_at_k([False, True, True], 5, 2)
    (0.0, 1.0)
    """
    return float(_top(ranked_relevance, n_relevant, k).any())


def average_precision_at_k(ranked_relevance: Sequence[bool], n_relevant: int, k: int) -> float:
    """Return AP@K with the normaliser min(n_relevant, K), so that a perfect list scores 1.

    Formula: AP@K = 1 / min(N, K) * sum over i <= K of P(i) * rel(i), where P(i) is the share of
    relevant images among the first i (as in INQUIRE, Vendrow et al., NeurIPS 2024).

    Raises:
        ConfigError: the query has no relevant image, or `k` < 1.

    >>> average_precision_at_k([True, False, True, False], 2, 4)  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    top = _top(ranked_relevance, n_relevant, k)
    precision = np.cumsum(top) / np.arange(1, len(top) + 1)
    return float((precision * top).sum() / min(n_relevant, k))


def _top(ranked_relevance: Sequence[bool], n_relevant: int, k: int) -> NDArray[np.bool_]:
    if n_relevant < 1:
        message = f"n_relevant = {n_relevant}: give a query with at least one relevant image"
        raise ConfigError(message)
    if k < 1:
        message = f"k = {k} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    return np.asarray(ranked_relevance, dtype=bool)[:k]
