"""The index on disk, opened: ``manifest.json`` and immutable segments.

``X.matir/manifest.json`` names the segments under ``X.matir/segments/``; whatever it does not
name does not exist. This module reads; it knows no model.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ConfigError, ImageError
from matir_nb.images import ImageLimits, load_image
from matir_nb.index.manifest import SEGMENTS, Manifest, read_manifest
from matir_nb.index.segments import OpenSegment, open_segment, verify_segment
from matir_nb.index.vectors import scan
from matir_nb.types import FloatArray, ImageRef, Regions, RGBImage


@dataclass(frozen=True, slots=True)
class Index:
    """An opened index: a read-only snapshot that later builds do not change.

    Attributes:
        path: the index folder.
        manifest: what it is made of.
        image_root: folder of the images.
        image_ids: one per image row.
        id_ranks: (images,) place of each row when sorted by image id.
        region_offsets: (images + 1,) first region of each image row, then the number of regions.
    """

    path: Path
    manifest: Manifest
    image_root: Path
    image_ids: tuple[str, ...]
    id_ranks: NDArray[np.int64]
    region_offsets: NDArray[np.int64]
    _parts: tuple[OpenSegment, ...] = field(repr=False)
    _part_starts: NDArray[np.int64] = field(repr=False)
    _rows: Mapping[str, int] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path, *, images: str | Path | None = None) -> Self:
        """Open the index at `path`.

        Args:
            path: the index folder.
            images: where the images are now; None = where they were.

        Raises:
            ConfigError: `images` is no folder.
            IndexNotFoundError: there is no index.
            IndexCorruptError: a file is missing, truncated or unreadable.
            IndexMismatchError: a newer version wrote it.
        """
        path, images = Path(path), None if images is None else Path(images)
        if images is not None and not images.is_dir():
            message = f"images = {str(images)!r} is no folder: give the one that holds the images"
            raise ConfigError(message)
        manifest = read_manifest(path)
        parts = tuple(open_segment(path / SEGMENTS / s.name, s) for s in manifest.segments)
        ids = tuple(image_id for part in parts for image_id in part.images["image_id"])
        counts = [part.images["n_regions"].to_numpy() for part in parts]
        ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
        ranks = np.empty(len(ids), np.int64)
        ranks[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        return cls(
            path=path,
            manifest=manifest,
            image_root=images or Path(os.path.normpath(path.resolve() / manifest.image_root)),
            image_ids=ids,
            id_ranks=ranks,
            region_offsets=ends,
            _parts=parts,
            _part_starts=np.cumsum([0, *(len(part.images) for part in parts)]),
            _rows={image_id: row for row, image_id in enumerate(ids)},
        )

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    @property
    def n_regions(self) -> int:
        """Number of regions of all images."""
        return int(self.region_offsets[-1])

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.manifest.made_by["dim"])

    @property
    def fingerprint(self) -> str:
        """Hex digest of the models and options that made the index."""
        return self.manifest.fingerprint

    def region_scores(self, queries: FloatArray) -> FloatArray:
        """Return (q, n_regions) cosines of (q, d) unit queries with every region."""
        return self._scan(queries, [part.region_vectors for part in self._parts])

    def image_scores(self, queries: FloatArray) -> FloatArray:
        """Return (q, n_images) cosines of (q, d) unit queries with every whole image."""
        return self._scan(queries, [part.image_vectors for part in self._parts])

    def ref_of(self, image_id: str) -> ImageRef:
        """Return the image as it was indexed; its path is under `image_root`."""
        part, row = self._find(image_id)
        values = part.images.row(row, named=True)
        return ImageRef(
            image_id=image_id,
            path=self.image_root / values["path"],
            width=values["width"],
            height=values["height"],
            fingerprint=values["fingerprint"],
        )

    def regions_of(self, image_id: str) -> Regions:
        """Return the image's regions; row number = region id."""
        part, row = self._find(image_id)
        values = part.images.row(row, named=True)
        size = (values["height"], values["width"])
        return part.regions(values["first_region"], values["n_regions"], size)

    def region_vectors_of(self, image_id: str) -> FloatArray:
        """Return the (n, d) float32 vectors of the image's regions."""
        part, row = self._find(image_id)
        first, n = part.images.row(row)[5:]
        return part.region_vectors[first : first + n].astype(np.float32)

    def image_vector_of(self, image_id: str) -> FloatArray:
        """Return the (d,) float32 vector of the whole image."""
        part, row = self._find(image_id)
        vector: FloatArray = part.image_vectors[row].astype(np.float32)
        return vector

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is in the index."""
        return image_id in self._rows

    def rows_of(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of images, as in `image_ids`."""
        return np.array([self._rows[image_id] for image_id in image_ids], np.int64)

    def load_image(self, image_id: str, *, max_side: int | None = None) -> RGBImage:
        """Return the image's pixels, upright.

        Args:
            image_id: one of `image_ids`.
            max_side: shrink it so that its longer side is at most so many pixels; None = as it is.

        Raises:
            ImageError: the file is gone or cannot be read.
        """
        ref = self.ref_of(image_id)
        if not ref.path.is_file():
            message = (
                f"image {image_id!r} is not in {str(self.image_root)!r} any more: "
                "give its folder as open(..., images=FOLDER)"
            )
            raise ImageError(message)
        limits = ImageLimits(max_pixels=ref.width * ref.height)
        return load_image(ref.path, limits, max_side=max_side)

    def verify(self) -> None:
        """Read every file and compare digests.

        Raises:
            IndexCorruptError: a file was altered.
        """
        for segment in self.manifest.segments:
            verify_segment(self.path / SEGMENTS / segment.name, segment)

    def _scan(self, queries: FloatArray, stored: Sequence[NDArray[np.float16]]) -> FloatArray:
        none = np.zeros((len(queries), 0), np.float32)
        return np.concatenate([none, *(scan(queries, part) for part in stored)], axis=1)

    def _find(self, image_id: str) -> tuple[OpenSegment, int]:
        row = self._rows[image_id]
        number = int(np.searchsorted(self._part_starts, row, side="right")) - 1
        return self._parts[number], row - int(self._part_starts[number])
