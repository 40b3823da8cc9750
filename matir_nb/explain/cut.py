"""The cut of one query: which hits stand out from what a query for something absent would find.

There is no cosine above which a hit is right: some texts score higher everywhere. A query is put
to all images of an index, so a hit has to beat the best of them: the cut is where at most
`CutConfig.error_rate` of the queries for something absent have any hit above it (a family-wise
error rate). This module knows no model and no search.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from matir_nb.config import CutConfig, JudgeConfig
from matir_nb.explain.null_band import NullBand
from matir_nb.models.answers import sigmoid
from matir_nb.types import Hit


@dataclass(frozen=True, slots=True)
class JudgeNull:
    """The log-odds that a judge gives to one image that does not show the query, in the tail.

    The highest of n such log-odds is Gumbel distributed: P(max < x) = exp(-n exp(-(x - location)
    / scale)) (Gumbel, "Statistics of Extremes", 1958).

    Attributes:
        location: log-odds.
        scale: log-odds, > 0.
    """

    location: float
    scale: float

    def min_logit(self, n_images: int, error_rate: float) -> float:
        """Return what the highest of `n_images` exceeds with probability `error_rate`.

        >>> JudgeNull(location=0.0, scale=1.0).min_logit(1, 1 - math.exp(-1))
        0.0
        """
        tail = math.log(max(n_images, 1)) - math.log(-math.log1p(-error_rate))
        return self.location + self.scale * tail


JUDGE_NULLS: Mapping[str, JudgeNull] = {
    "structured-1 over alpha-clip@8c45a242e051": JudgeNull(location=-1.474, scale=0.277),
}
"""Judge (the beginning of its model id) -> its null on validation scenes.

Fitted by ``python -m training.calibrate_cut``."""
UNFITTED_SCALE = 0.35
"""Log-odds that a judge without fitted null needs more per factor e of images."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a hit has to reach.

    Attributes:
        by: "judge" or "null band": what decides.
        error_rate: share of the queries for something absent that may have a hit above the cut.
        n_images: images that were asked.
        min_stage1_score: decides where there was no judge.
        n_phrases: unrelated phrases behind `min_stage1_score`.
        min_logit: the judge's own log-odds, which decide about the hits that it saw; None = there
            was no judge.
        is_fitted: whether the judge's null is known; None = there was no judge.
        min_p: the probability that `min_logit` stands for; None = there was no judge.
        unknown_words: of the query, that the encoder has never seen; with any, no hit is kept.
    """

    by: str
    error_rate: float
    n_images: int
    min_stage1_score: float
    n_phrases: int
    min_logit: float | None = None
    is_fitted: bool | None = None
    min_p: float | None = None
    unknown_words: tuple[str, ...] = ()

    def keeps(self, hit: Hit) -> bool | None:
        """Return whether `hit` stands out; None where a judge decides and did not see it.

        Stage 1 alone would let through what a judge mostly turns down ("two stars" of any
        number), so it does not stand in for one.
        """
        if self.unknown_words:
            return False
        if self.min_logit is None:
            return hit.stage1_score >= self.min_stage1_score
        return None if hit.logit is None else hit.logit >= self.min_logit

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for a result's provenance."""
        return asdict(self) | {"unknown_words": list(self.unknown_words)}

    def notice(self, hits: Sequence[Hit]) -> str:
        """Return what a reader must know when none of `hits` stands out; else ""."""
        if not hits or any(hit.above_cut for hit in hits):
            return ""
        if self.unknown_words:
            words = ", ".join(repr(word) for word in self.unknown_words)
            reason = "its scores say nothing about this query, so no hit is above the cut"
            return f"the encoder does not know {words}: {reason}"
        if self.min_logit is not None:
            return self._of_judged([hit for hit in hits if hit.logit is not None])
        return f"nothing in this index stands out for this query: {self._best(hits[0])}"

    def _of_judged(self, judged: Sequence[Hit]) -> str:
        """Return what the judge says of the hits that it saw; they need not be the first ones."""
        if not judged:
            return "the judge saw none of these hits, so none is above the cut: judge more of them"
        best = max(judged, key=lambda hit: -math.inf if hit.logit is None else hit.logit)
        place = "the best hit" if best.rank == 1 else f"hit {best.rank} at most"
        p = f"p = {best.p_relevant or 0:.2f}, and {self.min_p or 0:.2f} would stand out"
        what = f"the judge gives {place} {p}; in that image {_above(best)}"
        return f"nothing in this index stands out for this query: {what}"

    def _best(self, best: Hit) -> str:
        rate = f"{100 * self.error_rate:g} % of unrelated phrases find an image with"
        wanted = f"{best.stage1_score:.3f}, and {rate} {self.min_stage1_score:.3f} or more"
        return f"the best hit has the stage-1 score {wanted}; in that image {_above(best)}"


def _above(hit: Hit) -> str:
    return f"it scores higher than {hit.null_percentile or 0:.0f} % of unrelated phrases"


def cut_of(
    query: str,
    band: NullBand,
    *,
    config: CutConfig,
    n_images: int,
    judge_id: str | None = None,
    judging: JudgeConfig | None = None,
    unknown: Sequence[str] = (),
) -> Cut:
    """Return the cut of a query.

    Stage 1: the score that the best image exceeds for `error_rate` of the unrelated phrases, each
    asked of the same images. A judge: see `judge_threshold`.

    Args:
        query: the text asked.
        band: the neutral phrases in the index; unrelated are those without a word of the query.
        config: how often an absent query may have a hit above the cut.
        n_images: images in the index.
        judge_id: model id of the judge that saw the best candidates; None = there was none.
        judging: how that judge is calibrated; None = it is not.
        unknown: words of the query that the encoder does not know.
    """
    rows = band.rows_for(query)
    rate = config.error_rate
    score = float(np.quantile(band.best[rows], 1 - rate)) if n_images else 0.0
    plain = Cut("null band", rate, n_images, score, len(rows), unknown_words=tuple(unknown))
    if judge_id is None:
        return plain
    judging = judging or JudgeConfig()
    min_logit, is_fitted = judge_threshold(judge_id, n_images, rate, judging)
    min_p = sigmoid(judging.calibrated(min_logit))
    return replace(plain, by="judge", min_logit=min_logit, is_fitted=is_fitted, min_p=min_p)


def judge_threshold(
    judge_id: str, n_images: int, error_rate: float, judging: JudgeConfig | None = None
) -> tuple[float, bool]:
    """Return the judge's own log-odds that stand out among `n_images`, and if they are fitted.

    From the judge's null in `JUDGE_NULLS`. A judge whose null was not measured is taken at its
    word in an index of one image (p >= 0.5, calibrated log-odds 0) and needs `UNFITTED_SCALE` *
    ln(n_images) more, about as the judge that was measured.

    >>> judge_threshold("some judge", 1, 0.05)
    (0.0, False)
    """
    for name, null in JUDGE_NULLS.items():
        if judge_id.startswith(name):
            return null.min_logit(n_images, error_rate), True
    return (judging or JudgeConfig()).raw(UNFITTED_SCALE * math.log(max(n_images, 1))), False


def marked(hits: Sequence[Hit], query: str, band: NullBand, cut: Cut) -> list[Hit]:
    """Return `hits` with their null percentile and whether they are above the cut."""
    ids, scores = [hit.image_id for hit in hits], [hit.stage1_score for hit in hits]
    percents = band.percentiles(query, ids, scores).tolist()
    return [
        replace(hit, null_percentile=percent, above_cut=cut.keeps(hit))
        for hit, percent in zip(hits, percents, strict=True)
    ]
