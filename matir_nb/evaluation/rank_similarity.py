"""How alike two rankings are. Knows no masks, no queries, no engine.

Rankings are sequences of distinct names, best first; they may differ in length and in names.
Rank-biased overlap is that of Webber, Moffat and Zobel, "A Similarity Measure for Indefinite
Rankings", ACM TOIS 28(4), 2010; equation numbers are theirs. S is the shorter list, of length s,
L the longer one, of length l; X_d is the number of names that the first d of both share.
"""

from bisect import bisect_right, insort
from collections.abc import Hashable, Sequence
from math import log

from matir_nb.errors import ConfigError

Ranking = Sequence[Hashable]


def rbo(a: Ranking, b: Ranking, p: float = 0.9) -> float | None:
    """Return the extrapolated rank-biased overlap RBO_EXT in [0, 1]; None when a list is empty.

    It goes on below the lists with the agreement that they end with. Formula (32):
    (1 - p) / p * (sum over d <= l of X_d / d * p^d
    + sum over s < d <= l of X_s * (d - s) / (s * d) * p^d) + ((X_l - X_s) / l + X_s / s) * p^l.

    Args:
        a: a ranking.
        b: another one.
        p: persistence, between 0 and 1: a reader goes on from one rank to the next with
            probability `p`. With 0.9 the first ten ranks bear 86 % of the weight.

    Raises:
        ConfigError: `p` is out of range, or a name stands twice in a list.

    >>> rbo("abc", "abc"), rbo("abc", "xyz")
    (1.0, 0.0)
    >>> round(rbo("ab", "ba", p=0.5), 6)  # 0.5 * (0 + 1 / 4) / 0.5 + 1 / 4
    0.5
    """
    s, shared = _overlaps(a, b, p)
    if not s:
        return None
    n = len(shared)
    x_s, x_l = shared[s - 1], shared[-1]
    seen = sum(x / d * p**d for d, x in enumerate(shared, 1))
    unseen = sum(x_s * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    extrapolated = (1 - p) / p * (seen + unseen) + ((x_l - x_s) / n + x_s / s) * p**n
    return min(max(extrapolated, 0.0), 1.0)


def rbo_bounds(a: Ranking, b: Ranking, p: float = 0.9) -> tuple[float, float] | None:
    """Return the least and the highest rank-biased overlap, whatever stands below the lists.

    Their distance is the residual: how much the lists leave open. Formula (11) gives the least,
    (1 - p) / p * (sum over d <= l of (X_d - X_l) * p^d / d - X_l * ln(1 - p)); (30) the residual,
    p^s + p^l - p^f - (1 - p) / p * (s * sum over s < d <= f of p^d / d
    + l * sum over l < d <= f of p^d / d + X_l * (ln(1 / (1 - p)) - sum over d <= f of p^d / d)),
    with f = l + s - X_l. None when both lists are empty.

    Raises:
        ConfigError: `p` is out of range, or a name stands twice in a list.

    >>> least, highest = rbo_bounds("abcdefghij", "abcdefghij", p=0.9)
    >>> round(least, 4), round(highest, 4)
    (0.8556, 1.0)
    """
    s, shared = _overlaps(a, b, p)
    n = len(shared)
    if not n:
        return None
    x_l = shared[-1]
    seen = sum((x - x_l) * p**d / d for d, x in enumerate(shared, 1))
    least = (1 - p) / p * (seen - x_l * log(1 - p))
    f = n + s - x_l
    terms = (
        s * _weights(p, s + 1, f)
        + n * _weights(p, n + 1, f)
        + x_l * (-log(1 - p) - _weights(p, 1, f))
    )
    residual = p**s + p**n - p**f - (1 - p) / p * terms
    least = min(max(least, 0.0), 1.0)
    return least, min(least + max(residual, 0.0), 1.0)


def _weights(p: float, first: int, last: int) -> float:
    """Return the sum of p^d / d over `first` <= d <= `last`."""
    return sum(p**d / d for d in range(first, last + 1))


def _overlaps(a: Ranking, b: Ranking, p: float) -> tuple[int, list[int]]:
    """Return s, and X_d for d = 1 to l."""
    if not 0 < p < 1:
        message = f"p = {p} is not allowed: give a number between 0 and 1, e.g. 0.9"
        raise ConfigError(message)
    for ranking in (a, b):
        if len(set(ranking)) != len(ranking):
            message = f"a ranking of {len(ranking)} has names twice: give each name once"
            raise ConfigError(message)
    seen: set[Hashable] = set()
    shared: list[int] = []
    n = 0
    for d in range(max(len(a), len(b))):
        for ranking in (a, b):
            if d < len(ranking):
                n += ranking[d] in seen
                seen.add(ranking[d])
        shared.append(n)
    return min(len(a), len(b)), shared


def jaccard(a: Ranking, b: Ranking) -> float | None:
    """Return shared names over all names, in [0, 1]; None when both lists are empty.

    >>> jaccard("abc", "bcd")
    0.5
    """
    union = set(a) | set(b)
    return len(set(a) & set(b)) / len(union) if union else None


def overlap_at_k(a: Ranking, b: Ranking, k: int) -> float | None:
    """Return the share of the best `k` that both lists have, in [0, 1].

    Where the longer list has fewer than `k`, its length takes the place of `k`; None when both
    are empty.

    Raises:
        ConfigError: `k` < 1.

    >>> overlap_at_k("abcd", "bxya", 2), overlap_at_k("ab", "ba", 10)
    (0.5, 1.0)
    """
    if k < 1:
        message = f"k = {k} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    depth = min(k, max(len(a), len(b)))
    return len(set(a[:depth]) & set(b[:depth])) / depth if depth else None


def kendall_tau(a: Ranking, b: Ranking) -> float | None:
    """Return Kendall's tau over the names that both lists have, in [-1, 1]; None below two.

    Formula: (concordant - discordant) / all pairs (Kendall, Biometrika 1938). No name ties with
    another in a ranking, so that tau-b, which corrects for ties, is the same.

    >>> kendall_tau("abc", "acb"), kendall_tau("abc", "cxba"), kendall_tau("a", "a")
    (0.3333333333333333, -1.0, None)
    """
    places = {name: place for place, name in enumerate(b)}
    order = [places[name] for name in a if name in places]
    n_pairs = len(order) * (len(order) - 1) // 2
    if not n_pairs:
        return None
    above: list[int] = []
    n_discordant = 0
    for place in order:
        n_discordant += len(above) - bisect_right(above, place)
        insort(above, place)
    return (n_pairs - 2 * n_discordant) / n_pairs
