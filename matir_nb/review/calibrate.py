"""Calibrate a judge from marks: pairs of query and image that people found relevant, or not.

The judge's own log-odds of those pairs (remembered, or asked for) and the marks are given to
`matir_nb.models.calibration.fit_platt`; what comes out is kept with the index
(`matir_nb.index.calibrations`), and every search with that judge uses it from then on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import polars as pl

from matir_nb.config import JudgeConfig
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, unknown
from matir_nb.index.calibrations import Calibration, Calibrations
from matir_nb.models.answers import sigmoid
from matir_nb.models.base import Judge
from matir_nb.models.calibration import fit_platt, log_loss
from matir_nb.progress import Progress
from matir_nb.review.ledger import Review
from matir_nb.types import MARKS, Judgement

Pair: TypeAlias = tuple[str, str]
"""(query, image id)."""
Labels: TypeAlias = Mapping[Pair, bool]
Marks: TypeAlias = Review | pl.DataFrame | Iterable[tuple[str, str, bool]]
COLUMNS = ("query", "image_id", "relevant")
LARGEST = 50.0
"""Log-odds in a fit; an endless one would decide it alone."""
RELEVANT, NOT_RELEVANT = MARKS[:2]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a judge says of labelled pairs, and what is so."""

    judgements: tuple[Judgement, ...]
    labels: tuple[bool, ...]


def calibrate(
    engine: Engine,
    marks: Marks,
    *,
    judge: str | Judge | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit the judge's probabilities to marks, and keep that with the index; return it.

    Args:
        engine: on the index whose images were marked.
        marks: a `Review`, of which the marks that hold count ("unsure" does not); a table with
            the columns query, image_id and relevant (Boolean); or such rows as tuples.
        judge: None = the engine's own.
        progress: called with (judged so far, to be judged).

    Raises:
        ConfigError: there is no judge; the marks are of another index or too few, or do not say
            how sure the judge may be (see `fit_platt`).
        QueryError: a query is longer than the encoder reads.
    """
    model = engine.judge_for(judge)
    judged = _judged(engine, labels_of(engine, marks), model, progress)
    logits = np.clip([one.logit for one in judged.judgements], -LARGEST, LARGEST)
    fitted = fit_platt(logits, judged.labels)
    config = JudgeConfig(calibration_scale=fitted.scale, calibration_bias=fitted.bias)
    after = [sigmoid(config.calibrated(z)) for z in logits.tolist()]
    n_relevant = sum(judged.labels)
    made = Calibration(
        model.model_id,
        scale=fitted.scale,
        bias=fitted.bias,
        n_relevant=n_relevant,
        n_not_relevant=len(judged.labels) - n_relevant,
        log_loss_before=log_loss([one.p_relevant for one in judged.judgements], judged.labels),
        log_loss_after=log_loss(after, judged.labels),
    )
    Calibrations(engine.index.path).put(made)
    return made


def labels_of(engine: Engine, marks: Marks) -> Labels:
    """Return (query, image id) -> whether it is relevant, of images in the engine's index.

    Raises:
        ConfigError: `marks` is of another kind, lacks a column, contradicts itself, is of another
            index, or names an image that the index does not hold.
    """
    if isinstance(marks, Review):
        return _of_review(engine, marks)
    rows: Iterable[object] = marks
    if isinstance(marks, pl.DataFrame):
        missing = next((name for name in COLUMNS if name not in marks.columns), None)
        if missing is not None:
            message = f"{unknown('column', missing, marks.columns)}: wanted are {COLUMNS}"
            raise ConfigError(message)
        rows = marks.select(COLUMNS).drop_nulls().iter_rows()
    found: dict[Pair, bool] = {}
    for row in rows:
        query, image_id, is_relevant = _checked(engine, row)
        if found.setdefault((query, image_id), is_relevant) != is_relevant:
            message = f"{image_id!r:.80} is both relevant and not for {query!r:.80}: keep one mark"
            raise ConfigError(message)
    return found


def _of_review(engine: Engine, review: Review) -> Labels:
    table = review.to_polars().filter("holds", pl.col("mark").is_in([RELEVANT, NOT_RELEVANT]))
    own = table.filter(pl.col("index_fingerprint") == engine.index.fingerprint)
    if table.height and not own.height:
        message = "the review is of another index than this engine's: open the one that was marked"
        raise ConfigError(message)
    # an image may have left the index since it was marked
    rows = own.select("query", "image_id", pl.col("mark") == RELEVANT).iter_rows()
    return {(query, name): mark for query, name, mark in rows if engine.has_image(name)}


def _checked(engine: Engine, row: object) -> tuple[str, str, bool]:
    values = row if isinstance(row, tuple | list) else ()
    if len(values) != len(COLUMNS) or not isinstance(values[2], bool | np.bool_):
        message = f"the mark {row!r:.80} cannot be used: give (query, image id, True or False)"
        raise ConfigError(message)
    query, image_id, is_relevant = values
    if not engine.has_image(image_id):
        raise ConfigError(unknown("image", str(image_id), engine.index.image_ids))
    return str(query), image_id, bool(is_relevant)


def _judged(engine: Engine, labels: Labels, judge: Judge, progress: Progress | None) -> _Judged:
    """Return the judge's own judgements of all pairs, query by query."""
    by_query: dict[str, list[str]] = {}
    for query, image_id in labels:
        by_query.setdefault(query, []).append(image_id)
    options, done = JudgeConfig(), 0
    judgements: list[Judgement] = []
    is_so: list[bool] = []
    for query, image_ids in by_query.items():
        found = engine.scan(query)
        rows = engine.index.rows_of(image_ids).tolist()
        candidates = [found.candidate(row, place + 1) for place, row in enumerate(rows)]
        config = replace(options, n_judged=len(rows), chunk_size=engine.preset.judging.chunk_size)
        judgements += engine.judgements_of(query, candidates, judge, config=config)
        is_so += [labels[query, image_id] for image_id in image_ids]
        done += len(image_ids)
        if progress is not None:
            progress(done, len(labels))
    return _Judged(tuple(judgements), tuple(is_so))
