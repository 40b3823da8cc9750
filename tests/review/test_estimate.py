"""Formulas, by hand and by simulation."""

from math import comb

import numpy as np
import pytest

from matir_nb.errors import ConfigError
from matir_nb.review.estimate import (
    Remaining,
    Rule,
    hypergeometric_cdf,
    missed_target_p,
    remaining,
    total_that_misses,
    wilson,
)

N = 1000
RANKS = np.arange(1, N + 1)
NOT_JUDGED = np.full(N, np.nan)
MEASURED = np.interp(
    np.log(RANKS),
    np.log([1, 5, 28, 73, 145, 330, 750, 1000]),
    [0.4, 0.35, 0.2875, 0.22, 0.20, 0.097, 0.05, 0.04],
)
"""Precision at each rank whose means at 10/50/100/200/500 are .35/.30/.26/.23/.15."""
LISTS = {
    "measured": MEASURED,
    "exponential": 0.5 * np.exp(-RANKS / 150),
    "flat": np.full(N, 0.1),
    "hyperbola": 0.35 / (1 + RANKS / 200) ** 2,
}


def test_the_simulated_list_is_as_precise_as_those_of_users():
    means = [MEASURED[:depth].mean() for depth in (10, 50, 100, 200, 500)]
    assert means == pytest.approx([0.35, 0.30, 0.26, 0.23, 0.15], abs=0.02)


# Wilson's interval


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # solutions of (k/n - p)^2 = z^2 p (1 - p) / n
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 1, 0.2065, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)


def test_wilson_solves_its_equation():
    z2 = 1.959963984540054**2
    for p in wilson(35, 100):
        assert (0.35 - p) ** 2 == pytest.approx(z2 * p * (1 - p) / 100)


def test_wilson_is_wider_with_more_confidence():
    low, high = wilson(35, 100, 0.99)
    assert low < wilson(35, 100)[0]
    assert high > wilson(35, 100)[1]


# the stopping rule


@pytest.mark.parametrize(
    ("n_relevant", "target", "total"),
    [(0, 0.95, 1), (19, 0.95, 21), (20, 0.95, 22), (9, 0.9, 11), (8, 0.8, 11), (57, 0.95, 61)],
)
def test_the_least_total_that_misses_the_target(n_relevant, target, total):
    assert total_that_misses(n_relevant, target) == total
    assert n_relevant / total < target
    assert total - 1 == n_relevant or n_relevant / (total - 1) >= target - 1e-12


def test_the_hypergeometric_sum_is_that_of_binomials():
    for population, good, drawn, k in [(10, 2, 5, 0), (30, 7, 12, 3), (300, 40, 100, 12)]:
        exact = sum(
            comb(good, x) * comb(population - good, drawn - x) for x in range(k + 1)
        ) / comb(population, drawn)
        numbers = (np.array([v]) for v in (population, good, drawn))
        assert hypergeometric_cdf(k, *numbers)[0] == pytest.approx(exact, rel=1e-9)


def test_the_p_value_by_hand():
    # 12 hits; rank 1 is relevant, 2 to 10 are not, 2 are open. Target .95: missed if one more of
    # the 11 behind rank 1 is relevant. P(none of 9 drawn of 11) = C(10, 9) / C(11, 9) = 10 / 55.
    labels = np.array([True] + [False] * 9)
    assert missed_target_p(labels, 12, 0.95) == pytest.approx(10 / 55)


def test_the_p_value_is_the_least_over_all_stretches():
    labels = np.array([True, False, True, False, False, False])
    n_hits, missing = 10, 1
    found = []
    for size in range(1, 7):
        k = int(labels[6 - size :].sum())
        population, good = n_hits - 6 + size, k + missing
        chosen = comb(population, size)
        ways = sum(comb(good, x) * comb(population - good, size - x) for x in range(k + 1))
        found.append(ways / chosen)
    assert missed_target_p(labels, n_hits, 0.95) == pytest.approx(min(found))


@pytest.mark.parametrize(
    ("labels", "n_hits", "p"),
    [
        ([], 5, 1.0),
        # all seen: nothing can be missed
        ([True, False], 2, 0.0),
        # two must be missing of one that is open
        ([True] * 20, 21, 0.0),
    ],
)
def test_p_at_the_ends(labels, n_hits, p):
    assert missed_target_p(np.array(labels, np.bool_), n_hits, 0.95) == p


@pytest.mark.parametrize("name", ["measured", "exponential", "flat"])
def test_the_rule_stops_early_no_more_often_than_it_says(name):
    """A reviewer goes down the list and asks after every 40 hits."""
    random = np.random.default_rng(5)
    n_runs, n_early, n_seen = 60, 0, []
    for _ in range(n_runs):
        labels = random.random(N) < LISTS[name]
        depths = range(40, N + 1, 40)
        depth = next(d for d in depths if missed_target_p(labels[:d], N, 0.95) < 0.05)
        n_early += labels[:depth].sum() < 0.95 * labels.sum()
        n_seen.append(depth)
    # 7 of 60 or more would have a chance below 5 % at a level of 5 %
    assert n_early < 7
    if name == "exponential":
        assert np.mean(n_seen) < 0.9 * N


# what is left


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("n_seen", [100, 200, 500])
def test_the_interval_holds_what_is_left(name, n_seen):
    random = np.random.default_rng(7)
    counted = np.arange(N) < n_seen
    is_right, is_above = [], []
    for _ in range(30):
        labels = random.random(N) < LISTS[name]
        left = int(labels[n_seen:].sum())
        found = remaining(labels, counted, ~counted, NOT_JUDGED)
        is_right.append(found.low <= left <= found.high)
        is_above.append(left > found.high)
    # of 30 at 95 %, fewer than 26 have a chance below 2 %
    assert sum(is_right) >= 26
    assert sum(is_above) <= 3


def test_the_mean_is_near_what_is_left_of_lists_like_those_of_users():
    random = np.random.default_rng(3)
    counted = RANKS <= 500
    pairs = []
    for _ in range(20):
        labels = random.random(N) < MEASURED
        found = remaining(labels, counted, ~counted, NOT_JUDGED)
        pairs.append((found.expected, labels[500:].sum()))
    expected, truth = np.mean(pairs, axis=0)
    assert expected == pytest.approx(truth, rel=0.25)


def test_a_judge_that_is_right_makes_the_interval_narrower():
    random = np.random.default_rng(11)
    logits = np.where(random.random(N) < 0.2, 3.0, -3.0)
    labels = random.random(N) < 1 / (1 + np.exp(-logits))
    counted = RANKS <= 200
    with_judge = remaining(labels, counted, ~counted, logits)
    without = remaining(labels, counted, ~counted, NOT_JUDGED)
    left = labels[200:].sum()
    assert with_judge.low <= left <= with_judge.high
    assert with_judge.high - with_judge.low <= without.high - without.low
    yes = logits[200:] > 0
    assert with_judge.per_hit[yes].mean() > 5 * with_judge.per_hit[~yes].mean()


def test_a_judge_who_boasts_is_recalibrated_in_the_large():
    """It says .95 or .5, but only every tenth of them is right."""
    random = np.random.default_rng(2)
    logits = np.where(random.random(N) < 0.5, 3.0, 0.0)
    labels = random.random(N) < 0.1
    counted = RANKS <= 300
    found = remaining(labels, counted, ~counted, logits)
    promised = (1 / (1 + np.exp(-logits[300:]))).sum()
    assert promised > 400
    assert found.expected < 100


def test_nothing_is_left_where_nothing_is_open():
    labels = RANKS < 30
    found = remaining(labels, RANKS > 0, RANKS < 0, NOT_JUDGED)
    assert (found.expected, found.low, found.high, len(found.per_hit)) == (0, 0, 0, 0)


def test_of_nothing_nothing_can_be_said():
    with pytest.raises(ConfigError, match="nothing is marked: what is left cannot be estimated"):
        remaining(RANKS < 0, RANKS < 0, RANKS > 0, NOT_JUDGED)


def test_the_same_numbers_come_again():
    labels, counted = RANKS % 7 == 0, RANKS <= 90
    one, two = (remaining(labels, counted, ~counted, NOT_JUDGED) for _ in range(2))
    assert (one.expected, one.low, one.high) == (two.expected, two.low, two.high)


def test_most_of_what_is_left_is_where_the_chances_are():
    chances = np.array([0.0, 0.1, 0.9, 0.9, 0.1, 0.0])
    left = Remaining(2.0, 0, 4, chances)
    assert left.where(np.arange(21, 27)) == (23, 24)
    assert Remaining(0.5, 0, 1, np.array([0.5])).where(np.array([7])) == (7, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_recall": 0}, "target_recall = 0 is not allowed: give a number between 0 and 1"),
        ({"target_recall": 1}, "target_recall = 1"),
        ({"confidence": 95}, "confidence = 95"),
        ({"confidence": "high"}, "confidence = 'high'"),
        ({"confidence": True}, "confidence = True"),
    ],
)
def test_a_rule_that_cannot_be_used(options, message):
    with pytest.raises(ConfigError, match=message):
        Rule(**options)
