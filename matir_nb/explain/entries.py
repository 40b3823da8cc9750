"""The entries of a ledger: what a hit's final score is made of.

The contributions are log-odds and add up to `Hit.final_score`; an entry that contributes 0 only
informs. Everything is read from the hit and from its result's options (`Provenance.config`), by
the formulas of `matir_nb.index.vectors.fuse` and `matir_nb.stages.align.final_score`. With

    e = scale * stage1_weight      (stage1_weight is 1 where there was no stage 2)

an entry of stage 1 contributes e * weight * cosine. The names, by stage::

    retrieve  runner-up region            what the second-best region alone would have given
              winning margin              what the best region adds to that
              winning region              both in one, where no second region is known, or regions
                                          are ranked by more than their cosines
              whole image as only region  in their place, for an image without regions
              whole image                 the cosine with the whole image
              de-hubbing                  what neutral phrases score in region and image, taken off
              references                  how alike query and hit lie among the references
              encoder bias                log-odds of the cosine 0
              rounding                    of a stage-1 score that was stored in single precision
    judge     judge                       weight * log-odds of the judge
              calibration                 what calibration adds to or takes from that
              clip                        what max_logit takes back of it
              probability                 the judge's p (informs)
              not judged                  no evidence either way (informs)
    align     align IoU                   of the judge's box with the region shown (informs)
              region named by the judge   the mask needed no alignment (informs)
              no place named              the judge says "not here" (informs)
              region of stage 1           not judged, or by a judge that names no places: its
                                          best region is shown (informs)
              no region                   there is none to show (informs)

Alignment chooses the mask and does not change the order. This module knows no table, no index and
no model.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matir_nb.config import P_SHOWN
from matir_nb.hit_table import STAGES
from matir_nb.models.answers import sigmoid
from matir_nb.terms import adjustments, factor, product_text
from matir_nb.types import Hit

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
    found += _of_align(hit, config)
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
    more = adjustments(hit, weights)
    if best is None:
        yield _product("retrieve", "whole image as only region", *region, hit.whole_image_score)
    elif second is None or more:
        yield _product("retrieve", "winning region", *region, best)
    else:
        yield _product("retrieve", "runner-up region", *region, second)
        yield _product("retrieve", "winning margin", *region, best - second)
    whole = (*weight, odds["scale"], weights["image_weight"])
    yield _product("retrieve", "whole image", *whole, hit.whole_image_score)
    for name, part, value in more:
        yield _product("retrieve", name, *weight, odds["scale"], part, value)
    yield _product("retrieve", "encoder bias", *weight, odds["bias"])


def _product(stage: str, name: str, *factors: float) -> Entry:
    """Return an entry whose value is the last factor."""
    return Entry(stage, name, factors[-1], product_text(*factors), math.prod(factors))


def _of_judge(hit: Hit, options: Mapping[str, Any]) -> Iterator[Entry]:
    if hit.logit is None:
        yield Entry("judge", "not judged", None, "no evidence either way: adds nothing")
        return
    weight, limit = options["weight"], options["max_logit"]
    worth = _calibrated(hit.logit, options)
    clipped = min(max(worth, -limit), limit)
    if max(abs(hit.logit), abs(worth)) > LARGEST:
        formula = f"{product_text(weight, clipped)} (clipped from {factor(hit.logit)})"
        yield Entry("judge", "judge", clipped, formula, weight * clipped)
    else:
        yield _product("judge", "judge", weight, hit.logit)
        if worth != hit.logit:
            why = f"worth {factor(worth)}: {_rule(options)}"
            yield _step("calibration", weight, hit.logit, worth, why)
        if clipped != worth:
            yield _step("clip", weight, worth, clipped, f"max_logit is {factor(limit)}")
    if hit.p_relevant is not None:
        yield Entry("judge", "probability", hit.p_relevant, _said(hit.p_relevant, worth))


def _calibrated(logit: float, options: Mapping[str, Any]) -> float:
    """Return calibrated log-odds (`JudgeConfig.calibrated`); older results have no calibration."""
    scale: float = options.get("calibration_scale", 1.0)
    bias: float = options.get("calibration_bias", 0.0)
    return scale * logit + bias


def _rule(options: Mapping[str, Any]) -> str:
    bias = options["calibration_bias"]
    sign = "−" if bias < 0 else "+"
    return f"{factor(options['calibration_scale'])} × log-odds {sign} {factor(abs(bias))}"


def _step(name: str, weight: float, before: float, after: float, why: str) -> Entry:
    """Return an entry for log-odds that become others."""
    change = after - before
    formula = f"{product_text(weight, change)} ({why})"
    return Entry("judge", name, change, formula, weight * after - weight * before)


def _said(p: float, logit: float) -> str:
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


def _of_align(hit: Hit, config: Mapping[str, Any]) -> Iterator[Entry]:
    options = config.get("align", {})
    if hit.judge_rank is None:
        yield _of_stage1(hit, "")
    elif not config.get("judge_grounds", True):
        yield _of_score_alone(hit)
    elif hit.align_iou is not None:
        yield Entry("align", "align IoU", hit.align_iou, _aligned(hit, options))
    elif hit.region_id is not None:
        why = f"region {hit.region_id}: {ONLY_MASK}"
        yield Entry("align", "region named by the judge", hit.region_score, why)
    elif hit.judged_box_xyxy is not None:
        yield Entry("align", "no region", None, "none is stored that the judge's box could match")
    else:
        yield Entry("align", "no place named", None, "the judge names no place: no mask")


def _of_stage1(hit: Hit, reason: str) -> Entry:
    if hit.region_id is None:
        return Entry("align", "no region", None, f"{reason}none is stored for this image")
    why = f"{reason}its best region is shown"
    return Entry("align", "region of stage 1", hit.best_region_score, why)


def _of_score_alone(hit: Hit) -> Entry:
    """Return what is shown of a hit whose judge never names a place."""
    reason = "the judge names no place: "
    if hit.region_id is None and hit.p_relevant is not None and hit.p_relevant < P_SHOWN:
        return Entry("align", "no region", None, f"{reason}below p {P_SHOWN} there is no mask")
    return _of_stage1(hit, reason)


def _aligned(hit: Hit, options: Mapping[str, Any]) -> str:
    if hit.mask is None:
        limit = options.get("min_align_iou")
        return f"below {factor(limit)}: no mask" if limit is not None else "too low: no mask"
    return ONLY_MASK
