"""Platt scaling: worked by hand, from known lines, and what cannot be fitted."""

import numpy as np
import pytest

from matir_nb.errors import ConfigError
from matir_nb.models.calibration import fit_platt, log_loss


def logit(p):
    return np.log(p / (1 - p))


def test_two_log_odds_by_hand():
    """With two values of z the line goes through the mean target of each."""
    z = [1.0] * 10 + [-1.0] * 10
    labels = [True] * 8 + [False] * 2 + [True] * 3 + [False] * 7
    # 11 relevant, 9 not: the targets are 12 / 13 and 1 / 11
    high, low = (8 * 12 / 13 + 2 / 11) / 10, (3 * 12 / 13 + 7 / 11) / 10
    fitted = fit_platt(z, labels)
    assert fitted.scale == pytest.approx((logit(high) - logit(low)) / 2, abs=1e-6)
    assert fitted.bias == pytest.approx((logit(high) + logit(low)) / 2, abs=1e-6)


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (0.2, -1.5), (6.0, 4.0)])
def test_it_finds_the_line_that_made_the_labels(scale, bias):
    rng = np.random.default_rng(0)
    z = rng.normal(-bias / scale, 2 / scale, 20_000)
    labels = rng.random(len(z)) < 1 / (1 + np.exp(-(scale * z + bias)))
    fitted = fit_platt(z, labels)
    assert fitted.scale == pytest.approx(scale, rel=0.06)
    assert fitted.bias == pytest.approx(bias, abs=0.12)


def test_no_other_line_has_less_loss():
    """The loss is that of the targets; log odds of 50 do not overflow."""
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal(0, 3, 60), [50, -50, 50]])
    labels = rng.random(len(z)) < 1 / (1 + np.exp(-0.3 * z))
    n_yes, n_no = labels.sum(), (~labels).sum()
    targets = np.where(labels, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))

    def loss(scale, bias):
        x = scale * z + bias
        return (np.logaddexp(0, x) - targets * x).sum()

    fitted = fit_platt(z, labels)
    best = loss(fitted.scale, fitted.bias)
    for step in np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * 1e-3:
        assert loss(fitted.scale + step[0], fitted.bias + step[1]) > best


def labels_of(n_yes, n_no):
    return [True] * n_yes + [False] * n_no


@pytest.mark.parametrize(
    ("z", "labels", "message"),
    [
        (range(19), labels_of(9, 10), "9 marks relevant and 10 not relevant are too few"),
        (range(40), labels_of(4, 36), "at least 5 of each kind"),
        (range(40), labels_of(40, 0), "40 marks relevant and 0 not relevant"),
        (range(40, 0, -1), labels_of(20, 20), "the judge makes no mistake on these marks"),
        (range(40), labels_of(20, 20), "ranks against your marks"),
        ([-2.5] * 40, labels_of(20, 20), "says -2.5 of every marked image"),
        ([np.inf] * 40, labels_of(20, 20), r"expected n finite numbers and n labels, got \(40,\)"),
        (range(39), labels_of(20, 20), r"got \(39,\) and \(40,\)"),
    ],
)
def test_what_cannot_be_fitted_says_why(z, labels, message):
    with pytest.raises(ConfigError, match=message):
        fit_platt(list(z), labels)


def test_log_loss_by_hand():
    assert log_loss([0.25, 0.25], [True, False]) == pytest.approx(-np.log(0.25 * 0.75) / 2)
    assert log_loss([0.0], [True]) == pytest.approx(-np.log(1e-12))
