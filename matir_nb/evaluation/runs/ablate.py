"""What each switch and weight contributes: one run over a grid of options.

The index is opened once; texts are encoded once, and a judge is asked once about what it is shown
(`matir_nb.index.cache`), however many arms there are. Which grids there are is in
`matir_nb.evaluation.runs.grid`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matir_nb.doors import above
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, require_known
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.arms import judge_of_arm
from matir_nb.evaluation.runs.evaluate import evaluate
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.glossary import LOWER_IS_BETTER
from matir_nb.evaluation.runs.grid import (
    BASE,
    DEFAULT,
    Grid,
    Settings,
    points_of,
    preset_values,
    shown,
)
from matir_nb.evaluation.runs.measures import MEASURES
from matir_nb.evaluation.runs.paired import PAIRED_SCHEMA, Floats, metrics_of, paired_tests
from matir_nb.evaluation.runs.shared_texts import with_shared_texts
from matir_nb.printing import html_lines

MAX_REPORTED = 8
"""Arms that the plots of a run's report can tell apart."""
NUMBERS = pl.Schema(
    {n: t for n, t in PAIRED_SCHEMA.items() if n not in ("family", "group", "metric")}
)
ABLATION_SCHEMA = pl.Schema(
    {"arm": pl.String(), "value": pl.Float64(), **NUMBERS, "seconds": pl.Float64()}
)
"""One row per arm, best first; of equals the preset's own, then by name.

value: mean of the metric over the queries to which it applies. The columns of
`matir_nb.evaluation.runs.paired.PAIRED_SCHEMA` compare the arm (B) with the preset's own (A), which
has none of them; p are corrected for the number of arms. seconds: median of a query.
"""
EFFECT_SCHEMA = pl.Schema(
    {
        "option": pl.String(),
        "own": pl.String(),
        "value": pl.String(),
        "n_pairs": pl.Int64(),
        **NUMBERS,
    }
)
"""One row per option and value that is not the preset's `own`, largest difference first.

n_pairs: pairs of arms that differ in nothing else; a query's value is its mean over their first (A)
and second (B) arms. p are corrected for the number of rows.
"""


@dataclass(frozen=True, eq=False, repr=False)
class Ablation:
    """What an ablation found.

    Attributes:
        run: all arms, with every query's hits.
        metric: by which arms are compared.
        settings: arm -> option -> value, where it is not the preset's.
        table: `ABLATION_SCHEMA`.
        effects: `EFFECT_SCHEMA`.
    """

    run: Run
    metric: str
    settings: Mapping[str, Settings]
    table: pl.DataFrame
    effects: pl.DataFrame

    @classmethod
    def of(cls, run: Run, metric: str | None = None) -> "Ablation":
        """Return the ablation in a run that `ablate` left.

        Args:
            run: finished.
            metric: of single queries; None = the one it was made for.

        Raises:
            ConfigError: the run is none of an ablation, or the metric is unknown.
        """
        about = run.provenance.get("ablation")
        if not isinstance(about, Mapping):
            message = f"the run in {str(run.folder)!r} is no ablation: give one of matir ablate"
            raise ConfigError(message)
        known = metrics_of(run.queries)
        chosen = metric or about["metric"] or _headline_metric(run, known)
        require_known("metric", [chosen], known)
        settings = {arm: about["settings"].get(arm, {}) for arm in run.arms}
        values = _values(run, chosen)
        lower = chosen in LOWER_IS_BETTER
        table = _table(run, values, lower=lower)
        effects = _effects(values, settings, about["own"], lower=lower)
        return cls(run, chosen, settings, table, effects)

    def __repr__(self) -> str:
        """Return one line: where, how many arms, by which metric."""
        n = len(self.table)
        return f"Ablation({str(self.run.folder)!r}, {n} arms, by {self.metric})"

    def __str__(self) -> str:
        """Return both tables in words."""
        text: str = above("evaluation.runs.ablate_page").ablation_text(self)
        return text

    def _repr_html_(self) -> str:
        tables = f"{self.table._repr_html_()}{self.effects._repr_html_()}"
        return f"{html_lines(repr(self))}{tables}"


def ablate(
    engine: Engine,
    dataset: Dataset,
    *,
    out: str | Path,
    grid: Grid | None = None,
    metric: str | None = None,
    **options: Any,
) -> Ablation:
    """Ask a dataset with every combination of a grid's options; leave a run, and pages of it.

    Args:
        engine: of an index of the dataset's images; its preset is what is compared with, and a
            judge that it was opened with counts as the preset's.
        dataset: the queries and their truth.
        out: the run's folder; one that was stopped there goes on.
        grid: option -> values: "judge", "n_judged", "align" (on, off), or one of the preset's
            stages ("retrieve.region_weight"); None = one option after the other, and all
            combinations of the stages' switches.
        metric: by which arms are compared; None = AP where there is one, else the first of the
            dataset's headline.
        options: as for `evaluate`; with more arms than `MAX_REPORTED`, its report is written only
            where `has_pages` is given.

    Raises:
        ConfigError: an option, value or metric is unknown or cannot be used, before anything is
            searched; or nothing can be written.
        ModelUnavailableError: no arm has its model.
    """
    preset = engine.preset
    own_judge = None if engine.judge is not None else judge_of_arm(DEFAULT, preset.judge)
    points = points_of(grid, preset, own_judge=own_judge)
    require_known("metric of single queries", () if metric is None else [metric], MEASURES)
    about = {
        "metric": metric,
        "settings": {point.arm.name: dict(point.settings) for point in points},
        "own": preset_values(preset),
    }
    arms = [point.arm for point in points]
    told = {"ablation": about} | dict(options.pop("about", None) or {})
    options.setdefault("has_pages", len(arms) <= MAX_REPORTED)
    run = evaluate(with_shared_texts(engine), dataset, arms=arms, out=out, about=told, **options)
    found = Ablation.of(run)
    above("evaluation.runs.ablate_page").write_ablation(found)
    return found


def _headline_metric(run: Run, known: Sequence[str]) -> str:
    wanted = ("mAP@50", *run.provenance["dataset"].get("headline", ()), *known)
    for name in wanted:
        if name in known:
            return str(name)
    message = f"the run in {str(run.folder)!r} has no metric of single queries: ask other queries"
    raise ConfigError(message)


def _values(run: Run, metric: str) -> dict[str, Floats]:
    """Return arm -> (n,) values of the queries, in one order; NaN = does not apply."""
    order = run.queries.select("query_id").unique(maintain_order=True)
    return {
        arm: order.join(
            run.queries.filter(pl.col("arm") == arm),
            on="query_id",
            how="left",
            maintain_order="left",
        )[metric]
        .fill_null(np.nan)
        .to_numpy()
        for arm in run.arms
    }


def _table(run: Run, values: Mapping[str, Floats], *, lower: bool) -> pl.DataFrame:
    """Return `ABLATION_SCHEMA`; the preset's own arm, or the first, is compared with."""
    base = BASE if BASE in values else run.arms[0]
    others = [arm for arm in run.arms if arm != base]
    tests = _tests([values[base]] * len(others), [values[arm] for arm in others], lower=lower)
    compared = tests.with_columns(pl.Series("arm", others, pl.String))
    rows = pl.DataFrame(
        {
            "arm": run.arms,
            "value": [
                float(np.nanmean(v)) if np.isfinite(v).any() else None for v in values.values()
            ],
        },
        schema={"arm": pl.String, "value": pl.Float64},
    )
    seconds = run.queries.group_by("arm").agg(pl.col("seconds").median())
    table = rows.join(compared, on="arm", how="left").join(seconds, on="arm", how="left")
    order = ["value", pl.col("arm") != base, "arm"]
    ordered = table.sort(order, descending=[not lower, False, False], nulls_last=True)
    return ordered.select(ABLATION_SCHEMA.names()).cast(ABLATION_SCHEMA)


def _effects(
    values: Mapping[str, Floats],
    settings: Mapping[str, Settings],
    own: Settings,
    *,
    lower: bool,
) -> pl.DataFrame:
    """Return `EFFECT_SCHEMA`."""
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    arms = {_key(of): arm for arm, of in settings.items()}
    for arm, of in settings.items():
        for option, value in of.items():
            partner = arms.get(_key({name: v for name, v in of.items() if name != option}))
            if partner is not None:
                pairs.setdefault((option, shown(value)), []).append((partner, arm))
    sides = [
        [np.mean([values[pair[side]] for pair in some], axis=0) for some in pairs.values()]
        for side in (0, 1)
    ]
    about = pl.DataFrame(
        [(o, shown(own.get(o)), v, len(some)) for (o, v), some in pairs.items()],
        schema={name: EFFECT_SCHEMA[name] for name in ("option", "own", "value", "n_pairs")},
        orient="row",
    )
    table = pl.concat([about, _tests(sides[0], sides[1], lower=lower)], how="horizontal")
    gap = pl.col("difference").abs()
    return table.sort(gap, "option", "value", descending=[True, False, False], nulls_last=True)


def _key(settings: Settings) -> str:
    return repr(sorted((name, shown(value)) for name, value in settings.items()))


def _tests(a: Sequence[Floats], b: Sequence[Floats], *, lower: bool) -> pl.DataFrame:
    if not a:
        return pl.DataFrame(schema=NUMBERS)
    return paired_tests(np.column_stack(a), np.column_stack(b), lower_is_better=[lower] * len(a))
