"""Arms against one another, query by query: paired differences and what they support.

This module knows the frames of a run, and nothing of how they were made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from matir_nb.evaluation.bootstrap import bootstrap_interval
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER

STAGE1 = "stage1"
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class Gain:
    """A mean paired difference over `n` queries and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def is_resolved(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def arms_of(frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the arms of a frame, in order."""
    return tuple(frame["arm"].unique(maintain_order=True))


def base_of(arms: tuple[str, ...]) -> str:
    """Return the arm that others are compared with: stage 1 alone, else the first.

    >>> base_of(("structured", "stage1")), base_of(("a", "b"))
    ('stage1', 'a')
    """
    return STAGE1 if STAGE1 in arms else arms[0]


def paired(queries: pl.DataFrame, metric: str, arm: str, base: str) -> pl.DataFrame:
    """Return query_id, value, base, difference of the queries where both arms have a value.

    Empty for a metric that queries do not have one by one.
    """
    if metric not in queries.columns:
        return pl.DataFrame(schema=dict.fromkeys(("value", "base", "difference"), pl.Float64))
    columns = ["query_id", metric]
    ours = queries.filter(pl.col("arm") == arm).select(columns).rename({metric: "value"})
    theirs = queries.filter(pl.col("arm") == base).select(columns).rename({metric: "base"})
    both = ours.join(theirs, on="query_id", maintain_order="left").drop_nulls().drop_nans()
    return both.with_columns(difference=pl.col("value") - pl.col("base"))


def gain_of(queries: pl.DataFrame, metric: str, arm: str, base: str) -> Gain | None:
    """Return how much better `arm` is than `base`; None where no query has both values.

    The mean of differences over queries, each counted once, resampled over queries.
    """
    differences = paired(queries, metric, arm, base)["difference"].to_list()
    interval = bootstrap_interval(differences) if differences else None
    if interval is None:
        return None
    return Gain(sum(differences) / len(differences), *interval, len(differences))


def numbers_of(
    report: pl.DataFrame, metric: str, group: str = OVERALL
) -> dict[str, dict[str, Any]]:
    """Return arm -> its row of the report for a metric and group; arms without a value are out."""
    rows = report.filter(
        (pl.col("metric") == metric) & (pl.col("group") == group) & pl.col("value").is_not_null()
    )
    return {row["arm"]: row for row in rows.iter_rows(named=True)}


def winner_of(queries: pl.DataFrame, report: pl.DataFrame, metric: str) -> str | None:
    """Return the arm whose lead in a metric is supported; None = no arm's is.

    Supported: better than each other arm in the paired comparison (interval above zero); for a
    metric of a whole arm, an interval above every other arm's.
    """
    numbers = numbers_of(report, metric)
    if len(numbers) < 2:
        return None
    sign = -1 if metric in LOWER_IS_BETTER else 1
    best = max(numbers, key=lambda arm: sign * numbers[arm]["value"])
    others = [arm for arm in numbers if arm != best]
    if metric in queries.columns:
        gains = [gain_of(queries, metric, best, other) for other in others]
        leads = [gain is not None and gain.is_resolved for gain in gains]
    else:
        leads = [_lies_apart(numbers[best], numbers[other]) for other in others]
    return best if all(leads) else None


def _lies_apart(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> bool:
    """Tell whether the intervals of two rows are known and do not meet."""
    a_low, a_high, b_low, b_high = (row[end] for row in (a, b) for end in ("low", "high"))
    if a_low is None or a_high is None or b_low is None or b_high is None:
        return False
    return a_low > b_high or a_high < b_low
