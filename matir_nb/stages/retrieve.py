"""Stage 1: rank every image of the index by its regions and by itself.

Exact, over all stored vectors; a few array operations, no Python object per region. This module
knows no judge and reads no pixels.
"""

from dataclasses import dataclass

import numpy as np

from matir_nb.config import RetrieveConfig
from matir_nb.index.store import Index
from matir_nb.index.vectors import best_per_image, top_k
from matir_nb.models.base import RegionEncoder
from matir_nb.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What stage 1 gives.

    Attributes:
        candidates: the best images, best first.
        stage1_scores: (n_images,) float32, of every image of the index, by its row.
    """

    candidates: tuple[Candidate, ...]
    stage1_scores: FloatArray


def retrieve(
    query: str, index: Index, encoder: RegionEncoder, *, n_images: int, config: RetrieveConfig
) -> Retrieval:
    """Score every image for `query` and describe the `n_images` best, best first.

    Equal scores are ordered by image id. An index with fewer images gives them all.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    text = encoder.embed_texts([query])
    region_scores = index.region_scores(text)[0]
    whole = index.image_scores(text)[0]
    best = best_per_image(region_scores[None], index.region_offsets)[0]
    scores = fuse(best, whole, config)
    candidates = []
    for place, row in enumerate(top_k(scores, n_images, index.id_ranks)):
        first, end = index.region_offsets[row : row + 2]
        ids, kept = _best_regions(region_scores[first:end], config.m_regions)
        candidate = Candidate(
            image_id=index.image_ids[row],
            stage1_rank=place + 1,
            stage1_score=float(scores[row]),
            best_region_score=float(kept[0]) if len(kept) else None,
            whole_image_score=float(whole[row]),
            region_ids=ids,
            region_scores=kept,
        )
        candidates.append(candidate)
    return Retrieval(tuple(candidates), scores)


def fuse(best_region: FloatArray, whole_image: FloatArray, config: RetrieveConfig) -> FloatArray:
    """Return region_weight * best_region + image_weight * whole_image.

    An image without regions (best_region = -inf) is its own only region.

    >>> config = RetrieveConfig(region_weight=0.75, image_weight=0.25)
    >>> best, whole = np.array([1, -np.inf], np.float32), np.array([0, 0.5], np.float32)
    >>> fuse(best, whole, config).tolist()
    [0.75, 0.5]
    """
    region_term = np.where(np.isneginf(best_region), whole_image, best_region)
    fused = config.region_weight * region_term + config.image_weight * whole_image
    return np.asarray(fused, np.float32)


def _best_regions(scores: FloatArray, m: int) -> tuple[tuple[int, ...], FloatArray]:
    """Return ids and scores of the `m` best regions; equal scores by region id."""
    order = np.argsort(-scores, kind="stable")[:m]
    return tuple(order.tolist()), scores[order]
