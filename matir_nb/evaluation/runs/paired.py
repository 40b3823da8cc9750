"""Two frames of per-query metrics, query by query: differences, and tests of their means.

This module knows no run and no file.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.evaluation.runs.gains import OVERALL
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.evaluation.significance import (
    benjamini_hochberg,
    holm,
    paired_bootstrap,
    randomisation_p,
)

Floats: TypeAlias = NDArray[np.float64]

ALIKE = 1e-12
"""Values closer than this are a tie."""

DIFFERENCE_SCHEMA = pl.Schema(
    {
        "query_id": pl.String(),
        "text": pl.String(),
        "kind": pl.String(),
        "metric": pl.String(),
        "a": pl.Float64(),
        "b": pl.Float64(),
        "difference": pl.Float64(),
    }
)
"""One row per query and metric: both values, and `b` - `a`; null where the metric does not apply to
the query in one of them."""

HEADLINE, OTHERS, KINDS = "headline", "other metrics", "kinds of query"
PAIRED_SCHEMA = pl.Schema(
    {
        "family": pl.String(),
        "group": pl.String(),
        "metric": pl.String(),
        "mean_a": pl.Float64(),
        "mean_b": pl.Float64(),
        "difference": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "p": pl.Float64(),
        "p_holm": pl.Float64(),
        "p_bh": pl.Float64(),
        "p_bootstrap": pl.Float64(),
        "wins": pl.Int64(),
        "ties": pl.Int64(),
        "losses": pl.Int64(),
        "n": pl.Int64(),
    }
)
"""A metric over the queries to which it applies in both.

family: tests whose p are corrected together: the metrics that the field reports, over all queries;
the other metrics, likewise; the former by kind of query. group: "overall", or a kind of query.
mean_a, mean_b: over these queries; difference: mean_b - mean_a; low, high: its 95 % interval.
p: of the randomisation test. p_holm, p_bh: corrected for the tests of the family. p_bootstrap: of
the paired bootstrap.
wins, losses: queries on which `b` is better, and worse. n: all of these queries.
"""


def metrics_of(queries: pl.DataFrame) -> list[str]:
    """Return the per-query metrics of a frame: its numbers beyond `OBSERVED_SCHEMA`."""
    return [
        name
        for name, dtype in queries.schema.items()
        if name not in OBSERVED_SCHEMA and dtype == pl.Float64
    ]


def differences(a: pl.DataFrame, b: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """Return `DIFFERENCE_SCHEMA` of the queries that both have, in the order of `a`.

    Args:
        a: one row per query, with a column for each metric.
        b: likewise.
        metrics: columns of both.
    """
    about = ["query_id", "text", "kind"]
    joined = a.select(*about, *metrics).join(
        b.select("query_id", *metrics),
        on="query_id",
        how="inner",
        suffix=" b",
        maintain_order="left",
    )
    parts = [
        joined.select(
            *about, metric=pl.lit(name), a=pl.col(name), b=pl.col(f"{name} b")
        ).with_columns(difference=pl.col("b") - pl.col("a"))
        for name in metrics
    ]
    return pl.concat([pl.DataFrame(schema=DIFFERENCE_SCHEMA), *parts])


def paired_table(
    found: pl.DataFrame, headline: Collection[str] | None = None, *, seed: int = 0
) -> pl.DataFrame:
    """Return `PAIRED_SCHEMA`: all metrics overall, then the headline by kind of query.

    Args:
        found: with `DIFFERENCE_SCHEMA`, every query with every metric.
        headline: metrics of the first family; None = all.
        seed: of resamples and flips.
    """
    is_first = pl.lit(True) if headline is None else pl.col("metric").is_in(list(headline))
    first, rest = found.filter(is_first), found.filter(~is_first)
    kinds = found["kind"].unique(maintain_order=True).to_list()
    by_kind = [(str(kind), first.filter(pl.col("kind") == kind)) for kind in kinds]
    families = {HEADLINE: [(OVERALL, first)], OTHERS: [(OVERALL, rest)]}
    families |= {KINDS: by_kind} if len(kinds) > 1 else {}
    return pl.concat(_family(name, groups, seed) for name, groups in families.items())


def paired_tests(
    a: Floats, b: Floats, *, lower_is_better: Sequence[bool] = (), seed: int = 0
) -> pl.DataFrame:
    """Return one row per column, with those of `PAIRED_SCHEMA` but group and metric.

    The columns are a family: their p are corrected together. They share all draws.

    Args:
        a: (n, m): a row per query; NaN = has no value.
        b: (n, m): likewise.
        lower_is_better: of each column; empty = of none.
        seed: of resamples and flips.
    """
    gaps = np.where(np.abs(b - a) <= ALIKE, 0.0, b - a)
    there = ~np.isnan(gaps)
    boot, p = paired_bootstrap(gaps, seed=seed), randomisation_p(gaps, seed=seed)
    signs = np.where(np.array(lower_is_better or [False] * gaps.shape[1]), -1.0, 1.0)
    wins, losses = ((way * signs * gaps > 0).sum(axis=0) for way in (1, -1))
    n = there.sum(axis=0)
    numbers = {
        "mean_a": _means(a, there),
        "mean_b": _means(b, there),
        "difference": _means(gaps, there),
        "low": boot.low,
        "high": boot.high,
        "p": p,
        "p_holm": holm(p),
        "p_bh": benjamini_hochberg(p),
        "p_bootstrap": boot.p,
    }
    counts = {"wins": wins, "ties": n - wins - losses, "losses": losses, "n": n}
    schema = {name: PAIRED_SCHEMA[name] for name in [*numbers, *counts]}
    return pl.DataFrame(numbers | counts, schema).fill_nan(None)


def _family(family: str, groups: Iterable[tuple[str, pl.DataFrame]], seed: int) -> pl.DataFrame:
    """Return the rows of groups whose p are corrected together."""
    tables = [pl.DataFrame(schema=PAIRED_SCHEMA)]
    for name, group in groups:
        metrics = group["metric"].unique(maintain_order=True).to_list()
        a, b = (_matrix(group, side, len(metrics)) for side in ("a", "b"))
        lower = [metric in LOWER_IS_BETTER for metric in metrics]
        rows = paired_tests(a, b, lower_is_better=lower, seed=seed)
        names = {"family": family, "group": name}
        about = [pl.lit(value).alias(column) for column, value in names.items()]
        tables.append(rows.select(*about, pl.Series("metric", metrics, pl.String), pl.all()))
    table = pl.concat(tables)
    p = table["p"].fill_null(np.nan).to_numpy()
    corrected = {"p_holm": holm(p), "p_bh": benjamini_hochberg(p)}
    return table.with_columns(pl.Series(name, of).fill_nan(None) for name, of in corrected.items())


def _matrix(found: pl.DataFrame, column: str, n_metrics: int) -> Floats:
    """Return (queries, metrics); the rows of `found` come metric by metric."""
    values: Floats = found[column].fill_null(np.nan).to_numpy()
    return values.reshape(n_metrics, -1).T if n_metrics else values.reshape(0, 0)


def _means(values: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return (m,) means of what is there; NaN of nothing."""
    n = there.sum(axis=0)
    found: Floats = np.where(
        n > 0, np.where(there, values, 0).sum(axis=0) / np.maximum(n, 1), np.nan
    )
    return found
