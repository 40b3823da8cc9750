"""Indexes of format version 1, lifted to the present format without any model.

Version 1 had the same vectors and masks, and neither codes nor facts nor dropped rows; its tables
were Arrow IPC of any number of batches. This is the only module that knows it.
"""

from pathlib import Path

import numpy as np
import polars as pl

from matir_nb.index.manifest import SEGMENTS, Manifest, Segment
from matir_nb.index.segments import BLOCK_ROWS, IMAGES, REGIONS, check_size, save_segment
from matir_nb.index.tables import IMAGE_SCHEMA, REGION_SCHEMA


def lifted(index: Path, manifest: Manifest) -> tuple[Segment, ...]:
    """Write the segments of an index of version 1 anew beside the old ones, and return them.

    Raises:
        IndexCorruptError: a file is missing or truncated.
        OSError: the disk is full or fails.
    """
    folder = index / SEGMENTS
    taken = max((int(f.name) for f in folder.iterdir() if f.name.isdigit()), default=0)
    return tuple(
        _lifted(folder / segment.name, segment, folder / f"{taken + number:06d}")
        for number, segment in enumerate(manifest.segments, start=1)
    )


def _lifted(old: Path, segment: Segment, new: Path) -> Segment:
    for name, stamp in segment.files.items():
        check_size(old / name, stamp)
    images, regions = pl.read_ipc(old / IMAGES), pl.read_ipc(old / REGIONS)
    added = {name: dtype for name, dtype in IMAGE_SCHEMA.items() if name not in images.columns}
    none = {name: pl.lit(None, dtype) for name, dtype in added.items() if name != "copies"}
    copies = pl.lit([], IMAGE_SCHEMA["copies"])
    whole = images.with_columns(**none, copies=copies).select(IMAGE_SCHEMA.names())
    regions = regions.select(REGION_SCHEMA.names())
    vectors = [np.load(old / f"{kind}_vectors.npy") for kind in ("region", "image")]
    blocks = [
        [array[start : start + BLOCK_ROWS] for start in range(0, len(array), BLOCK_ROWS)]
        for array in vectors
    ]
    return save_segment(
        new,
        whole,
        regions,
        region_vectors=blocks[0],
        image_vectors=blocks[1],
        dim=int(vectors[1].shape[1]),
    )
