"""Platt scaling: what the log-odds of a judge are worth, from labelled examples.

A judge's log-odds z rank well and yet may be too sure, too timid or shifted. With marks of people
p = sigmoid(scale * z + bias) is fitted by maximum likelihood (Platt, "Probabilistic outputs for
support vector machines", 1999): by Newton's method with backtracking, on the log-odds themselves,
so that nothing overflows (Lin, Lin and Weng, "A note on Platt's probabilistic outputs for support
vector machines", Machine Learning 68, 2007). Pure numbers: knows no judge and no file.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError
from matir_nb.types import LogOdds

MIN_LABELS = 20
MIN_OF_EACH = 5
MAX_STEPS = 100
RIDGE = 1e-12
"""Added to the curvature, so that it can always be inverted."""
MIN_STEP = 1e-10
ENOUGH_DESCENT = 1e-4
FLAT = 1e-8
"""Largest slope of the loss at its minimum, per label."""
LEAST_P = 1e-12

Numbers = NDArray[np.float64]


def fit_platt(logits: ArrayLike, labels: ArrayLike) -> LogOdds:
    """Return scale and bias with which sigmoid(scale * logit + bias) fits the labels best.

    The targets are Platt's: (n_relevant + 1) / (n_relevant + 2) for what is relevant and
    1 / (n_not_relevant + 2) for what is not, in place of 1 and 0.

    Args:
        logits: (n,) finite log-odds.
        labels: (n,) whether each is relevant.

    Raises:
        ConfigError: there are too few labels, or of one kind too few; or they do not say how sure
            the judge may be: it makes no mistake, says the same of all, or ranks against them.
    """
    z, is_relevant = _checked(logits, labels)
    n_relevant = int(is_relevant.sum())
    n_not = len(z) - n_relevant
    targets = np.where(is_relevant, (n_relevant + 1) / (n_relevant + 2), 1 / (n_not + 2))
    start = np.array([0.0, np.log((n_relevant + 1) / (n_not + 1))])
    scale, bias = _minimum(z, targets, start)
    if scale <= 0:
        message = (
            f"the judge ranks against your marks (scale {scale:.3g}): what it is surer of was "
            "marked not relevant more often; look at the marks, or take another judge"
        )
        raise ConfigError(message)
    return LogOdds(scale=float(scale), bias=float(bias))


def log_loss(p: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean of -ln(the probability given to what is so), nats.

    >>> round(log_loss([0.5, 0.5], [True, False]), 4)
    0.6931
    """
    chances = np.clip(np.asarray(p, np.float64), LEAST_P, 1 - LEAST_P)
    right = np.where(np.asarray(labels, bool), chances, 1 - chances)
    return float(-np.log(right).mean())


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[Numbers, NDArray[np.bool_]]:
    z, is_relevant = np.asarray(logits, np.float64), np.asarray(labels, bool)
    if z.ndim != 1 or z.shape != is_relevant.shape or not np.isfinite(z).all():
        shapes = f"{z.shape} and {is_relevant.shape}"
        message = f"logits and labels: expected n finite numbers and n labels, got {shapes}"
        raise ConfigError(message)
    n_relevant = int(is_relevant.sum())
    n_not = len(z) - n_relevant
    if len(z) < MIN_LABELS or min(n_relevant, n_not) < MIN_OF_EACH:
        message = (
            f"{n_relevant} marks relevant and {n_not} not relevant are too few to calibrate a "
            f"judge: mark {MIN_LABELS} or more, at least {MIN_OF_EACH} of each kind"
        )
        raise ConfigError(message)
    if np.ptp(z) == 0:
        message = f"the judge says {z[0]:.3g} of every marked image: nothing can be fitted to that"
        raise ConfigError(message)
    if z[is_relevant].min() > z[~is_relevant].max():
        message = (
            "the judge makes no mistake on these marks, so they do not say how sure it may be: "
            "mark more images, those between its surest and its least sure hits"
        )
        raise ConfigError(message)
    return z, is_relevant


def _minimum(z: Numbers, targets: Numbers, start: Numbers) -> tuple[float, float]:
    """Return (scale, bias) of the least loss: Newton's steps, halved until the loss falls."""
    features = np.stack([z, np.ones_like(z)])
    at, loss = start, _loss(z, targets, start)
    for _ in range(MAX_STEPS):
        p = _sigmoid(at @ features)
        slope = features @ (p - targets)
        if np.abs(slope).max() <= FLAT * len(z):
            break
        curvature = (features * (p * (1 - p))) @ features.T + RIDGE * np.eye(2)
        step = -np.linalg.solve(curvature, slope)
        size, descent = 1.0, float(slope @ step)
        while size >= MIN_STEP:
            there = at + size * step
            new_loss = _loss(z, targets, there)
            if new_loss < loss + ENOUGH_DESCENT * size * descent:
                break
            size /= 2
        else:
            break
        at, loss = there, new_loss
    return float(at[0]), float(at[1])


def _loss(z: Numbers, targets: Numbers, at: Numbers) -> float:
    """Return the summed cross-entropy: ln(1 + exp(x)) - target * x, with x = scale * z + bias."""
    x = at[0] * z + at[1]
    return float((np.logaddexp(0, x) - targets * x).sum())


def _sigmoid(x: Numbers) -> Numbers:
    p: Numbers = np.exp(-np.logaddexp(0, -x))
    return p
