"""Two runs side by side as a page: what differs, by how much, on which queries.

This module computes nothing; it chooses, orders and rounds what a comparison holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from matir_nb.errors import require_known
from matir_nb.evaluation.bootstrap import N_RESAMPLES
from matir_nb.evaluation.runs.blocks import (
    Block,
    Cell,
    Facts,
    Page,
    Paragraph,
    Picture,
    Section,
    Table,
)
from matir_nb.evaluation.runs.chapters import notices_of
from matir_nb.evaluation.runs.compare import RunComparison
from matir_nb.evaluation.runs.compare_sheets import comparison_sheets
from matir_nb.evaluation.runs.glossary import conventions
from matir_nb.evaluation.runs.page_files import write_page_files
from matir_nb.evaluation.runs.paired import HEADLINE, KINDS, OTHERS
from matir_nb.evaluation.runs.tables import NOTHING, plain
from matir_nb.evaluation.runs.worst import Album
from matir_nb.evaluation.significance import MAX_EXACT, N_FLIPS
from matir_nb.printing import printable, table
from matir_nb.terms import signed

NAME = "compare"
N_LISTED = 10
N_PICTURES = 3
"""Wins that are shown as pictures, and losses."""
LEVEL = 0.05
MAX_KINDS = 40
SMALLEST = 0.001
HEAD = ("metric", "A", "B", "B − A", "p", "p Holm", "p BH", "wins / ties / losses", "n")
TESTS = (
    "B − A: the mean difference over the queries that have a value in both, and its 95 % interval "
    f"(paired percentile bootstrap, {N_RESAMPLES} resamples; Efron & Tibshirani, 1993). p: paired "
    f"randomisation test, two-sided, {N_FLIPS:,} sign flips, or all of them where at most "
    f"{MAX_EXACT} queries differ (Smucker et al., CIKM 2007). p Holm: corrected so that any false "
    "finding in the table has at most the stated chance (Holm, 1979); p BH: so that of the "
    "findings at most that share is false (Benjamini & Hochberg, 1995). Wins: queries on which B "
    f"is better. Bold: p Holm below {LEVEL}."
)


def write_comparison(
    comparison: RunComparison,
    out: Path,
    *,
    album: Album | None = None,
    metric: str | None = None,
    n_pictures: int = N_PICTURES,
) -> list[Path]:
    """Write compare.html, compare.md, their pictures and tables; return the paths.

    Args:
        comparison: of two runs.
        out: the folder, made if it is not there.
        album: gives pictures; None = wins and losses are listed only.
        metric: by which queries are won and lost; None = the first of the headline with AP first.
        n_pictures: wins shown as pictures, and losses.

    Raises:
        ConfigError: the metric is unknown, or the system does not let us write.
    """
    chosen = (
        deciding_metric(comparison.headline or comparison.metrics) if metric is None else metric
    )
    require_known("metric", [chosen], comparison.metrics)
    sheets = {} if album is None else comparison_sheets(comparison, chosen, album, n_pictures)
    return write_page_files(
        comparison_page(comparison, chosen, sheets),
        out,
        NAME,
        frames={"compare": comparison.table, "differences": comparison.per_query},
    )


def deciding_metric(metrics: Sequence[str]) -> str:
    """Return the metric by which queries are told apart: AP where there is one, else the first.

    >>> deciding_metric(["R@1", "mAP@50"]), deciding_metric(["R@1", "mIoU"])
    ('mAP@50', 'R@1')
    """
    return "mAP@50" if "mAP@50" in metrics else metrics[0]


def comparison_page(
    comparison: RunComparison, metric: str, sheets: Mapping[str, Sequence[Picture]]
) -> Page:
    """Return the page.

    Args:
        comparison: of two runs.
        metric: by which queries are won and lost.
        sheets: "wins" and "losses" -> pictures.
    """
    runs = {id(side.run): side.run for side in (comparison.a, comparison.b)}
    told = [notice for run in runs.values() for notice in notices_of(run.provenance)]
    made = (
        Section("What is compared", (_about(comparison),)),
        Section("Headline", tuple(_family(comparison, HEADLINE))),
        Section("By kind of query", tuple(_kinds(comparison))),
        Section(f"Wins by {metric}", tuple(_queries(comparison, metric, "wins", sheets))),
        Section(f"Losses by {metric}", tuple(_queries(comparison, metric, "losses", sheets))),
        Section("Other metrics", tuple(_family(comparison, OTHERS))),
        Section("What the metrics mean", (Facts(tuple(conventions(comparison.metrics))),)),
    )
    a, b = comparison.a, comparison.b
    return Page(
        f"{a.run.dataset_name}: {a.name} → {b.name}",
        summary_of(comparison, metric),
        tuple(dict.fromkeys([*comparison.notes, *told])),
        tuple(section for section in made if section.blocks),
    )


def summary_of(comparison: RunComparison, metric: str) -> str:
    """Return one sentence: both means, the difference, and whether it could be chance."""
    rows = comparison.table.filter((pl.col("metric") == metric) & (pl.col("family") != KINDS))
    row = rows.row(0, named=True)
    if not row["n"]:
        return f"{metric} applies to no query in both {comparison.a.name} and {comparison.b.name}."
    between = f"[{signed(row['low'], 3)}, {signed(row['high'], 3)}]"
    said = "a difference" if row["p_holm"] < LEVEL else "no difference that these queries resolve"
    return (
        f"Over {row['n']} queries, {metric} is {plain(row['mean_a'])} with {comparison.a.name} and "
        f"{plain(row['mean_b'])} with {comparison.b.name}: {said} ({signed(row['difference'], 3)} "
        f"{between}, p {p_text(row['p_holm'])} after Holm's correction; {row['wins']} wins, "
        f"{row['ties']} ties, {row['losses']} losses)."
    )


def p_text(p: float | None) -> str:
    """Return a p value: three decimals, never 0.

    >>> p_text(0.0312), p_text(0.0001), p_text(None)
    ('0.031', '<0.001', '–')
    """
    if p is None:
        return NOTHING
    return f"<{SMALLEST}" if p < SMALLEST else f"{p:.3f}"


def comparison_text(comparison: RunComparison, *, family: str = HEADLINE) -> str:
    """Return the table of a family as text, with what is compared above and notes below."""
    rows = comparison.table.filter(pl.col("family") == family).to_dicts()
    rows = rows or comparison.table.filter(pl.col("family") == OTHERS).to_dicts()
    lines = [f"A: {printable(comparison.a.name)}    B: {printable(comparison.b.name)}", ""]
    cells = [
        [cell.text + (f" {cell.small}" if cell.small else "") for cell in cells_of(row)]
        for row in rows
    ]
    lines.append(table(HEAD, cells, left=["metric"]))
    lines.append("p: randomisation test over queries; Holm, BH: corrected for the metrics above")
    lines += [f"differs: {n}: {' → '.join(of)}" for n, of in comparison.changes.items()]
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join(lines)


def cells_of(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the cells under `HEAD` of a row of `PAIRED_SCHEMA`."""
    return (Cell(row["metric"]), *number_cells(row))


def number_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the cells behind the name: means, difference, p, tally."""
    if not row["n"]:
        return (*(Cell(NOTHING) for _ in HEAD[2:]), Cell("0"))
    is_found = row["p_holm"] < LEVEL
    return (
        Cell(plain(row["mean_a"])),
        Cell(plain(row["mean_b"])),
        Cell(
            signed(row["difference"], 3),
            f"[{signed(row['low'], 3)}, {signed(row['high'], 3)}]",
            is_found,
        ),
        *(Cell(p_text(row[name])) for name in ("p", "p_holm", "p_bh")),
        Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"),
        Cell(str(row["n"])),
    )


def _about(comparison: RunComparison) -> Facts:
    a, b = comparison.a, comparison.b
    pairs = [("dataset", a.run.dataset_name), ("queries in both", str(comparison.n_queries))]
    models = [side.run.provenance.get("models") or {} for side in (a, b)]
    for name, side, of_side in (("A", a, models[0]), ("B", b, models[1])):
        pairs += [
            (name, side.name),
            (f"{name}: run", str(side.run.folder)),
            (f"{name}: arm", side.arm),
        ]
        pairs.append(
            (f"{name}: judge", _known((of_side.get("judges") or {}).get(side.arm)) or "none")
        )
    for role in ("segmenter", "encoder"):
        own = [_known(of_side.get(role)) for of_side in models]
        both = [(f"A and B: {role}", own[0])]
        pairs += both if own[0] == own[1] else [(f"A: {role}", own[0]), (f"B: {role}", own[1])]
    pairs += [(f"differs: {name}", " → ".join(of)) for name, of in comparison.changes.items()]
    return Facts(tuple((name, value) for name, value in pairs if value))


def _known(model_id: object) -> str:
    """Return a model's name and revision; what it was set to is among what differs."""
    return str(model_id or "").partition("|")[0]


_METRICS_OF = {HEADLINE: "the headline metrics", OTHERS: "the other metrics"}
"""Tables of one page have their own names."""


def _family(comparison: RunComparison, family: str) -> Iterator[Block]:
    rows = _rows(comparison, family)
    if not rows:
        return
    n, a, b = len(rows), comparison.a.name, comparison.b.name
    caption = f"Tests of {_METRICS_OF[family]}: {n}, corrected together. A: {a}. B: {b}."
    yield Table(caption, HEAD, tuple(cells_of(row) for row in rows))
    if family == HEADLINE:
        yield Paragraph(TESTS)


def _rows(comparison: RunComparison, family: str) -> list[dict[str, Any]]:
    """Return the tests of a family that had any query."""
    return comparison.table.filter((pl.col("family") == family) & (pl.col("n") > 0)).to_dicts()


def _kinds(comparison: RunComparison) -> Iterator[Block]:
    rows = _rows(comparison, KINDS)
    if not rows:
        return
    n_left = max(len(rows) - MAX_KINDS, 0)
    caption = f"The headline by kind of query: {len(rows)} tests, corrected together."
    if n_left:
        rows = sorted(rows, key=lambda row: -row["n"])[:MAX_KINDS]
        caption += f" Those of most queries; {n_left} more are in compare.parquet."
    cells = tuple((Cell(row["group"]), *cells_of(row)) for row in rows)
    yield Table(caption, ("kind", *HEAD), cells, n_labels=2)


def _queries(
    comparison: RunComparison, metric: str, which: str, sheets: Mapping[str, Sequence[Picture]]
) -> Iterator[Block]:
    rows = _found(comparison, metric, which)
    better = "better" if which == "wins" else "worse"
    if rows.is_empty():
        yield Paragraph(f"None: B is {better} on no query.")
        return
    n = len(rows)
    shown = f"the {N_LISTED} largest of {n}" if n > N_LISTED else f"all {n}"
    caption = f"Queries on which B is {better} by {metric}, largest difference first: {shown}."
    cells = tuple(
        (
            Cell(row["text"], row["query_id"]),
            Cell(row["kind"]),
            Cell(plain(row["a"])),
            Cell(plain(row["b"])),
            Cell(signed(row["difference"], 3)),
        )
        for row in rows.head(N_LISTED).iter_rows(named=True)
    )
    yield Table(caption, ("query", "kind", "A", "B", "B − A"), cells)
    yield from sheets.get(which, ())


def _found(comparison: RunComparison, metric: str, which: str) -> pl.DataFrame:
    return comparison.wins(metric) if which == "wins" else comparison.losses(metric)
