"""The plots of a report: which there are, what their captions say.

A plot is left out where the run has nothing for it. This module draws nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import polars as pl

from matir_nb.evaluation.runs.arrays import HitArrays
from matir_nb.evaluation.runs.blocks import Plot
from matir_nb.evaluation.runs.curves import (
    N_BINS,
    N_NEAREST,
    Occurrences,
    depth_of,
    judged_of,
    nearest_of,
    risk_of,
)
from matir_nb.evaluation.runs.gains import arms_of, base_of, gain_of, numbers_of
from matir_nb.evaluation.runs.plots import (
    Point,
    Series,
    Stages,
    draw_bars,
    draw_depth,
    draw_occurrences,
    draw_reliability,
    draw_risk,
    draw_stages,
)
from matir_nb.evaluation.runs.tables import SIZE, size_name

PLOT_NAMES = ("stages", "sizes", "depth", "reliability", "risk", "hubness")
"""Names of all plots that a report may have."""
MAX_METRICS = 8
MIN_EXPECTED = 1.0
"""A histogram of N_10 tells something where an image is expected in so many lists."""
ArmHits: TypeAlias = Mapping[str, HitArrays]
"""Arm -> its hits."""
Curve = TypeVar("Curve")
INTERVALS = "Bars are 95 % bootstrap intervals over queries."
UNRESOLVED = " A gain whose interval crosses zero is not resolved by these queries."


def plots_of(
    queries: pl.DataFrame,
    report: pl.DataFrame,
    metrics: Sequence[str],
    *,
    n_images: int,
    depth: int | None = None,
) -> dict[str, Plot]:
    """Return the plots of a run by name, in the order of reading.

    Args:
        queries: the per-query frame.
        report: the numbers.
        metrics: the headline.
        n_images: of the run's dataset.
        depth: hits that were recorded for each query; None = all.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    arms = {a: HitArrays(queries.filter(pl.col("arm") == a), depth) for a in arms_of(queries)}
    makers: Sequence[Callable[[], Plot | None]] = (
        lambda: stages_plot(queries, report, metrics),
        lambda: sizes_plot(report, arms_of(queries)),
        lambda: depth_plot(arms),
        lambda: reliability_plot(arms),
        lambda: risk_plot(arms),
        lambda: occurrences_plot(arms, n_images),
    )
    plots = [plot for plot in (make() for make in makers) if plot is not None]
    return {plot.name: plot for plot in plots}


def stages_plot(queries: pl.DataFrame, report: pl.DataFrame, metrics: Sequence[str]) -> Plot | None:
    """Return the headline metrics of every arm, and gains over stage 1."""
    arms = arms_of(queries)
    numbers = {m: numbers_of(report, m) for m in metrics if numbers_of(report, m)}
    shown = tuple(numbers)[:MAX_METRICS]
    if not shown:
        return None
    values = tuple(
        Series(arm, place, tuple(_point(numbers[metric].get(arm)) for metric in shown))
        for place, arm in enumerate(arms)
    )
    base = base_of(arms)
    gains = tuple(
        Series(arm, place, tuple(_gain(queries, metric, arm, base) for metric in shown))
        for place, arm in enumerate(arms)
        if arm != base
    )
    chances = {m: next(iter(numbers[m].values()))["chance"] for m in shown}
    known = {metric: chance for metric, chance in chances.items() if chance is not None}
    n = queries["query_id"].n_unique()
    right = f" Right: the mean paired difference to {base}, query by query." if gains else ""
    caption = (
        f"Stage by stage ({n} queries). {'Left: t' if gains else 'T'}he headline metrics of each "
        f"arm; dotted, a random order.{right} {INTERVALS}{UNRESOLVED if gains else ''}"
    )
    svg = draw_stages(Stages(shown, values, gains, base, known))
    said = "; ".join(f"{m}: {_told(numbers[m], arms)}" for m in shown)
    return Plot("stages", f"Metrics by arm. {said}", caption, svg)


def _point(row: Mapping[str, Any] | None) -> Point | None:
    return None if row is None else Point(row["value"], row["low"], row["high"])


def _gain(queries: pl.DataFrame, metric: str, arm: str, base: str) -> Point | None:
    gain = gain_of(queries, metric, arm, base)
    return None if gain is None else Point(gain.value, gain.low, gain.high)


def _told(numbers: Mapping[str, Mapping[str, Any]], arms: Sequence[str]) -> str:
    return ", ".join(f"{arm} {numbers[arm]['value']:.2f}" for arm in arms if arm in numbers)


def sizes_plot(report: pl.DataFrame, arms: Sequence[str]) -> Plot | None:
    """Return recall by the size of what is searched."""
    rows = report.filter(pl.col("group").str.starts_with(SIZE) & pl.col("value").is_not_null())
    rows = rows.filter(pl.col("metric").str.starts_with("recall@"))
    if rows.is_empty():
        return None
    names = {
        size_name(group, metric): group
        for group, metric in rows.select("group", "metric").unique(maintain_order=True).iter_rows()
    }
    found = {(r["arm"], size_name(r["group"], r["metric"])): r for r in rows.to_dicts()}
    series = [
        Series(arm, place, tuple(_point(found.get((arm, name))) for name in names))
        for place, arm in enumerate(arms)
    ]
    counts = {name: max(r["n"] for (_, m), r in found.items() if m == name) for name in names}
    labels = [f"{names[name].removeprefix(SIZE)} (n = {counts[name]})" for name in names]
    metric = next(iter(names)).split(" ")[0]
    said = "; ".join(
        f"{size}: "
        + ", ".join(f"{a} {found[a, size]['value']:.2f}" for a in arms if (a, size) in found)
        for size in names
    )
    caption = (
        f"Recall by size of the target ({metric}): the share of (query, relevant image) pairs that "
        "are among the first images, by the largest true instance: small below 32², large from "
        f"96² pixels on (COCO); n counts pairs. {INTERVALS}"
    )
    svg = draw_bars(labels, series, label=metric)
    return Plot("sizes", f"Recall by size of the target. {said}", caption, svg)


def depth_plot(arms: ArmHits) -> Plot | None:
    """Return precision and recall at every depth."""
    found = _known(arms, depth_of)
    if not found:
        return None
    n = max(depth.n for depth in found.values())
    caption = (
        f"Recall and precision by depth K, means over the {n} queries with something to find. "
        "Recall is the share of a query's relevant images among the first K; precision the share "
        "of the first K that are relevant, which cannot be 1 beyond the number of relevant "
        "images. Dotted: a random order. The axis of K is logarithmic."
    )
    said = "; ".join(
        f"{arm}: recall {depth.recall[0]:.2f} at 1, {depth.recall[-1]:.2f} at {len(depth.recall)}"
        for arm, depth in found.items()
    )
    svg = draw_depth(found, _places(arms))
    return Plot("depth", f"Recall and precision by depth. {said}", caption, svg)


def reliability_plot(arms: ArmHits) -> Plot | None:
    """Return how the judges' probabilities compare with the truth."""
    found = _known(arms, judged_of)
    if not found:
        return None
    counts = ", ".join(f"{arm} {of_arm.n}" for arm, of_arm in found.items())
    caption = (
        f"Reliability of the judges' probabilities, in {N_BINS} bins of equal width; hits with a "
        f"probability: {counts}. On the dashed diagonal a probability is what it says; below it "
        "the judge is too sure. ECE is the mean distance to the diagonal, weighted by hits; a "
        "larger mark stands for more hits, and the lower panel counts them (logarithmic)."
    )
    said = "; ".join(f"{arm}: ECE {of_arm.ece:.3f}" for arm, of_arm in found.items())
    svg = draw_reliability(found, _places(arms))
    return Plot("reliability", f"Reliability of probabilities. {said}", caption, svg)


def risk_plot(arms: ArmHits) -> Plot | None:
    """Return what is gained by not answering the queries that score lowest."""
    found = _known(arms, risk_of)
    if not found:
        return None
    n = max(curve.n for curve in found.values())
    caption = (
        f"Risk and coverage ({n} queries): the queries are answered in the order of their best "
        "hit's final score, and an answer is wrong where that hit is not relevant (always, where "
        "nothing is). A curve that rises to the right says that the score knows its errors. AURC "
        "is the area below; lower is better."
    )
    said = "; ".join(f"{arm}: AURC {curve.aurc:.3f}" for arm, curve in found.items())
    svg = draw_risk(found, _places(arms))
    return Plot("risk", f"Risk by coverage. {said}", caption, svg)


def occurrences_plot(arms: ArmHits, n_images: int) -> Plot | None:
    """Return how often each image is among the first ten, where that tells something."""
    found = _known(arms, lambda hits: nearest_of(hits, n_images))
    found = {arm: near for arm, near in found.items() if _tells_something(near)}
    if not found:
        return None
    any_of = next(iter(found.values()))
    mean = any_of.counts.mean()
    unfound = ", ".join(f"{arm} {near.unfound:.0%}" for arm, near in found.items())
    caption = (
        f"Hubness: how many of the {any_of.n_queries} lists of ten each of the {n_images} images "
        f"is in (N_10; the mean is {mean:.1f}). A long tail to the right (large skew) means that "
        f"few images answer many queries, whatever is asked. Images in no list: {unfound}."
    )
    said = "; ".join(f"{arm}: at most {near.counts.max():.0f}" for arm, near in found.items())
    svg = draw_occurrences(found, _places(arms))
    return Plot("hubness", f"Histogram of N_10. {said}", caption, svg)


def _tells_something(near: Occurrences) -> bool:
    """Return whether ten hits are much less than the gallery, and images expected in some list."""
    n_images = len(near.counts)
    return n_images > 2 * N_NEAREST and near.counts.sum() >= MIN_EXPECTED * n_images


def _known(arms: ArmHits, curve_of: Callable[[HitArrays], Curve | None]) -> dict[str, Curve]:
    """Return arm -> its curve; arms without one are out."""
    curves = {arm: curve_of(hits) for arm, hits in arms.items()}
    return {arm: curve for arm, curve in curves.items() if curve is not None}


def _places(arms: ArmHits) -> dict[str, int]:
    return {arm: place for place, arm in enumerate(arms)}
