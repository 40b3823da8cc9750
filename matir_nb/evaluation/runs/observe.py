"""One row of `OBSERVED_SCHEMA` from an answer and the truth. Knows no metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from matir_nb.evaluation.metrics.grounding import best_iou, union_iou
from matir_nb.geometry.boxes import box_area, pairwise_iou
from matir_nb.geometry.masks import area
from matir_nb.types import BoxXYXY, FloatArray, Hit, MaskRLE, QueryTruth

Sizes = Mapping[str, tuple[int, int]]
"""Image id -> (width, height), pixels."""


def observed_row(
    arm: str,
    truth: QueryTruth,
    hits: Sequence[Hit],
    *,
    n_gallery: int,
    seconds: float,
    sizes: Sizes,
) -> dict[str, Any]:
    """Return what is written down of a query.

    Args:
        arm: its name.
        truth: what is right; its masks have the size of their pictures.
        hits: in the order of their rank.
        n_gallery: images that could have been found.
        seconds: of all stages.
        sizes: of the pictures, those of relevant images with boxes at least.
    """
    return {
        "arm": arm,
        "query_id": truth.query_id,
        "text": truth.text,
        "kind": truth.kind,
        "n_relevant": len(truth.relevant),
        "n_gallery": n_gallery,
        "seconds": seconds,
        "hits": [_hit(hit, truth) for hit in hits],
        "targets": [_target(truth, image_id, sizes) for image_id in sorted(truth.relevant)],
    }


def _hit(hit: Hit, truth: QueryTruth) -> dict[str, Any]:
    is_relevant = hit.image_id in truth.relevant
    box = hit.judged_box_xyxy or hit.box_xyxy
    row = {
        "image_id": hit.image_id,
        "rank": hit.rank,
        "score": hit.final_score,
        "stage1_rank": hit.stage1_rank,
        "stage1_score": hit.stage1_score,
        "p_relevant": hit.p_relevant,
        "above_cut": hit.above_cut,
        "is_relevant": is_relevant,
        "region_id": hit.region_id,
        "box_xyxy": None if box is None else [float(corner) for corner in box],
    }
    return row | (_grounding(hit, box, truth) if is_relevant else {})


def _grounding(hit: Hit, box: BoxXYXY | None, truth: QueryTruth) -> dict[str, Any]:
    """Return how mask and box of a relevant image compare with the true ones."""
    masks, boxes = truth.masks.get(hit.image_id, ()), truth.boxes_xyxy.get(hit.image_id)
    found: dict[str, Any] = {"box_iou": _best_box_iou(box, boxes)}
    if not masks:
        return found
    union = union_iou(hit.mask, masks)
    found["mask_iou"] = best_iou(hit.mask, masks)
    if union is not None:
        found["union_iou"], found["intersection_px"], found["union_px"] = union
    return found


def _best_box_iou(box: BoxXYXY | None, truth: FloatArray | None) -> float | None:
    if truth is None or not len(truth):
        return None
    return 0.0 if box is None else float(pairwise_iou([box], truth).max())


def _target(truth: QueryTruth, image_id: str, sizes: Sizes) -> dict[str, Any]:
    """Return how many instances a relevant image has, and how large the largest is."""
    masks, boxes = truth.masks.get(image_id, ()), truth.boxes_xyxy.get(image_id)
    n_boxes = 0 if boxes is None else len(boxes)
    row: dict[str, Any] = {"image_id": image_id, "n_targets": max(len(masks), n_boxes)}
    largest = _largest(masks, boxes)
    if largest is None:
        return row
    width, height = masks[0].size[::-1] if masks else sizes.get(image_id, (0, 0))
    share = largest / (width * height) if width and height else None
    return row | {"area_px": largest, "area_fraction": share}


def _largest(masks: Sequence[MaskRLE], boxes: FloatArray | None) -> float | None:
    if masks:
        return float(max(area(mask) for mask in masks))
    if boxes is None or not len(boxes):
        return None
    return float(np.max(box_area(boxes)))
