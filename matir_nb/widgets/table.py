"""The table of a result for the browser: `ResultTable` of ``js/src/protocol.ts``.

It goes into a synced trait, so it is small: rounded numbers, deflated. Paths never leave the
kernel: a hit is known by its image id. This module knows no pixel and no widget.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matir_nb.hit_table import STAGES
from matir_nb.results import SearchResult
from matir_nb.types import Hit

VERSION = 1

JSON: TypeAlias = dict[str, Any]

DIGITS: Mapping[str, int] = {
    "final_score": 3,
    "stage1_score": 4,
    "best_region_score": 4,
    "whole_image_score": 4,
    "p_relevant": 3,
    "align_iou": 3,
}
"""Decimals on the wire; exact numbers are in Python's table and in the inspector."""
WHOLE = ("stage1_rank", "judge_rank", "width", "height")


def table_bytes(result: SearchResult | None) -> bytes:
    """Return the deflated JSON of a result's table; empty when there is none."""
    if result is None:
        return b""
    text = json.dumps(table_document(result), separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 9)


def table_document(result: SearchResult) -> JSON:
    """Return `ResultTable` of ``protocol.ts``."""
    config = result.provenance.config
    return {
        "version": VERSION,
        "id": result_id(result),
        "query": result.query,
        "n_images": config.get("n_images"),
        "n_judged": config.get("n_judged_done"),
        "notices": list(result.provenance.notices),
        "models": dict(result.provenance.models),
        "seconds": {stage: _seconds(result, stage) for stage in STAGES if _ran(result, stage)},
        "columns": _columns(result.hits),
        "rest": {
            name: {"edges": [round(edge, 5) for edge in scores.edges], "counts": scores.counts}
            for name, scores in result.rest.items()
        },
        "has_pictures": result.source is not None,
    }


def result_id(result: SearchResult) -> str:
    """Return 12 hex digits that name a result: its query, index, options and ranking."""
    scored = [(hit.image_id, hit.final_score) for hit in result.hits]
    return list_id(result.query, result.provenance.index_fingerprint, scored)


def list_id(query: str, index_fingerprint: str, scored: Sequence[tuple[str, float]]) -> str:
    """Return `result_id` of a ranked list of (image id, final score)."""
    decisive = [query, index_fingerprint, [list(one) for one in scored]]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]


def was_cut_short(result: SearchResult) -> bool:
    """Tell whether the judge was stopped before it had seen all it was to see."""
    return any(notice.startswith("cancelled") for notice in result.provenance.notices)


def _ran(result: SearchResult, stage: str) -> bool:
    return stage in result.provenance.seconds


def _seconds(result: SearchResult, stage: str) -> float:
    return round(result.provenance.seconds[stage], 4)


def _columns(hits: Sequence[Hit]) -> JSON:
    rounded = {name: [_rounded(getattr(h, name), n) for h in hits] for name, n in DIGITS.items()}
    whole = {name: [getattr(hit, name) for hit in hits] for name in WHOLE}
    return {
        "image_id": [hit.image_id for hit in hits],
        **rounded,
        **whole,
        "has_mask": [int(hit.mask is not None) for hit in hits],
        "abstained": [int(abstained(hit)) for hit in hits],
        "null_percentile": [_whole_percent(hit.null_percentile) for hit in hits],
        "above_cut": [None if hit.above_cut is None else int(hit.above_cut) for hit in hits],
        **_copies(hits),
    }


def _copies(hits: Sequence[Hit]) -> JSON:
    """Return the copies by row, of hits that have some: few do, and a saved notebook is small."""
    found = {str(row): list(hit.copies) for row, hit in enumerate(hits) if hit.copies}
    return {"copies": found} if found else {}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _whole_percent(value: float | None) -> int | None:
    """Return whole percent, never more than there are."""
    return None if value is None else int(value)


def abstained(hit: Hit) -> bool:
    """Tell whether the judge saw the image and named no place."""
    return hit.judge_rank is not None and hit.judged_box_xyxy is None and hit.region_id is None
