"""A run's report as text for a terminal. Knows no engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from matir_nb.evaluation.runs.gains import OVERALL, arms_of, base_of, gain_of
from matir_nb.printing import printable, table

SIZES = ("small", "medium", "large")
ABSENCE = ("rejection", "acceptance", "false positives")
ABSENCE_TITLE = (
    "queries about what is not there: share of wrong images that the judge rejects (p < 0.5), of "
    "right ones that it accepts; false positives: of queries with nothing to find, where a hit "
    "stands out"
)
SIZE_TITLE = (
    "share of the relevant images in the top 10, by the size of their largest target (below 1 "
    "where a query has more than ten)"
)
MAX_GAINS = 3
"""Metrics whose gains are shown; the report has them all."""


def format_report(
    queries: pl.DataFrame, report: pl.DataFrame, provenance: Mapping[str, Any]
) -> str:
    """Return the headline numbers of every arm, by kind of query, and what must be known.

    Args:
        queries: the rows of a run.
        report: its numbers, `REPORT_SCHEMA`.
        provenance: what ``run.json`` holds.
    """
    arms = arms_of(queries)
    there = set(report["metric"])
    headline = [name for name in provenance["dataset"]["headline"] if name in there]
    headline = [name for name in headline if name not in ABSENCE] or ["mAP@50"]
    gains = list(_gains(queries, arms, headline))
    parts = [
        "\n".join(_about(provenance)),
        _scores(report, arms, headline),
        *_titled(ABSENCE_TITLE, _wide(report, arms, [(OVERALL, name) for name in ABSENCE])),
        *_titled(
            SIZE_TITLE, _wide(report, arms, [(f"size: {size}", "recall@10") for size in SIZES])
        ),
        *_titled(f"over {base_of(arms)}, query by query", gains),
        *_absent(provenance),
    ]
    return "\n\n".join(parts)


def _about(provenance: Mapping[str, Any]) -> Iterator[str]:
    dataset, index = provenance["dataset"], provenance["index"]
    n_images, n_queries = dataset["n_images"], dataset["n_queries"]
    judged = [f"{arm} {of['n_judged']}" for arm, of in provenance["arms"].items() if of["n_judged"]]
    yield (
        f"{dataset['name']}: {n_queries} queries, {n_images} images, {index['n_regions']} regions; "
        f"candidates judged: {', '.join(judged) or 'none'}"
    )
    yield from (f"{name}: {value}" for name, value in dataset["protocol"].items())
    yield from (f"note: {printable(notice)}" for notice in provenance["notices"])
    yield "brackets: 95 % bootstrap interval over queries; chance: a random order of the gallery"


def _scores(report: pl.DataFrame, arms: Sequence[str], metrics: Sequence[str]) -> str:
    """Return the table of arms and kinds of queries; chance stands below, of all queries."""
    numbers = _numbers(report)
    groups = [g for g in report["group"].unique(maintain_order=True) if not g.startswith("size: ")]
    rows = []
    for arm in arms:
        for group in groups:
            found = [numbers.get((arm, group, name)) for name in metrics]
            n = max((one["n"] for one in found if one), default=0)
            if n:
                rows.append([printable(arm), printable(group), str(n), *map(_cell, found)])
    random = [numbers.get((arms[0], OVERALL, name), {}).get("chance") for name in metrics]
    if any(value is not None for value in random):
        cells = ["-" if value is None else f"{value:.3f}" for value in random]
        rows.append(["chance", OVERALL, "", *cells])
    return table(("arm", "queries", "n", *metrics), rows, left=("arm", "queries"))


def _wide(
    report: pl.DataFrame, arms: Sequence[str], wanted: Sequence[tuple[str, str]]
) -> list[list[str]]:
    """Return a head and a row per arm: what there is of `wanted` groups and metrics."""
    numbers = _numbers(report)
    there = [one for one in wanted if any((arm, *one) in numbers for arm in arms)]
    if not there:
        return []
    head = ["arm", *(group.removeprefix("size: ") if "size" in group else m for group, m in there)]
    return [head, *([printable(a), *(_cell(numbers.get((a, *of))) for of in there)] for a in arms)]


def _gains(
    queries: pl.DataFrame, arms: Sequence[str], metrics: Sequence[str]
) -> Iterator[list[str]]:
    """Yield a head, and a row per arm that is compared with the first."""
    base = base_of(tuple(arms))
    shown = [name for name in metrics if name in queries.columns][:MAX_GAINS]
    others = [arm for arm in arms if arm != base]
    if not shown or not others:
        return
    yield ["arm", *(f"gain in {name}" for name in shown)]
    for arm in others:
        gains = [gain_of(queries, name, arm, base) for name in shown]
        cells = [
            "-" if gain is None else f"{gain.value:+.3f} [{gain.low:+.3f} {gain.high:+.3f}]"
            for gain in gains
        ]
        yield [printable(arm), *cells]


def _absent(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not in the tables, and why."""
    arms, same = provenance["arms"], provenance["default_is"]
    if same in arms and same != "default" and "default" not in arms:
        yield f"the preset by itself answers as {same} does"
    for arm, reason in provenance["unavailable"].items():
        yield f"{printable(arm)}: not available: {printable(reason)}"
    if provenance.get("earlier"):
        yield f"another run was in this folder: it is kept in {provenance['earlier']}"
    missing = provenance["index"]["missing"]
    if missing:
        skipped = provenance["index"]["skipped"]
        named = [f"{name} ({skipped[name]})" if name in skipped else name for name in missing]
        more = provenance["index"]["n_missing"] - len(missing)
        rest = f", and {more} more" if more else ""
        yield f"not in the index: {printable(', '.join(named))}{rest}"


def _numbers(report: pl.DataFrame) -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = report.iter_rows(named=True)
    return {(row["arm"], row["group"], row["metric"]): row for row in rows}


def _cell(row: Mapping[str, Any] | None) -> str:
    """Return "0.812 [0.790 0.834]"; "-" where there was nothing to measure."""
    if row is None or row["value"] is None:
        return "-"
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} [{row['low']:.3f} {row['high']:.3f}]"


def _titled(title: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield title
        yield table(rows[0], rows[1:], left=rows[0][:1])
