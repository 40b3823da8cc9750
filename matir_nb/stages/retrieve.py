"""Stage 1: rank every image of the index by its regions and by itself.

Exact, over all stored vectors; a few array operations, no Python object per region. This module
knows no judge and reads no pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        stage1_scores: (n_images,) float64, of every image of the index, by its row.
    """

    candidates: tuple[Candidate, ...]
    stage1_scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The cosines of one query with all that an index holds.

    Attributes:
        index: what was scanned.
        config: weighs the cosines.
        region_scores: (n_regions,) float32.
        whole_image_scores: (n_images,) float32, by row.
        stage1_scores: (n_images,) float64, fused, by row.
    """

    index: Index
    config: RetrieveConfig
    region_scores: FloatArray
    whole_image_scores: FloatArray
    stage1_scores: NDArray[np.float64]

    def order(self, n_images: int) -> NDArray[np.int64]:
        """Return the rows of the `n_images` best, best first; equal scores by image id."""
        return top_k(self.stage1_scores, n_images, self.index.id_ranks)

    def candidate(self, row: int, stage1_rank: int) -> Candidate:
        """Return the image of a row, which has that place in the order."""
        first, end = self.index.region_offsets[row : row + 2]
        ids, kept = best_regions(self.region_scores[first:end], self.config.m_regions)
        return Candidate(
            image_id=self.index.image_ids[row],
            stage1_rank=stage1_rank,
            stage1_score=float(self.stage1_scores[row]),
            best_region_score=float(kept[0]) if len(kept) else None,
            whole_image_score=float(self.whole_image_scores[row]),
            region_ids=ids,
            region_scores=kept,
        )


def retrieve(
    query: str, index: Index, encoder: RegionEncoder, *, n_images: int, config: RetrieveConfig
) -> Retrieval:
    """Score every image for `query` and describe the `n_images` best, best first.

    Equal scores are ordered by image id. An index with fewer images gives them all.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    found = scan(query, index, encoder, config=config)
    rows = found.order(n_images).tolist()
    candidates = tuple(found.candidate(row, place + 1) for place, row in enumerate(rows))
    return Retrieval(candidates, found.stage1_scores)


def scan(query: str, index: Index, encoder: RegionEncoder, *, config: RetrieveConfig) -> Scan:
    """Score every region and every image of `index` for `query`.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    text = encoder.embed_texts([query])
    regions = index.region_scores(text)[0]
    whole = index.image_scores(text)[0]
    best = best_per_image(regions[None], index.region_offsets)[0]
    return Scan(index, config, regions, whole, fuse(best, whole, config))


def fuse(
    best_region: FloatArray, whole_image: FloatArray, config: RetrieveConfig
) -> NDArray[np.float64]:
    """Return region_weight * best_region + image_weight * whole_image, in double precision.

    Single precision would be off by about 1e-7, which an encoder's scale turns into 1e-5 of
    log-odds: too much for scores that are to be the sum of their parts.
    An image without regions (best_region = -inf) is its own only region.

    >>> config = RetrieveConfig(region_weight=0.75, image_weight=0.25)
    >>> best, whole = np.array([1, -np.inf], np.float32), np.array([0, 0.5], np.float32)
    >>> fuse(best, whole, config).tolist()
    [0.75, 0.5]
    """
    wide = whole_image.astype(np.float64)
    region_term = np.where(np.isneginf(best_region), wide, best_region)
    fused: NDArray[np.float64] = config.region_weight * region_term + config.image_weight * wide
    return fused


def best_regions(scores: FloatArray, m: int) -> tuple[tuple[int, ...], FloatArray]:
    """Return ids and scores of the `m` best regions; equal scores by region id."""
    order = np.argsort(-scores, kind="stable")[:m]
    return tuple(order.tolist()), scores[order]
