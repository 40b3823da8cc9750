"""The regions of all segments as one numbered list, and the exact scores of chosen images.

A region's number is its place in the files of the segments, one segment after the other, those of
dropped images counted: it stays what it is when images are dropped. The vector of a number is

    region_weight * region vector + image_weight * vector of its image

so that its product with a query is the score that stage 1 gives this region's image if no other
region of it is better: one vector search finds the best images by the score that ranks them.
This module knows no FAISS and no file.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.index.vectors import best_per_image, fuse, regions_of, scan
from matir_nb.types import FloatArray

HalfArray = NDArray[np.float16]
IntArray = NDArray[np.int64]
BLOCK_ROWS = 16384


class Stored(Protocol):
    """Vectors of a segment."""

    @property
    def exact(self) -> HalfArray:
        """(n, d) half precision, memory-mapped."""


class Part(Protocol):
    """What is read of a segment; `matir_nb.index.segments.OpenSegment` is one."""

    @property
    def name(self) -> str:
        """Its folder."""

    @property
    def content(self) -> str:
        """Digest of its vectors."""

    @property
    def offsets(self) -> IntArray:
        """(images + 1,) first region of each image on disk, then the number of regions."""

    @property
    def live(self) -> IntArray:
        """Images on disk that are in the index, ascending."""

    @property
    def regions(self) -> Stored:
        """One vector per region on disk."""

    @property
    def wholes(self) -> Stored:
        """One vector per image on disk."""


class Rows:
    """The regions of opened segments by number, and the images that own them.

    Attributes:
        parts: the segments.
        config: the weights.
        counts: (n_images,) regions of each image of the index.
        region_starts: (parts + 1,) number of the first region of each segment, then how many.
        image_starts: (parts + 1,) row of the first image of each segment, then how many.
    """

    def __init__(self, parts: Sequence[Part], config: RetrieveConfig) -> None:
        """Number the regions of `parts`; nothing is read yet but where they begin."""
        self.parts = tuple(parts)
        self.config = config
        counts = [np.diff(part.offsets)[part.live] for part in self.parts]
        self.counts: IntArray = np.concatenate([np.zeros(0, np.int64), *counts])
        self.region_starts = np.cumsum([0, *(int(part.offsets[-1]) for part in self.parts)])
        self.image_starts = np.cumsum([0, *(len(part.live) for part in self.parts)])

    @property
    def n_regions(self) -> int:
        """Regions on disk, those of dropped images too."""
        return int(self.region_starts[-1])

    @property
    def n_images(self) -> int:
        """Images of the index."""
        return int(self.image_starts[-1])

    @property
    def dim(self) -> int:
        """Numbers per vector; 0 where there is no segment."""
        return int(self.parts[0].regions.exact.shape[1]) if self.parts else 0

    @cached_property
    def owners(self) -> NDArray[np.int32]:
        """(n_regions,) row of the image of each region; -1 for a dropped one."""
        found = [np.zeros(0, np.int32)]
        for part, first in zip(self.parts, self.image_starts, strict=False):
            row_of = np.full(len(part.offsets) - 1, -1, np.int32)
            row_of[part.live] = first + np.arange(len(part.live))
            found.append(np.repeat(row_of, np.diff(part.offsets)))
        return np.concatenate(found)

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield (number of the first, (b, d) float32 vectors), all regions in order."""
        for part, start in zip(self.parts, self.region_starts, strict=False):
            for first in range(0, int(part.offsets[-1]), BLOCK_ROWS):
                end = min(first + BLOCK_ROWS, int(part.offsets[-1]))
                yield int(start) + first, self._fused(part, np.arange(first, end))

    def take(self, numbers: IntArray) -> FloatArray:
        """Return the (m, d) float32 vectors of regions."""
        taken = np.empty((len(numbers), self.dim), np.float32)
        places = np.searchsorted(self.region_starts, numbers, side="right") - 1
        for place in np.unique(places):
            chosen = places == place
            inside = numbers[chosen] - self.region_starts[place]
            taken[chosen] = self._fused(self.parts[place], inside)
        return taken

    def scores(self, queries: FloatArray, images: IntArray) -> NDArray[np.float64]:
        """Return the (q, m) exact scores of stage 1 of m images, from all of their regions."""
        found = np.empty((len(queries), len(images)), np.float64)
        places = np.searchsorted(self.image_starts, images, side="right") - 1
        for place in np.unique(places):
            chosen, part = places == place, self.parts[place]
            on_disk = part.live[images[chosen] - self.image_starts[place]]
            regions, offsets = regions_of(on_disk, part.offsets)
            best = best_per_image(scan(queries, part.regions.exact[regions]), offsets)
            found[:, chosen] = fuse(best, scan(queries, part.wholes.exact[on_disk]), self.config)
        return found

    def _fused(self, part: Part, regions: IntArray) -> FloatArray:
        fused = part.regions.exact[regions].astype(np.float32)
        fused *= np.float32(self.config.region_weight)
        if self.config.image_weight:
            images = np.searchsorted(part.offsets, regions, side="right") - 1
            fused += np.float32(self.config.image_weight) * part.wholes.exact[images]
        return fused
