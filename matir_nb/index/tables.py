"""The two tables of a segment: what is kept of each image, and of each region.

Both are Arrow IPC files, uncompressed and memory-mapped: what a lookup needs is read, and no
more. This module knows no manifest and no vectors.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl

from matir_nb.errors import ShapeError
from matir_nb.index.arrow_map import ArrowMap, Kind
from matir_nb.index.disk import FileWriter, as_binary
from matir_nb.types import FileFacts, FloatArray, ImageRef, MaskRLE, Regions

FACTS_SCHEMA: dict[str, pl.DataType] = {
    "n_bytes": pl.Int64(),
    "modified": pl.Datetime("us", "UTC"),
    "format": pl.String(),
    "taken": pl.Datetime("us"),
    "camera": pl.String(),
    "lens": pl.String(),
    "iso": pl.Int64(),
    "exposure_s": pl.Float64(),
    "f_number": pl.Float64(),
    "focal_mm": pl.Float64(),
    "latitude": pl.Float64(),
    "longitude": pl.Float64(),
}
"""`matir_nb.types.FileFacts`, a column each."""
IMAGE_SCHEMA = pl.Schema(
    {
        "image_id": pl.String(),
        "path": pl.String(),
        "width": pl.Int64(),
        "height": pl.Int64(),
        "fingerprint": pl.String(),
        "first_region": pl.Int64(),
        "n_regions": pl.Int64(),
        **FACTS_SCHEMA,
        "copies": pl.List(pl.String()),
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
KINDS: dict[pl.DataType, Kind] = {
    pl.Int64(): "int",
    pl.Float64(): "float",
    pl.Float32(): "float32",
    pl.String(): "text",
    pl.Binary(): "bytes",
    pl.Datetime("us"): "time",
    pl.Datetime("us", "UTC"): "utc",
    pl.Array(pl.Float32, 4): "box",
    pl.List(pl.String()): "texts",
}
IMAGE_KINDS = {name: KINDS[dtype] for name, dtype in IMAGE_SCHEMA.items()}
REGION_KINDS = {name: KINDS[dtype] for name, dtype in REGION_SCHEMA.items()}


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """All that the index keeps of one image.

    Attributes:
        ref: the image; its path is under the image root.
        regions: n regions.
        region_vectors: (n, d) float32.
        image_vector: (d,) float32.
        copies: image ids of other files with the same bytes, sorted.
    """

    ref: ImageRef
    regions: Regions
    region_vectors: FloatArray
    image_vector: FloatArray
    copies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that vectors and regions pair up."""
        expected = (len(self.regions), len(self.image_vector))
        if self.region_vectors.shape != expected:
            got = self.region_vectors.shape
            message = f"region_vectors of {self.ref.image_id!r}: expected {expected}, got {got}"
            raise ShapeError(message)


def image_table(rows: Sequence[IndexedImage], root: Path) -> pl.DataFrame:
    """Return `IMAGE_SCHEMA` for images whose files are under `root`."""
    counts = np.array([len(row.regions) for row in rows], np.int64)
    facts = [asdict(row.ref.facts) for row in rows]
    columns = {
        "image_id": [row.ref.image_id for row in rows],
        "path": [row.ref.path.relative_to(root).as_posix() for row in rows],
        "width": [row.ref.width for row in rows],
        "height": [row.ref.height for row in rows],
        "fingerprint": [row.ref.fingerprint for row in rows],
        "first_region": np.cumsum(counts) - counts,
        "n_regions": counts,
        **{f.name: [fact[f.name] for fact in facts] for f in fields(FileFacts)},
        "copies": [list(row.copies) for row in rows],
    }
    return pl.DataFrame(columns, schema=IMAGE_SCHEMA)


def region_table(rows: Sequence[IndexedImage]) -> pl.DataFrame:
    """Return `REGION_SCHEMA` for the regions of images, which are in order."""
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


def write_table(file: FileWriter, table: pl.DataFrame) -> None:
    """Write a table as one uncompressed batch of Arrow IPC, which `ArrowMap` opens."""
    table.write_ipc(
        as_binary(file),
        compression="uncompressed",
        # large binary and UTF-8 in place of views: the bytes of neighbours lie together
        compat_level=pl.CompatLevel.oldest(),
        record_batch_size=max(len(table), 1),
    )


def image_ref(images: ArrowMap, row: int, root: Path) -> ImageRef:
    """Return one image of an `IMAGE_SCHEMA` table; its path is under `root`."""
    facts = {f.name: images.value(f.name, row) for f in fields(FileFacts)}
    return ImageRef(
        image_id=images.value("image_id", row),
        path=root / images.value("path", row),
        width=images.value("width", row),
        height=images.value("height", row),
        fingerprint=images.value("fingerprint", row),
        facts=FileFacts(**facts),
    )


def regions_between(table: ArrowMap, first: int, n: int, size: tuple[int, int]) -> Regions:
    """Return `n` regions of a `REGION_SCHEMA` table, masks of (height, width) = `size`."""
    rows = slice(first, first + n)
    return Regions(
        masks=tuple(MaskRLE(size, counts) for counts in table.slices("counts", first, n)),
        boxes_xyxy=table.column("box_xyxy")[rows],
        areas=table.column("area")[rows],
        predicted_ious=table.column("predicted_iou")[rows],
        stability_scores=table.column("stability_score")[rows],
    )


def _joined(columns: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *columns])
