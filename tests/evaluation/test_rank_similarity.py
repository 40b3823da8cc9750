import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.evaluation.rank_similarity import (
    jaccard,
    kendall_tau,
    overlap_at_k,
    rbo,
    rbo_bounds,
)

RANKINGS = st.permutations(range(12)).map(list)
LENGTHS = st.integers(1, 12)
PERSISTENCE = st.floats(0.05, 0.95)
DEEP = 500


def infinite(a, b, p):
    """Return (1 - p) * sum of p^(d - 1) * A_d, equation (4), over lists deep enough to be all."""
    seen_a, seen_b, total = set(), set(), 0.0
    for d in range(1, DEEP + 1):
        seen_a.add(a[d - 1])
        seen_b.add(b[d - 1])
        total += p ** (d - 1) * len(seen_a & seen_b) / d
    return (1 - p) * total


def continued_worst(a, b):
    """Return both lists with nothing shared below their ends."""
    return (
        [*a, *((0, i) for i in range(DEEP - len(a)))],
        [*b, *((1, i) for i in range(DEEP - len(b)))],
    )


def continued_best(a, b):
    """Return both lists with everything that the other still has, then the same names."""
    short, longer = sorted((list(a), list(b)), key=len)
    wanted = [name for name in longer if name not in short]
    while len(short) < len(longer) and wanted:
        short.append(wanted.pop(0))
    rest_short = [name for name in longer if name not in short]
    rest_longer = [name for name in short if name not in longer]
    same = [("same", i) for i in range(DEEP)]
    return (short + rest_short + same)[:DEEP], (longer + rest_longer + same)[:DEEP]


def test_agreement_of_the_papers_example():
    # Webber et al., table 2: S = abcdefg, T = zcavwxy share 0, 0, 2, 2, 2, 2, 2 at depths 1 to 7
    p = 0.9
    shared = [0, 0, 2, 2, 2, 2, 2]
    seen = sum(x / d * p**d for d, x in enumerate(shared, 1))
    by_hand = (1 - p) / p * seen + 2 / 7 * p**7
    assert rbo("abcdefg", "zcavwxy", p) == pytest.approx(by_hand, abs=1e-12)
    assert by_hand == pytest.approx(0.288217, abs=1e-6)


def test_uneven_lists_worked_by_hand():
    # S = ab, L = bcad, p = 1/2: X = 0, 1, 2, 2; s = 2, l = 4
    seen = 0 / 1 / 2 + 1 / 2 / 4 + 2 / 3 / 8 + 2 / 4 / 16
    unseen = 1 * (3 - 2) / (2 * 3) / 8 + 1 * (4 - 2) / (2 * 4) / 16
    end = ((2 - 1) / 4 + 1 / 2) / 16
    assert rbo("ab", "bcad", 0.5) == pytest.approx(seen + unseen + end, abs=1e-15)
    assert rbo("bcad", "ab", 0.5) == rbo("ab", "bcad", 0.5)


def test_residual_worked_by_hand():
    # S = ab, L = bcad, p = 1/2, X_4 = 2, f = 4: the least counts X_d = 2 from depth 3 on for
    # ever, the highest finds c at depth 3, d at depth 4, and is whole from there on
    least, highest = rbo_bounds("ab", "bcad", 0.5)
    tail = log(2) - (1 / 2 + 1 / 8 + 1 / 24)  # sum of 2^-d / d beyond d = 3
    assert least == pytest.approx(1 / 2 / 4 + 2 / 3 / 8 + 2 * tail, abs=1e-12)
    assert highest == pytest.approx(1 / 2 / 4 + 3 / 3 / 8 + 1 / 8, abs=1e-12)


def test_the_first_ten_ranks_bear_86_percent_at_09():
    # equation (21): what two lists that agree to depth 10 and never below add up to
    least, _ = rbo_bounds(range(10), range(10), 0.9)
    p, d = 0.9, 10
    weight = 1 - p ** (d - 1) + (1 - p) / p * d * (-log(1 - p) - sum(p**i / i for i in range(1, d)))
    assert least == pytest.approx(weight, abs=1e-12)
    assert least == pytest.approx(0.8556, abs=5e-5)


@given(RANKINGS, RANKINGS, LENGTHS, LENGTHS, PERSISTENCE)
def test_bounds_are_those_of_the_worst_and_the_best_continuation(a, b, n_a, n_b, p):
    a, b = a[:n_a], b[:n_b]
    least, highest = rbo_bounds(a, b, p)
    assert least == pytest.approx(infinite(*continued_worst(a, b), p), abs=1e-9)
    assert highest == pytest.approx(infinite(*continued_best(a, b), p), abs=1e-9)
    assert least - 1e-12 <= rbo(a, b, p) <= highest + 1e-12


@given(RANKINGS, LENGTHS, PERSISTENCE)
def test_the_same_list_agrees_wholly(ranking, n, p):
    assert rbo(ranking[:n], ranking[:n], p) == pytest.approx(1, abs=1e-12)
    assert rbo_bounds(ranking[:n], ranking[:n], p)[1] == pytest.approx(1, abs=1e-12)
    # a prefix agrees wholly with what it is a prefix of
    assert rbo(ranking[:n], ranking, p) == pytest.approx(1, abs=1e-12)


@given(RANKINGS, RANKINGS, PERSISTENCE)
def test_a_longer_look_never_widens_the_bounds(a, b, p):
    wide = (0.0, 1.0)
    for n in range(1, 13):
        least, highest = rbo_bounds(a[:n], b[:n], p)
        assert least >= wide[0] - 1e-12
        assert highest <= wide[1] + 1e-12
        wide = (least, highest)


def test_small_p_looks_at_the_top_only():
    assert rbo("abcdef", "abcfed", 0.1) > rbo("abcdef", "fbcdea", 0.1)
    assert rbo("abcd", "axyz", 0.01) == pytest.approx(1, abs=0.01)
    assert rbo("abcd", "xbcd", 0.01) == pytest.approx(0, abs=0.01)


def test_empty_lists():
    assert rbo([], ["a"]) is None
    assert rbo([], []) is None
    assert rbo_bounds([], []) is None
    assert rbo_bounds([], ["a"], 0.5) == pytest.approx((0, 1))
    assert jaccard([], []) is None
    assert overlap_at_k([], [], 3) is None
    assert kendall_tau([], []) is None


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.1, float("nan")])
def test_a_persistence_out_of_range_is_refused(p):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        rbo("ab", "ab", p)


def test_a_name_twice_is_refused():
    with pytest.raises(ConfigError, match="has names twice"):
        rbo("aba", "abc")


def test_jaccard_and_overlap():
    assert jaccard("abcd", "cdef") == 2 / 6
    assert overlap_at_k("abcd", "badc", 1) == 0
    assert overlap_at_k("abcd", "bad", 2) == 1
    assert overlap_at_k("abcd", "xa", 4) == 1 / 4
    with pytest.raises(ConfigError, match="k = 0 is not allowed"):
        overlap_at_k("a", "a", 0)


def test_kendall_tau_counts_pairs():
    rng = random.Random(3)
    a, b = list(range(40)), list(range(20, 60))
    rng.shuffle(a)
    rng.shuffle(b)
    shared = set(a) & set(b)
    score = sum(
        1 if (a.index(x) < a.index(y)) == (b.index(x) < b.index(y)) else -1
        for x in shared
        for y in shared
        if x < y
    )
    assert kendall_tau(a, b) == pytest.approx(score / (20 * 19 / 2))
    assert kendall_tau("abcd", "dcba") == -1
    assert kendall_tau("abcd", "abcd") == 1
