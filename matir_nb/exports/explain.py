"""A hit and a result explained in words: the ledger, the judge, regions, ranks.

What the notebook's inspector and stage flow show, for a terminal and for readers without a
kernel. This module opens no index: regions come from the result's source.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from matir_nb.explain.entries import entries
from matir_nb.explain.ledger import gap, hit_of
from matir_nb.explain.ledger_text import ledger_text
from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.hit_table import STAGES
from matir_nb.printing import number, printable, shorten, table
from matir_nb.results import SearchResult
from matir_nb.terms import Term, signed, stage1_terms
from matir_nb.types import BoxXYXY, FloatArray, Hit

MAX_NAME = 40
MAX_REGIONS = 20
"""Rows of the table of regions; the rest is counted."""


def hit_text(result: SearchResult, rank: int, *, with_regions: bool = True) -> str:
    """Return why a hit stands where it stands: ranks, the ledger, the judge's words, regions.

    Args:
        result: of a search.
        rank: 1 = best.
        with_regions: also the table of regions, whose cosines the source's models may compute.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    config = result.provenance.config
    parts = [
        f"{printable(hit.image_id)}  for  {printable(result.query)!r}{_copies(hit)}",
        _ranks(hit),
        _cosines(hit, stage1_terms(hit, config)),
        _judge(hit),
        _ledger(result, hit),
    ]
    return "\n\n".join([*parts, _regions(result, hit)] if with_regions else parts)


def flow_text(result: SearchResult) -> str:
    """Return every hit's rank by stage, and the seconds of each stage."""
    head = ["stage1#", "judge#", "final#", "moved", "image"]
    rows = [
        [str(hit.stage1_rank), _whole(hit.judge_rank), str(hit.rank), _moved(hit), _name(hit)]
        for hit in result.hits
    ]
    ranks = table(head, rows, left=["image"]) if rows else "no hits"
    seconds = result.provenance.seconds
    lines = [f"{stage:10}{seconds[stage]:8.3f} s" for stage in STAGES if stage in seconds]
    return "\n".join([ranks, "", *lines])


def _name(hit: Hit) -> str:
    return shorten(printable(hit.image_id), MAX_NAME)


def _copies(hit: Hit) -> str:
    return f"\nalso as: {printable(', '.join(hit.copies))}" if hit.copies else ""


def _whole(value: int | None) -> str:
    return "-" if value is None else str(value)


def _moved(hit: Hit) -> str:
    steps = hit.stage1_rank - hit.rank
    return f"up {steps}" if steps > 0 else f"down {-steps}" if steps < 0 else "="


def _ranks(hit: Hit) -> str:
    judged = "not judged" if hit.judge_rank is None else f"judge {hit.judge_rank}"
    return f"rank: stage 1 {hit.stage1_rank} → {judged} → final {hit.rank} ({_moved(hit)})"


def _cosines(hit: Hit, terms: Sequence[Term]) -> str:
    """Return the sum of stage 1, and where it lies among those of unrelated phrases."""
    rows = [[term.name, term.formula, signed(term.value, 4)] for term in terms]
    rows.append(["=", "", signed(hit.stage1_score, 4)])
    head = ["stage 1 (cosine)", "formula", "adds"]
    lines = [table(head, rows, left=["stage 1 (cosine)"])]
    if hit.null_percentile is not None:
        lines.append(f"higher than {hit.null_percentile:.1f} % of unrelated phrases in this image")
    return "\n".join(lines)


def _ledger(result: SearchResult, hit: Hit) -> str:
    """Return the ledger of the final score (log-odds), the gap to the next hit, and the cut."""
    lines = [ledger_text(entries(hit, result.provenance.config), hit.final_score)]
    to_next = gap(result, hit.rank)
    if to_next is not None:
        lines.append(f"gap to the next hit: {number(to_next)}")
    if hit.above_cut is not None:
        by = result.provenance.config.get("cut", {}).get("by")
        side = "above" if hit.above_cut else "below"
        lines.append(f"{side} this query's cut" + (f", by the {printable(by)}" if by else ""))
    return "\n".join(lines)


def _judge(hit: Hit) -> str:
    if hit.p_relevant is None:
        return "judge: did not see this image"
    box = "no box" if hit.judged_box_xyxy is None else f"box {_box(hit.judged_box_xyxy)}"
    answer = printable(hit.answer or "")
    numbers = f"p {number(hit.p_relevant)}, log-odds {number(hit.logit)}, {box}"
    return f"judge: {numbers}\n  answer: {answer!r}"


def _box(box: Sequence[float]) -> str:
    return ",".join(f"{value:.0f}" for value in box)


def _regions(result: SearchResult, hit: Hit) -> str:
    """Return the table of the image's regions, best cosine first; "*" marks the one shown."""
    if result.source is None:
        return "regions: not known without the index; give it with -i NAME|PATH"
    regions = result.source.regions_of(hit.image_id)
    scores = result.source.region_scores_of(result.query, hit.image_id)
    overlaps = _overlaps(regions.boxes_xyxy, hit.judged_box_xyxy)
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    shown = order[:MAX_REGIONS]
    if hit.region_id is not None and hit.region_id not in shown:
        shown.append(hit.region_id)
    head = ["region", "cosine", "IoU with box", "predicted IoU", "stability", "box"]
    rows = [
        [
            f"{'*' if row == hit.region_id else ''}{row}",
            f"{scores[row]:.4f}",
            "-" if overlaps is None else f"{overlaps[row]:.3f}",
            f"{regions.predicted_ious[row]:.3f}",
            f"{regions.stability_scores[row]:.3f}",
            _box(regions.boxes_xyxy[row].tolist()),
        ]
        for row in shown
    ]
    return "\n".join([table(head, rows, left=["box"]), *_region_notes(hit, len(order), len(rows))])


def _overlaps(boxes: FloatArray, judged: BoxXYXY | None) -> FloatArray | None:
    if judged is None:
        return None
    overlaps: FloatArray = pairwise_iou(np.array([judged], np.float32), boxes)[0]
    return overlaps


def _region_notes(hit: Hit, n_all: int, n_shown: int) -> Iterator[str]:
    if n_all > n_shown:
        yield f"and {n_all - n_shown} regions with lower cosines"
    if hit.region_id is None:
        made = "a mask made from the judge's box" if hit.mask is not None else "no mask"
        yield f"the hit shows {made}"
    else:
        yield "* = the region that the hit shows"
