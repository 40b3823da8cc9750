"""Grounding metrics: whether the mask shown for a hit is right. Knows no engine.

No IoU (None, or NaN in an array) means that there is nothing to point at: the query has no target
mask in that image ("no circle"). Such images do not enter mask means, and relevance alone decides
about them in the joint metric.

IoUs may come from single precision, where 7/10 is a little less than 0.7: an IoU reaches a
threshold when it is at most `IOU_PRECISION` below it.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.ranking import average_precision_at_k
from matir_nb.geometry.masks import area, mask_iou, merge
from matir_nb.types import MaskRLE

Values: TypeAlias = Sequence[float | None] | NDArray[np.floating]
"""(n,) numbers; None or NaN = not known."""

IOU_PRECISION = 1e-7
"""What single precision may take from an IoU."""


def best_iou(mask: MaskRLE | None, truth: Sequence[MaskRLE]) -> float | None:
    """Return the highest IoU of `mask` with any true instance mask.

    Formula: max over g in truth of |mask ∩ g| / |mask ∪ g|: any instance counts, not their
    union. 0.0 where no mask is shown; None where there is no true mask.
    """
    if not truth:
        return None
    if mask is None:
        return 0.0
    return float(mask_iou([mask], truth).max())


def union_iou(mask: MaskRLE | None, truth: Sequence[MaskRLE]) -> tuple[float, int, int] | None:
    """Return IoU, intersection and union, in pixels, of `mask` with all true masks as one.

    Formula: with T the union of all true instance masks, |mask ∩ T| / |mask ∪ T|: a mask of one
    of two equal instances scores 0.5 (the rule of generalised referring segmentation, gRefCOCO,
    Liu et al., CVPR 2023). Where no mask is shown, IoU and intersection are 0, the union is T;
    0.0 where all are empty; None where there is no true mask.

    Raises:
        ShapeError: the masks differ in size, or one has broken runs.
    """
    if not truth:
        return None
    target = merge(truth)
    if mask is None:
        return 0.0, 0, area(target)
    union = area(merge([mask, target]))
    intersection = area(mask) + area(target) - union
    return (intersection / union if union else 0.0), intersection, union


def mean_iou(ious: Values) -> float | None:
    """Return the mean IoU of correct hits, those without a target left out; None without any.

    Formula: mIoU = 1/n * sum over the n relevant hits that have true masks of their IoU
    (`best_iou`, or `union_iou` for "mIoU/union").

    >>> mean_iou([0.5, None, 1.0, 0.0])
    0.5
    """
    known = _known(ious)
    return float(known.mean()) if known.size else None


def overall_iou(intersections: Values, unions: Values) -> float | None:
    """Return oIoU: all intersections over all unions; None without a pixel of union.

    Formula: oIoU = sum of |mask ∩ T| / sum of |mask ∪ T|, in pixels over all hits ("cIoU" in the
    referring-segmentation papers, LAVT, Yang et al., CVPR 2022): large objects weigh most.

    Args:
        intersections: (n,) pixels, >= 0; None or NaN = nothing to point at.
        unions: (n,) pixels of the same hits.

    Raises:
        ShapeError: intersections and unions differ in number.

    >>> overall_iou([10, 0], [10, 30])
    0.25
    """
    above, below = np.asarray(intersections, np.float64), np.asarray(unions, np.float64)
    if above.shape != below.shape:
        message = f"unions: expected shape {above.shape}, as intersections, got {below.shape}"
        raise ShapeError(message)
    known = ~(np.isnan(above) | np.isnan(below))
    total = float(below[known].sum())
    return float(above[known].sum()) / total if total else None


def precision_at_iou(ious: Values, tau: float) -> float | None:
    """Return P@τ: the share of masks with IoU >= `tau`, hits without a target left out.

    Formula: P@τ = |{i: IoU_i >= τ}| / n over the hits of `mean_iou` (RefCOCO's Prec@X counts
    IoU > X: it differs only where an IoU is τ itself). None without any.

    Raises:
        ConfigError: `tau` is not in (0, 1].

    >>> precision_at_iou([0.5, None, 0.9, 0.1, 0.3], 0.5)
    0.5
    """
    known = _known(ious)
    return float(reaches(known, tau).mean()) if known.size else None


def reaches(ious: ArrayLike, tau: float) -> NDArray[np.bool_]:
    """Return whether each IoU is `tau` or more; False for NaN.

    Args:
        ious: any shape, in [0, 1] or NaN.
        tau: in (0, 1].

    Raises:
        ConfigError: `tau` is not in (0, 1].

    >>> reaches(np.array([0.7, 0.69, np.nan], np.float32), 0.7).tolist()
    [True, False, False]
    """
    if not 0 < tau <= 1:
        message = f"tau = {tau} is not allowed: give an IoU in (0, 1], such as 0.5"
        raise ConfigError(message)
    result: NDArray[np.bool_] = np.asarray(ious, np.float64) >= tau - IOU_PRECISION
    return result


def joint_relevance(ranked: ArrayLike, ious: ArrayLike, tau: float) -> NDArray[np.bool_]:
    """Return rel_τ: the image is relevant, and its mask has IoU >= `tau` where there is a target.

    Args:
        ranked: (q, n) bool, or (n,): the image is relevant.
        ious: of the same shape: of the shown mask; NaN = no target.
        tau: in (0, 1].

    Raises:
        ShapeError: the shapes differ.
        ConfigError: `tau` is not in (0, 1].

    >>> joint_relevance([True, True, False, True], [0.6, 0.4, 0.9, np.nan], 0.5).tolist()
    [True, False, False, True]
    """
    relevant, shown = np.asarray(ranked, np.bool_), np.asarray(ious, np.float64)
    if relevant.shape != shown.shape:
        message = f"ious: expected shape {relevant.shape}, as ranked, got {shown.shape}"
        raise ShapeError(message)
    return relevant & (np.isnan(shown) | reaches(shown, tau))


def joint_average_precision_at_k(
    ranked: ArrayLike, ious: ArrayLike, n_relevant: ArrayLike, *, k: int, tau: float
) -> NDArray[np.float64]:
    """Return (q,) AP@K,τ: images and masks judged together; "mAP@50@50" is the mean at 50, 0.50.

    Formula: AP@K,τ = 1 / min(N, K) * sum over i <= K of P_τ(i) * rel_τ(i), where rel_τ(i) = 1
    exactly when the image at rank i is relevant and its mask has IoU >= τ with the truth of the
    query there, and P_τ counts rel_τ. One mask per image; the IoU is `best_iou` (any instance),
    or `union_iou` for "mAP@50@50/union". A relevant image that is masked wrongly stays in N, so
    it costs recall (released pixel-retrieval code drops it). NaN where N = 0.

    Args:
        ranked: (q, n) bool, best first, padded with False: the image is relevant.
        ious: (q, n) of the shown masks; NaN = no target.
        n_relevant: (q,) relevant images of each query.
        k: hits that count.
        tau: in (0, 1].

    Raises:
        ShapeError: the shapes do not fit.
        ConfigError: `k` < 1, or `tau` is not in (0, 1].

    >>> joint_average_precision_at_k([[True, True]], [[0.9, 0.2]], [2], k=50, tau=0.5).tolist()
    [0.5]
    """
    return average_precision_at_k(joint_relevance(ranked, ious, tau), n_relevant, k)


def _known(values: Values) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    known: NDArray[np.float64] = array[~np.isnan(array)]
    return known
