"""A run's report as plain JSON values, for programs that read no Parquet."""

from typing import Any

import polars as pl

from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.gains import arms_of, base_of, gain_of


def as_json(run: Run) -> dict[str, Any]:
    """Return the report: "arms" → arm → group → metric → number, and "n", "intervals", "chance".

    "gains_over_stage1" says, of the headline metrics, how much better an arm is than stage 1,
    query by query. The rest is what ``run.json`` holds; "arms" there is "options_of_arms" here.
    """
    arms: dict[str, Any] = {arm: {} for arm in run.provenance["arms"]}
    for row in run.report.iter_rows(named=True):
        group = arms[row["arm"]].setdefault(row["group"], {"n": {}, "intervals": {}, "chance": {}})
        name = row["metric"]
        group[name], group["n"][name] = row["value"], row["n"]
        group["intervals"][name] = None if row["low"] is None else [row["low"], row["high"]]
        if row["chance"] is not None:
            group["chance"][name] = row["chance"]
    answered = {arm: values or None for arm, values in arms.items()}
    rest = {"options_of_arms" if k == "arms" else k: v for k, v in run.provenance.items()}
    return {"arms": answered, "gains_over_stage1": _gains(run), **rest}


def _gains(run: Run) -> dict[str, Any]:
    arms = arms_of(run.queries)
    if base_of(arms) != "stage1":
        return {}
    names = [n for n in run.provenance["dataset"]["headline"] if n in run.queries.columns]
    return {arm: _over_stage1(run.queries, arm, names) for arm in arms if arm != "stage1"}


def _over_stage1(queries: pl.DataFrame, arm: str, names: list[str]) -> dict[str, Any]:
    gains = {name: gain_of(queries, name, arm, "stage1") for name in names}
    there = {name: gain for name, gain in gains.items() if gain is not None}
    values: dict[str, Any] = {name: gain.value for name, gain in there.items()}
    return values | {"intervals": {name: [gain.low, gain.high] for name, gain in there.items()}}
