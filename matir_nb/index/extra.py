"""Extra dimensions of an index: what stage 1 adds to the cosines when it is told to.

What the numbers mean is said in `matir_nb.index.adjust`. They follow from the stored vectors, are
computed once per segment and kept in the index's cache folder, a file for each segment and
adjustment (4 bytes a number: 4 MB of hubs and 256 MB of 64 references for a million regions). The
files can be deleted at any time and are no part of the index or of its fingerprint.

With extra dimensions every image is scored exactly, block by block: the int8 codes and the
approximate index know only cosines. This module knows no model.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.index.adjust import Adjustment
from matir_nb.index.cache import CACHE_FOLDER
from matir_nb.index.certified import Best, check, image_blocks, ordered
from matir_nb.index.kept import kept_array
from matir_nb.index.segments import OpenSegment
from matir_nb.index.store import Index
from matir_nb.index.vectors import best_per_image, fuse, scan
from matir_nb.types import FloatArray

BLOCK_SCORES = 1 << 18
"""Scores of one block; a block of one query has a quarter of that many regions."""
SAMPLE = 1 << 14
"""Regions of an index, evenly spread, of which references are the centroids."""
MAX_OPEN = 8
"""Adjustments of an index whose numbers are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The extra dimensions of a segment; rows are those on disk.

    Attributes:
        regions: (n_regions, width) float32.
        wholes: (n_images, width) float32.
    """

    regions: FloatArray
    wholes: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What adjustments add to the cosines of one image's regions, and of the image.

    Attributes:
        names: (a,) of the adjustments.
        weights: (a,) what the products count.
        regions: (a, n) products of the query with each region.
        whole: (a,) with the whole image.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    regions: FloatArray
    whole: FloatArray

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> "Added":
        """Return the same of the regions of `rows`, in that order."""
        return Added(self.names, self.weights, self.regions[:, rows], self.whole)

    def parts(self, region: int | None, config: RetrieveConfig) -> dict[str, float]:
        """Return name -> fused product, of which the weight is the image's stage-1 summand.

        Args:
            region: the one that the image is ranked by; None = it has none.
            config: weighs region and whole image.
        """
        of_region = self.whole if region is None else self.regions[:, region]
        fused = fuse(of_region, self.whole, config).tolist()
        return dict(zip(self.names, fused, strict=True))


class ExtraColumns:
    """The extra dimensions of an index's segments, from its cache folder or computed."""

    def __init__(self, index: Index) -> None:
        """Compute nothing yet."""
        self.index = index
        self._known: dict[str, dict[str, Columns]] = {}

    def of(self, adjustment: Adjustment) -> Mapping[str, Columns]:
        """Return segment name -> its extra dimensions."""
        known = self._known.get(adjustment.key)
        if known is None:
            known = {part.name: self._columns(part, adjustment) for part in self.index.parts}
            self._known = dict([*self._known.items(), (adjustment.key, known)][-MAX_OPEN:])
        return known

    def _columns(self, part: OpenSegment, adjustment: Adjustment) -> Columns:
        vectors = (part.regions.exact, part.wholes.exact)
        n_regions, n_images = map(len, vectors)
        found = kept_array(
            self._file(part, adjustment.key),
            (n_regions + n_images, adjustment.width),
            lambda: np.concatenate([adjustment.of_stored(rows) for rows in vectors]),
        )
        return Columns(found[:n_regions], found[n_regions:])

    def _file(self, part: OpenSegment, key: str) -> Path:
        """Return the file of a segment; before a new one is made, those of lost segments go."""
        folder = Path(self.index.path, CACHE_FOLDER)
        file = folder / f"extra-{part.content[:16]}-{key[:16]}.npy"
        if not file.exists():
            current = {one.content[:16] for one in self.index.parts}
            for old in folder.glob("extra-*-*.npy"):
                if old.name.split("-")[1] not in current:
                    with contextlib.suppress(OSError):
                        old.unlink()
        return file


class ExtraDimensions:
    """An index with extra dimensions, for one choice of options.

    Attributes:
        index: what is searched.
        config: weighs regions and whole images.
    """

    def __init__(
        self, columns: ExtraColumns, config: RetrieveConfig, adjustments: Sequence[Adjustment]
    ) -> None:
        """Join an index with adjustments, whose numbers are there when first needed."""
        self.index = columns.index
        self.config = config
        self._adjustments = tuple(adjustments)
        self._all = columns

    def search(
        self, queries: FloatArray, *, k: int, keep: NDArray[np.bool_] | None = None
    ) -> list[Best]:
        """Return the `k` best images of each query (see `certified.search`), by a full scan.

        Raises:
            ShapeError: the queries' length is not that of the index, or `keep` is too short.
            QueryError: a query holds a number that is not finite.
        """
        check(self.index, queries, keep)
        rows = np.arange(self.index.n_images) if keep is None else np.flatnonzero(keep)
        found = []
        for scores in self.stage1_scores(queries):
            estimates = np.full(self.index.n_images, -np.inf, np.float32)
            estimates[rows] = scores[rows]
            found.append(ordered(self.index, rows, scores[rows], estimates, k))
        return found

    def stage1_scores(self, queries: FloatArray) -> NDArray[np.float64]:
        """Return (q, n_images) fused scores of (q, d) unit queries with every image, by row."""
        found = [self._of_part(part, queries) for part in self.index.parts]
        return np.concatenate([np.zeros((len(queries), 0)), *found], axis=1)

    def added(self, query: FloatArray, image_id: str) -> Added:
        """Return what is added to the cosines of one image with a (d,) query."""
        part, row = self._place_of(image_id)
        first, end = part.offsets[row : row + 2]
        regions, whole = [], []
        for one in self._adjustments:
            asked, columns = one.of_queries(query[None]), self._all.of(one)[part.name]
            regions.append(scan(asked, columns.regions[first:end])[0])
            whole.append(scan(asked, columns.wholes[row : row + 1])[0, 0])
        return Added(
            tuple(one.name for one in self._adjustments),
            np.array([one.weight for one in self._adjustments], np.float64),
            np.array(regions, np.float32),
            np.array(whole, np.float32),
        )

    def extended(self, queries: FloatArray) -> FloatArray:
        """Return (q, d + extra) queries, whose products with `ExtendedIndex` are the scores."""
        more = [one.weight * one.of_queries(queries) for one in self._adjustments]
        return np.concatenate([queries, *more], axis=1, dtype=np.float32)

    def extended_regions(self, image_id: str) -> FloatArray:
        """Return the (n, d + extra) vectors of an image's regions."""
        part, row = self._place_of(image_id)
        first, end = part.offsets[row : row + 2]
        more = [self._all.of(one)[part.name].regions[first:end] for one in self._adjustments]
        return np.concatenate([self.index.region_vectors_of(image_id), *more], axis=1)

    def extended_whole(self, image_id: str) -> FloatArray:
        """Return the (d + extra,) vector of a whole image."""
        part, row = self._place_of(image_id)
        more = [self._all.of(one)[part.name].wholes[row] for one in self._adjustments]
        return np.concatenate([self.index.image_vector_of(image_id), *more])

    def _of_part(self, part: OpenSegment, queries: FloatArray) -> NDArray[np.float64]:
        """Return (q, n_live) fused scores of a segment."""
        columns = [self._all.of(one)[part.name] for one in self._adjustments]
        whole = self._summed(queries, part.wholes.exact, [one.wholes for one in columns])
        best = np.empty_like(whole)
        for images in image_blocks(part.offsets, max(BLOCK_SCORES // (3 + len(queries)), 1)):
            offsets = part.offsets[images.start : images.stop + 1]
            rows = slice(offsets[0], offsets[-1])
            more = [one.regions[rows] for one in columns]
            scores = self._summed(queries, part.regions.exact[rows], more)
            best[:, images] = best_per_image(scores, offsets - offsets[0])
        return fuse(best, whole, self.config)[:, part.live]

    def _summed(
        self, queries: FloatArray, vectors: NDArray[np.floating], more: Sequence[FloatArray]
    ) -> NDArray[np.float64]:
        """Return (q, n) cosines and what is added to them, each rounded as `scan` does."""
        scores = scan(queries, vectors).astype(np.float64)
        for one, columns in zip(self._adjustments, more, strict=True):
            scores += one.weight * scan(one.of_queries(queries), columns).astype(np.float64)
        return scores

    def _place_of(self, image_id: str) -> tuple[OpenSegment, int]:
        return self.index.place_of(int(self.index.rows_of([image_id])[0]))


class ExtendedIndex:
    """An index whose vectors have the extra dimensions: for whoever multiplies by hand."""

    def __init__(self, extra: ExtraDimensions) -> None:
        """Give the vectors of `extra`."""
        self._extra = extra

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self._extra.index.n_images

    def ids_of(self, rows: Sequence[int]) -> list[str]:
        """Return the image ids of rows."""
        return self._extra.index.ids_of(rows)

    def region_vectors_of(self, image_id: str) -> FloatArray:
        """Return (n, d + extra) float32."""
        return self._extra.extended_regions(image_id)

    def image_vector_of(self, image_id: str) -> FloatArray:
        """Return (d + extra,) float32."""
        return self._extra.extended_whole(image_id)


def sampled_regions(index: Index, n: int = SAMPLE) -> FloatArray:
    """Return (m, d) float32 vectors of at most `n` regions, evenly spread over the index.

    Of an index without regions, whole images.
    """
    parts = index.parts if index.n_regions else ()
    stored = [(part.regions.picked, part.live_regions) for part in parts]
    stored = stored or [(part.wholes.picked, part.live) for part in index.parts]
    step = -(-sum(len(live) for _, live in stored) // n) or 1
    found, first = [np.zeros((0, index.dim), np.float32)], 0
    for vectors, live in stored:
        found.append(vectors[live[first::step]].astype(np.float32))
        first = (first - len(live)) % step
    return np.concatenate(found)
