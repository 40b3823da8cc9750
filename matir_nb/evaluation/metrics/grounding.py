"""Grounding metrics: whether the mask shown for a hit is right. Knows no engine.

An IoU of None means that there is nothing to point at: the query has no target mask in that
image ("no circle"). Such images do not enter mask means, and relevance alone decides about them
in the joint metric.
"""

from collections.abc import Sequence

from matir_nb.evaluation.metrics.ranking import average_precision_at_k
from matir_nb.geometry.masks import mask_iou
from matir_nb.types import MaskRLE


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


def mean_iou(ious: Sequence[float | None]) -> float | None:
    """Return the mean IoU of correct hits, those without a target left out; None without any.

    Formula: mIoU = 1/n * sum over the n relevant hits that have true masks of `best_iou`.

    >>> mean_iou([0.5, None, 1.0, 0.0])
    0.5
    """
    known = [iou for iou in ious if iou is not None]
    return sum(known) / len(known) if known else None


def joint_relevance(
    ranked_relevance: Sequence[bool], ious: Sequence[float | None], tau: float
) -> list[bool]:
    """Return rel_τ: the image is relevant, and its mask has IoU >= `tau` where there is a target.

    >>> joint_relevance([True, True, False, True], [0.6, 0.4, 0.9, None], 0.5)
    [True, False, False, True]
    """
    return [
        relevant and (iou is None or iou >= tau)
        for relevant, iou in zip(ranked_relevance, ious, strict=True)
    ]


def joint_average_precision_at_k(
    ranked_relevance: Sequence[bool],
    ious: Sequence[float | None],
    n_relevant: int,
    *,
    k: int,
    tau: float,
) -> float:
    """Return AP@K,τ: images and masks judged together; "mAP@50@50" is its mean at 50, 0.50.

    Formula: AP@K,τ = 1 / min(N, K) * sum over i <= K of P_τ(i) * rel_τ(i), where rel_τ(i) = 1
    exactly when the image at rank i is relevant and its mask has IoU >= τ with any true instance
    mask of the query there, and P_τ counts rel_τ. One mask per image. A relevant image that is
    masked wrongly stays in N, so it costs recall (released pixel-retrieval code drops it).

    >>> joint_average_precision_at_k([True, True], [0.9, 0.2], 2, k=50, tau=0.5)
    0.5
    """
    return average_precision_at_k(joint_relevance(ranked_relevance, ious, tau), n_relevant, k)
