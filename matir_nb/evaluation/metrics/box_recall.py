"""Box recall: whether the right object, with its box, is high in the ranking. Knows no engine.

The metric of REIR (Hao et al., ACM MM 2025, arXiv 2506.18246). A query is about the objects of
one image, or of a few; only the best ranked box of these images is looked at.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matir_nb.errors import ConfigError, ShapeError, require_known
from matir_nb.evaluation.metrics.grounding import reaches
from matir_nb.evaluation.metrics.ranking import checked_k

Rank: TypeAlias = Literal["boxes", "images"]


def box_recall_at_k(
    box_ious: ArrayLike,
    k: int,
    tau: float,
    *,
    rank: Rank = "boxes",
    image_ids: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return (q,) BR@K,τ: 1.0 where the first box of a right image is in the top K and fits.

    Formula: BR@K,τ = [r < K and IoU(b, truth) >= τ], b = the best ranked box of a right image, at
    place r from 0. Later boxes of the right image do not help. With rank="boxes", r counts all
    boxes before b, of whatever image (REIR's released evaluator); with rank="images" it counts
    the distinct images before b (as that evaluator does for its image recall). The two agree
    where each image has one box, as in a search result.

    Args:
        box_ious: (q, n), boxes best first: IoU with the truth; NaN = a box of another image, or
            padding. A row of NaN scores 0.
        k: boxes, or images, that count.
        tau: in (0, 1].
        rank: what is counted before the box.
        image_ids: (q, n) integers or strings: the image of each box; needed for rank="images".

    Raises:
        ConfigError: `k` < 1, `tau` is not in (0, 1], `rank` is unknown, or "images" comes without
            `image_ids`.
        ShapeError: `box_ious` is not (q, n), or `image_ids` has another shape.

    >>> ious = [[np.nan, np.nan, 0.8]]  # two boxes of one other image stand before the right one
    >>> box_recall_at_k(ious, 2, 0.5).tolist()
    [0.0]
    >>> box_recall_at_k(ious, 2, 0.5, rank="images", image_ids=[[7, 7, 3]]).tolist()
    [1.0]
    """
    ious = np.asarray(box_ious, np.float64)
    _check(ious, k, rank)
    is_right = ~np.isnan(ious)
    first = is_right.argmax(axis=1) if ious.shape[1] else np.zeros(len(ious), np.intp)
    before = first if rank == "boxes" else _images_before(first, image_ids, ious.shape)
    found = is_right.any(axis=1) & (before < k)
    fits = reaches(ious, tau)
    found[found] = fits[found, first[found]]
    return found.astype(np.float64)


def _images_before(
    first: NDArray[np.intp], image_ids: ArrayLike | None, shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Return (q,) how many distinct images have a box before place `first`."""
    if image_ids is None:
        message = 'rank="images" counts images: give image_ids, the image of each box'
        raise ConfigError(message)
    ids = np.asarray(image_ids)
    if ids.shape != shape:
        message = f"image_ids: expected shape {shape}, as box_ious, got {ids.shape}"
        raise ShapeError(message)
    counts = [len(set(row[:place])) for row, place in zip(ids.tolist(), first, strict=True)]
    return np.array(counts, np.intp)


def _check(ious: NDArray[np.float64], k: int, rank: str) -> None:
    if ious.ndim != 2:
        message = f"box_ious: expected shape (q, n), got {ious.shape}"
        raise ShapeError(message)
    checked_k(k)
    require_known("rank", [rank], get_args(Rank))
