"""One segment on disk: an image table, a region table, and vectors with their int8 codes.

The tables are those of `matir_nb.index.tables`. The vectors of regions, and of whole images, are
four arrays each: half precision as embedded, and the codes, scales and centre that
`matir_nb.index.codes` documents. All are memory-mapped when opened. This module writes, opens and
joins segments; it knows no manifest's place and no model.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import IndexCorruptError
from matir_nb.index import disk
from matir_nb.index.arrays import header_of, open_array, write_header
from matir_nb.index.arrow_map import ArrowMap
from matir_nb.index.codes import Codes, HalfArray, encode_vectors
from matir_nb.index.manifest import FileStamp, Segment
from matir_nb.index.open_files import is_shortage, with_enough_files
from matir_nb.index.tables import (
    IMAGE_KINDS,
    REGION_KINDS,
    IndexedImage,
    image_table,
    region_table,
    write_table,
)
from matir_nb.types import FloatArray

IMAGES, REGIONS = "images.arrow", "regions.arrow"
KINDS = ("region", "image")
"""What has vectors."""
BLOCK_ROWS = 8192
"""Vectors are coded and written in blocks of so many."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """(n, d) vectors of one kind, memory-mapped.

    Attributes:
        exact: (n, d) float16.
        picked: the same, to read a few rows of: of a file that is not in memory, the system reads
            those and not the megabytes around each.
        coded: the same as int8 codes.
    """

    exact: HalfArray
    picked: HalfArray
    coded: Codes


class OpenSegment:
    """A segment's tables and vectors, memory-mapped; rows are those on disk, dropped ones too.

    Attributes:
        name: its folder.
        images: `IMAGE_SCHEMA`.
        region_table: `REGION_SCHEMA`.
        regions: the vectors of the regions.
        wholes: the vectors of the whole images.
        live: (n_live,) rows of the image table that are in the index, ascending.
    """

    def __init__(self, folder: Path, segment: Segment) -> None:
        """Map the files of a segment.

        Raises:
            IndexCorruptError: a file is not what it should be.
            OSError: or ValueError: it cannot be read.
        """
        if missing := set(FILES) - segment.files.keys():
            message = f"the manifest names no {', '.join(sorted(missing))}"
            raise ValueError(message)
        self.name = segment.name
        self._folder = folder
        self._files = segment.files
        self.images = ArrowMap.open(folder / IMAGES, IMAGE_KINDS)
        self.region_table = ArrowMap.open(folder / REGIONS, REGION_KINDS, is_picked_from=True)
        self.regions = _open_vectors(folder, "region", segment.n_regions)
        self.wholes = _open_vectors(folder, "image", segment.n_images)
        self.live = np.delete(np.arange(segment.n_images), list(segment.dropped))
        rows = (self.images.n_rows, self.region_table.n_rows)
        if rows != (segment.n_images, segment.n_regions):
            message = f"tables of {rows} rows, expected {(segment.n_images, segment.n_regions)}"
            raise ValueError(message)

    @property
    def content(self) -> str:
        """Hex digest of its exact vectors: equal exactly when they are the same."""
        digests = [self._files[vector_files(kind)[0]].sha256 for kind in KINDS]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n_images + 1,) first region of each row of the image table, then the number of them."""
        counts: NDArray[np.int64] = self.images.column("n_regions")
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        if counts.min(initial=0) < 0 or offsets[-1] != self.region_table.n_rows:
            message = f"{str(self._folder)!r}: its images have other regions: matir verify --repair"
            raise IndexCorruptError(message)
        return offsets

    @cached_property
    def limits(self) -> FloatArray:
        """(2, n_images) largest error and norm of the codes of each image's regions."""
        largest = np.zeros((2, len(self.offsets) - 1), np.float32)
        if len(self.filled):
            scales = self.regions.coded.scales[1:]
            largest[:, self.filled] = np.maximum.reduceat(scales, self.offsets[self.filled], axis=1)
        return largest

    @cached_property
    def filled(self) -> NDArray[np.int64]:
        """Rows of the image table that have regions, ascending."""
        return np.flatnonzero(np.diff(self.offsets))

    def image_frame(self) -> pl.DataFrame:
        """Return the image table of the rows that are in the index; reads it whole."""
        return self.images.frame(self._files[IMAGES].crc32)[self.live]

    def region_frame(self) -> pl.DataFrame:
        """Return the region table of the images that are in the index; reads it whole."""
        return self.region_table.frame(self._files[REGIONS].crc32)[self.live_regions]

    @cached_property
    def live_regions(self) -> NDArray[np.int64]:
        """Rows of the region table whose image is in the index, ascending."""
        is_live = np.zeros(self.images.n_rows, bool)
        is_live[self.live] = True
        return np.flatnonzero(np.repeat(is_live, np.diff(self.offsets)))


def write_segment(folder: Path, rows: Sequence[IndexedImage], *, root: Path, dim: int) -> Segment:
    """Write `rows` into the new folder `folder`, flushed to the disk."""
    return save_segment(
        folder,
        image_table(rows, root),
        region_table(rows),
        region_vectors=(row.region_vectors for row in rows),
        image_vectors=(row.image_vector[None] for row in rows),
        dim=dim,
    )


def save_segment(
    folder: Path,
    images: pl.DataFrame,
    regions: pl.DataFrame,
    *,
    region_vectors: Iterable[NDArray[np.floating]],
    image_vectors: Iterable[NDArray[np.floating]],
    dim: int,
) -> Segment:
    """Write the new folder `folder`, flushed to the disk.

    Args:
        folder: absent so far.
        images: `IMAGE_SCHEMA`; `first_region` is set here.
        regions: `REGION_SCHEMA`, those of an image together, in the order of `images`;
            `image_row` is set here.
        region_vectors: (any, d) each, together one row per region.
        image_vectors: (any, d) each, together one row per image.
        dim: d.
    """
    disk.make_folder(folder)
    counts = images["n_regions"]
    owners = np.repeat(np.arange(len(images)), counts.to_numpy())
    stamps: dict[str, FileStamp] = {}
    with disk.writing(folder / IMAGES) as file:
        write_table(file, images.with_columns(first_region=counts.cum_sum() - counts))
    stamps[IMAGES] = _stamp(file)
    with disk.writing(folder / REGIONS) as file:
        write_table(file, regions.with_columns(image_row=pl.Series(owners, dtype=pl.Int64)))
    stamps[REGIONS] = _stamp(file)
    stamps |= _write_vectors(folder, "region", region_vectors, (len(regions), dim))
    stamps |= _write_vectors(folder, "image", image_vectors, (len(images), dim))
    disk.sync_folder(folder)
    return Segment(folder.name, len(images), len(regions), stamps)


def open_segment(folder: Path, segment: Segment) -> OpenSegment:
    """Open a segment after checking that every file has its full size.

    Raises:
        IndexCorruptError: a file is missing, truncated or not what it should be.
        OSError: the system lacks open files or memory.
    """
    for name, stamp in segment.files.items():
        check_size(folder / name, stamp)
    try:
        return with_enough_files(lambda: OpenSegment(folder, segment))
    except (ValueError, KeyError, IndexError, OSError) as error:
        if isinstance(error, IndexCorruptError) or is_shortage(error):
            raise
        message = f"{str(folder)!r} cannot be read ({error}): matir verify --repair"
        raise IndexCorruptError(message) from error


def check_size(path: Path, stamp: FileStamp) -> None:
    """Raise unless a file is there and has its full size.

    Raises:
        IndexCorruptError: it is not, or has not.
    """
    try:
        found = path.stat().st_size if path.is_file() else None
    except OSError:
        found = None
    if found != stamp.bytes:
        state = "is missing" if found is None else f"has {found} bytes instead of {stamp.bytes}"
        message = f"{str(path)!r} {state}: matir verify --repair"
        raise IndexCorruptError(message)


def check_content(path: Path, stamp: FileStamp) -> None:
    """Read a file and raise unless its checksum is right.

    Raises:
        IndexCorruptError: it was altered.
        OSError: the system lacks open files or memory.
    """
    checksum = 0
    try:
        with with_enough_files(lambda: path.open("rb")) as file:
            while block := file.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
    except OSError as error:  # it cannot be read, or was compacted away this moment
        if is_shortage(error):
            raise
        message = f"{str(path)!r} cannot be read ({error.strerror}): matir verify --repair"
        raise IndexCorruptError(message) from error
    if stamp.crc32 not in (None, checksum):
        message = f"{str(path)!r} was altered: matir verify --repair"
        raise IndexCorruptError(message)


def join_segments(folder: Path, parts: Sequence[OpenSegment]) -> Segment:
    """Write the images of `parts` that are in the index as one new segment."""
    images = pl.concat([part.image_frame() for part in parts])
    regions = pl.concat([part.region_frame() for part in parts])
    return save_segment(
        folder,
        images,
        regions,
        region_vectors=(v for p in parts for v in _taken(p.regions.exact, p.live_regions)),
        image_vectors=(v for p in parts for v in _taken(p.wholes.exact, p.live)),
        dim=parts[0].wholes.exact.shape[1],
    )


def recode(folder: Path, kind: str) -> dict[str, FileStamp]:
    """Write the codes of a segment again, from its vectors; return their new stamps.

    Args:
        folder: of the segment.
        kind: "region" or "image".
    """
    vectors = np.load(folder / vector_files(kind)[0])
    return _write_codes(folder, kind, in_blocks(vectors), vectors.shape)


def in_blocks(vectors: HalfArray) -> Iterator[HalfArray]:
    """Yield the rows of (n, d) vectors, `BLOCK_ROWS` at a time."""
    for start in range(0, len(vectors), BLOCK_ROWS):
        yield vectors[start : start + BLOCK_ROWS]


def vector_files(kind: str) -> tuple[str, str, str, str]:
    """Return the files of "region" or "image" vectors: vectors, codes, scales, centre."""
    return (
        f"{kind}_vectors.npy",
        f"{kind}_codes.npy",
        f"{kind}_scales.npy",
        f"{kind}_centre.npy",
    )


FILES = (IMAGES, REGIONS, *(name for kind in KINDS for name in vector_files(kind)))


def _taken(vectors: HalfArray, rows: NDArray[np.int64]) -> Iterator[HalfArray]:
    for start in range(0, len(rows), BLOCK_ROWS):
        yield vectors[rows[start : start + BLOCK_ROWS]]


def _write_vectors(
    folder: Path, kind: str, parts: Iterable[NDArray[np.floating]], shape: tuple[int, int]
) -> dict[str, FileStamp]:
    """Write vectors and their codes, block by block."""
    name = vector_files(kind)[0]
    with disk.writing(folder / name) as file:
        write_header(file, "<f2", shape)
        stamps = _write_codes(folder, kind, _written(file, _blocks(parts)), shape)
    return {name: _stamp(file)} | stamps


def _written(file: disk.FileWriter, blocks: Iterator[HalfArray]) -> Iterator[HalfArray]:
    for block in blocks:
        file.write(np.ascontiguousarray(block))
        yield block


def _write_codes(
    folder: Path, kind: str, blocks: Iterable[HalfArray], shape: tuple[int, int]
) -> dict[str, FileStamp]:
    """Write the codes of vectors around the mean of the first block."""
    _, codes_name, scales_name, centre_name = vector_files(kind)
    centre, scales = np.zeros(shape[1], np.float32), [np.zeros((3, 0), np.float32)]
    with disk.writing(folder / codes_name) as file:
        write_header(file, "|i1", shape)
        for number, block in enumerate(blocks):
            if number == 0 and len(block):
                centre = block.astype(np.float32).mean(axis=0)
            coded = encode_vectors(block, centre)
            file.write(coded.codes)
            scales.append(coded.scales)
    joined = np.concatenate(scales, axis=1)
    assert joined.shape[1] == shape[0], f"{joined.shape[1]} vectors for {shape[0]} rows"
    stamps = {codes_name: _stamp(file)}
    for name, array in ((scales_name, joined), (centre_name, centre)):
        with disk.writing(folder / name) as file:
            write_header(file, "<f4", array.shape)
            file.write(np.ascontiguousarray(array))
        stamps[name] = _stamp(file)
    return stamps


def _blocks(parts: Iterable[NDArray[np.floating]]) -> Iterator[HalfArray]:
    """Yield the rows of all parts in half precision, joined to blocks of about `BLOCK_ROWS`."""
    waiting: list[HalfArray] = []
    n_waiting = 0
    for part in parts:
        waiting.append(part.astype("<f2", copy=False))
        n_waiting += len(part)
        if n_waiting >= BLOCK_ROWS:
            yield np.concatenate(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _stamp(file: disk.FileWriter) -> FileStamp:
    return FileStamp(file.n_bytes, file.sha256, file.crc32)


def _open_vectors(folder: Path, kind: str, n: int) -> Vectors:
    vectors, codes, scales, centre = (folder / name for name in vector_files(kind))
    d = (centre.stat().st_size - len(header_of("<f4", (0,)))) // 4
    exact = open_array(vectors, "<f2", (n, d))
    return Vectors(
        exact,
        open_array(vectors, "<f2", (n, d), is_picked_from=True),
        Codes(
            centre=open_array(centre, "<f4", (d,)),
            codes=open_array(codes, "|i1", (n, d)),
            scales=open_array(scales, "<f4", (3, n)),
        ),
    )
