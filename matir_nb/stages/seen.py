"""One image as stage 1 scores it for one query: its cosines, and what is added to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.index.extra import Added, ExtraDimensions
from matir_nb.index.store import Index
from matir_nb.index.vectors import fuse
from matir_nb.index.vectors import scan as cosines_of
from matir_nb.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SeenImage:
    """The scores of an image's n regions and of the image.

    Attributes:
        image_id: of an index.
        config: weighs them.
        cosines: (n,) float32 of the query with the regions.
        whole: (1,) float32, its cosine with the whole image.
        added: what de-hubbing and references add to them; None = nothing.
    """

    image_id: str
    config: RetrieveConfig
    cosines: FloatArray
    whole: FloatArray
    added: Added | None = None

    @classmethod
    def of(
        cls,
        index: Index,
        text: FloatArray,
        image_id: str,
        config: RetrieveConfig,
        extra: ExtraDimensions | None = None,
    ) -> "SeenImage":
        """Score an image of `index`.

        Args:
            index: where it is.
            text: (d,) float32 vector of the query.
            image_id: of the image.
            config: of stage 1.
            extra: of the same options; None = cosines alone.
        """
        regions = cosines_of(text[None], index.region_vectors_of(image_id))[0]
        whole = cosines_of(text[None], index.image_vector_of(image_id)[None])[0]
        added = None if extra is None else extra.added(text, image_id)
        return cls(image_id, config, regions, whole, added)

    @property
    def scores(self) -> NDArray[np.floating]:
        """(n,) what the regions are ranked by: their cosines, or the sums of what is added."""
        return self._summed(self.cosines, None if self.added is None else self.added.regions)

    @property
    def whole_score(self) -> NDArray[np.floating]:
        """(1,) the same of the whole image."""
        return self._summed(self.whole, None if self.added is None else self.added.whole[:, None])

    @property
    def stage1_score(self) -> float:
        """What the image is ranked by (`matir_nb.index.vectors.fuse`)."""
        best = np.array([self.scores.max(initial=-np.inf)])
        return float(fuse(best, self.whole_score, self.config)[0])

    def best_first(self) -> list[int]:
        """Return the region ids by score, best first; equal scores by id."""
        order: list[int] = np.argsort(-self.scores, kind="stable").tolist()
        return order

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> "SeenImage":
        """Return the image with the regions of `rows` alone, in that order."""
        added = None if self.added is None else self.added.take(rows)
        return replace(self, cosines=self.cosines[rows], added=added)

    def candidate(self, stage1_rank: int, stage1_score: float) -> Candidate:
        """Return the image as a candidate.

        Args:
            stage1_rank: its place among all images.
            stage1_score: its fused score.
        """
        ids = self.best_first()[: self.config.m_regions]
        best = ids[0] if ids else None
        return Candidate(
            image_id=self.image_id,
            stage1_rank=stage1_rank,
            stage1_score=stage1_score,
            best_region_score=None if best is None else float(self.cosines[best]),
            whole_image_score=float(self.whole[0]),
            region_ids=tuple(ids),
            region_scores=self.cosines[ids],
            **({} if self.added is None else self.added.parts(best, self.config)),
        )

    def _summed(self, cosines: FloatArray, added: FloatArray | None) -> NDArray[np.floating]:
        if self.added is None or added is None:
            return cosines
        scores = cosines.astype(np.float64)
        for weight, one in zip(self.added.weights, added, strict=True):
            scores += weight * one.astype(np.float64)
        return scores
