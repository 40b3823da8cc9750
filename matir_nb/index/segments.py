"""One segment on disk: an image table, a region table and two arrays of vectors.

``images.arrow`` and ``regions.arrow`` are Arrow IPC; ``region_vectors.npy`` and
``image_vectors.npy`` are half precision, C order, memory-mapped when read. This module writes,
opens and joins segments; it knows no manifest's place and no model.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import IndexCorruptError, ShapeError
from matir_nb.index.manifest import FileStamp, Segment, stamp_of, sync_folder
from matir_nb.types import FloatArray, ImageRef, MaskRLE, Regions

HalfArray = NDArray[np.float16]

IMAGES, REGIONS = "images.arrow", "regions.arrow"
REGION_VECTORS, IMAGE_VECTORS = "region_vectors.npy", "image_vectors.npy"
FILES = (IMAGES, REGIONS, REGION_VECTORS, IMAGE_VECTORS)
BATCH_ROWS = 4096
"""Rows per Arrow record batch: what one lookup has to touch in a large table."""
IN_MEMORY_BYTES = 64 << 20
"""Region tables up to this size are read once; of larger ones only the rows asked for."""

IMAGE_SCHEMA = pl.Schema(
    {
        "image_id": pl.String(),
        "path": pl.String(),
        "width": pl.Int64(),
        "height": pl.Int64(),
        "fingerprint": pl.String(),
        "first_region": pl.Int64(),
        "n_regions": pl.Int64(),
    }
)
REGION_SCHEMA = pl.Schema(
    {
        "image_row": pl.Int64(),
        "counts": pl.Binary(),
        "box_xyxy": pl.Array(pl.Float32, 4),
        "area": pl.Float32(),
        "predicted_iou": pl.Float32(),
        "stability_score": pl.Float32(),
    }
)


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """All that the index keeps of one image.

    Attributes:
        ref: the image; its path is under the image root.
        regions: n regions.
        region_vectors: (n, d) float32.
        image_vector: (d,) float32.
    """

    ref: ImageRef
    regions: Regions
    region_vectors: FloatArray
    image_vector: FloatArray

    def __post_init__(self) -> None:
        """Check that vectors and regions pair up."""
        expected = (len(self.regions), len(self.image_vector))
        if self.region_vectors.shape != expected:
            got = self.region_vectors.shape
            message = f"region_vectors of {self.ref.image_id!r}: expected {expected}, got {got}"
            raise ShapeError(message)


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment's tables and memory-mapped vectors.

    Attributes:
        images: `IMAGE_SCHEMA`, one row per image.
        region_vectors: (n_regions, d).
        image_vectors: (n_images, d).
        region_table: `REGION_SCHEMA`, in memory when small, else read row by row.
    """

    images: pl.DataFrame
    region_vectors: HalfArray
    image_vectors: HalfArray
    region_table: pl.DataFrame | pl.LazyFrame

    def regions(self, first: int, n: int, size: tuple[int, int]) -> Regions:
        """Return regions `first` ... `first + n - 1`, masks of (height, width) = `size`."""
        part = self.region_table.slice(first, n)
        try:
            rows = part.collect() if isinstance(part, pl.LazyFrame) else part
        except (OSError, pl.exceptions.PolarsError) as error:
            message = f"the index changed while it was open ({error}): open it again"
            raise IndexCorruptError(message) from error
        return Regions(
            masks=tuple(MaskRLE(size, counts) for counts in rows["counts"]),
            boxes_xyxy=rows["box_xyxy"].to_numpy(),
            areas=rows["area"].to_numpy(),
            predicted_ious=rows["predicted_iou"].to_numpy(),
            stability_scores=rows["stability_score"].to_numpy(),
        )


def write_segment(folder: Path, rows: Sequence[IndexedImage], *, root: Path, dim: int) -> Segment:
    """Write `rows` into the new folder `folder`, flushed to the disk."""
    folder.mkdir(parents=True)
    counts = [len(row.regions) for row in rows]
    _write_table(folder / IMAGES, _image_table(rows, root))
    _write_table(folder / REGIONS, _region_table(rows))
    region_vectors = [row.region_vectors for row in rows]
    _write_vectors(folder / REGION_VECTORS, region_vectors, (sum(counts), dim))
    image_vectors = [row.image_vector[None] for row in rows]
    _write_vectors(folder / IMAGE_VECTORS, image_vectors, (len(rows), dim))
    return _seal(folder, len(rows), sum(counts))


def open_segment(folder: Path, segment: Segment) -> OpenSegment:
    """Open a segment after checking that every file has its full size.

    Raises:
        IndexCorruptError: a file is missing, truncated or not what it should be.
    """
    for name, stamp in segment.files.items():
        _check_size(folder / name, stamp)
    try:
        return OpenSegment(
            images=pl.read_ipc(folder / IMAGES),
            region_vectors=_open_vectors(folder / REGION_VECTORS, segment.n_regions),
            image_vectors=_open_vectors(folder / IMAGE_VECTORS, segment.n_images),
            region_table=_open_regions(folder / REGIONS, segment.files[REGIONS].bytes),
        )
    except (ValueError, KeyError, OSError, pl.exceptions.PolarsError) as error:
        if isinstance(error, IndexCorruptError):
            raise
        message = f"{str(folder)!r} cannot be read ({error}): build the index again"
        raise IndexCorruptError(message) from error


def verify_segment(folder: Path, segment: Segment) -> None:
    """Read every byte of a segment and compare digests.

    Raises:
        IndexCorruptError: a file was altered.
    """
    for name, stamp in segment.files.items():
        _check_size(folder / name, stamp)
        if stamp_of(folder / name) != stamp:
            message = f"{str(folder / name)!r} was altered: build the index again"
            raise IndexCorruptError(message)


def join_segments(
    folder: Path, parts: Sequence[OpenSegment], *, drop: Collection[str] = ()
) -> Segment:
    """Write the images of `parts`, less those whose id is in `drop`, as one new segment."""
    folder.mkdir(parents=True)
    keeps = [~part.images["image_id"].is_in(list(drop)) for part in parts]
    images = pl.concat([p.images.filter(k) for p, k in zip(parts, keeps, strict=True)])
    n_regions = int(images["n_regions"].sum())
    first = images["n_regions"].cum_sum() - images["n_regions"]
    region_rows = [_region_rows(p, k) for p, k in zip(parts, keeps, strict=True)]
    owners = np.repeat(np.arange(len(images)), images["n_regions"].to_numpy())
    tables = [_take(p.region_table, r) for p, r in zip(parts, region_rows, strict=True)]
    regions = pl.concat(tables).with_columns(image_row=pl.Series(owners, dtype=pl.Int64))
    _write_table(folder / IMAGES, images.with_columns(first_region=first))
    _write_table(folder / REGIONS, regions)
    dim = parts[0].image_vectors.shape[1]
    vectors = (p.region_vectors[r] for p, r in zip(parts, region_rows, strict=True))
    _write_vectors(folder / REGION_VECTORS, vectors, (n_regions, dim))
    wholes = (p.image_vectors[k.to_numpy()] for p, k in zip(parts, keeps, strict=True))
    _write_vectors(folder / IMAGE_VECTORS, wholes, (len(images), dim))
    return _seal(folder, len(images), n_regions)


def _image_table(rows: Sequence[IndexedImage], root: Path) -> pl.DataFrame:
    counts = np.array([len(row.regions) for row in rows], np.int64)
    columns = {
        "image_id": [row.ref.image_id for row in rows],
        "path": [row.ref.path.relative_to(root).as_posix() for row in rows],
        "width": [row.ref.width for row in rows],
        "height": [row.ref.height for row in rows],
        "fingerprint": [row.ref.fingerprint for row in rows],
        "first_region": np.cumsum(counts) - counts,
        "n_regions": counts,
    }
    return pl.DataFrame(columns, schema=IMAGE_SCHEMA)


def _region_table(rows: Sequence[IndexedImage]) -> pl.DataFrame:
    regions = [row.regions for row in rows]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(r.boxes_xyxy for r in regions)])
    columns = {
        "image_row": np.repeat(np.arange(len(rows)), [len(r) for r in regions]),
        "counts": [mask.counts for r in regions for mask in r.masks],
        "box_xyxy": boxes,
        "area": _joined([r.areas for r in regions]),
        "predicted_iou": _joined([r.predicted_ious for r in regions]),
        "stability_score": _joined([r.stability_scores for r in regions]),
    }
    return pl.DataFrame(columns, schema=REGION_SCHEMA)


def _joined(columns: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *columns])


def _region_rows(part: OpenSegment, keep: pl.Series) -> NDArray[np.intp]:
    """Return the rows of the regions whose image is kept."""
    return np.flatnonzero(np.repeat(keep.to_numpy(), part.images["n_regions"].to_numpy()))


def _take(table: pl.DataFrame | pl.LazyFrame, rows: NDArray[np.intp]) -> pl.DataFrame:
    kept: pl.DataFrame = table.lazy().collect()[rows.tolist()]
    return kept


def _write_table(path: Path, table: pl.DataFrame) -> None:
    with path.open("wb") as file:
        table.write_ipc(file, compression="uncompressed", record_batch_size=BATCH_ROWS)
        file.flush()
        os.fsync(file.fileno())


def _write_vectors(
    path: Path, parts: Sequence[NDArray[np.floating]] | Iterator[HalfArray], shape: tuple[int, int]
) -> None:
    """Write the parts one after the other as one half-precision array."""
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.astype("<f2", copy=False).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _seal(folder: Path, n_images: int, n_regions: int) -> Segment:
    sync_folder(folder)
    sync_folder(folder.parent)
    files = {name: stamp_of(folder / name) for name in FILES}
    return Segment(folder.name, n_images, n_regions, files)


def _check_size(path: Path, stamp: FileStamp) -> None:
    found = path.stat().st_size if path.is_file() else None
    if found != stamp.bytes:
        state = "is missing" if found is None else f"has {found} bytes instead of {stamp.bytes}"
        message = f"{str(path)!r} {state}: build the index again"
        raise IndexCorruptError(message)


def _open_vectors(path: Path, n: int) -> HalfArray:
    array = np.load(path, mmap_mode="r" if n else None)
    if array.ndim != 2 or array.dtype != np.float16 or len(array) != n:
        message = f"{path.name} holds {array.dtype} {array.shape}, expected float16 ({n}, d)"
        raise ValueError(message)
    vectors: HalfArray = array
    return vectors


def _open_regions(path: Path, n_bytes: int) -> pl.DataFrame | pl.LazyFrame:
    return pl.read_ipc(path) if n_bytes <= IN_MEMORY_BYTES else pl.scan_ipc(path)
