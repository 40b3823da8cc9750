"""A run's rows → its report: every number overall and by kind of query, with its interval.

A number is the mean over the queries to which its metric applies. What only a whole arm has, such
as its calibration, is in `matir_nb.evaluation.runs.whole_arm`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from matir_nb.evaluation.bootstrap import bootstrap_intervals
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.measures import MEASURES, chances
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA, REPORT_SCHEMA
from matir_nb.evaluation.runs.whole_arm import RELEASED, whole_arm

OVERALL = "overall"


def summarise(queries: pl.DataFrame, dataset: Dataset, *, seed: int = 0) -> pl.DataFrame:
    """Return the report, with `REPORT_SCHEMA`.

    Args:
        queries: rows of `measures.measured`; every arm answered the same queries.
        dataset: they are of.
        seed: of the bootstrap, whose draws are the same for every arm.
    """
    metrics = [name for name in MEASURES if name in queries.columns and name != RELEASED]
    by_chance = pl.DataFrame(chances(queries.select(OBSERVED_SCHEMA.names()), dataset.depth))
    rows: list[dict[str, Any]] = []
    for arm in queries["arm"].unique(maintain_order=True):
        is_arm = queries["arm"] == arm
        of_arm, chance = queries.filter(is_arm), by_chance.filter(is_arm)
        for group, inside in _groups(of_arm):
            values, random = of_arm.filter(inside).select(metrics), chance.filter(inside)
            rows += [{"arm": arm, "group": group} | row for row in _means(values, random, seed)]
        whole = whole_arm(of_arm, dataset, seed=seed)
        rows += [{"arm": arm, "group": OVERALL} | row for row in whole]
    return pl.DataFrame(rows, schema=REPORT_SCHEMA)


def _groups(of_arm: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Yield groups of queries: all, then each kind where there are several."""
    yield OVERALL, of_arm["kind"].is_not_null()
    kinds = of_arm["kind"].unique(maintain_order=True)
    for kind in kinds if len(kinds) > 1 else ():
        yield kind, of_arm["kind"] == kind


def _means(values: pl.DataFrame, chance: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Yield metric, value, low, high, n and chance for each column of `values`."""
    numbers = values.to_numpy().astype(np.float64)
    intervals = bootstrap_intervals(numbers, seed=seed)
    for name, column, (low, high) in zip(values.columns, numbers.T, intervals, strict=True):
        known = ~np.isnan(column)
        if not known.any():
            continue
        random = chance[name].to_numpy()[known] if name in chance.columns else np.array([np.nan])
        yield {
            "metric": name,
            "value": float(column[known].mean()),
            "low": float(low),
            "high": float(high),
            "n": int(known.sum()),
            "chance": None if np.isnan(random).any() else float(random.mean()),
        }
