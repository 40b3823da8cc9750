"""Stage 1: rank every image of the index by its regions and by itself.

Exact; a few array operations, no Python object per region. `retrieve` finds the best images by
the certified search of `matir_nb.index.certified`; `scan` scores all of them, for explanations.
Both give the same scores. This module knows no judge and reads no pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.index.approximate.opened import Approximate
from matir_nb.index.certified import Best, best_among, search
from matir_nb.index.store import Index
from matir_nb.index.vectors import fuse, top_k
from matir_nb.index.vectors import scan as cosines
from matir_nb.models.base import RegionEncoder
from matir_nb.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What stage 1 gives.

    Attributes:
        candidates: the best images, best first.
        stage1_scores: (n_images,) of every image of the index, by its row; of images that are no
            candidates as the int8 codes say, and -inf where a filter left the image out, or an
            approximate index did not propose it.
        is_exact: whether all images were looked at; False = an approximate index proposed them.
    """

    candidates: tuple[Candidate, ...]
    stage1_scores: FloatArray
    is_exact: bool = True


@dataclass(frozen=True, eq=False)
class Scan:
    """The exact scores of all images of an index for one query.

    Attributes:
        index: what was scanned.
        config: weighs the cosines.
        text: (d,) float32 vector of the query.
        keep: (n_images,) images that may be found; None = all.
    """

    index: Index
    config: RetrieveConfig
    text: FloatArray
    keep: NDArray[np.bool_] | None = None

    @cached_property
    def whole_image_scores(self) -> FloatArray:
        """(n_images,) float32 cosines with the whole images, by row."""
        scores: FloatArray = self.index.whole_image_scores(self.text[None])[0]
        return scores

    @cached_property
    def stage1_scores(self) -> NDArray[np.float64]:
        """(n_images,) float64, fused, by row; -inf where a filter leaves the image out."""
        best = self.index.best_region_scores(self.text[None])[0]
        scores = fuse(best, self.whole_image_scores, self.config)
        return scores if self.keep is None else np.where(self.keep, scores, -np.inf)

    def order(self, n_images: int) -> NDArray[np.int64]:
        """Return the rows of the `n_images` best, best first; equal scores by image id."""
        rows = top_k(self.stage1_scores, n_images, self.index.id_ranks)
        return rows if self.keep is None else rows[self.keep[rows]]

    def region_scores(self, image_id: str) -> FloatArray:
        """Return (n,) float32 exact cosines with the regions of an image."""
        return _cosines(self.text, self.index.region_vectors_of(image_id))

    def candidate(self, row: int, stage1_rank: int) -> Candidate:
        """Return the image of a row, which has that place in the order."""
        score = float(self.stage1_scores[row])
        return candidate(self.index, self.text, row, stage1_rank, score, self.config)


def retrieve(
    query: str,
    index: Index,
    encoder: RegionEncoder,
    *,
    n_images: int,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
) -> Retrieval:
    """Score every image for `query` and describe the `n_images` best, best first.

    Equal scores are ordered by image id. An index with fewer images gives them all.

    Args:
        query: words.
        index: what is searched.
        encoder: the one that made it.
        n_images: candidates wanted.
        config: of this stage.
        keep: (index.n_images,) images that may be found; None = all.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    return retrieve_all([query], index, encoder, n_images=n_images, config=config, keep=keep)[0]


def retrieve_all(
    queries: Sequence[str],
    index: Index,
    encoder: RegionEncoder,
    *,
    n_images: int,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
    approximate: Approximate | None = None,
) -> list[Retrieval]:
    """Return what `retrieve` gives for each query; the queries share the pass over the index.

    Args:
        queries: words each.
        index: as for `retrieve`; so are all others.
        encoder: as for `retrieve`.
        n_images: as for `retrieve`.
        config: as for `retrieve`.
        keep: as for `retrieve`.
        approximate: proposes images, which are then scored exactly; where it has none to propose,
            and without it, all images are looked at.

    Raises:
        QueryError: a query is longer than the encoder reads.
    """
    texts = encoder.embed_texts(list(queries))
    proposed = None if approximate is None else approximate.images(texts, n_images, allowed=keep)
    if proposed is None:
        found = search(index, texts, k=n_images, config=config, keep=keep)
    else:
        pairs = zip(texts, proposed.images, strict=True)
        found = [best_among(index, t, rows, k=n_images, config=config) for t, rows in pairs]
    return [
        Retrieval(_described(index, text, best, config), best.estimates, proposed is None)
        for text, best in zip(texts, found, strict=True)
    ]


def scan(
    query: str,
    index: Index,
    encoder: RegionEncoder,
    *,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
) -> Scan:
    """Return the exact scores of every image of `index` for `query`, computed when asked for.

    Raises:
        QueryError: the query is longer than the encoder reads.
    """
    return Scan(index, config, encoder.embed_texts([query])[0], keep)


def candidate(
    index: Index,
    text: FloatArray,
    row: int,
    stage1_rank: int,
    stage1_score: float,
    config: RetrieveConfig,
) -> Candidate:
    """Return the image of a row as stage 1 sees it.

    Args:
        index: where it is.
        text: (d,) float32 vector of the query.
        row: of the image.
        stage1_rank: its place among all images.
        stage1_score: its fused score.
        config: of this stage.
    """
    image_id = index.ids_of([row])[0]
    scores = _cosines(text, index.region_vectors_of(image_id))
    ids, kept = best_regions(scores, config.m_regions)
    return Candidate(
        image_id=image_id,
        stage1_rank=stage1_rank,
        stage1_score=stage1_score,
        best_region_score=float(kept[0]) if len(kept) else None,
        whole_image_score=float(_cosines(text, index.image_vector_of(image_id)[None])[0]),
        region_ids=ids,
        region_scores=kept,
    )


def _described(
    index: Index, text: FloatArray, best: Best, config: RetrieveConfig
) -> tuple[Candidate, ...]:
    pairs = zip(best.rows.tolist(), best.scores.tolist(), strict=True)
    return tuple(
        candidate(index, text, row, place + 1, score, config)
        for place, (row, score) in enumerate(pairs)
    )


def _cosines(text: FloatArray, vectors: FloatArray) -> FloatArray:
    found: FloatArray = cosines(text[None], vectors)[0]
    return found


def best_regions(scores: FloatArray, m: int) -> tuple[tuple[int, ...], FloatArray]:
    """Return ids and scores of the `m` best regions; equal scores by region id."""
    order = np.argsort(-scores, kind="stable")[:m]
    return tuple(order.tolist()), scores[order]
