"""A finished run as a page: which sections there are, what they say, in which order.

This module writes no format; it makes `matir_nb.evaluation.runs.blocks`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from matir_nb.evaluation.bootstrap import N_RESAMPLES
from matir_nb.evaluation.runs.blocks import (
    Block,
    Facts,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
)
from matir_nb.evaluation.runs.canvas import NO_PLOTS
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.gains import OVERALL, arms_of, base_of, gain_of, numbers_of
from matir_nb.evaluation.runs.glossary import conventions
from matir_nb.evaluation.runs.origins import dataset_blocks, gallery_text, provenance_blocks
from matir_nb.evaluation.runs.tables import (
    cost_table,
    gain_text,
    gains_table,
    headline_table,
    kinds_table,
    plain,
    rest_table,
    sizes_table,
)
from matir_nb.evaluation.runs.worst import (
    MAX_SHEETS,
    N_LISTED,
    ranking_metric,
    worst_of,
    worst_table,
)

MAX_HEADLINE = 7
STRUCTURED = "structured"
"""The judge that has no model of its own."""
ORACLE = (
    "Oracle run: masks and vectors were made from the annotations themselves. Its numbers show "
    "that files, index, search and metrics fit together; they say nothing about any model. Stage 1 "
    "alone reaches 1, but where a metric has no room for all that is right: fewer or more relevant "
    "images than places in a list (P@K; recall@K, also by size), or several instances in an image, "
    "of which one is shown (oIoU, AP, names with /union)."
)
EMBEDDED = (
    "Embedded models: small ones that were trained on generated scenes of coloured shapes. On "
    "photographs their numbers show that the machinery works, not how good the method is."
)
INTERVALS = (
    f"Intervals: 95 % percentile bootstrap over queries ({N_RESAMPLES} resamples); they say how "
    "much the numbers would vary with other queries, and are not corrected for the number of "
    "comparisons."
)
BOLD = (
    "Bold: this arm beats each other arm in the paired comparison (the interval of the mean "
    "difference over the same queries leaves out zero). No bold in a column: the queries do not "
    "tell the arms apart."
)


def page_of(
    run: Run, plots: Mapping[str, Plot] | None, sheets: Mapping[str, Sequence[Picture]]
) -> Page:
    """Return the report of a run.

    Args:
        run: finished.
        plots: by name; None = there is no library to draw them.
        sheets: arm -> contact sheets of its worst queries.
    """
    metrics = headline_of(run)
    made = (
        Section("Dataset and protocol", tuple(dataset_blocks(run))),
        Section("Headline", tuple(_headline(run, metrics, plots))),
        Section("By kind and size", tuple(_by_kind(run, metrics, plots))),
        Section("Depth, confidence and hubs", tuple(_curves(plots))),
        Section("Worst queries", tuple(_worst(run, metrics, sheets))),
        Section("All metrics and cost", tuple(_rest(run, metrics))),
        Section("What the metrics mean", tuple(_glossary(run))),
        Section("Where this comes from", tuple(provenance_blocks(run))),
    )
    arms = arms_of(run.queries)
    title = f"{run.dataset_name}: {' · '.join(arms)}{_made_by(run.provenance)}"
    sections = tuple(section for section in made if section.blocks)
    return Page(title, summary_of(run, metrics), notices_of(run.provenance), sections)


def headline_of(run: Run) -> list[str]:
    """Return the metrics that the dataset's field reports, of which there are numbers."""
    there = run.report.filter((pl.col("group") == OVERALL) & pl.col("value").is_not_null())
    names = there["metric"].unique(maintain_order=True).to_list()
    wanted = run.provenance.get("dataset", {}).get("headline", ())
    return [name for name in wanted if name in names][:MAX_HEADLINE] or names[:5]


def notices_of(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader must know first; an oracle and embedded models say so themselves."""
    models = _models(provenance)
    told = list(provenance.get("notices", ()))
    if "oracle:" in models:
        told = [ORACLE, *(notice for notice in told if not notice.startswith("oracle"))]
    if "embedded:" in models:
        told = [EMBEDDED, *(notice for notice in told if not notice.startswith("embedded"))]
    missing = provenance.get("unavailable", {})
    told += [f"Arm {arm} did not run: {why}" for arm, why in missing.items()]
    return tuple(dict.fromkeys(str(notice) for notice in told))


def _models(provenance: Mapping[str, Any]) -> str:
    """Return all that is said of models: ids, and the preset's names where its models answer."""
    models = provenance.get("models", {})
    ids = " ".join(_leaves(models))
    if "oracle:" in ids and set(models.get("judges", ())) <= {STRUCTURED}:
        return ids
    preset = provenance.get("preset", {})
    names = (preset.get(role, "") for role in ("segmenter", "encoder", "judge"))
    return " ".join((ids, *names))


def _made_by(provenance: Mapping[str, Any]) -> str:
    """Return what the title says of models that nobody must take for others."""
    models = _models(provenance)
    if "oracle:" in models:
        return " (oracle, no model)"
    return " (embedded models)" if "embedded:" in models else ""


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    else:
        yield str(value)


def summary_of(run: Run, metrics: Sequence[str]) -> str:
    """Return one sentence: the best arm, its number, and whether it beats stage 1."""
    n = run.queries["query_id"].n_unique()
    asked = f"{n} queries over {gallery_text(run.queries)}"
    if not metrics:
        return f"{asked}: no metric applies."
    metric = ranking_metric(run.queries, metrics) or metrics[0]
    metric = metric if metric in metrics else metrics[0]
    numbers = numbers_of(run.report, metric)
    best = max(numbers, key=lambda arm: numbers[arm]["value"])
    row = numbers[best]
    interval = "" if row["low"] is None else f" [{plain(row['low'])}, {plain(row['high'])}]"
    chance = "" if row["chance"] is None else f"; a random order gives {plain(row['chance'])}"
    base = base_of(arms_of(run.queries))
    gain = None if best == base else gain_of(run.queries, metric, best, base)
    said = ""
    if gain is not None:
        text, between = gain_text(gain)
        said = f", {text} {between} against {base}"
        said += "" if gain.is_resolved else ", a difference that these queries do not resolve"
    elif len(numbers) > 1:
        said = ", and no other arm does better"
    return f"On {asked}, {best} reaches {metric} {plain(row['value'])}{interval}{said}{chance}."


def _headline(
    run: Run, metrics: Sequence[str], plots: Mapping[str, Plot] | None
) -> Iterator[Block]:
    n = run.queries["query_id"].n_unique()
    caption = f"Headline metrics over {n} queries, with 95 % intervals."
    yield headline_table(run.queries, run.report, metrics, caption=caption)
    yield Paragraph(f"{BOLD if len(arms_of(run.queries)) > 1 else ''} {INTERVALS}".strip())
    base = base_of(arms_of(run.queries))
    caption = (
        f"Gains over {base}, paired: the mean difference over the queries where both have a value, "
        "and its 95 % interval. Bold: the interval leaves out zero."
    )
    yield from _known(gains_table(run.queries, metrics, caption=caption))
    if plots is None:
        yield Paragraph(f"No plots: {NO_PLOTS}, then `matir eval` again.")
    yield from _plots(plots, "stages")


def _by_kind(run: Run, metrics: Sequence[str], plots: Mapping[str, Plot] | None) -> Iterator[Block]:
    caption = "Headline metrics by kind of query; n counts the observations of a kind."
    yield from _known(kinds_table(run.report, metrics, caption=caption))
    caption = (
        "Recall by size of the target: of the (query, relevant image) pairs whose largest true "
        "instance has that size, the share within the first images. Pairs are counted, not "
        "queries, so one with more relevant images than ten keeps it below 1."
    )
    if (run.report["group"].str.starts_with("size: ") & (run.report["metric"] == "AP")).any():
        caption += " AP: COCO's, of the true boxes of that area; its n counts queries."
    yield from _known(sizes_table(run.report, caption=caption))
    yield from _plots(plots, "sizes")


def _curves(plots: Mapping[str, Plot] | None) -> Iterator[Block]:
    yield from _plots(plots, "depth", "reliability", "risk", "hubness")


def _worst(
    run: Run, metrics: Sequence[str], sheets: Mapping[str, Sequence[Picture]]
) -> Iterator[Block]:
    metric = ranking_metric(run.queries, metrics)
    arms = arms_of(run.queries)
    if metric is None:
        return
    any_bad = False
    for arm in arms:
        bad = worst_of(run.queries, arm, metric, N_LISTED)
        if bad:
            any_bad = True
            yield worst_table(bad, arm, base_of(arms))
            yield from sheets.get(arm, ())
    if not any_bad:
        yield Paragraph(f"None: every query that has something to find reaches {metric} = 1.")
    elif any(sheets.values()):
        yield Paragraph(
            f"At most {MAX_SHEETS} sheets, cut to size. The pictures stay under the licence of the "
            "dataset; a sheet is a work derived from them."
        )


def _rest(run: Run, metrics: Sequence[str]) -> Iterator[Block]:
    caption = "All other metrics over all queries, with 95 % intervals where there are any."
    yield from _known(rest_table(run.report, metrics, caption=caption))
    caption = "Seconds for a query, all stages, as measured in this run."
    yield from _known(cost_table(run.queries, caption=caption))


def _glossary(run: Run) -> Iterator[Block]:
    names = run.report["metric"].unique(maintain_order=True).to_list()
    pairs = tuple(conventions(names))
    if pairs:
        yield Facts(pairs)


def _known(table: Table | None) -> Iterable[Table]:
    return () if table is None else (table,)


def _plots(plots: Mapping[str, Plot] | None, *names: str) -> Iterator[Plot]:
    yield from (plots[name] for name in names if plots and name in plots)
