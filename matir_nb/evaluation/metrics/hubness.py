"""Hubness: whether a few images answer everything. Knows no engine, and no truth.

In high dimensions some points are among the nearest of very many queries ("hubs") and many of
none ("anti-hubs"): Radovanović et al., JMLR 11 (2010); Tomašev et al. (2013).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError


def occurrences(top: Sequence[ArrayLike] | NDArray[np.integer], n_gallery: int) -> NDArray[np.intp]:
    """Return (n_gallery,) N_k: in how many of the lists each image of the gallery is.

    Args:
        top: (q, k) rows of the gallery, in [0, n_gallery), each once in a list; lists may differ
            in length.
        n_gallery: images that could have been found.

    Raises:
        ConfigError: a row is outside of the gallery.

    >>> occurrences([[0, 2], [2, 1], [2]], 4).tolist()
    [1, 1, 3, 0]
    """
    lists = [np.asarray(rows, np.intp).ravel() for rows in top]
    rows = np.concatenate([*lists, np.zeros(0, np.intp)])
    if rows.size and not (rows.min() >= 0 and rows.max() < n_gallery):
        outside = rows.min() if rows.min() < 0 else rows.max()
        message = f"row {outside} is outside of a gallery of {n_gallery}: give rows of the gallery"
        raise ConfigError(message)
    counts: NDArray[np.intp] = np.bincount(rows, minlength=n_gallery)
    return counts


def hubness(counts: ArrayLike) -> float | None:
    """Return the skewness of N_k: 0 = evenly spread, large = few images are found by many.

    Formula: E[(N_k - μ)³] / σ³ over the gallery, population moments (Radovanović et al., 2010,
    §2.2; scipy.stats.skew with bias=True). None where all counts are equal, or there are none.

    Args:
        counts: (n_gallery,) of `occurrences`.

    >>> round(hubness([0, 0, 0, 4]), 6)
    1.154701
    """
    n = np.asarray(counts, np.float64)
    if not n.size or n.min() == n.max():
        return None
    off = n - n.mean()
    return float((off**3).mean() / (off**2).mean() ** 1.5)


def never_found(counts: ArrayLike) -> float | None:
    """Return the share of the gallery that is in no list ("anti-hubs"); None of no gallery.

    At best 0; with q lists of k it is at least 1 - q k / n_gallery.

    >>> never_found([1, 0, 3, 0])
    0.5
    """
    n = np.asarray(counts)
    return float((n == 0).mean()) if n.size else None
