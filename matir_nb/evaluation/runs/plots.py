"""Numbers as drawings: SVG made by matplotlib, which is an optional extra.

Colours are placeholders (`matir_nb.evaluation.runs.inks`); an arm has its marker, line and hatch
besides (`matir_nb.evaluation.runs.canvas`), the same in every plot. Every function raises a
`ConfigError` where matplotlib is not installed. This module knows no frame of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from matir_nb.evaluation.runs.canvas import (
    blank,
    dot,
    draw_legend,
    fill,
    label_of,
    line,
    marker,
    patch,
)
from matir_nb.evaluation.runs.curves import Depth, Judged, Occurrences, Risk
from matir_nb.evaluation.runs.inks import FAINT, INK, SERIES
from matir_nb.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval; without one, `low` and `high` are None."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """What one arm has at each name; None = nothing.

    Attributes:
        arm: its name.
        place: of the arm in the run, from 0: decides colour, marker, line and hatch.
        points: as many as there are names.
    """

    arm: str
    place: int
    points: tuple[Point | None, ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """Metrics by arm, and gains over the first arm.

    Attributes:
        metrics: their names, top to bottom.
        values: of every arm.
        gains: of the arms that are compared with `base`.
        base: name of that arm.
        chance: metric -> value of a random order, where it is known.
    """

    metrics: tuple[str, ...]
    values: tuple[Series, ...]
    gains: tuple[Series, ...] = ()
    base: str = ""
    chance: Mapping[str, float] = field(default_factory=dict)


def draw_stages(stages: Stages) -> str:
    """Return dots with intervals, a row for each metric: values, and gains over the base."""
    n_arms = len(stages.values)
    height = 1.1 + len(stages.metrics) * (0.2 * n_arms + 0.16)
    with blank(height) as (figure, svg):
        both: Any = figure.subplots(
            1, 2 if stages.gains else 1, sharey=True, squeeze=False, width_ratios=None
        )[0]
        _draw_dots(both[0], stages.values, n_arms)
        for row, metric in enumerate(stages.metrics):
            if metric in stages.chance:
                x = stages.chance[metric]
                both[0].plot([x, x], [row - 0.4, row + 0.4], color=FAINT, linewidth=1.4, ls=":")
        both[0].set_xlim(-0.02, 1.02)
        both[0].set_xlabel("value (dotted: chance)" if stages.chance else "value")
        both[0].set_yticks(range(len(stages.metrics)), [label_of(m) for m in stages.metrics])
        both[0].set_ylim(len(stages.metrics) - 0.5, -0.5)
        if stages.gains:
            _draw_dots(both[1], stages.gains, n_arms)
            both[1].axvline(0, color=INK, linewidth=1)
            both[1].set_xlabel(f"paired gain over {label_of(stages.base)}")
            both[1].tick_params(axis="y", length=0)
            both[1].spines["left"].set_visible(False)
        for axes in both:
            axes.grid(axis="x")
        draw_legend(figure, [(label_of(s.arm), s.place) for s in stages.values], dot)
    return svg()


def draw_bars(names: Sequence[str], series: Sequence[Series], *, label: str) -> str:
    """Return bars with intervals, a group for each name and a bar in it for each arm."""
    with blank(2.9) as (figure, svg):
        axes: Axes = figure.subplots()
        width = 0.8 / max(len(series), 1)
        for i, arm in enumerate(series):
            known = [(x, p) for x, p in enumerate(arm.points) if p is not None]
            x = [x + (i - (len(series) - 1) / 2) * width for x, _ in known]
            points = [point for _, point in known]
            axes.bar(x, [p.value for p in points], width * 0.9, **fill(arm.place))
            axes.errorbar(
                x,
                [p.value for p in points],
                yerr=_bounds(points),
                fmt="none",
                color=INK,
                elinewidth=1,
                capsize=2.5,
            )
        axes.set_xticks(range(len(names)), [label_of(name) for name in names])
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(label)
        axes.grid(axis="y")
        draw_legend(figure, [(label_of(s.arm), s.place) for s in series], patch)
    return svg()


def draw_reliability(found: Mapping[str, Judged], places: Mapping[str, int]) -> str:
    """Return the share of right hits against the stated probability, and the number of hits."""
    with blank(4.3, width=5.4) as (figure, svg):
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        top.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
        for i, (arm, of_arm) in enumerate(found.items()):
            bins = of_arm.bins.filter(of_arm.bins["n"] > 0)
            x, y, n = (bins[name].to_numpy() for name in ("mean_p", "share_right", "n"))
            top.plot(x, y, **line(places[arm]))
            area = 12 + 90 * n / n.max()
            top.scatter(x, y, area, SERIES[places[arm] % 8], marker=marker(places[arm]))
            width = (bins["bin_high"] - bins["bin_low"]).to_numpy() / len(found)
            left = bins["bin_low"].to_numpy() + i * width
            bottom.bar(left, n, width * 0.9, align="edge", **fill(places[arm]))
        top.set_ylabel("share that is relevant")
        top.set_xlim(-0.02, 1.02)
        top.set_ylim(-0.03, 1.03)
        bottom.set_yscale("log")
        bottom.set_ylim(bottom=0.8)
        bottom.yaxis.set_major_formatter("{x:g}")
        bottom.minorticks_off()
        bottom.set_ylabel("hits")
        bottom.set_xlabel("probability that the judge states")
        for axes in (top, bottom):
            axes.grid()
        entries = [
            (f"{label_of(arm)}: ECE {of_arm.ece:.3f}", places[arm]) for arm, of_arm in found.items()
        ]
        draw_legend(figure, entries, dot)
    return svg()


def draw_depth(found: Mapping[str, Depth], places: Mapping[str, int]) -> str:
    """Return recall and precision against the number of images that are looked through."""
    with blank(3.2) as (figure, svg):
        recall, precision = figure.subplots(1, 2)
        for arm, depth in found.items():
            k = np.arange(1, len(depth.recall) + 1)
            marks = np.unique([0, 4, 9, 19, 49, len(k) - 1])
            style = line(places[arm]) | {"markevery": list(marks[marks < len(k)])}
            recall.plot(k, depth.recall, **style)
            precision.plot(k, depth.precision, **style)
        any_depth = max(found.values(), key=lambda depth: len(depth.recall))
        k = np.arange(1, len(any_depth.recall) + 1)
        recall.plot(k, any_depth.chance_recall, color=FAINT, linestyle=":")
        precision.axhline(any_depth.chance_precision, color=FAINT, linestyle=":")
        for axes, name in ((recall, "recall"), (precision, "precision")):
            axes.set_xscale("log")
            ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= len(k)]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_ylim(-0.02, 1.02)
            axes.set_xlabel("images looked through, K")
            axes.set_ylabel(f"{name} at K (dotted: chance)")
            axes.grid()
        draw_legend(figure, [(label_of(arm), places[arm]) for arm in found], dot)
    return svg()


def draw_risk(found: Mapping[str, Risk], places: Mapping[str, int]) -> str:
    """Return the share of wrong answers against the share of questions that are answered."""
    with blank(3.2, width=5.4) as (figure, svg):
        axes: Axes = figure.subplots()
        for arm, curve in found.items():
            every = max(len(curve.coverage) // 8, 1)
            axes.plot(curve.coverage, curve.risk, **line(places[arm]), markevery=every)
        axes.set_xlim(-0.02, 1.02)
        highest = max(float(curve.risk.max()) for curve in found.values())
        axes.set_ylim(-0.02, max(0.2, highest * 1.05))
        axes.set_xlabel("coverage: share of queries answered, surest first")
        axes.set_ylabel("risk: share of them that is wrong")
        axes.grid()
        entries = [
            (f"{label_of(arm)}: AURC {curve.aurc:.3f}", places[arm]) for arm, curve in found.items()
        ]
        draw_legend(figure, entries, dot)
    return svg()


def draw_occurrences(found: Mapping[str, Occurrences], places: Mapping[str, int]) -> str:
    """Return histograms of N_10, one for each arm."""
    n_columns = min(len(found), 3)
    n_rows = -(-len(found) // n_columns)
    with blank(0.6 + 2.0 * n_rows) as (figure, svg):
        grid: Any = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        most = max(int(of_arm.counts.max()) for of_arm in found.values())
        step = -(-(most + 1) // 30)
        edges = np.arange(0, most + step + 1, step) - 0.5
        for axes, (arm, of_arm) in zip(grid.flat, found.items(), strict=False):
            counts, _ = np.histogram(of_arm.counts, edges)
            axes.bar(edges[:-1], counts, step * 0.92, align="edge", **fill(places[arm]))
            skew = "" if of_arm.skew is None else f": skew {of_arm.skew:.2f}"
            axes.set_title(f"{label_of(arm)}{skew}")
            axes.grid(axis="y")
            axes.set_xlabel("lists of ten that an image is in")
            axes.locator_params(integer=True)
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("images")
    return svg()


def _draw_dots(axes: "Axes", series: Sequence[Series], n_arms: int) -> None:
    for arm in series:
        known = [(y, p) for y, p in enumerate(arm.points) if p is not None]
        shift = (arm.place - (n_arms - 1) / 2) * 0.7 / n_arms
        axes.errorbar(
            [p.value for _, p in known],
            [y + shift for y, _ in known],
            xerr=_bounds([p for _, p in known]),
            fmt=marker(arm.place),
            color=SERIES[arm.place % 8],
            markersize=5.5,
            elinewidth=1.6,
            capsize=2.5,
        )


def _bounds(points: Sequence[Point]) -> FloatArray:
    """Return (2, n) distances to the ends of the intervals; 0 where there is none."""
    low = [0.0 if p.low is None else max(p.value - p.low, 0.0) for p in points]
    high = [0.0 if p.high is None else max(p.high - p.value, 0.0) for p in points]
    return np.array([low, high])
