"""Indexes of format version 1, lifted to the present format without any model.

Version 1 had the same vectors and masks, and neither codes nor facts nor dropped rows; its tables
were Arrow IPC of any number of batches. This is the only module that knows it.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from matir_nb.errors import IndexCorruptError
from matir_nb.index.manifest import SEGMENTS, FileStamp, Manifest, Segment
from matir_nb.index.segments import IMAGES, REGIONS, check_size, in_blocks, save_segment
from matir_nb.index.tables import IMAGE_SCHEMA, REGION_SCHEMA


def lifted(index: Path, manifest: Manifest) -> tuple[Segment, ...]:
    """Write the segments of an index of version 1 anew beside the old ones, and return them.

    Raises:
        IndexCorruptError: a file is missing, truncated or altered; nothing is written then.
        OSError: the disk is full or fails.
    """
    folder = index / SEGMENTS
    for segment in manifest.segments:
        for name, stamp in segment.files.items():
            _check(folder / segment.name / name, stamp)
    taken = max((int(f.name) for f in folder.iterdir() if f.name.isdigit()), default=0)
    return tuple(
        _lifted(folder / segment.name, folder / f"{taken + number:06d}")
        for number, segment in enumerate(manifest.segments, start=1)
    )


def _lifted(old: Path, new: Path) -> Segment:
    images, regions, vectors = _read(old)
    added = {name: dtype for name, dtype in IMAGE_SCHEMA.items() if name not in images.columns}
    none = {name: pl.lit(None, dtype) for name, dtype in added.items() if name != "copies"}
    copies = pl.lit([], IMAGE_SCHEMA["copies"])
    whole = images.with_columns(**none, copies=copies).select(IMAGE_SCHEMA.names())
    return save_segment(
        new,
        whole,
        regions.select(REGION_SCHEMA.names()),
        region_vectors=in_blocks(vectors[0]),
        image_vectors=in_blocks(vectors[1]),
        dim=int(vectors[1].shape[1]),
    )


def _check(path: Path, stamp: FileStamp) -> None:
    """Raise unless a file is what was written: what is lifted gets new digests.

    Raises:
        IndexCorruptError: it is missing, truncated or altered.
    """
    check_size(path, stamp)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(path.parent, f"{path.name} cannot be read ({error.strerror})") from error
    if digest != stamp.sha256:
        raise _damaged(path.parent, f"{path.name} was altered")


def _read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, list[NDArray[np.float16]]]:
    """Return images, regions, and the vectors of regions and of whole images, each (n, d).

    Raises:
        IndexCorruptError: a file is not what its name says.
    """
    try:
        images, regions = (pl.read_ipc(folder / name) for name in (IMAGES, REGIONS))
        vectors = [np.load(folder / f"{kind}_vectors.npy") for kind in ("region", "image")]
    except (PolarsError, PanicException, OSError, ValueError, EOFError) as error:
        why = str(error).partition("\n")[0]
        raise _damaged(folder, f"it cannot be read ({why})") from error
    return images, regions, vectors


def _damaged(folder: Path, what: str) -> IndexCorruptError:
    message = (
        f"segment {folder.name} of an index of format version 1 is damaged: {what}; nothing was "
        f"changed. matir verify --repair -i {str(folder.parent.parent)!r} indexes its images again"
    )
    return IndexCorruptError(message)
