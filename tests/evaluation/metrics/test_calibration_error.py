import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.calibration import (
    RELIABILITY_SCHEMA,
    brier_score,
    expected_calibration_error,
    reliability,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def said():
    rng = np.random.default_rng(3)
    p = rng.beta(0.7, 0.9, 500)
    return p, rng.random(500) < p**1.5


def torchmetrics_ece(p, right, n_bins):
    tensors = torch.tensor(p, dtype=torch.float64), torch.tensor(right, dtype=torch.int64)
    return float(binary_calibration_error(*tensors, n_bins=n_bins, norm="l1"))


def test_reliability_by_hand():
    table = reliability([0.05, 0.15, 0.6, 0.9, 1.0], [False, True, True, False, True], 5)
    assert table.schema == RELIABILITY_SCHEMA
    assert table["n"].to_list() == [2, 0, 0, 1, 2]
    assert table["bin_low"].to_list() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert table["bin_high"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert table["mean_p"].to_list() == [0.1, None, None, 0.6, 0.95]
    assert table["share_right"].to_list() == [0.5, None, None, 1.0, 0.5]


def test_ece_by_hand():
    # bins of .1 wide: two at .95 of which one is right (gap .45), two at .25, both wrong (gap .25)
    p, right = [0.95, 0.95, 0.25, 0.25], [True, False, False, False]
    assert expected_calibration_error(p, right, n_bins=10) == pytest.approx(0.35)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert expected_calibration_error([1.0, 0.0], [False, True]) == 1.0


def test_no_observations_have_no_error():
    assert expected_calibration_error([], []) is None
    assert expected_calibration_error([], [], binning="mass") is None
    assert brier_score([], []) is None
    assert reliability([], [], 4)["n"].to_list() == [0, 0, 0, 0]


@pytest.mark.parametrize("n_bins", [1, 4, 10, 15])
def test_ece_against_torchmetrics(said, n_bins):
    expected = torchmetrics_ece(*said, n_bins)
    got = expected_calibration_error(*said, n_bins=n_bins)
    assert got == pytest.approx(expected, abs=1e-9)


def test_torchmetrics_gives_certainty_a_bin_of_its_own():
    p, right = [1.0, 0.95], [False, True]
    # |0.5 - 0.975| of both, against the mean of |0 - 1| and |1 - .95|
    assert expected_calibration_error(p, right, n_bins=10) == pytest.approx(0.475)
    assert torchmetrics_ece(p, right, 10) == pytest.approx(0.525)


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
@pytest.mark.parametrize("n_bins", [1, 3, 15])
def test_reliability_against_sklearn(said, binning, strategy, n_bins):
    p, right = said
    share, mean_p = calibration_curve(right, p, n_bins=n_bins, strategy=strategy)
    table = reliability(p, right, n_bins, binning=binning).filter(pl.col("n") > 0)
    assert table["mean_p"].to_list() == pytest.approx(mean_p, abs=1e-9)
    assert table["share_right"].to_list() == pytest.approx(share, abs=1e-9)


def test_sklearn_puts_an_edge_into_the_bin_below():
    p, right = [0.25, 0.5, 0.75], [True, False, True]
    assert reliability(p, right, 2)["n"].to_list() == [1, 2]
    share, _ = calibration_curve(right, p, n_bins=2)
    assert share.tolist() == [0.5, 1.0]


def test_equal_mass_keeps_equal_probabilities_together():
    p, right = [0.5] * 6 + [0.9, 0.95], [True] * 3 + [False] * 3 + [True, True]
    table = reliability(p, right, 4, binning="mass")
    assert sorted(table["n"].to_list()) == [0, 0, 2, 6]
    assert table["n"].sum() == 8
    # 6 at .5, half right: 0; 2 at .925, both right: .075
    ece = expected_calibration_error(p, right, n_bins=4, binning="mass")
    assert ece == pytest.approx(2 / 8 * 0.075)


def test_brier_score_by_hand_and_against_sklearn(said):
    assert brier_score([0.8, 0.4], [True, False]) == pytest.approx((0.04 + 0.16) / 2)
    p, right = said
    assert brier_score(p, right) == pytest.approx(brier_score_loss(right, p), abs=1e-9)
    rate = right.mean()
    assert brier_score(np.full(500, rate), right) == pytest.approx(rate * (1 - rate))


@settings(max_examples=40)
@given(pairs=PAIRS, n_bins=st.integers(1, 20), binning=st.sampled_from(["width", "mass"]))
def test_bins_hold_everything_once_whatever_the_order(pairs, n_bins, binning):
    p, right = [q for q, _ in pairs], [r for _, r in pairs]
    table = reliability(p, right, n_bins, binning=binning)
    assert len(table) == n_bins
    assert table["n"].sum() == len(pairs)
    ece = expected_calibration_error(p, right, n_bins=n_bins, binning=binning)
    assert 0 <= ece <= 1 + 1e-12
    turned = expected_calibration_error(p[::-1], right[::-1], n_bins=n_bins, binning=binning)
    assert turned == pytest.approx(ece, abs=1e-12)
    gap = abs(np.mean(p) - np.mean(right))
    assert ece >= gap - 1e-9
    assert expected_calibration_error(p, right, n_bins=1) == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"p": [1.2]}, ConfigError, "p = 1.2 is no probability"),
        ({"p": [-0.1]}, ConfigError, "no probability"),
        ({"p": [float("nan")]}, ConfigError, "p = nan"),
        ({"p": [0.1, 0.2]}, ShapeError, "two of shape"),
        ({"p": [[0.1]], "right": [[True]]}, ShapeError, "two of shape"),
        ({"n_bins": 0}, ConfigError, "n_bins = 0"),
        ({"binning": "depth"}, ConfigError, "binning"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        expected_calibration_error(**({"p": [0.5], "right": [True]} | arguments))
