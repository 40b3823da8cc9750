"""The tables of a report, made of a run's frames.

This module computes no metric; it chooses, orders and rounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from matir_nb.evaluation.runs.blocks import Cell, Table
from matir_nb.evaluation.runs.gains import (
    OVERALL,
    Gain,
    arms_of,
    base_of,
    gain_of,
    numbers_of,
    winner_of,
)
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER
from matir_nb.terms import MINUS, signed

NOTHING = "–"
MAX_ROWS = 60
SIZE = "size: "


def value_cell(row: Mapping[str, Any] | None, *, is_strong: bool = False) -> Cell:
    """Return a number of the report with its interval.

    >>> value_cell({"value": 0.5, "low": 0.25, "high": 0.75})
    Cell(text='0.500', small='[0.250, 0.750]', is_strong=False)
    """
    if row is None or row["value"] is None:
        return Cell(NOTHING)
    has_interval = row["low"] is not None and row["high"] is not None
    small = f"[{plain(row['low'])}, {plain(row['high'])}]" if has_interval else ""
    return Cell(plain(row["value"]), small, is_strong)


def plain(value: float) -> str:
    """Return a number in three decimals, with a true minus.

    >>> plain(0.5), plain(-0.25)
    ('0.500', '−0.250')
    """
    return f"{value:.3f}".replace("-", MINUS)


def gain_text(gain: Gain) -> tuple[str, str]:
    """Return a difference with its sign, and its interval.

    >>> gain_text(Gain(0.05, 0.01, 0.09, 30))
    ('+0.050', '[+0.010, +0.090]')
    """
    return signed(gain.value, 3), f"[{signed(gain.low, 3)}, {signed(gain.high, 3)}]"


def headline_table(
    queries: pl.DataFrame, report: pl.DataFrame, metrics: Sequence[str], *, caption: str
) -> Table:
    """Return arms x metrics over all queries, then chance and the number of observations."""
    numbers = {metric: numbers_of(report, metric) for metric in metrics}
    best = {metric: winner_of(queries, report, metric) for metric in metrics}
    rows = [
        (Cell(arm), *(value_cell(numbers[m].get(arm), is_strong=best[m] == arm) for m in metrics))
        for arm in arms_of(report)
    ]
    chance = [_chance(numbers[metric].values()) for metric in metrics]
    if any(cell.text != NOTHING for cell in chance):
        rows.append((Cell("chance", "random order"), *chance))
    rows.append((Cell("n", "observations"), *(_n(numbers[m].values()) for m in metrics)))
    return Table(caption, ("arm", *metrics), tuple(rows))


def _chance(rows: Iterable[Mapping[str, Any]]) -> Cell:
    values = [row["chance"] for row in rows if row["chance"] is not None]
    return Cell(plain(values[0])) if values else Cell(NOTHING)


def _n(rows: Iterable[Mapping[str, Any]]) -> Cell:
    counts = sorted({int(row["n"]) for row in rows})
    if not counts:
        return Cell(NOTHING)
    return Cell(f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}")


def kinds_of(report: pl.DataFrame) -> list[str]:
    """Return the groups of the report beside "overall" and the sizes, in order."""
    groups = report["group"].unique(maintain_order=True).to_list()
    return [group for group in groups if group != OVERALL and not group.startswith(SIZE)]


def kinds_table(report: pl.DataFrame, metrics: Sequence[str], *, caption: str) -> Table | None:
    """Return kinds of query x arms, with the metrics beside; None with fewer than two kinds.

    A kind to which none of the metrics applies is left out.

    At most `MAX_ROWS` rows: the kinds with the most observations.
    """
    arms, kinds = arms_of(report), kinds_of(report)
    if len(kinds) < 2:
        return None
    numbers = {(kind, m): numbers_of(report, m, kind) for kind in kinds for m in metrics}
    sizes = {kind: max((_most(numbers[kind, m]) for m in metrics), default=0) for kind in kinds}
    kinds = [kind for kind in kinds if sizes[kind]]
    kept = sorted(kinds, key=lambda kind: -sizes[kind])[: max(MAX_ROWS // len(arms), 1)]
    left_out = len(kinds) - len(kept)
    if left_out:
        caption += f" The {len(kept)} largest kinds; {left_out} more are in report.parquet."
    rows = tuple(
        (
            Cell(kind, f"n = {sizes[kind]}"),
            Cell(arm),
            *(value_cell(numbers[kind, metric].get(arm)) for metric in metrics),
        )
        for kind in kinds
        if kind in kept
        for arm in arms
    )
    return Table(caption, ("kind", "arm", *metrics), rows, n_labels=2, n_words=2)


def _most(rows: Mapping[str, Mapping[str, Any]]) -> int:
    return max((int(row["n"]) for row in rows.values()), default=0)


def sizes_table(report: pl.DataFrame, *, caption: str) -> Table | None:
    """Return arms x sizes of the target, for the metrics that are known by size."""
    of_sizes = report.filter(pl.col("group").str.starts_with(SIZE) & pl.col("value").is_not_null())
    if of_sizes.is_empty():
        return None
    columns = list(of_sizes.select("group", "metric").unique(maintain_order=True).iter_rows())
    found = {(row["arm"], row["group"], row["metric"]): row for row in of_sizes.to_dicts()}
    rows = [
        (Cell(arm), *(value_cell(found.get((arm, *column))) for column in columns))
        for arm in arms_of(of_sizes)
    ]
    counts = (_n([r for (_, *c), r in found.items() if tuple(c) == col]) for col in columns)
    rows.append((Cell("n", "targets"), *counts))
    names = (size_name(group, metric) for group, metric in columns)
    return Table(caption, ("arm", *names), tuple(rows))


def size_name(group: str, metric: str) -> str:
    """Return the metric's name with the size in it, once.

    >>> size_name("size: small", "recall@10"), size_name("size: small", "recall@10 small")
    ('recall@10 small', 'recall@10 small')
    """
    size = group.removeprefix(SIZE)
    return metric if metric.endswith(size) else f"{metric} {size}"


def gains_table(queries: pl.DataFrame, metrics: Sequence[str], *, caption: str) -> Table | None:
    """Return the other arms x metrics: gains over stage 1, query by query."""
    arms = arms_of(queries)
    base = base_of(arms)
    shown = [metric for metric in metrics if metric in queries.columns]
    if len(arms) < 2 or not shown:
        return None
    rows = [
        (Cell(arm), *(_gain_cell(gain_of(queries, metric, arm, base)) for metric in shown))
        for arm in arms
        if arm != base
    ]
    return Table(caption, (f"arm − {base}", *shown), tuple(rows))


def _gain_cell(gain: Gain | None) -> Cell:
    if gain is None:
        return Cell(NOTHING)
    text, interval = gain_text(gain)
    return Cell(text, f"{interval} n = {gain.n}", gain.is_resolved)


def rest_table(report: pl.DataFrame, shown: Sequence[str], *, caption: str) -> Table | None:
    """Return the metrics that are not `shown` x arms, over all queries."""
    whole = report.filter((pl.col("group") == OVERALL) & pl.col("value").is_not_null())
    metrics = [m for m in whole["metric"].unique(maintain_order=True) if m not in shown]
    if not metrics:
        return None
    arms = arms_of(report)
    rows = []
    for metric in metrics:
        numbers = numbers_of(report, metric)
        name = Cell(metric, "lower is better" if metric in LOWER_IS_BETTER else "")
        values = (value_cell(numbers.get(arm)) for arm in arms)
        rows.append((name, *values, _chance(numbers.values()), _n(numbers.values())))
    return Table(caption, ("metric", *arms, "chance", "n"), tuple(rows))


def cost_table(queries: pl.DataFrame, *, caption: str) -> Table | None:
    """Return arms x seconds for a query."""
    timed = queries.filter(pl.col("seconds").is_not_null())
    if timed.is_empty():
        return None
    seconds = pl.col("seconds")
    found = timed.group_by("arm", maintain_order=True).agg(
        median=seconds.median(), high=seconds.quantile(0.95), total=seconds.sum(), n=pl.len()
    )
    rows = tuple(
        (Cell(arm), Cell(f"{median:.3f}"), Cell(f"{high:.3f}"), Cell(f"{total:.1f}"), Cell(f"{n}"))
        for arm, median, high, total, n in found.iter_rows()
    )
    return Table(caption, ("arm", "median s", "95th percentile s", "all queries s", "n"), rows)
