"""Join both stages: one score, one order, and one mask for what was found.

A judge may name a stored region, or a box that is matched with the stored masks or, as an
option, given to a segmenter as a prompt; or it gives a score alone, and stage 1 shows its own best
region of what the judge calls relevant. This module knows no model; a prompt is a function.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from matir_nb.config import P_SHOWN, AlignConfig, JudgeConfig
from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.geometry.masks import tight_box_xyxy
from matir_nb.index.store import Index
from matir_nb.types import (
    BoxXYXY,
    Candidate,
    Hit,
    Judgement,
    LogOdds,
    MaskRLE,
    Regions,
    RGBImage,
)

BoxPrompt: TypeAlias = Callable[[RGBImage, BoxXYXY], MaskRLE]
"""Segments what a box surrounds."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a hit points at; all None = nothing."""

    region_id: int | None = None
    align_iou: float | None = None
    box_xyxy: BoxXYXY | None = None
    mask: MaskRLE | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with what stage 2 said of it.

    Attributes:
        score: the final score.
        candidate: as stage 1 saw it.
        judgement: None = not judged.
        judge_rank: by the judge's logit among the judged; None = not judged.
    """

    score: float
    candidate: Candidate
    judgement: Judgement | None
    judge_rank: int | None


def order(
    candidates: Sequence[Candidate],
    judgements: Sequence[Judgement] | None,
    *,
    log_odds: LogOdds,
    config: JudgeConfig,
) -> list[Scored]:
    """Return all candidates by final score, best first; equal scores by image id.

    Args:
        candidates: what stage 1 found.
        judgements: of some or all of them; None = there was no stage 2.
        log_odds: turns a stage-1 score into log-odds.
        config: weighs both stages.
    """
    by_id = {judgement.image_id: judgement for judgement in judgements or ()}
    ranks = judge_ranks(by_id.values())
    weights = None if judgements is None else config
    scored = []
    for candidate in candidates:
        judgement = by_id.get(candidate.image_id)
        logit = None if judgement is None else judgement.logit
        score = final_score(candidate.stage1_score, logit, log_odds, weights)
        scored.append(Scored(score, candidate, judgement, ranks.get(candidate.image_id)))
    return sorted(scored, key=lambda item: (-item.score, item.candidate.image_id))


def align(
    scored: Sequence[Scored],
    index: Index,
    *,
    config: AlignConfig,
    box_prompt: BoxPrompt | None = None,
    judge_grounds: bool = True,
) -> list[Hit]:
    """Return a hit for each of `scored`, in that order, with the mask of what was found.

    Args:
        scored: best first.
        index: where they come from.
        config: how a box becomes a mask.
        box_prompt: used in place of the stored masks when `config.prompt_sam` is set.
        judge_grounds: whether the judge names places; False = its p alone decides whether the
            region of stage 1 is shown.
    """
    prompt = box_prompt if config.prompt_sam else None
    hits = []
    for place, item in enumerate(scored):
        judgement = item.judgement
        if not judge_grounds and judgement is not None and judgement.p_relevant >= P_SHOWN:
            judgement = None
        found = find(item.candidate, judgement, index, config=config, box_prompt=prompt)
        hits.append(_hit(place + 1, item, found, index))
    return hits


def final_score(
    stage1_score: float, logit: float | None, log_odds: LogOdds, judge: JudgeConfig | None
) -> float:
    """Return the log-odds by which hits are ordered.

    With a = log_odds.scale * stage1_score + log_odds.bias::

        no stage 2:   a
        judged:       stage1_weight * a + weight * clip(c, -max_logit, max_logit)
        not judged:   stage1_weight * a            (no evidence either way)

    where c = calibration_scale * logit + calibration_bias.

    Args:
        stage1_score: fused cosine.
        logit: the judge's own log-odds; None = this image was not judged.
        log_odds: what the encoder's cosines are worth.
        judge: stage 2's options; None = there was no stage 2.

    >>> stage1 = LogOdds(scale=10, bias=-4)
    >>> final_score(0.5, None, stage1, None)
    1.0
    >>> stage2 = JudgeConfig(weight=2, stage1_weight=0.5, max_logit=3)
    >>> final_score(0.5, 99, stage1, stage2), final_score(0.5, None, stage1, stage2)
    (6.5, 0.5)
    """
    stage1 = log_odds.of(stage1_score)
    if judge is None:
        return stage1
    return judge.stage1_weight * stage1 + judge.weight * evidence(logit, judge)


def evidence(logit: float | None, judge: JudgeConfig) -> float:
    """Return what a judge's log-odds count for: calibrated, then clipped; 0 for None.

    >>> options = JudgeConfig(max_logit=3, calibration_scale=2, calibration_bias=-1)
    >>> evidence(1.5, options), evidence(-9.0, options), evidence(None, options)
    (2.0, -3, 0.0)
    """
    if logit is None:
        return 0.0
    return min(max(judge.calibrated(logit), -judge.max_logit), judge.max_logit)


def judge_ranks(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Return image id -> rank by logit, 1 = best; equal logits by image id."""
    order = sorted(judgements, key=lambda j: (-j.logit, j.image_id))
    return {judgement.image_id: place + 1 for place, judgement in enumerate(order)}


def find(
    candidate: Candidate,
    judgement: Judgement | None,
    index: Index,
    *,
    config: AlignConfig,
    box_prompt: BoxPrompt | None = None,
) -> Found:
    """Return what a hit points at.

    Not judged: stage 1's best region. Judged: the region that the judge named, else the mask
    aligned with its box, else nothing: a judge that names no place says there is none.
    """
    image_id = candidate.image_id
    if judgement is None:
        best = candidate.region_ids[:1]
        return _stored(index.regions_of(image_id), best[0]) if best else Found()
    if judgement.region_id is not None:
        return _stored(index.regions_of(image_id), judgement.region_id)
    if judgement.box_xyxy is None:
        return Found()
    if box_prompt is None:
        return match_box(judgement.box_xyxy, index.regions_of(image_id), config)
    mask = box_prompt(index.load_image(image_id), judgement.box_xyxy)
    return _prompted(judgement.box_xyxy, mask, config)


def match_box(box_xyxy: BoxXYXY, regions: Regions, config: AlignConfig) -> Found:
    """Return the region whose box has the best IoU with `box_xyxy`.

    Below `config.min_align_iou` there is no mask, but the best IoU is kept. Of equal IoUs the
    earlier region wins.
    """
    if not len(regions):
        return Found()
    ious = pairwise_iou([box_xyxy], regions.boxes_xyxy)[0]
    best = int(np.argmax(ious))
    iou = float(ious[best])
    if iou < config.min_align_iou:
        return Found(align_iou=iou)
    return replace(_stored(regions, best), align_iou=iou)


def _prompted(box_xyxy: BoxXYXY, mask: MaskRLE, config: AlignConfig) -> Found:
    """Return a segmenter's answer to a box, unless it lies elsewhere."""
    tight = tight_box_xyxy(mask)
    iou = float(pairwise_iou([box_xyxy], [tight])[0, 0])
    if iou < config.min_align_iou:
        return Found(align_iou=iou)
    return Found(align_iou=iou, box_xyxy=tight, mask=mask)


def _stored(regions: Regions, region_id: int) -> Found:
    x0, y0, x1, y1 = (float(v) for v in regions.boxes_xyxy[region_id])
    return Found(region_id, None, (x0, y0, x1, y1), regions.masks[region_id])


def _hit(rank: int, item: Scored, found: Found, index: Index) -> Hit:
    candidate, judgement = item.candidate, item.judgement
    ref = index.ref_of(candidate.image_id)
    cosines = dict(zip(candidate.region_ids, candidate.region_scores.tolist(), strict=True))
    return Hit(
        rank=rank,
        image_id=candidate.image_id,
        path=ref.path.relative_to(index.image_root).as_posix(),
        width=ref.width,
        height=ref.height,
        final_score=item.score,
        stage1_rank=candidate.stage1_rank,
        stage1_score=candidate.stage1_score,
        best_region_id=candidate.region_ids[0] if candidate.region_ids else None,
        best_region_score=candidate.best_region_score,
        runner_up_score=candidate.runner_up_score,
        whole_image_score=candidate.whole_image_score,
        null_percentile=None,
        judge_rank=item.judge_rank,
        p_relevant=None if judgement is None else judgement.p_relevant,
        logit=None if judgement is None else judgement.logit,
        answer=None if judgement is None else judgement.answer,
        above_cut=None,
        judged_box_xyxy=None if judgement is None else judgement.box_xyxy,
        region_id=found.region_id,
        region_score=None if found.region_id is None else cosines.get(found.region_id),
        align_iou=found.align_iou,
        box_xyxy=found.box_xyxy,
        mask=found.mask,
        copies=index.copies_of(item.candidate.image_id),
        hub_score=candidate.hub_score,
        reference_score=candidate.reference_score,
    )
