"""The table under a comparison: hits of two results joined by image id, and what to know of them.

Knows no model, no widget and no measure of similarity.
"""

from typing import Any

import polars as pl

from matir_nb.geometry.masks import mask_iou
from matir_nb.results import SearchResult
from matir_nb.types import Hit

SAME_IOU = 0.5
"""From this mask IoU on, two hits of an image point at the same region."""
COMPARISON_SCHEMA = pl.Schema(
    {
        "image_id": pl.String(),
        "state": pl.String(),
        "rank_a": pl.Int64(),
        "rank_b": pl.Int64(),
        "moved": pl.Int64(),
        "score_a": pl.Float64(),
        "score_b": pl.Float64(),
        "stage1_rank_a": pl.Int64(),
        "stage1_rank_b": pl.Int64(),
        "stage1_score_a": pl.Float64(),
        "stage1_score_b": pl.Float64(),
        "p_relevant_a": pl.Float64(),
        "p_relevant_b": pl.Float64(),
        "region_id_a": pl.Int64(),
        "region_id_b": pl.Int64(),
        "mask_iou": pl.Float64(),
        "same_region": pl.Boolean(),
    }
)
"""One row per image that is a hit of either result; null = it is no hit there, or has no mask."""


def frame_of(a: SearchResult, b: SearchResult) -> pl.DataFrame:
    """Return the full join of both results by image id, with `COMPARISON_SCHEMA`."""
    of_a, of_b = ({hit.image_id: hit for hit in result} for result in (a, b))
    rows = [_row(image_id, of_a.get(image_id), of_b.get(image_id)) for image_id in of_a | of_b]
    frame = pl.DataFrame(rows, COMPARISON_SCHEMA)
    best = pl.min_horizontal("rank_a", "rank_b")
    return frame.sort(best, pl.col("rank_b"), pl.col("image_id"), nulls_last=True)


def _row(image_id: str, a: Hit | None, b: Hit | None) -> dict[str, Any]:
    both = None if a is None or b is None else (a, b)
    iou = None if both is None else _mask_iou(*both)
    return {
        "image_id": image_id,
        "state": "entered" if a is None else "left" if b is None else "kept",
        "moved": None if both is None else both[0].rank - both[1].rank,
        "mask_iou": iou,
        "same_region": None if iou is None else iou >= SAME_IOU,
        **_values("a", a),
        **_values("b", b),
    }


def _values(side: str, hit: Hit | None) -> dict[str, Any]:
    names = {"rank": "rank", "score": "final_score", "stage1_rank": "stage1_rank"}
    names |= {name: name for name in ("stage1_score", "p_relevant", "region_id")}
    return {f"{name}_{side}": getattr(hit, field, None) for name, field in names.items()}


def _mask_iou(a: Hit, b: Hit) -> float | None:
    if a.mask is None or b.mask is None or a.mask.size != b.mask.size:
        return None
    return float(mask_iou([a.mask], [b.mask])[0, 0])


def notes_of(a: SearchResult, b: SearchResult) -> list[str]:
    """Return what a reader must know before comparing the numbers of `a` and `b`."""
    ids_a, ids_b = ({hit.image_id for hit in result} for result in (a, b))
    notes = []
    if not ids_a or not ids_b:
        empty = " and ".join(name for name, ids in (("A", ids_a), ("B", ids_b)) if not ids)
        notes.append(f"{empty} found no images: there is nothing to compare")
    elif not ids_a & ids_b and not _same_index(a, b):
        notes.append(
            "no image is a hit of both: are they of the same collection, with the same root folder?"
        )
    if len(ids_a) != len(ids_b):
        notes.append(
            f"A has {len(ids_a)} hits, B has {len(ids_b)}: beyond the shorter list an image can "
            "only enter or leave"
        )
    return notes + _other_models(a, b) + _other_collection(a, b)


def _same_index(a: SearchResult, b: SearchResult) -> bool:
    """Tell whether the index that found `b` is known to hold all hits of `a`, and conversely."""
    return all(
        other.source is not None and all(other.source.has_image(hit.image_id) for hit in result)
        for result, other in ((a, b), (b, a))
    )


def _other_models(a: SearchResult, b: SearchResult) -> list[str]:
    of_a, of_b = a.provenance.models, b.provenance.models
    changed = [
        f"{role} {of_a.get(role, 'none')} → {of_b.get(role, 'none')}"
        for role in dict.fromkeys([*of_a, *of_b])
        if of_a.get(role) != of_b.get(role)
    ]
    notes = [f"other models: {', '.join(changed)}"] if changed else []
    if a.provenance.index_fingerprint != b.provenance.index_fingerprint:
        notes.append(
            "the indexes were made by other models or options: compare ranks, not scores "
            f"({a.provenance.index_fingerprint:.12} → {b.provenance.index_fingerprint:.12})"
        )
    return notes


def _other_collection(a: SearchResult, b: SearchResult) -> list[str]:
    """Return what says that one of the indexes lacks images of the other."""
    n_a, n_b = (result.provenance.config.get("n_images") for result in (a, b))
    if n_a == n_b or n_a is None or n_b is None:
        return []
    notes = [f"A ranked {n_a} images, B {n_b}"]
    for name, result, other in (("A", a, b), ("B", b, a)):
        source = other.source
        if source is None:
            continue
        missing = sum(not source.has_image(hit.image_id) for hit in result)
        if missing:
            notes.append(f"{missing} hits of {name} are not in the other index at all")
    return notes
