"""The structured judge: clauses of the query, region scores, geometry; nothing is trained.

The query is taken apart (`clauses.parse`); each noun phrase is scored against every stored
region; p(region shows phrase) = sigmoid of the encoder's log-odds; the clauses are
answered by probability, taking regions as independent:

- attribute, superlative: the best region; the extreme one among those nearly as likely;
- relation: max over pairs of p(i is subject) * p(j is other) * geometry(i, j);
- count: P(exactly n regions show the subject), a Poisson-binomial distribution;
- "no X": P(no region shows X); "X without Y": p(X) * (1 - p(X with Y)).

It is the baseline that a trained judge must beat. Knows no pixels: it never opens the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matir_nb.geometry.boxes import nms
from matir_nb.geometry.relations import BY_BOXES, relation_by_boxes, relation_by_masks
from matir_nb.models.base import JudgeInput, RegionEncoder
from matir_nb.models.clauses import Clauses, parse
from matir_nb.types import FloatArray, Judgement, Regions

DUPLICATE_IOU = 0.6
NEARLY = 0.5
MIN_PAIR = 0.02
MIN_P = 1e-6
VERSION = "structured-1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """p in [0, 1], the region (row) that shows it, and the reason in words."""

    p: float
    region: int | None
    reason: str


class StructuredJudge:
    """Answers a query from region scores and geometry; implements `Judge`."""

    grounds = True

    def __init__(self, encoder: RegionEncoder) -> None:
        """Score noun phrases with `encoder`, the one that made the index."""
        self._encoder = encoder

    @property
    def model_id(self) -> str:
        """Version of the rules, and the encoder whose scores they read."""
        return f"{VERSION} over {self._encoder.model_id}"

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order.

        Raises:
            QueryError: a noun phrase is longer than the text encoder reads.
        """
        clauses = parse(query)
        phrases = [p for p in (clauses.subject, clauses.other, clauses.without) if p is not None]
        texts = self._encoder.embed_texts(phrases)
        return [self._judge_one(clauses, texts, item) for item in inputs]

    def _judge_one(self, clauses: Clauses, texts: FloatArray, item: JudgeInput) -> Judgement:
        cosines = texts @ np.asarray(item.region_vectors, np.float32).reshape(-1, texts.shape[1]).T
        odds = self._encoder.log_odds
        scores = 1 / (1 + np.exp(-(odds.scale * cosines + odds.bias)))
        verdict = decide(clauses, scores, item.regions, width=item.width, height=item.height)
        p = float(np.clip(verdict.p, MIN_P, 1 - MIN_P))
        is_here = p >= 0.5
        return Judgement(
            image_id=item.candidate.image_id,
            p_relevant=p,
            logit=float(np.log(p / (1 - p))),
            box_xyxy=None,
            region_id=verdict.region if is_here else None,
            answer=f"{'yes' if is_here else 'no'}: {verdict.reason}",
        )


def decide(
    clauses: Clauses, scores: FloatArray, regions: Regions, *, width: int, height: int
) -> Verdict:
    """Return the verdict of one image.

    Args:
        clauses: the query.
        scores: (t, n) p(region shows phrase); rows subject, then other or without, if any.
        regions: the n regions.
        width: pixels of the image.
        height: pixels of the image.
    """
    if not len(regions):
        return Verdict(float(clauses.is_none), None, "no region is stored for this image")
    subject = scores[0]
    if clauses.is_none or clauses.count is not None:
        return _counted(clauses, subject, regions)
    if clauses.relation is not None:
        return _related(clauses, scores, regions, width=width, height=height)
    if clauses.without is not None:
        subject = subject * (1 - scores[1])
    row = int(subject.argmax())
    if clauses.superlative is not None:
        row = _extreme(clauses.superlative, subject, regions)
    named = f"{clauses.superlative + ' ' if clauses.superlative else ''}{clauses.subject}"
    lacking = f", not {clauses.without!r} {1 - scores[1, row]:.2f}" if clauses.without else ""
    reason = f"region {row} is {named!r} {scores[0, row]:.2f}{lacking}"
    return Verdict(float(subject[row]), row, reason)


def _counted(clauses: Clauses, subject: FloatArray, regions: Regions) -> Verdict:
    """Return P(exactly `count` regions); a count of 0 is "no X"."""
    kept = nms(regions.boxes_xyxy, subject, DUPLICATE_IOU)
    wanted = clauses.count or 0
    chances = count_distribution(subject[kept])
    p = float(chances[wanted]) if wanted < len(chances) else 0.0
    expected = float(subject[kept].sum())
    best = int(subject.argmax()) if wanted else None
    reason = f"about {expected:.1f} regions are {clauses.subject!r}, {wanted} wanted"
    return Verdict(p, best, reason)


def count_distribution(p: FloatArray) -> FloatArray:
    """Return (n + 1,): the chance that exactly 0 .. n of independent events with `p` happen.

    >>> count_distribution(np.array([0.5, 0.5])).tolist()
    [0.25, 0.5, 0.25]
    """
    chances = np.ones(1)
    for chance in np.asarray(p, np.float64):
        chances = np.append(chances * (1 - chance), 0) + np.insert(chances * chance, 0, 0)
    return chances.astype(np.float32)


def _related(
    clauses: Clauses, scores: FloatArray, regions: Regions, *, width: int, height: int
) -> Verdict:
    relation = str(clauses.relation)
    pairs = np.outer(scores[0], scores[1])
    np.fill_diagonal(pairs, 0)
    if relation in BY_BOXES:
        pairs = pairs * relation_by_boxes(relation, regions.boxes_xyxy, width=width, height=height)
    else:
        likely = np.argwhere(pairs >= MIN_PAIR)
        strength = np.zeros_like(pairs)
        for i, j in likely.tolist():
            strength[i, j] = relation_by_masks(relation, regions, i, j)
        pairs = pairs * strength
    i, j = (int(k) for k in np.unravel_index(int(pairs.argmax()), pairs.shape))
    reason = (
        f"region {i} is {clauses.subject!r} {scores[0, i]:.2f}, "
        f"region {j} is {clauses.other!r} {scores[1, j]:.2f}, {relation} together {pairs[i, j]:.2f}"
    )
    return Verdict(float(pairs[i, j]), i, reason)


def _extreme(superlative: str, subject: FloatArray, regions: Regions) -> int:
    """Return the extreme region among those at least `NEARLY` as likely as the best."""
    rows = np.flatnonzero(subject >= NEARLY * subject.max())
    boxes = regions.boxes_xyxy[rows]
    longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
    measure = {
        "leftmost": -(boxes[:, 0] + boxes[:, 2]),
        "rightmost": boxes[:, 0] + boxes[:, 2],
        "topmost": -(boxes[:, 1] + boxes[:, 3]),
        "bottommost": boxes[:, 1] + boxes[:, 3],
        "largest": longer,
        "smallest": -longer,
    }[superlative]
    return int(rows[int(measure.argmax())])
