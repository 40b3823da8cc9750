"""Two runs on one dataset, or two arms of one run, query by query.

Differences are B - A, from the run compared with to the other; a win is a query on which B is
better. What is tested and how is in `matir_nb.evaluation.significance`. This module opens no
index and loads no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from matir_nb.doors import above
from matir_nb.errors import ConfigError, require_known
from matir_nb.evaluation.runs.comparable import Side, changes_of, notes_of, sides_of
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER
from matir_nb.evaluation.runs.paired import (
    HEADLINE,
    differences,
    metrics_of,
    paired_table,
)
from matir_nb.printing import html_lines


@dataclass(frozen=True, eq=False, repr=False)
class RunComparison:
    """From `a` to `b`.

    Attributes:
        a: what is compared with.
        b: the other.
        table: `matir_nb.evaluation.runs.paired.PAIRED_SCHEMA`: means, differences, tests.
        per_query: `matir_nb.evaluation.runs.paired.DIFFERENCE_SCHEMA`: the values behind them.
        notes: what a reader of the numbers must know, e.g. that queries are in one run only.
        changes: what is not alike: option, model or fact of the index -> A's value, B's value.
    """

    a: Side
    b: Side
    table: pl.DataFrame
    per_query: pl.DataFrame
    notes: tuple[str, ...] = ()
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def headline(self) -> list[str]:
        """The metrics of the first family: those that the field reports, or that were asked for."""
        return self._metrics_of(pl.col("family") == HEADLINE)

    @property
    def metrics(self) -> list[str]:
        """The metrics, those that the field reports first."""
        return self._metrics_of(pl.lit(True))

    @property
    def n_queries(self) -> int:
        """Queries that both have."""
        return self.per_query["query_id"].n_unique()

    def wins(self, metric: str, k: int | None = None) -> pl.DataFrame:
        """Return the queries on which `b` is better, the largest difference first.

        Args:
            metric: one of `metrics`.
            k: at most so many; None = all.

        Raises:
            ConfigError: the metric is unknown.
        """
        return self._unlike(metric, k, gains=True)

    def losses(self, metric: str, k: int | None = None) -> pl.DataFrame:
        """Return the queries on which `b` is worse, the largest difference first.

        Args:
            metric: one of `metrics`.
            k: at most so many; None = all.

        Raises:
            ConfigError: the metric is unknown.
        """
        return self._unlike(metric, k, gains=False)

    def __repr__(self) -> str:
        """Return one line: what is compared, on how many queries."""
        return f"RunComparison({self.a.name!r} -> {self.b.name!r}, {self.n_queries} queries)"

    def __str__(self) -> str:
        """Return the table in words."""
        text: str = above("evaluation.runs.compare_page").comparison_text(self)
        return text

    def _repr_html_(self) -> str:
        return f"{html_lines(repr(self))}{self.table._repr_html_()}"

    def _metrics_of(self, rows: pl.Expr) -> list[str]:
        return self.table.filter(rows)["metric"].unique(maintain_order=True).to_list()

    def _unlike(self, metric: str, k: int | None, *, gains: bool) -> pl.DataFrame:
        require_known("metric", [metric], self.metrics)
        rises = gains != (metric in LOWER_IS_BETTER)
        gap = pl.col("difference") if rises else -pl.col("difference")
        rows = self.per_query.filter((pl.col("metric") == metric) & (gap > 0))
        ordered = rows.sort(gap, pl.col("query_id"), descending=[True, False])
        return ordered if k is None else ordered.head(k)


def compare_runs(
    a: Run,
    b: Run,
    *,
    arm_a: str | None = None,
    arm_b: str | None = None,
    metrics: Sequence[str] | None = None,
) -> RunComparison:
    """Compare two runs on one dataset, or two arms of one run, on the queries that both have.

    Args:
        a: what is compared with.
        b: the other; may be `a` itself.
        arm_a: of `a`; None = `a`'s only arm, or the last that both have; of one run with two
            arms, the first.
        arm_b: of `b`; None = likewise; of one run with two arms, the second.
        metrics: those compared and corrected for; None = all that both have for single queries.

    Raises:
        ConfigError: the runs are of different datasets or protocols, an arm or a metric is
            unknown or not given though there are several, or no query is in both.
    """
    sides = sides_of(a, b, arm_a, arm_b)
    frames = (sides[0].queries, sides[1].queries)
    chosen = _metrics(frames, a, metrics)
    found = differences(frames[0], frames[1], chosen)
    if found.is_empty():
        message = (
            f"no query is in both {sides[0].name!r} and {sides[1].name!r}: "
            "compare runs that asked the same queries"
        )
        raise ConfigError(message)
    headline = a.provenance["dataset"].get("headline", ()) if metrics is None else chosen
    table = paired_table(found, headline)
    return RunComparison(*sides, table, found, notes_of(sides), changes_of(sides))


def _metrics(frames: Sequence[pl.DataFrame], run: Run, wanted: Sequence[str] | None) -> list[str]:
    """Return the metrics to compare, those that the field reports first."""
    of_b = metrics_of(frames[1])
    shared = [name for name in metrics_of(frames[0]) if name in of_b]
    if wanted is not None:
        require_known("metric of both runs", wanted, shared)
        return list(dict.fromkeys(wanted))
    known = [n for n in shared if all(frame[n].null_count() < len(frame) for frame in frames)]
    first = [name for name in run.provenance["dataset"].get("headline", ()) if name in known]
    return list(dict.fromkeys([*first, *known]))
