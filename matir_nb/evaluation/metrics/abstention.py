"""Abstention: what a score is worth for saying nothing rather than something wrong.

Two questions: of the answers given, how does the share of wrong ones fall as fewer are given
(risk and coverage); and how many queries about absent things are answered, for how many present
ones (`answer_curve`). Knows no engine.

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

ANSWER_SCHEMA = pl.Schema(
    {"threshold": pl.Float64, "answered": pl.Float64, "false_positives": pl.Float64}
)
"""Answering what scores `threshold` or more: the share of present queries answered, and that of
absent ones."""


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


def selective_accuracy(scores: ArrayLike, right: ArrayLike, coverage: float) -> float | None:
    """Return the share right among the surest answers: 1 - risk at `coverage`.

    Taken are the fewest of the surest groups that make up the share `coverage` of all n, so with
    ties it may be more. None where too few are answered, or there are none.

    Args:
        scores: (n,) confidence of each answer; -inf = none is given.
        right: (n,) bool.
        coverage: in (0, 1].

    Raises:
        ShapeError: `scores` and `right` are not both (n,).
        ConfigError: a score is NaN, or `coverage` is not in (0, 1].

    >>> selective_accuracy([0.9, 0.8, 0.2, 0.1], [True, True, True, False], 0.5)
    1.0
    """
    if not 0 < coverage <= 1:
        message = f"coverage = {coverage} is not allowed: give a share in (0, 1]"
        raise ConfigError(message)
    _, answered, wrong = _risk_table(scores, right)
    enough = answered >= coverage * np.asarray(scores).size - 1e-9  # 0.07 * 100 is above 7
    if not enough.any():
        return None
    first = int(enough.argmax())
    return float(1 - wrong[first] / answered[first])


def false_positive_rate(absent_scores: ArrayLike, threshold: float) -> float | None:
    """Return the share of queries about absent things that are answered at `threshold`.

    Formula: |{i: s_i >= threshold}| / n, s_i the best score that a query got. None of no queries.

    Args:
        absent_scores: (n,) of queries for which nothing is right; -inf = nothing was found.
        threshold: finite.

    Raises:
        ShapeError: the scores are not (n,).
        ConfigError: a score is NaN.

    >>> false_positive_rate([0.2, 0.7, 0.5, float("-inf")], 0.5)
    0.5
    """
    scores = _scores("absent_scores", absent_scores)
    return float((scores >= threshold).mean()) if scores.size else None


def answer_curve(present_scores: ArrayLike, absent_scores: ArrayLike) -> pl.DataFrame:
    """Return how many present queries are answered for how many absent ones, by threshold.

    A ROC curve (sklearn's roc_curve with drop_intermediate=False): first a row where nothing is
    answered (threshold inf), then one per distinct finite score, highest first; `ANSWER_SCHEMA`.
    Shares of no queries are null.

    Args:
        present_scores: (n,) best score of queries for which something is right. To count right
            answers alone, give -inf where the best hit is wrong: the curve then ends below 1.
        absent_scores: (m,) best score of queries for which nothing is.

    Raises:
        ShapeError: the scores are not (n,) and (m,).
        ConfigError: a score is NaN.

    >>> answer_curve([0.9, 0.4], [0.4, 0.1]).rows()
    [(inf, 0.0, 0.0), (0.9, 0.5, 0.0), (0.4, 1.0, 0.5), (0.1, 1.0, 1.0)]
    """
    present = _scores("present_scores", present_scores)
    absent = _scores("absent_scores", absent_scores)
    finite = np.unique(np.concatenate([present, absent]))[::-1]
    thresholds = np.concatenate([[np.inf], finite[np.isfinite(finite)]])
    columns = {
        "threshold": thresholds,
        "answered": _share_above(present, thresholds),
        "false_positives": _share_above(absent, thresholds),
    }
    return pl.DataFrame(columns, schema=ANSWER_SCHEMA).with_columns(
        pl.col("answered", "false_positives").fill_nan(None)
    )


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


def _share_above(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of scores at or above each threshold; NaN of no scores."""
    if not scores.size:
        return np.full(len(thresholds), np.nan)
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    share: NDArray[np.float64] = 1 - below / scores.size
    return share


def _scores(name: str, values: ArrayLike) -> NDArray[np.float64]:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1:
        message = f"{name}: expected shape (n,), got {scores.shape}"
        raise ShapeError(message)
    if np.isnan(scores).any():
        message = f"{name}: one is NaN: give numbers, -inf where nothing was found"
        raise ConfigError(message)
    return scores
