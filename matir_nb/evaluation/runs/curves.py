"""The numbers behind a report's curves, made of the hits that a run recorded.

This module draws nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from matir_nb.evaluation.metrics.abstention import aurc, risk_coverage
from matir_nb.evaluation.metrics.calibration import expected_calibration_error, reliability
from matir_nb.evaluation.metrics.hubness import hubness, occurrences
from matir_nb.evaluation.runs.arrays import HitArrays
from matir_nb.evaluation.runs.gains import arms_of
from matir_nb.types import FloatArray

N_BINS = 15
N_NEAREST = 10
MIN_EXPECTED = 1.0
"""A histogram of N_10 tells something where an image is expected in so many lists."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Means over `n` queries with something to find, at every depth from 1 on.

    Attributes:
        recall: (k,) share of the relevant images that were found.
        precision: (k,) share of the images down to there that are relevant.
        chance_recall: (k,) of a random order.
        chance_precision: of a random order, the same at every depth.
        n: queries.
    """

    recall: FloatArray
    precision: FloatArray
    chance_recall: FloatArray
    chance_precision: float
    n: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge's probabilities were worth.

    Attributes:
        bins: `matir_nb.evaluation.metrics.calibration.reliability`.
        ece: expected calibration error, `N_BINS` bins of equal width.
        n: hits with a probability.
    """

    bins: pl.DataFrame
    ece: float
    n: int


@dataclass(frozen=True, slots=True)
class Risk:
    """What is gained by answering only where the first hit scores high.

    Attributes:
        coverage: (m,) share of the queries that are answered, ascending.
        risk: (m,) share of these answers whose first hit is wrong.
        aurc: area under the curve.
        n: queries.
    """

    coverage: FloatArray
    risk: FloatArray
    aurc: float
    n: int


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often each image of the gallery is among the first ten.

    Attributes:
        counts: (n_gallery,) N_10.
        skew: of the counts; None where all are equal.
        n_queries: lists that were counted.
    """

    counts: FloatArray
    skew: float | None
    n_queries: int


def depths(queries: pl.DataFrame) -> dict[str, Depth]:
    """Return arm -> precision and recall down to the depth that the run recorded."""
    asked = queries.filter(pl.col("n_relevant") > 0)
    return {arm: _depth(asked.filter(pl.col("arm") == arm)) for arm in arms_of(asked)}


def _depth(rows: pl.DataFrame) -> Depth:
    hits = HitArrays(rows)
    lists = hits.ranked[:, : hits.is_ranked.sum(axis=1).max(initial=0)]
    k = np.arange(1, lists.shape[1] + 1, dtype=np.float64)
    found = lists.cumsum(axis=1, dtype=np.float64)
    n_relevant, n_gallery = hits.n_relevant[:, None], hits.n_gallery[:, None]
    chance = np.minimum(k / n_gallery, 1.0)
    return Depth(
        recall=(found / n_relevant).mean(axis=0),
        precision=(found / k).mean(axis=0),
        chance_recall=chance.mean(axis=0),
        chance_precision=float((n_relevant / n_gallery).mean()),
        n=len(lists),
    )


def judged(queries: pl.DataFrame) -> dict[str, Judged]:
    """Return arm -> its judge's reliability; arms without probabilities are out."""
    found = {}
    for arm, hits in _hits(queries):
        known = hits.filter(pl.col("p_relevant").is_not_null())
        if not known.is_empty():
            p, right = known["p_relevant"].to_numpy(), known["is_relevant"].to_numpy()
            error = expected_calibration_error(p, right, n_bins=N_BINS)
            found[arm] = Judged(reliability(p, right, N_BINS), error or 0.0, len(known))
    return found


def risks(queries: pl.DataFrame) -> dict[str, Risk]:
    """Return arm -> its risk-coverage curve: confidence is the final score of the first hit."""
    found = {}
    for arm in arms_of(queries):
        first = pl.col("hits").list.first()
        rows = queries.filter(pl.col("arm") == arm).select(
            score=first.struct.field("score").fill_null(-np.inf),
            right=first.struct.field("is_relevant").fill_null(value=False),
        )
        scores, right = rows["score"].to_numpy(), rows["right"].to_numpy()
        area, curve = aurc(scores, right), risk_coverage(scores, right)
        if area is not None:
            coverage, risk = curve["coverage"].to_numpy(), curve["risk"].to_numpy()
            found[arm] = Risk(coverage, risk, area, len(rows))
    return found


def nearest(queries: pl.DataFrame) -> dict[str, Occurrences]:
    """Return arm -> N_10 of every image, where that tells something.

    It does where all queries search one gallery and ten hits of each are less than the gallery,
    but more than `MIN_EXPECTED` for an image.
    """
    galleries = queries["n_gallery"].unique()
    if len(galleries) != 1:
        return {}
    n_gallery = int(galleries[0])
    found = {}
    for arm in arms_of(queries):
        lists = queries.filter(pl.col("arm") == arm)["hits"].to_list()
        top = [[hit["image_id"] for hit in (hits or [])[:N_NEAREST]] for hits in lists]
        expected = sum(map(len, top)) / n_gallery
        is_one_gallery = len({name for names in top for name in names}) <= n_gallery
        if is_one_gallery and n_gallery > 2 * N_NEAREST and expected >= MIN_EXPECTED:
            found[arm] = _occurrences(top, n_gallery)
    return found


def _occurrences(top: list[list[str]], n_gallery: int) -> Occurrences:
    rows = {name: row for row, name in enumerate(sorted({name for t in top for name in t}))}
    placed = [[rows[name] for name in images] for images in top]
    counts = occurrences(placed, n_gallery)
    return Occurrences(np.asarray(counts, np.float64), hubness(counts), len(top))


def _hits(queries: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each arm with all its hits, a row each."""
    for arm in arms_of(queries):
        rows = queries.filter(pl.col("arm") == arm).select("hits").explode("hits").drop_nulls()
        yield arm, rows.unnest("hits")
