"""Stage 2: show the best candidates to a judge, in chunks, remembering what it said.

This module knows no model: whatever has `matir_nb.models.base.Judge`'s methods can judge.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from matir_nb.config import JudgeConfig
from matir_nb.errors import ShapeError
from matir_nb.index.cache import JudgementCache
from matir_nb.index.store import Index
from matir_nb.models.answers import sigmoid
from matir_nb.models.base import Judge, JudgeInput
from matir_nb.types import Candidate, Judgement


def judge(  # noqa: PLR0913 - the last three are optional services
    query: str,
    candidates: Sequence[Candidate],
    index: Index,
    judge: Judge,
    *,
    config: JudgeConfig,
    cache: JudgementCache | None = None,
    cancel: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Judgement]:
    """Return judgements of the best `config.n_judged` candidates, in their order.

    Their log-odds are the judge's own; their p is calibrated, where `config` says so.

    Args:
        query: as asked.
        candidates: best of stage 1 first.
        index: where they come from.
        judge: who judges.
        config: how many, how many at once, and their calibration.
        cache: judgements found there are not asked for again, new ones are added as the judge
            gave them.
        cancel: asked before each chunk; once it says yes, the rest stays unjudged.
        progress: called with (judged so far, to be judged) at the start and after each chunk.

    Raises:
        ShapeError: the judge broke its promise: too few answers, or an impossible one.
    """
    cache = cache or JudgementCache()
    keys = {c.image_id: cache_key(query, c, index, judge) for c in candidates[: config.n_judged]}
    known = cache.get(list(keys.values()))
    waiting = [c for c in candidates[: config.n_judged] if keys[c.image_id] not in known]
    report = progress or _silent
    report(len(known), len(keys))
    for start in range(0, len(waiting), config.chunk_size):
        if cancel is not None and cancel():
            break
        chunk = waiting[start : start + config.chunk_size]
        inputs = [_input(candidate, index) for candidate in chunk]
        answers = judge.judge(query, inputs)
        _check(answers, inputs, judge.model_id)
        fresh = {keys[answer.image_id]: answer for answer in answers}
        cache.put(fresh)
        known.update(fresh)
        report(len(known), len(keys))
    return [calibrated(known[key], config) for key in keys.values() if key in known]


def calibrated(judgement: Judgement, config: JudgeConfig) -> Judgement:
    """Return a judgement whose p is that of its calibrated log-odds; as it is without calibration.

    >>> said = Judgement("a.png", 0.5, 2.0, None, None, "yes")
    >>> calibrated(said, JudgeConfig(calibration_scale=0.5, calibration_bias=-1.0)).p_relevant
    0.5
    """
    if not config.is_calibrated:
        return judgement
    return replace(judgement, p_relevant=sigmoid(config.calibrated(judgement.logit)))


def cache_key(query: str, candidate: Candidate, index: Index, judge: Judge) -> str:
    """Return a digest of all that decides a judgement: query, picture, regions, models."""
    decisive = [
        query,
        candidate.image_id,
        index.ref_of(candidate.image_id).fingerprint,
        list(candidate.region_ids),
        index.fingerprint,
        judge.model_id,
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


def _input(candidate: Candidate, index: Index) -> JudgeInput:
    ref = index.ref_of(candidate.image_id)
    return JudgeInput(
        candidate=candidate,
        width=ref.width,
        height=ref.height,
        regions=index.regions_of(candidate.image_id),
        region_vectors=index.region_vectors_of(candidate.image_id),
        load_image=partial(index.load_image, candidate.image_id),
    )


def _check(answers: Sequence[Judgement], inputs: Sequence[JudgeInput], judge_id: str) -> None:
    """Raise unless there is one possible answer per input, in order."""
    asked = [item.candidate.image_id for item in inputs]
    got = [answer.image_id for answer in answers]
    if asked != got:
        message = f"judge {judge_id!r}: expected judgements of {asked}, got {got}"
        raise ShapeError(message)
    for answer, item in zip(answers, inputs, strict=True):
        n = len(item.regions)
        if answer.region_id is not None and not 0 <= answer.region_id < n:
            message = f"judge {judge_id!r}: region {answer.region_id} of {answer.image_id!r}: {n=}"
            raise ShapeError(message)
        if math.isnan(answer.logit) or not 0 <= answer.p_relevant <= 1:
            message = f"judge {judge_id!r}: impossible score {answer.p_relevant}, {answer.logit}"
            raise ShapeError(message)
