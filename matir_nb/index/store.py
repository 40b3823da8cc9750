"""The index on disk, opened: ``manifest.json`` and immutable segments.

``X.matir/manifest.json`` names the segments under ``X.matir/segments/``; whatever it does not
name does not exist. Opening maps the files and reads next to nothing: an index of a million
regions is open in milliseconds. This module reads; it knows no model.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import ConfigError, ImageError, IndexCorruptError, IndexMismatchError
from matir_nb.images import ImageLimits, load_image
from matir_nb.index.columns import read_columns
from matir_nb.index.manifest import SEGMENTS, Manifest, Segment, read_manifest
from matir_nb.index.segments import OpenSegment, check_content, open_segment
from matir_nb.index.tables import IMAGE_SCHEMA, image_ref, regions_between
from matir_nb.index.vectors import best_per_image, scan, sorted_ranks
from matir_nb.types import FloatArray, ImageRef, Regions, RGBImage

CHECKED_BYTES = 4 << 20
"""Checksums are compared when an index is opened, of its smallest files until so many bytes are
read; of all others by `matir verify`. An index of up to this size is checked as a whole."""
ATTEMPTS = 5
"""An index that is being compacted may lose segments between its manifest and their files."""


class Index:
    """An opened index: a read-only snapshot that later builds do not change.

    A row is the place of an image in it, from 0 to `n_images` - 1.

    Attributes:
        path: the index folder.
        manifest: what it is made of.
        image_root: folder of the images.
        parts: its segments.
        starts: (segments + 1,) row of the first image of each, then the number of images.
    """

    def __init__(
        self, path: Path, manifest: Manifest, parts: tuple[OpenSegment, ...], images: Path | None
    ) -> None:
        """Join opened segments (see `open`)."""
        self.path = path
        self.manifest = manifest
        self.image_root = images or Path(os.path.normpath(path.resolve() / manifest.image_root))
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part.live) for part in parts)])
        self._row_of: dict[str, int] = {}

    @classmethod
    def open(cls, path: str | Path, *, images: str | Path | None = None) -> Self:
        """Open the index at `path`.

        Args:
            path: the index folder.
            images: where the images are now; None = where they were.

        Raises:
            ConfigError: `images` is no folder.
            IndexNotFoundError: there is no index.
            IndexCorruptError: a file is missing, truncated, altered or unreadable.
            IndexMismatchError: a newer version wrote it, or one so old that it must be lifted.
        """
        path, images = Path(path), None if images is None else Path(images)
        if images is not None and not images.is_dir():
            message = f"images = {str(images)!r} is no folder: give the one that holds the images"
            raise ConfigError(message)
        for attempt in range(ATTEMPTS):
            manifest = read_manifest(path)
            _require_lifted(path, manifest)
            try:
                parts = tuple(open_segment(path / SEGMENTS / s.name, s) for s in manifest.segments)
                _require_dim(path, manifest, parts)
                _check_small(path, manifest.segments)
            except IndexCorruptError:
                if attempt + 1 == ATTEMPTS or read_manifest(path) == manifest:
                    raise
            else:
                break
        return cls(path, manifest, parts, images)

    def __repr__(self) -> str:
        """Return one line: where, and what it holds."""
        return f"Index({str(self.path)!r}, {self.n_images} images, {self.n_regions} regions)"

    @property
    def n_images(self) -> int:
        """Number of images."""
        return int(self.starts[-1])

    @cached_property
    def n_regions(self) -> int:
        """Number of regions of all images."""
        return int(self.region_counts.sum())

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.manifest.made_by["dim"])

    @property
    def fingerprint(self) -> str:
        """Hex digest of the models and options that made the index."""
        return self.manifest.fingerprint

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """One id per row; read when first asked for."""
        ids: list[str] = []
        for part in self.parts:
            stored = part.images.slices("image_id", 0, part.images.n_rows)
            ids += [stored[row].decode() for row in part.live.tolist()]
        return tuple(ids)

    @cached_property
    def id_ranks(self) -> NDArray[np.int64]:
        """(n_images,) place of each row when sorted by image id."""
        return sorted_ranks(self.image_ids)

    @cached_property
    def region_counts(self) -> NDArray[np.int64]:
        """(n_images,) number of regions of each row."""
        counts = [np.diff(part.offsets)[part.live] for part in self.parts]
        return np.concatenate([np.zeros(0, np.int64), *counts])

    def best_region_scores(self, queries: FloatArray) -> FloatArray:
        """Return (q, n_images) best cosines of (q, d) unit queries with each image's regions.

        All of them, exactly; -inf for an image without regions. `matir_nb.index.certified` finds
        the best images in a fraction of the time.
        """
        best = [
            best_per_image(scan(queries, part.regions.exact), part.offsets)[:, part.live]
            for part in self.parts
        ]
        return np.concatenate([np.zeros((len(queries), 0), np.float32), *best], axis=1)

    def whole_image_scores(self, queries: FloatArray) -> FloatArray:
        """Return (q, n_images) cosines of (q, d) unit queries with every whole image, exactly."""
        found = [scan(queries, part.wholes.exact)[:, part.live] for part in self.parts]
        return np.concatenate([np.zeros((len(queries), 0), np.float32), *found], axis=1)

    def ids_of(self, rows: Sequence[int]) -> list[str]:
        """Return the image ids of rows."""
        ids = [part.images.value("image_id", row) for part, row in map(self.place_of, rows)]
        self._row_of.update(zip(ids, rows, strict=True))
        return ids

    def place_of(self, row: int) -> tuple[OpenSegment, int]:
        """Return the segment of a row, and which row of its tables that is."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        part = self.parts[number]
        return part, int(part.live[row - self.starts[number]])

    def ref_of(self, image_id: str) -> ImageRef:
        """Return the image as it was indexed; its path is under `image_root`."""
        part, row = self._find(image_id)
        return image_ref(part.images, row, self.image_root)

    def copies_of(self, image_id: str) -> tuple[str, ...]:
        """Return the image ids of other files with the same bytes."""
        part, row = self._find(image_id)
        return tuple(part.images.value("copies", row) or ())

    def regions_of(self, image_id: str) -> Regions:
        """Return the image's regions; row number = region id."""
        part, row = self._find(image_id)
        size = (part.images.value("height", row), part.images.value("width", row))
        first, end = part.offsets[row : row + 2].tolist()
        return regions_between(part.region_table, first, end - first, size)

    def region_vectors_of(self, image_id: str) -> FloatArray:
        """Return the (n, d) float32 vectors of the image's regions."""
        part, row = self._find(image_id)
        first, end = part.offsets[row : row + 2]
        return part.regions.exact[first:end].astype(np.float32)

    def image_vector_of(self, image_id: str) -> FloatArray:
        """Return the (d,) float32 vector of the whole image."""
        part, row = self._find(image_id)
        vector: FloatArray = part.wholes.exact[row].astype(np.float32)
        return vector

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is in the index."""
        return image_id in self._row_of or image_id in self._rows

    def holder_of(self, names: Sequence[str]) -> str | None:
        """Return the id of the image whose bytes one of the files `names` has; None = no image.

        Args:
            names: image ids that the copy may have.
        """
        is_copy = pl.col("copies").list.eval(pl.element().is_in(list(names))).list.any()
        found = self._facts.filter(is_copy)["image_id"]
        return str(found[0]) if len(found) else None

    def rows_of(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of images.

        Raises:
            KeyError: one is not in the index.
        """
        known = self._row_of if all(i in self._row_of for i in image_ids) else self._rows
        return np.array([known[image_id] for image_id in image_ids], np.int64)

    @cached_property
    def _facts(self) -> pl.DataFrame:
        frames = [part.image_frame() for part in self.parts]
        images = pl.concat(frames) if frames else pl.DataFrame(schema=IMAGE_SCHEMA)
        folder = pl.col("image_id").str.extract("(?s)^(.*)/", 1).fill_null("")
        name = pl.col("image_id").str.extract("([^/]*)$", 1)
        hidden = ("path", "fingerprint", "first_region", "n_regions", "image_id")
        return images.select(
            "image_id", folder.alias("folder"), name.alias("name"), pl.exclude(hidden)
        )

    def facts_table(self) -> pl.DataFrame:
        """Return one row per image, in order: what a filter can ask for.

        Columns: image_id, folder, name, width, height, those of `matir_nb.types.FileFacts`,
        copies (list of image ids), and the user's own.

        Raises:
            IndexCorruptError: the file of the user's own columns is damaged.
        """
        own = read_columns(self.path)
        return self._facts.join(own, on="image_id", how="left", maintain_order="left")

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

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self.image_ids)}

    def _find(self, image_id: str) -> tuple[OpenSegment, int]:
        return self.place_of(int(self.rows_of([image_id])[0]))


def _require_lifted(path: Path, manifest: Manifest) -> None:
    if manifest.version == 1:
        message = (
            f"the index at {str(path)!r} has format version 1: lift it with "
            f"matir compact -i {str(path)!r} (seconds; no model runs)"
        )
        raise IndexMismatchError(message)


def _require_dim(path: Path, manifest: Manifest, parts: Sequence[OpenSegment]) -> None:
    dims = {part.wholes.exact.shape[1] for part in parts}
    if dims - {manifest.made_by["dim"]}:
        message = (
            f"the index at {str(path)!r} says that its vectors have {manifest.made_by['dim']} "
            f"numbers, and they have {sorted(dims)}: matir verify --repair"
        )
        raise IndexCorruptError(message)


def _check_small(path: Path, segments: Sequence[Segment]) -> None:
    """Compare checksums of the smallest files, `CHECKED_BYTES` in all.

    Raises:
        IndexCorruptError: one was altered.
    """
    n_bytes = 0
    for size, file, stamp in sorted(_files(path, segments), key=lambda item: item[:2]):
        n_bytes += size
        if n_bytes > CHECKED_BYTES:
            return
        check_content(file, stamp)


def _files(path: Path, segments: Sequence[Segment]) -> Iterator[tuple[int, Path, Any]]:
    for segment in segments:
        for name, stamp in segment.files.items():
            yield stamp.bytes, path / SEGMENTS / segment.name / name, stamp
