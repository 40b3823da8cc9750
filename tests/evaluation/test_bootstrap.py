import numpy as np
import pytest

from matir_nb.errors import ShapeError
from matir_nb.evaluation.bootstrap import bootstrap_interval


def test_the_interval_is_that_of_a_binomial_share():
    values = [1.0] * 60 + [0.0] * 40
    low, high = bootstrap_interval(values)
    half = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    assert low == pytest.approx(0.6 - half, abs=0.015)
    assert high == pytest.approx(0.6 + half, abs=0.015)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).random(50).tolist()
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_weights_count_observations_and_weightless_queries_change_nothing():
    assert bootstrap_interval([0.25, 0.9, 0.25], [4, 0, 2]) == pytest.approx((0.25, 0.25))
    low, high = bootstrap_interval([0.0, 1.0] * 30, [1, 3] * 30)
    assert low < 0.75 < high
    assert low > 0.55


def test_there_is_no_interval_without_observations():
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([0.0, 0.0], [0, 0]) is None


def test_paired_differences_are_narrower_than_either_score():
    rng = np.random.default_rng(0)
    first = rng.random(80)
    second = first + 0.1 + rng.normal(0, 0.01, 80)
    low, high = bootstrap_interval((second - first).tolist())
    own_low, own_high = bootstrap_interval(first.tolist())
    assert 0.09 < low < 0.1 < high < 0.11
    assert own_high - own_low > 5 * (high - low)


def test_unequal_lengths_are_refused():
    with pytest.raises(ShapeError, match=r"got \(2,\) and \(1,\)"):
        bootstrap_interval([1.0, 2.0], [1.0])
