"""Paired tests against scipy, numbers worked by hand, and how often they cry wolf."""

import numpy as np
import pytest
from scipy import stats

from matir_nb.errors import ShapeError
from matir_nb.evaluation.bootstrap import bootstrap_interval
from matir_nb.evaluation.significance import (
    MAX_EXACT,
    N_FLIPS,
    benjamini_hochberg,
    holm,
    paired_bootstrap,
    randomisation_p,
)

NAN = np.nan


def drawn(n, shift, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, n)


def scipys(values, **options):
    return stats.permutation_test(
        (np.asarray(values),),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        **options,
    ).pvalue


def test_the_randomisation_test_by_hand():
    # all eight sign flips of (1, 2, 3) sum to +-6, +-4, +-2, 0, 0: two reach 6
    assert randomisation_p([1.0, 2.0, 3.0]).tolist() == [2 / 8]
    # of (1, 2, -3) the sum is 0: every flip reaches it
    assert randomisation_p([1.0, 2.0, -3.0]).tolist() == [1.0]
    # of (3, 2, -1) the sum is 4: +-6 and +-4 reach it
    assert randomisation_p([3.0, 2.0, -1.0]).tolist() == [4 / 8]


@pytest.mark.parametrize("seed", range(6))
def test_few_queries_are_counted_out_as_scipy_does(seed):
    values = drawn(9, 0.4, seed).round(1)
    assert randomisation_p(values)[0] == pytest.approx(scipys(values, n_resamples=np.inf))


def test_sums_that_are_equal_but_for_rounding_count_as_reached():
    values = np.array([0.1, 0.2, 0.3, -0.3, 0.1, 0.1])  # exact in tenths, not in binary
    tenths = np.array([1.0, 2.0, 3.0, -3.0, 1.0, 1.0])
    assert randomisation_p(values)[0] == randomisation_p(tenths)[0]


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_many_queries_are_drawn_as_scipy_does(shift):
    values = drawn(40, shift)
    # two independent estimates of one p: five standard errors apart at most
    p, other = randomisation_p(values, seed=1)[0], scipys(values, n_resamples=N_FLIPS, rng=2)
    assert abs(p - other) <= 5 * np.sqrt(2 * p * (1 - p) / N_FLIPS) + 2 / N_FLIPS


def test_where_both_can_be_done_drawing_agrees_with_counting():
    values = drawn(MAX_EXACT, 0.4, 3)
    exact = randomisation_p(values)[0]
    longer = np.concatenate([values, [1e-9]])  # one more that differs, by nothing that counts
    assert randomisation_p(longer)[0] == pytest.approx(exact, abs=0.02)


def test_the_smallest_p_is_one_draw_and_what_was_seen():
    assert randomisation_p(np.full(60, 0.1)).tolist() == [1 / (N_FLIPS + 1)]
    assert randomisation_p(np.full(60, 0.1), n_flips=99).tolist() == [1 / 100]


def test_columns_share_their_draws_and_do_not_change_each_other():
    both = np.column_stack([drawn(50, 0.2), drawn(50, 0.3, 1), np.zeros(50), np.full(50, NAN)])
    together = randomisation_p(both)
    assert together[0] == pytest.approx(randomisation_p(both[:, 0])[0], abs=1e-12)
    assert together[2] == 1.0
    assert np.isnan(together[3])
    intervals = paired_bootstrap(both)
    alone = paired_bootstrap(both[:, 1])
    assert (intervals.low[1], intervals.high[1]) == pytest.approx((alone.low[0], alone.high[0]))
    assert intervals.p[1] == alone.p[0]


def test_ties_alone_say_nothing():
    assert randomisation_p(np.zeros(30)).tolist() == [1.0]
    tied = paired_bootstrap(np.zeros(30))
    assert (tied.low[0], tied.high[0], tied.p[0]) == (0.0, 0.0, 1.0)


def test_a_query_without_a_value_is_not_there():
    values = drawn(30, 0.3)
    holed = np.concatenate([values[:15], [NAN] * 7, values[15:]])
    expected = randomisation_p(values)[0]
    assert randomisation_p(holed)[0] == pytest.approx(expected, abs=0.02)
    few = np.array([1.0, NAN, 2.0, 3.0])
    assert randomisation_p(few).tolist() == [0.25]
    own, other = paired_bootstrap(values), paired_bootstrap(holed)
    assert (other.low[0], other.high[0]) == pytest.approx((own.low[0], own.high[0]), abs=0.06)


@pytest.mark.parametrize("n", [1, 7, 80, 3000])
def test_the_interval_is_that_of_a_single_bootstrap(n):
    values = drawn(n, 0.1, n)
    found = paired_bootstrap(values)
    assert (found.low[0], found.high[0]) == pytest.approx(bootstrap_interval(values.tolist()))
    holed = np.where(np.arange(n) % 3 == 1, NAN, values)
    weights = np.isfinite(holed).astype(float)
    found = paired_bootstrap(holed)
    expected = bootstrap_interval(np.nan_to_num(holed).tolist(), weights.tolist())
    assert (found.low[0], found.high[0]) == pytest.approx(expected)


def test_the_bootstrap_agrees_with_the_t_test_on_normal_differences():
    for shift in (0.0, 0.15, 0.3):
        values = drawn(120, shift, 5)
        expected = stats.ttest_1samp(values, 0.0).pvalue
        assert paired_bootstrap(values, n_resamples=8000).p[0] == pytest.approx(expected, abs=0.03)


def test_an_interval_that_excludes_zero_goes_with_a_small_p():
    values = drawn(100, 0.5, 8)
    found = paired_bootstrap(values)
    assert found.low[0] > 0
    assert found.p[0] < 0.01


def test_without_a_difference_p_is_uniform():
    n_trials, n_queries = 400, 24
    nothing = np.random.default_rng(11).laplace(0, 1, (n_queries, n_trials))
    p = randomisation_p(nothing, n_flips=999)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.07)
    # discrete differences, mostly ties: p may only be too large
    signs = np.random.default_rng(12).choice([-1.0, 0, 0, 0, 1.0], (n_queries, n_trials))
    assert np.mean(randomisation_p(signs, n_flips=999) <= 0.05) <= 0.06
    assert np.mean(paired_bootstrap(nothing, n_resamples=499).p <= 0.05) <= 0.09


def test_holm_by_hand():
    # sorted .01 .02 .03 .04: 4 * .01, 3 * .02, 2 * .03, 1 * .04 -> never falling
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == pytest.approx([0.2])


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(3).random(25) ** 3
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.04] * 4)


def test_holm_keeps_the_chance_of_a_false_finding_where_raw_p_do_not():
    trials = np.random.default_rng(4).random((2000, 10))
    raw = np.mean(trials.min(axis=1) <= 0.05)
    kept = np.mean([holm(p).min() <= 0.05 for p in trials])
    assert raw > 0.3
    assert kept == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_what_was_not_tested_does_not_count(correct):
    found = correct([0.03, NAN, 0.01])
    assert found[[0, 2]] == pytest.approx(correct([0.03, 0.01]))
    assert np.isnan(found[1])
    assert correct([]).shape == (0,)
    assert np.isnan(correct([NAN])).all()


def test_nothing_to_compare_gives_nothing():
    empty = np.empty((0, 2))
    assert np.isnan(randomisation_p(empty)).all()
    found = paired_bootstrap(empty)
    assert np.isnan([found.low, found.high, found.p]).all()
    with pytest.raises(ShapeError, match=r"got \(2, 2, 2\)"):
        randomisation_p(np.zeros((2, 2, 2)))
