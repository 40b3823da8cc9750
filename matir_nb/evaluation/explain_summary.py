"""Sum up explanations that were put beside the truth: shares, areas, and the bars they must reach.

Every share is {"value", "interval", "n", "n_queries"}: the mean over n explanations and its 95 %
bootstrap interval over queries. This module asks no engine.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import polars as pl

from matir_nb.evaluation.bootstrap import bootstrap_interval
from matir_nb.evaluation.explain_curves import CURVES, OCCLUSION, ORACLE, ORDERS, RANDOM
from matir_nb.evaluation.explain_rounds import (
    BY_OCCLUSION,
    BY_STAGES,
    EXPLANATIONS,
    N_BEST,
    WAYS,
    Rounds,
)
from matir_nb.evaluation.faithfulness import GAMES

ALARM_BAR = 0.1
"""Share of queries for something absent that may have a hit above the cut."""
POINTING_BAR = 0.9
"""Share of right results whose explanation must name the true cause."""
DEPTHS = {"top 1": 1, "top 10": N_BEST}
CRITERIA = {"IoU": "has_iou", "centre": "centre_on_target", "inmost": "inmost_on_target"}
"""Name in the report -> column of `explain_rounds.POINTING_SCHEMA`."""


def summarise(rounds: Rounds, *, seed: int = 0) -> dict[str, Any]:
    """Return the shares, areas, bars and wrong cases of `rounds`; `seed` draws the resamples."""
    measured: dict[str, Any] = {
        "pointing": _pointing(rounds.pointing, seed),
        "words": _words(rounds.words, seed),
        "curves": _curves(rounds.curves, seed),
    }
    missed = pl.col("explanation").is_in((BY_OCCLUSION, BY_STAGES)) & ~pl.col("has_iou")
    wrong = {
        "pointing": rounds.pointing.filter(missed).to_dicts(),
        "words": rounds.words.filter(~pl.col("is_right")).to_dicts(),
    }
    return {**measured, "bars": list(_bars(measured)), "wrong": wrong}


def share(rows: pl.DataFrame, value: str, *, seed: int = 0) -> dict[str, Any]:
    """Return the mean of a column and its 95 % interval over queries.

    >>> rows = pl.DataFrame({"query_id": ["a", "a", "b"], "good": [True, False, True]})
    >>> share(rows, "good")["value"], share(rows, "good")["n"]
    (0.6666666666666666, 3)
    """
    by_query = rows.group_by("query_id", maintain_order=True).agg(
        mean=pl.col(value).cast(pl.Float64).mean(), n=pl.len()
    )
    means, weights = by_query["mean"].to_list(), by_query["n"].to_list()
    return {
        "value": rows[value].cast(pl.Float64).mean(),
        "interval": bootstrap_interval(means, weights, seed=seed),
        "n": len(rows),
        "n_queries": len(by_query),
    }


def _pointing(rows: pl.DataFrame, seed: int) -> dict[str, Any]:
    """Return depth -> explanation -> criterion -> share, and "chance" of the IoU criterion."""
    report: dict[str, Any] = {}
    for depth, rank in DEPTHS.items():
        near = rows.filter(pl.col("rank") <= rank)
        report[depth] = {
            explanation: {
                name: share(near.filter(pl.col("explanation") == explanation), column, seed=seed)
                for name, column in CRITERIA.items()
            }
            for explanation in EXPLANATIONS
        }
        once = near.filter(pl.col("explanation") == EXPLANATIONS[0])
        report[depth]["chance"] = {"IoU": share(once, "chance", seed=seed)}
    return report


def _words(rows: pl.DataFrame, seed: int) -> dict[str, Any]:
    """Return way -> game -> "accuracy", "chance" and "gain" (accuracy - chance) -> share."""
    gain = pl.col("is_right").cast(pl.Float64) - pl.col("chance")
    rows = rows.with_columns(gain=gain).rename({"is_right": "accuracy"})
    names = ("accuracy", "chance", "gain")
    return {
        way: {
            game: {name: share(rows.filter(way=way, game=game), name, seed=seed) for name in names}
            for game in GAMES
        }
        for way in WAYS
    }


def _curves(rows: pl.DataFrame, seed: int) -> dict[str, Any]:
    """Return curve -> "deletion" and "insertion" -> order, and paired differences -> share."""
    report: dict[str, Any] = {}
    for curve in CURVES:
        some = rows.filter(pl.col("curve") == curve)
        report[curve] = {}
        for area in ("deletion", "insertion"):
            wide = some.pivot("order", index=["query_id", "image_id"], values=area)
            wide = wide.with_columns(
                [pl.lit(None, pl.Float64).alias(o) for o in ORDERS if o not in wide.columns]
            )
            for other in (RANDOM, ORACLE):
                name = f"{OCCLUSION} - {other}"
                wide = wide.with_columns((pl.col(OCCLUSION) - pl.col(other)).alias(name))
            names = wide.columns[2:]
            report[curve][area] = {name: share(wide, name, seed=seed) for name in names}
    return report


def _bars(measured: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what was promised, what came out, and whether it holds; None = nothing to measure.

    The region of the word matrix is stage 1's best again: it has no bar of its own.
    """
    for depth, explanations in measured["pointing"].items():
        for explanation in (BY_OCCLUSION, BY_STAGES):
            found = explanations[explanation]["IoU"]
            value = found["value"]
            yield {
                "bar": f"{depth}, {explanation}: region names the cause >= {POINTING_BAR:.2f}",
                **found,
                "holds": None if value is None else value >= POINTING_BAR,
            }
    for way, game in product(WAYS, GAMES):
        found = measured["words"][way][game]["gain"]
        interval = found["interval"]
        yield {
            "bar": f"{game}, {way}: above chance, interval apart from 0",
            **found,
            "holds": None if interval is None else interval[0] > 0,
        }
    for curve in CURVES:
        found = measured["curves"][curve]["deletion"][f"{OCCLUSION} - {RANDOM}"]
        interval = found["interval"]
        yield {
            "bar": f"{curve}: deletion area below random, interval apart from 0",
            **found,
            "holds": None if interval is None else interval[1] < 0,
        }


def alarm_bars(absence: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield whether queries for something absent stay silent (of `absence.absence_of`)."""
    for arm, kinds in absence.items():
        for kind in ("near", "far"):
            alarms = kinds[kind]["alarms"]
            yield {
                "bar": f"{kind} absent, {arm}: a hit above the cut <= {ALARM_BAR:.2f}",
                "value": alarms,
                "interval": kinds[kind]["intervals"]["alarms"],
                "n": kinds[kind]["n"],
                "holds": None if alarms is None else alarms <= ALARM_BAR,
            }
