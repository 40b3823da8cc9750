"""Calibration: whether a probability of .8 is right four times of five. Knows no engine.

Two ways to cut [0, 1] into bins:

- "width": equal widths, [low, high), the last one closed: torchmetrics' BinaryCalibrationError
  (which gives p = 1 exactly a bin of its own). Guo et al. (ICML 2017) and scikit-learn's
  calibration_curve use (low, high]: it matters only for a p on an edge.
- "mass": edges at the quantiles of p, (low, high], the first one closed; equal p stay together
  (scikit-learn's strategy="quantile"), so bins can be uneven or empty.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError, require_known

Binning: TypeAlias = Literal["width", "mass"]

RELIABILITY_SCHEMA = pl.Schema(
    {
        "bin_low": pl.Float64,
        "bin_high": pl.Float64,
        "n": pl.Int64,
        "mean_p": pl.Float64,
        "share_right": pl.Float64,
    }
)
"""A bin; `mean_p` and `share_right` are null where nothing is in it."""


def expected_calibration_error(
    p: ArrayLike, right: ArrayLike, *, n_bins: int = 15, binning: Binning = "width"
) -> float | None:
    """Return ECE in [0, 1]: how far confidence is from accuracy, on average; 0 is best.

    Formula: ECE = sum over bins b of n_b / n * |share right in b - mean p in b| (Naeini et al.,
    AAAI 2015; Guo et al., ICML 2017). None of no observations.

    Args:
        p: (n,) in [0, 1]: the probability that was said.
        right: (n,) bool: it is so.
        n_bins: at least 1.
        binning: "width" or "mass".

    Raises:
        ShapeError: `p` and `right` are not both (n,).
        ConfigError: a p is no probability, `n_bins` < 1, or `binning` is unknown.

    >>> expected_calibration_error([0.75, 0.75, 0.25, 0.25], [True, False, False, False])
    0.25
    """
    table = reliability(p, right, n_bins, binning=binning).filter(pl.col("n") > 0)
    gap = (pl.col("share_right") - pl.col("mean_p")).abs()
    value = table.select((gap * pl.col("n")).sum() / pl.col("n").sum()).item()
    return float(value) if len(table) else None


def reliability(
    p: ArrayLike, right: ArrayLike, n_bins: int = 15, *, binning: Binning = "width"
) -> pl.DataFrame:
    """Return one row per bin, ascending, with `RELIABILITY_SCHEMA`: a reliability diagram.

    Args:
        p: (n,) in [0, 1]: the probability that was said.
        right: (n,) bool: it is so.
        n_bins: at least 1.
        binning: "width" or "mass"; without observations the edges are those of "width".

    Raises:
        ShapeError: `p` and `right` are not both (n,).
        ConfigError: a p is no probability, `n_bins` < 1, or `binning` is unknown.

    >>> reliability([0.9, 0.7, 0.2], [True, False, False], n_bins=2).rows()
    [(0.0, 0.5, 1, 0.2, 0.0), (0.5, 1.0, 2, 0.8, 0.5)]
    """
    said, is_right = _checked(p, right)
    edges = _edges(said, n_bins, binning)
    side: Literal["right", "left"] = "right" if binning == "width" else "left"
    bins = np.searchsorted(edges[1:-1], said, side=side)
    n = np.bincount(bins, minlength=n_bins)
    columns = {
        "bin_low": edges[:-1],
        "bin_high": edges[1:],
        "n": n,
        "mean_p": _mean(np.bincount(bins, said, n_bins), n),
        "share_right": _mean(np.bincount(bins, is_right, n_bins), n),
    }
    return pl.DataFrame(columns, schema=RELIABILITY_SCHEMA).with_columns(
        pl.col("mean_p", "share_right").fill_nan(None)
    )


def brier_score(p: ArrayLike, right: ArrayLike) -> float | None:
    """Return the mean squared error of probabilities, in [0, 1]; 0 is best.

    Formula: 1/n * sum of (p_i - right_i)² (Brier, 1950, in its one-event form, half of the
    original). Always saying the base rate b gives b (1 - b). None of no observations.

    Args:
        p: (n,) in [0, 1].
        right: (n,) bool.

    Raises:
        ShapeError: `p` and `right` are not both (n,).
        ConfigError: a p is no probability.

    >>> brier_score([1.0, 0.5], [True, False])
    0.125
    """
    said, is_right = _checked(p, right)
    return float(((said - is_right) ** 2).mean()) if said.size else None


def _edges(said: NDArray[np.float64], n_bins: int, binning: str) -> NDArray[np.float64]:
    if n_bins < 1:
        message = f"n_bins = {n_bins} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    require_known("binning", [binning], get_args(Binning))
    even = np.arange(n_bins + 1) / n_bins  # 3/5 is 0.6; linspace gives 0.6000000000000001
    return np.quantile(said, even) if binning == "mass" and said.size else even


def _mean(total: ArrayLike, n: NDArray[np.intp]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return mean


def _checked(p: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    said, is_right = np.asarray(p, np.float64), np.asarray(right, np.bool_).astype(np.float64)
    if said.ndim != 1 or said.shape != is_right.shape:
        message = f"p, right: expected two of shape (n,), got {said.shape} and {is_right.shape}"
        raise ShapeError(message)
    wrong = said[~((said >= 0) & (said <= 1))]
    if wrong.size:
        message = f"p = {wrong[0]} is no probability: give numbers in [0, 1]"
        raise ConfigError(message)
    return said, is_right
