"""Abstention: what a score is worth for saying nothing rather than something wrong.

Two questions: of the answers given, how does the share of wrong ones fall as fewer are given
(risk and coverage); and how well do scores tell queries about present things from those about
absent ones (`answer_auc`). Knows no engine.

Ties are groups: answers of one score are given or withheld together, so no number depends on the
order of the input. A score of -inf is never answered.
"""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError

RISK_SCHEMA = pl.Schema({"coverage": pl.Float64, "risk": pl.Float64, "threshold": pl.Float64})
"""Answering what scores `threshold` or more: the share of queries answered, and the share of
these answers that is wrong."""


def risk_coverage(scores: ArrayLike, right: ArrayLike) -> pl.DataFrame:
    """Return one row per distinct score, highest first, with `RISK_SCHEMA`.

    Formula: coverage(t) = |{i: s_i >= t}| / n, risk(t) = |{i: s_i >= t, wrong}| / |{i: s_i >= t}|
    (Geifman & El-Yaniv, NeurIPS 2017).

    Args:
        scores: (n,) confidence of each answer, higher is surer; -inf = none is given.
        right: (n,) bool.

    Raises:
        ShapeError: `scores` and `right` are not both (n,).
        ConfigError: a score is NaN.

    >>> risk_coverage([0.9, 0.5, 0.5, 0.1], [True, True, False, False]).rows()
    [(0.25, 0.0, 0.9), (0.75, 0.3333333333333333, 0.5), (1.0, 0.5, 0.1)]
    """
    thresholds, answered, wrong = _risk_table(scores, right)
    n = np.asarray(scores).size
    columns = {"coverage": answered / max(n, 1), "risk": wrong / answered, "threshold": thresholds}
    return pl.DataFrame(columns, schema=RISK_SCHEMA)


def aurc(scores: ArrayLike, right: ArrayLike) -> float | None:
    """Return the area under the risk-coverage curve, in [0, 1]; 0 is best.

    Formula: AURC = 1/m * sum over the m answers of risk(s_i), the risk at the answer's own
    threshold (Geifman, Uziel & El-Yaniv, ICLR 2019, eq. 2, whose i-th risk is this one where
    scores differ). With constant scores it is the share of wrong answers. None of no answers.

    Args:
        scores: (n,) confidence of each answer; -inf = none is given.
        right: (n,) bool.

    Raises:
        ShapeError: `scores` and `right` are not both (n,).
        ConfigError: a score is NaN.

    >>> aurc([0.9, 0.8], [True, False])  # (0 + 1/2) / 2
    0.25
    """
    _, answered, wrong = _risk_table(scores, right)
    if not answered.size:
        return None
    in_group = np.diff(answered, prepend=0)
    return float((wrong / answered * in_group).sum() / answered[-1])


def answer_auc(present_scores: ArrayLike, absent_scores: ArrayLike) -> float | None:
    """Return how well scores tell present from absent queries: 1 = wholly, 0.5 = not at all.

    Formula: P(present > absent) + P(present = absent) / 2 over all pairs (Mann & Whitney): the
    area under the ROC curve. None without queries of both kinds.

    Args:
        present_scores: (n,) best score of queries for which something is right.
        absent_scores: (m,) best score of queries for which nothing is.

    Raises:
        ShapeError: the scores are not (n,) and (m,).
        ConfigError: a score is NaN.

    >>> answer_auc([0.9, 0.4], [0.4, 0.1])
    0.875
    """
    present = _scores("present_scores", present_scores)
    absent = np.sort(_scores("absent_scores", absent_scores))
    if not present.size or not absent.size:
        return None
    below, not_above = (np.searchsorted(absent, present, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / absent.size)


def _risk_table(
    scores: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Return distinct scores, highest first, and how many are answered, and wrong, from there."""
    confidence, is_right = _scores("scores", scores), np.asarray(right, np.bool_)
    if confidence.shape != is_right.shape:
        message = f"right: expected shape {confidence.shape}, as scores, got {is_right.shape}"
        raise ShapeError(message)
    given = confidence > -np.inf
    thresholds, group = np.unique(-confidence[given], return_inverse=True)
    answered = np.cumsum(np.bincount(group, minlength=len(thresholds)))
    wrong = np.cumsum(np.bincount(group[~is_right[given]], minlength=len(thresholds)))
    return -thresholds, answered, wrong


def _scores(name: str, values: ArrayLike) -> NDArray[np.float64]:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1:
        message = f"{name}: expected shape (n,), got {scores.shape}"
        raise ShapeError(message)
    if np.isnan(scores).any():
        message = f"{name}: one is NaN: give numbers, -inf where nothing was found"
        raise ConfigError(message)
    return scores
