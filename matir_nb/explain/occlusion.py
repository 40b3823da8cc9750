"""Occlusion: what remains of a hit without one of its regions.

Stage 1 is free: its score without a region follows from the stored cosines. The judge is asked
again, on demand (`matir_nb.explain.without_region`). A region that lies under two stored masks
is gone only with both: dropping one of two near-duplicates changes little, which is what stage 1
does, too. Deletion and insertion curves follow RISE (Petsiuk, Das and Saenko, BMVC 2018), with
regions in place of pixels and the stage-1 score in place of a class probability.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.explain.without_region import ImageScan, ask_again, judgement_of_image
from matir_nb.index.vectors import fuse
from matir_nb.results import SearchResult
from matir_nb.types import FloatArray, Judgement

OCCLUSION_SCHEMA = pl.Schema(
    {
        "image_id": pl.String,
        "region_id": pl.UInt32,
        "region_score": pl.Float64,
        "stage1_score": pl.Float64,
        "stage1_drop": pl.Float64,
        "stage1_rank": pl.UInt32,
        "p_relevant": pl.Float64,
        "logit": pl.Float64,
        "answer": pl.String,
        "judged_region_id": pl.UInt32,
    }
)
"""The last four are null where no judge was asked."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """A hit without one region.

    Attributes:
        image_id: of the hit.
        region_id: the region left out.
        region_score: its cosine with the query, whatever is added to that.
        stage1_score: the image's stage-1 score without it.
        stage1_drop: the stage-1 score with it less that; negative where the image is better off.
        stage1_rank: among all images of the index, without it; equal scores by image id.
        p_relevant: the judge's new probability; None = not asked.
        logit: its new log-odds; None = not asked.
        answer: its new words, where "region 3" is the image's own number; None = not asked.
        judged_region_id: the region it names; None = none, or not asked.
        note: why there is no judge; empty = it was not wanted, or it answered.
    """

    image_id: str
    region_id: int
    region_score: float
    stage1_score: float
    stage1_drop: float
    stage1_rank: int
    p_relevant: float | None = None
    logit: float | None = None
    answer: str | None = None
    judged_region_id: int | None = None
    note: str = ""


def occlusion(result: SearchResult, rank: int, *, judge: bool = False) -> pl.DataFrame:
    """Return what remains of the hit at `rank` without each region, best region first.

    Args:
        result: of a search.
        rank: 1 = best.
        judge: the judge is asked once per region, too.

    Returns:
        One row per region, with `OCCLUSION_SCHEMA`; equal cosines by region id.

    Raises:
        ConfigError: no such rank, no source, no options, or a judge is wanted and there is none.
    """
    seen = ImageScan.of(result, rank)
    rows = [_without(seen, region_id) for region_id in seen.best_first()]
    if judge:
        rows = _judged(result, seen, rows)
    columns = OCCLUSION_SCHEMA.names()
    values = [{name: asdict(row)[name] for name in columns} for row in rows]
    return pl.DataFrame(values, schema=OCCLUSION_SCHEMA)


def occlude(result: SearchResult, rank: int, region_id: int) -> Occlusion:
    """Return what remains of the hit at `rank` without one region, for the judge, too.

    Raises:
        ConfigError: no such rank or region, no source, or no options.
    """
    seen = ImageScan.of(result, rank)
    _require_region(region_id, seen)
    row = _without(seen, region_id)
    try:
        return _judged(result, seen, [row])[0]
    except ConfigError as error:
        return replace(row, note=str(error))


def deletion_curve(
    cosines: FloatArray,
    whole_image: float,
    order: Sequence[int] | NDArray[np.integer],
    config: RetrieveConfig | None = None,
) -> NDArray[np.float64]:
    """Return stage-1 scores as regions go: (n + 1,), after 0 .. n of them are gone.

    The k-th value belongs to the fraction k / n. Without any region the image is its own only
    region. A good explanation names first what makes the score fall most: small `auc`.

    Args:
        cosines: (n,) of the query with the regions, with what is added to them.
        whole_image: cosine with the whole image, likewise.
        order: all region ids, first to go first.
        config: weighs the cosines; None = the default.

    Raises:
        ConfigError: `order` is no permutation of 0 .. n - 1.

    >>> config = RetrieveConfig(region_weight=1, image_weight=0)
    >>> scores = np.array([0.25, 0.75, 0.5], np.float32)
    >>> deletion_curve(scores, 0.0, [1, 2, 0], config).tolist()
    [0.75, 0.5, 0.25, 0.0]
    """
    ordered = _in_order(cosines, order)
    left = np.concatenate(
        [np.maximum.accumulate(ordered[::-1])[::-1], np.array([-np.inf], np.float32)]
    )
    return fuse(left, np.full(len(left), whole_image, np.float32), config or RetrieveConfig())


def insertion_curve(
    cosines: FloatArray,
    whole_image: float,
    order: Sequence[int] | NDArray[np.integer],
    config: RetrieveConfig | None = None,
) -> NDArray[np.float64]:
    """Return stage-1 scores as regions come: (n + 1,), once 0 .. n of them are there.

    A good explanation names first what makes the score rise most: large `auc`. Arguments and
    errors as of `deletion_curve`.

    >>> config = RetrieveConfig(region_weight=1, image_weight=0)
    >>> scores = np.array([0.25, 0.75, 0.5], np.float32)
    >>> insertion_curve(scores, 0.0, [0, 2, 1], config).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    come = np.asarray(order)[::-1]
    return deletion_curve(cosines, whole_image, come, config)[::-1]


def auc(curve: Sequence[float] | NDArray[np.floating]) -> float:
    """Return the area under a curve over the fraction of regions, 0 to 1, by trapezoids.

    A curve of one value (an image without regions) has that value.

    Raises:
        ConfigError: the curve has no value.

    >>> auc([1.0, 0.0]), auc([1.0, 0.5, 0.5]), auc([0.25])
    (0.5, 0.625, 0.25)
    """
    values = np.asarray(curve, np.float64)
    if not len(values):
        message = "curve: expected at least one value, got none"
        raise ConfigError(message)
    if len(values) == 1:
        return float(values[0])
    return float(((values[1:] + values[:-1]) / 2).mean())


def _require_region(region_id: object, seen: ImageScan) -> None:
    n = len(seen.cosines)
    is_whole = isinstance(region_id, Integral) and not isinstance(region_id, bool)
    row = int(region_id) if is_whole else -1  # type: ignore[call-overload] # an Integral has __int__
    if not 0 <= row < n:
        message = f"region {region_id!r} is not allowed: {seen.image_id!r} has {n}, counted from 0"
        raise ConfigError(message)


def _without(seen: ImageScan, region_id: int) -> Occlusion:
    score = seen.score_without([region_id])
    return Occlusion(
        seen.image_id,
        region_id,
        region_score=float(seen.cosines[region_id]),
        stage1_score=score,
        stage1_drop=seen.stage1_score - score,
        stage1_rank=seen.rank_of(score),
    )


def _judged(result: SearchResult, seen: ImageScan, rows: Sequence[Occlusion]) -> list[Occlusion]:
    """Return `rows` with what the judge says of each picture without the region.

    Raises:
        ConfigError: there is no judge.
    """
    told = ask_again(result, [seen.input_without([row.region_id]) for row in rows])
    return [_with_verdict(row, judgement) for row, judgement in zip(rows, told, strict=True)]


def _with_verdict(row: Occlusion, judgement: Judgement) -> Occlusion:
    own = judgement_of_image(judgement, gone=row.region_id)
    return replace(
        row,
        p_relevant=own.p_relevant,
        logit=own.logit,
        answer=own.answer,
        judged_region_id=own.region_id,
    )


def _in_order(cosines: FloatArray, order: Sequence[int] | NDArray[np.integer]) -> FloatArray:
    rows = np.array(order, dtype=np.int64).reshape(-1)
    if not np.array_equal(np.sort(rows), np.arange(len(cosines))):
        message = f"order = {rows.tolist()!r}: name each of {len(cosines)} regions once"
        raise ConfigError(message)
    return np.asarray(cosines, np.float32)[rows]
