"""Ask an engine many queries with known truth; score each, and sum up by kind of query.

One row per query (`QUERY_SCHEMA`); `summarise` turns a table into the reported numbers with
bootstrap intervals, `compare` into gains over another arm. This module knows no scenes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl
from tqdm import tqdm

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.evaluation.bootstrap import bootstrap_interval
from matir_nb.evaluation.metrics.grounding import best_iou, joint_average_precision_at_k
from matir_nb.evaluation.metrics.ranking import average_precision_at_k, recall_at_k
from matir_nb.models.base import Judge
from matir_nb.types import Hit, QueryTruth

K = 50
TAU = 0.5
P_RELEVANT = 0.5
"""A judge rejects an image when its probability is lower."""
OVERALL = "overall"
ABSENCE = "absence"

QUERY_SCHEMA = pl.Schema(
    {
        "query_id": pl.String,
        "text": pl.String,
        "kind": pl.String,
        "n_relevant": pl.Int64,
        "R@1": pl.Float64,
        "R@10": pl.Float64,
        "mAP@50": pl.Float64,
        "mAP@50@50": pl.Float64,
        "mIoU": pl.Float64,
        "n_ious": pl.Int64,
        "rejection": pl.Float64,
        "n_wrong_judged": pl.Int64,
        "acceptance": pl.Float64,
        "n_right_judged": pl.Int64,
        "seconds": pl.Float64,
    }
)
"""A query's "mAP" columns hold its AP; `n_*` say how many observations a mean is of."""

WEIGHTS: Mapping[str, str | None] = {
    "R@1": None,
    "R@10": None,
    "mAP@50": None,
    "mIoU": "n_ious",
    "mAP@50@50": None,
    "rejection": "n_wrong_judged",
    "acceptance": "n_right_judged",
}
"""Metric -> the column that weighs a query's value; None = every query counts once."""
ABSENCE_METRICS = ("rejection", "acceptance")

Summary: TypeAlias = dict[str, dict[str, Any]]
"""Kind of query -> metric -> number, and "n" and "intervals" beside them."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` observations; None of none."""

    value: float | None
    n: int


def evaluate(
    engine: Engine,
    queries: Sequence[QueryTruth],
    *,
    judge: bool | str | Judge | None = None,
    n_judged: int | None = None,
    description: str = "queries",
) -> pl.DataFrame:
    """Return one row per query, with `QUERY_SCHEMA`.

    Args:
        engine: what is asked.
        queries: what is right; every relevant image must be in the engine's index.
        judge: as in `Engine.search`; False = stage 1 only.
        n_judged: as in `Engine.search`.
        description: names the progress bar.

    Raises:
        ConfigError: no queries, or one is about other images than the index holds.
    """
    _require_same_gallery(engine, queries)
    bar = tqdm(queries, desc=description, unit="query", delay=1, disable=None)
    rows = [_row(engine, truth, judge=judge, n_judged=n_judged) for truth in bar]
    return pl.DataFrame(rows, schema=QUERY_SCHEMA)


def summarise(table: pl.DataFrame, *, seed: int = 0) -> Summary:
    """Return the metrics overall and by kind of query, each with its 95 % interval.

    R and mAP are means over queries; mIoU is the mean over all correct hits, rejection and
    acceptance over all judged images, whatever the query. None = nothing to measure.
    """
    groups = {OVERALL: table} | {
        str(kind): group for (kind,), group in table.group_by("kind", maintain_order=True)
    }
    return {name: _summary(group, name, seed) for name, group in groups.items()}


def compare(table: pl.DataFrame, base: pl.DataFrame, *, metric: str = "mAP@50") -> Summary:
    """Return, by kind of query, how much better `table` is than `base`, query by query.

    Raises:
        ConfigError: the tables do not hold the same queries in the same order.
    """
    if table["query_id"].to_list() != base["query_id"].to_list():
        message = "the tables hold different queries: compare two arms of one query set"
        raise ConfigError(message)
    gains = table.select("kind", gain=pl.col(metric) - base[metric])
    groups: list[tuple[str, pl.Series]] = [(OVERALL, gains["gain"])]
    for (kind,), group in gains.group_by("kind", maintain_order=True):
        groups.append((str(kind), group["gain"]))
    return {
        name: {metric: gain.mean(), "intervals": {metric: bootstrap_interval(gain.to_list())}}
        for name, gain in groups
    }


def _row(
    engine: Engine, truth: QueryTruth, *, judge: bool | str | Judge | None, n_judged: int | None
) -> dict[str, Any]:
    wants_all = truth.kind == ABSENCE and judge is not False
    result = engine.search(
        truth.text,
        k=engine.index.n_images if wants_all else K,
        judge=judge,
        n_judged=n_judged,
    )
    row = {"query_id": truth.query_id, "text": truth.text, "kind": truth.kind}
    scores = score_hits(result.hits, truth)
    return row | scores | {"seconds": sum(result.provenance.seconds.values())}


def score_hits(hits: Sequence[Hit], truth: QueryTruth) -> dict[str, Any]:
    """Return one query's metrics.

    Args:
        hits: best first; those beyond the best `K` count only for rejection and acceptance.
        truth: what is right.
    """
    top = hits[:K]
    relevance = [hit.image_id in truth.relevant for hit in top]
    ious = [best_iou(hit.mask, truth.masks.get(hit.image_id, ())) for hit in top]
    correct = [iou for iou, right in zip(ious, relevance, strict=True) if right and iou is not None]
    n = len(truth.relevant)
    scores: dict[str, Any] = {
        "n_relevant": n,
        "R@1": recall_at_k(relevance, n, 1),
        "R@10": recall_at_k(relevance, n, 10),
        "mAP@50": average_precision_at_k(relevance, n, K),
        "mAP@50@50": joint_average_precision_at_k(relevance, ious, n, k=K, tau=TAU),
        "mIoU": sum(correct) / len(correct) if correct else None,
        "n_ious": len(correct),
    }
    return scores | (_verdicts(hits, truth) if truth.kind == ABSENCE else {})


def _verdicts(hits: Sequence[Hit], truth: QueryTruth) -> dict[str, Any]:
    """Return how many judged images were rightly rejected and rightly accepted."""
    judged = [
        (h.image_id in truth.relevant, h.p_relevant) for h in hits if h.p_relevant is not None
    ]
    rejected = _share(p < P_RELEVANT for right, p in judged if not right)
    accepted = _share(p >= P_RELEVANT for right, p in judged if right)
    return {
        "rejection": rejected.value,
        "n_wrong_judged": rejected.n,
        "acceptance": accepted.value,
        "n_right_judged": accepted.n,
    }


def _share(verdicts: Iterable[bool]) -> Share:
    values = list(verdicts)
    return Share(sum(values) / len(values) if values else None, len(values))


def _summary(group: pl.DataFrame, kind: str, seed: int) -> dict[str, Any]:
    summary: dict[str, Any] = {"n": len(group)}
    intervals: dict[str, tuple[float, float] | None] = {}
    for metric, weight in WEIGHTS.items():
        if metric in ABSENCE_METRICS and kind != ABSENCE:
            continue
        values = group[metric].fill_null(0.0).to_list()
        weights = [1] * len(values) if weight is None else group[weight].fill_null(0).to_list()
        total = sum(weights)
        weighted = sum(v * w for v, w in zip(values, weights, strict=True))
        summary[metric] = weighted / total if total else None
        intervals[metric] = bootstrap_interval(values, weights, seed=seed)
    return summary | {"intervals": intervals}


def _require_same_gallery(engine: Engine, queries: Sequence[QueryTruth]) -> None:
    if not queries:
        message = "there are no queries to evaluate: give at least one"
        raise ConfigError(message)
    there = set(engine.index.image_ids)
    for truth in queries:
        strangers = truth.relevant - there
        if strangers:
            message = (
                f"query {truth.query_id!r} is about {min(strangers)!r}, which is not in the index "
                f"{str(engine.index.path)!r}: evaluate on an index of the queries' own gallery"
            )
            raise ConfigError(message)
