"""An ablation as a page: which arm is best, and which switch or weight matters.

This module computes nothing; it chooses, orders and rounds what an ablation holds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matir_nb.evaluation.runs.ablate import Ablation
from matir_nb.evaluation.runs.blocks import Cell, Facts, Page, Paragraph, Section, Table
from matir_nb.evaluation.runs.chapters import notices_of
from matir_nb.evaluation.runs.compare_page import LEVEL, TESTS, number_cells, p_text
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER, conventions
from matir_nb.evaluation.runs.grid import BASE
from matir_nb.evaluation.runs.page_files import write_page_files
from matir_nb.evaluation.runs.tables import NOTHING, plain
from matir_nb.printing import printable, table
from matir_nb.terms import signed

NAME = "ablation"
MAX_ROWS = 60
HEAD = ("arm", "value", "arm − preset", "p", "p Holm", "wins / ties / losses", "n", "s")
EFFECT_HEAD = (
    "option",
    "own → value",
    "pairs",
    "own",
    "value",
    "difference",
    "p",
    "p Holm",
    "p BH",
    "wins / ties / losses",
    "n",
)
ARMS = (
    "Each arm changes what its name says, and is the preset otherwise. It is compared with the "
    "preset's own arm query by query. s: median seconds of a query, as measured in this run: an "
    "arm that asks a judge what another asked before is answered from memory, and costs less than "
    "alone."
)
EFFECTS = (
    "Main effects: for every option, the mean difference over all pairs of arms that differ in "
    "nothing else, from the preset's own value to the other. With few pairs it says what the "
    "option does beside the preset's other choices; with many, what it does across the grid."
)


def write_ablation(ablation: Ablation) -> list[Path]:
    """Write ablation.html, ablation.md and both tables into the run's folder; return the paths.

    Raises:
        ConfigError: the system does not let us write.
    """
    frames = {NAME: ablation.table, "effects": ablation.effects}
    return write_page_files(ablation_page(ablation), ablation.run.folder, NAME, frames=frames)


def ablation_page(ablation: Ablation) -> Page:
    """Return the page."""
    run, metric = ablation.run, ablation.metric
    rows = ablation.table.to_dicts()
    n_left = max(len(rows) - MAX_ROWS, 0)
    caption = f"Arms by {metric}, best first; {len(rows) - 1} tests, corrected together."
    caption += f" {n_left} more are in ablation.parquet." if n_left else ""
    arms = Table(caption, HEAD, tuple(_arm_cells(row) for row in rows[:MAX_ROWS]))
    effects = [_effect_cells(row) for row in ablation.effects.to_dicts()]
    caption = f"What matters for {metric}, largest difference first; corrected together."
    matters = Table(caption, EFFECT_HEAD, tuple(effects), n_labels=2)
    dataset = (("dataset", run.dataset_name), ("queries", str(run.queries["query_id"].n_unique())))
    sections = [
        Section("What is varied", (Facts((*dataset, *_varied(ablation))),)),
        Section("Which switches matter", (matters, Paragraph(EFFECTS))),
        Section("Arms", (arms, Paragraph(ARMS), Paragraph(f"A: the preset. B: the arm. {TESTS}"))),
        Section("What the metric means", (Facts(tuple(conventions([metric]))),)),
    ]
    title = f"{run.dataset_name}: ablation of {len(rows)} arms"
    return Page(title, summary_of(ablation), notices_of(run.provenance), tuple(sections))


def summary_of(ablation: Ablation) -> str:
    """Return one or two sentences: the best arm against the preset, and what matters most."""
    best, metric = ablation.table.row(0, named=True), ablation.metric
    if best["value"] is None:
        return f"{metric} applies to no query."
    if best["arm"] == BASE:
        said = f"No arm has a better {metric} than the preset, {plain(best['value'])}."
    else:
        sure = best["p_holm"] is not None and best["p_holm"] < LEVEL
        said = (
            f"Best by {metric} is {best['arm']} with {plain(best['value'])}, "
            f"{signed(best['difference'], 3)} against the preset"
            f"{'' if sure else ', which these queries do not resolve'}"
            f" (p {p_text(best['p_holm'])} after Holm's correction)."
        )
    found = ablation.effects.filter(ablation.effects["p_holm"] < LEVEL)
    if found.is_empty():
        return f"{said} No switch or weight has an effect that these queries resolve."
    row = found.row(0, named=True)
    return (
        f"{said} What matters most is {row['option']}: {row['own']} → {row['value']} changes "
        f"{metric} by {signed(row['difference'], 3)}."
    )


def ablation_text(ablation: Ablation) -> str:
    """Return both tables as text, and where the page is."""
    arms = [_words(_arm_cells(row)) for row in ablation.table.head(MAX_ROWS).to_dicts()]
    effects = [_words(_effect_cells(row)) for row in ablation.effects.to_dicts()]
    order = "lowest" if ablation.metric in LOWER_IS_BETTER else "highest"
    lines = [f"by {printable(ablation.metric)}, {order} first", table(HEAD, arms, left=["arm"]), ""]
    lines.append("what matters: pairs of arms that differ in nothing else")
    lines.append(table(EFFECT_HEAD, effects, left=["option", "own → value"]))
    told = ablation.run.provenance.get("unavailable") or {}
    lines += [f"arm {printable(arm)} did not run: {why}" for arm, why in told.items()]
    return "\n".join(lines)


def _words(cells: tuple[Cell, ...]) -> list[str]:
    return [printable(f"{cell.text} {cell.small}".strip()) for cell in cells]


def _arm_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    value = NOTHING if row["value"] is None else plain(row["value"])
    seconds = NOTHING if row["seconds"] is None else f"{row['seconds']:.3f}"
    if row["n"] is None:
        middle = [Cell(NOTHING)] * 5
    else:
        numbers = number_cells(row)
        middle = [*numbers[2:5], *numbers[6:]]
    return (Cell(row["arm"], is_strong=row["arm"] == BASE), Cell(value), *middle, Cell(seconds))


def _effect_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    switched = Cell(f"{row['own']} → {row['value']}")
    return (Cell(row["option"]), switched, Cell(str(row["n_pairs"])), *number_cells(row))


def _varied(ablation: Ablation) -> list[tuple[str, str]]:
    """Return option -> the preset's own value and the others."""
    own = ablation.run.provenance["ablation"]["own"]
    values: dict[str, list[str]] = {}
    for row in ablation.effects.iter_rows(named=True):
        values.setdefault(row["option"], []).append(row["value"])
    return [
        (name, f"{own.get(name)} (preset), {', '.join(sorted(some))}")
        for name, some in sorted(values.items())
    ]
