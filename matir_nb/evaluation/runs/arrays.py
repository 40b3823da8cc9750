"""Observed rows as padded arrays, one row per query: what metrics compute with."""

from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

K = 50
"""Depth of the ranking and grounding metrics that name no other."""
ABSENCE = "absence"
"""Kind of query about what is not there: all that its judge saw is recorded, not only the top."""


class HitArrays:
    """The hits of q queries, best first; as wide as the longest list.

    Attributes:
        n_relevant: (q,) relevant images of each query.
        n_gallery: (q,) images that could have been found.
        is_absence: (q,) whether the query is about what is not there.
    """

    def __init__(self, observed: pl.DataFrame, depth: int | None = None) -> None:
        """Take rows of `OBSERVED_SCHEMA`.

        Args:
            observed: the rows.
            depth: of the lists: hits behind it are kept for their verdict only; None = those whose
                rank is not their place.
        """
        self._depth = depth
        self.n_relevant: NDArray[np.int64] = observed["n_relevant"].to_numpy()
        self.n_gallery: NDArray[np.int64] = observed["n_gallery"].to_numpy()
        self.is_absence: NDArray[np.bool_] = (
            (observed["kind"] == ABSENCE) | (observed["n_relevant"] == 0)
        ).to_numpy()
        lengths = observed["hits"].list.len().to_numpy().astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        self._rows = np.repeat(np.arange(len(lengths)), lengths)
        self._columns = np.arange(lengths.sum()) - starts[self._rows]
        self._shape = (len(lengths), int(lengths.max(initial=0)))
        n_targets = pl.element().struct.field("n_targets")
        with_target = observed.select(pl.col("targets").list.eval(n_targets > 0).list.any())
        self._with_target: NDArray[np.bool_] = with_target.to_series().fill_null(False).to_numpy()
        filled = observed.filter(pl.col("hits").list.len() > 0)
        self.flat = filled.select(pl.col("hits").explode()).unnest("hits")

    def padded(self, name: str) -> NDArray[np.float64]:
        """Return (q, n) of a hit's number; NaN where it is null, and behind the last hit."""
        found = np.full(self._shape, np.nan)
        found[self._rows, self._columns] = self.flat[name].cast(pl.Float64).to_numpy()
        return found

    def has(self, name: str) -> bool:
        """Tell whether any hit has the number."""
        return self.flat[name].null_count() < len(self.flat)

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """(q, n) number of each hit's image, from 0 in the order of names; -1 behind the last."""
        numbers = self.flat["image_id"].rank("dense").cast(pl.Int64).to_numpy()
        found = np.full(self._shape, -1, np.int64)
        found[self._rows, self._columns] = numbers - 1
        return found

    @cached_property
    def is_ranked(self) -> NDArray[np.bool_]:
        """(q, n) whether the hit is in the list; not one that is kept for its verdict only."""
        places = np.arange(1, self._shape[1] + 1)
        limit = self._shape[1] if self._depth is None else self._depth
        result: NDArray[np.bool_] = (self.padded("rank") == places) & (places <= limit)
        return result

    def is_whole(self, k: int) -> bool:
        """Tell whether the best `k` of all that could be found are recorded, for every query."""
        return self._depth is None or min(k, int(self.n_gallery.max(initial=0))) <= self._depth

    @cached_property
    def has_target(self) -> NDArray[np.bool_]:
        """(q,) whether there is anything annotated to point at."""
        return self._with_target | ~np.isnan(self.box_ious).all(axis=1)

    @cached_property
    def depth(self) -> int:
        """Length of the longest list, at least 1."""
        return max(int(self.is_ranked.sum(axis=1).max(initial=0)), 1)

    @cached_property
    def is_relevant(self) -> NDArray[np.bool_]:
        """(q, n) whether each hit is relevant; False behind the last."""
        return self.padded("is_relevant") > 0

    @cached_property
    def ranked(self) -> NDArray[np.bool_]:
        """(q, n) whether the image at each rank is relevant; False behind the list."""
        return self.is_relevant & self.is_ranked

    @cached_property
    def mask_ious(self) -> NDArray[np.float64]:
        """(q, n) best-instance IoU of each relevant hit's mask; NaN = there is no target."""
        return np.where(self.is_ranked, self.padded("mask_iou"), np.nan)

    @cached_property
    def union_ious(self) -> NDArray[np.float64]:
        """(q, n) IoU with the union of the instances; NaN = there is no target."""
        return np.where(self.is_ranked, self.padded("union_iou"), np.nan)

    @cached_property
    def box_ious(self) -> NDArray[np.float64]:
        """(q, n) IoU of each hit's box with any true one; NaN = none, or another image."""
        return np.where(self.is_ranked, self.padded("box_iou"), np.nan)

    @cached_property
    def p_relevant(self) -> NDArray[np.float64]:
        """(q, n) the judge's probability; NaN = not judged."""
        return self.padded("p_relevant")

    @cached_property
    def is_judged(self) -> NDArray[np.bool_]:
        """(q, n) whether the judge saw the image."""
        return ~np.isnan(self.p_relevant)
