"""The ledger of a hit: what its final score is made of, entry by entry.

The contributions are log-odds and add up to `Hit.final_score`; an entry that contributes 0 only
informs. Everything is read from the hit and from its result's options (`Provenance.config`), by
the formulas of `matir_nb.stages.retrieve.fuse` and `matir_nb.stages.align.final_score`. With

    e = scale * stage1_weight      (stage1_weight is 1 where there was no stage 2)

an entry of stage 1 contributes e * weight * cosine. The names, by stage::

    retrieve  runner-up region            what the second-best region alone would have given
              winning margin              what the best region adds to that
              winning region              both in one, where no second region is known
              whole image as only region  in their place, for an image without regions
              whole image                 the cosine with the whole image
              encoder bias                log-odds of the cosine 0
              rounding                    of a stage-1 score that was stored in single precision
    judge     judge                       weight * log-odds of the judge
              clip                        what max_logit takes back of it
              probability                 the judge's p (informs)
              not judged                  no evidence either way (informs)
    align     align IoU                   of the judge's box with the region shown (informs)
              region named by the judge   the mask needed no alignment (informs)
              no place named              the judge says "not here" (informs)
              region of stage 1           not judged: its best region is shown (informs)
              no region                   there is none to show (informs)

Alignment chooses the mask and does not change the order. This module knows no index, no model;
`matir_nb.explain.ledger_text` writes ledgers down.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.hit_table import STAGES
from matir_nb.models.answers import sigmoid
from matir_nb.results import SearchResult
from matir_nb.terms import factor, product_text
from matir_nb.types import Hit

LEDGER_SCHEMA = pl.Schema(
    {
        "rank": pl.Int64(),
        "image_id": pl.String(),
        "stage": pl.String(),
        "name": pl.String(),
        "value": pl.Float64(),
        "formula": pl.String(),
        "contribution": pl.Float64(),
    }
)
"""`value` is in the entry's own unit (cosine, log-odds, probability, IoU); null = it has none."""
DIFFERENCE_SCHEMA = pl.Schema({**LEDGER_SCHEMA, "other": pl.Int64(), "other_image_id": pl.String()})
"""`value` and `contribution` are those of `rank` minus those of `other`."""

EXACT = 1e-9
"""A ledger of scores in double precision adds up to this."""
SINGLE = 2.0**-22
"""Largest error of a weighted sum of two cosines in single precision, per unit of weight."""
LARGEST = 1e6
"""Log-odds that are shown before they are clipped; larger ones would drown the other entries."""
ONLY_MASK = "alignment chooses the mask and does not change the order"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a ledger.

    Attributes:
        stage: "retrieve", "judge" or "align".
        name: see the module's glossary.
        value: in the entry's own unit; None = it has none.
        formula: how the contribution came about, or why there is none.
        contribution: log-odds; 0 for an entry that only informs.
    """

    stage: str
    name: str
    value: float | None
    formula: str
    contribution: float = 0.0


def hit_of(result: SearchResult, rank: object) -> Hit:
    """Return the hit at `rank`.

    Raises:
        ConfigError: the result has no such rank.
    """
    is_whole = isinstance(rank, Integral) and not isinstance(rank, bool)
    place = int(rank) if is_whole else 0  # type: ignore[call-overload] # an Integral has __int__
    if not 1 <= place <= len(result):
        allowed = f"give 1 to {len(result)}" if len(result) else "the result has no hits"
        message = f"rank = {rank!r} is not allowed: {allowed}"
        raise ConfigError(message)
    return result.hits[place - 1]


def ledger(result: SearchResult, rank: int) -> pl.DataFrame:
    """Return the ledger of the hit at `rank`, with `LEDGER_SCHEMA`.

    It is empty where the result does not say how it was made.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    return ledger_frame(hit, entries(hit, result.provenance.config))


def ledger_frame(hit: Hit, of_hit: Sequence[Entry]) -> pl.DataFrame:
    """Return entries of `hit` as a table with `LEDGER_SCHEMA`."""
    shared = {"rank": hit.rank, "image_id": hit.image_id}
    return pl.DataFrame([shared | asdict(entry) for entry in of_hit], schema=LEDGER_SCHEMA)


def difference(result: SearchResult, rank: int, other: int) -> pl.DataFrame:
    """Return the ledger at `rank` minus that at `other`, with `DIFFERENCE_SCHEMA`.

    An entry that only one of them has counts as 0 in the other; the contributions add up to the
    difference of the final scores.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit, below = hit_of(result, rank), hit_of(result, other)
    shared = {"rank": hit.rank, "image_id": hit.image_id}
    beside = {"other": below.rank, "other_image_id": below.image_id}
    rows = difference_entries(hit, below, result.provenance.config)
    return pl.DataFrame([shared | asdict(row) | beside for row in rows], schema=DIFFERENCE_SCHEMA)


def gap(result: SearchResult, rank: int) -> float | None:
    """Return the final score at `rank` minus that of the next hit; None = there is no next.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    return hit.final_score - result.hits[rank].final_score if rank < len(result) else None


def entries(hit: Hit, config: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return entries whose contributions add up to `hit.final_score` (absolute error 1e-6).

    Args:
        hit: of a result.
        config: that result's `provenance.config`.

    Returns:
        In the order of the stages; none where `config` has no weights.
    """
    if "log_odds" not in config or "retrieve" not in config:
        return ()
    has_judge = config.get("n_judged_done") is not None
    found = [*_of_retrieve(hit, config, has_judge=has_judge)]
    if has_judge:
        found += _of_judge(hit, config["judging"])
    found += _rounding(hit, config, math.fsum(entry.contribution for entry in found))
    found += _of_align(hit, config.get("align", {}))
    return tuple(sorted(found, key=lambda entry: STAGES.index(entry.stage)))


def difference_entries(hit: Hit, other: Hit, config: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the entries of `hit` minus those of `other`, of the same result, by stage and name."""
    mine = {(entry.stage, entry.name): entry for entry in entries(hit, config)}
    its = {(entry.stage, entry.name): entry for entry in entries(other, config)}
    keys = sorted([*mine, *(key for key in its if key not in mine)], key=_place)
    return tuple(_minus(key, mine.get(key), its.get(key)) for key in keys)


def _place(key: tuple[str, str]) -> int:
    return STAGES.index(key[0])


def _minus(key: tuple[str, str], mine: Entry | None, its: Entry | None) -> Entry:
    stage, name = key
    first = 0.0 if mine is None else mine.contribution
    second = 0.0 if its is None else its.contribution
    value = None
    if mine is not None and its is not None and mine.value is not None and its.value is not None:
        value = mine.value - its.value
    if first or second:
        formula = f"{_side(mine)} − {_side(its)}"
    else:
        formula = f"{_informed(mine)}; the other: {_informed(its)}"
    return Entry(stage, name, value, formula, first - second)


def _side(entry: Entry | None) -> str:
    if entry is None:
        return "0"
    text = factor(entry.contribution)
    return f"({text})" if entry.contribution < 0 else text


def _informed(entry: Entry | None) -> str:
    if entry is None:
        return "without"
    return "with" if entry.value is None else factor(entry.value)


def _of_retrieve(hit: Hit, config: Mapping[str, Any], *, has_judge: bool) -> Iterator[Entry]:
    weights, odds = config["retrieve"], config["log_odds"]
    weight = (config["judging"]["stage1_weight"],) if has_judge else ()
    region = (*weight, odds["scale"], weights["region_weight"])
    best, second = hit.best_region_score, hit.runner_up_score
    if best is None:
        yield _product("retrieve", "whole image as only region", *region, hit.whole_image_score)
    elif second is None:
        yield _product("retrieve", "winning region", *region, best)
    else:
        yield _product("retrieve", "runner-up region", *region, second)
        yield _product("retrieve", "winning margin", *region, best - second)
    whole = (*weight, odds["scale"], weights["image_weight"])
    yield _product("retrieve", "whole image", *whole, hit.whole_image_score)
    yield _product("retrieve", "encoder bias", *weight, odds["bias"])


def _product(stage: str, name: str, *factors: float) -> Entry:
    """Return an entry whose value is the last factor."""
    return Entry(stage, name, factors[-1], product_text(*factors), math.prod(factors))


def _of_judge(hit: Hit, options: Mapping[str, Any]) -> Iterator[Entry]:
    if hit.logit is None:
        yield Entry("judge", "not judged", None, "no evidence either way: adds nothing")
        return
    weight, limit = options["weight"], options["max_logit"]
    clipped = min(max(hit.logit, -limit), limit)
    if abs(hit.logit) > LARGEST:
        formula = f"{product_text(weight, clipped)} (clipped from {factor(hit.logit)})"
        yield Entry("judge", "judge", clipped, formula, weight * clipped)
    else:
        yield _product("judge", "judge", weight, hit.logit)
        if clipped != hit.logit:
            back = clipped - hit.logit
            formula = f"{product_text(weight, back)} (max_logit is {factor(limit)})"
            yield Entry("judge", "clip", back, formula, weight * clipped - weight * hit.logit)
    if hit.p_relevant is not None:
        yield Entry("judge", "probability", hit.p_relevant, _calibration(hit.p_relevant, hit.logit))


def _calibration(p: float, logit: float) -> str:
    expected = sigmoid(logit)
    if abs(expected - p) <= 1e-6:
        return f"sigmoid({factor(logit)})"
    return f"the judge's own, beside log-odds of {factor(logit)} (their sigmoid: {expected:.3f})"


def _rounding(hit: Hit, config: Mapping[str, Any], total: float) -> Iterator[Entry]:
    """Yield what single precision explains of the rest of the score, and no more."""
    rest = hit.final_score - total
    weights = config["retrieve"]
    unit = config["log_odds"]["scale"] * (weights["region_weight"] + weights["image_weight"])
    if config.get("n_judged_done") is not None:
        unit *= config["judging"]["stage1_weight"]
    if EXACT * max(1.0, abs(unit)) < abs(rest) <= abs(unit) * SINGLE:
        yield Entry("retrieve", "rounding", rest, "stored in single precision", rest)


def _of_align(hit: Hit, options: Mapping[str, Any]) -> Iterator[Entry]:
    if hit.judge_rank is None:
        shown = hit.region_id is not None
        name = "region of stage 1" if shown else "no region"
        why = "its best region is shown" if shown else "none is stored for this image"
        yield Entry("align", name, hit.best_region_score if shown else None, why)
    elif hit.align_iou is not None:
        yield Entry("align", "align IoU", hit.align_iou, _aligned(hit, options))
    elif hit.region_id is not None:
        why = f"region {hit.region_id}: {ONLY_MASK}"
        yield Entry("align", "region named by the judge", hit.region_score, why)
    elif hit.judged_box_xyxy is not None:
        yield Entry("align", "no region", None, "none is stored that the judge's box could match")
    else:
        yield Entry("align", "no place named", None, "the judge names no place: no mask")


def _aligned(hit: Hit, options: Mapping[str, Any]) -> str:
    if hit.mask is None:
        limit = options.get("min_align_iou")
        return f"below {factor(limit)}: no mask" if limit is not None else "too low: no mask"
    return ONLY_MASK
