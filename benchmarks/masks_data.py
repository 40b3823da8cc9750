"""A million and a half masks, three times: in an index, in one blob with offsets, in Parquet.

The masks are bytes like those of COCO run lengths (their alphabet, their lengths; no decoder could
read them, and none is asked to), from one seed, kept under ``build/bench`` and used again.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.search_data import FOLDER, SEED, image_table, region_table
from matir_nb.index.joining import JOIN_BYTES
from matir_nb.index.manifest import SEGMENTS, Manifest, write_manifest
from matir_nb.index.segments import save_segment

VERSION = 1
MEAN_BYTES, SPREAD_BYTES, LEAST_BYTES = 600, 0.5, 16
ALPHABET = np.frombuffer(bytes(range(48, 112)), np.uint8)
DIM = 8
"""Of the vectors, which nothing here reads."""
SMALL_GROUP = 3000
"""Rows per row group of the second Parquet file: a filter has to read less."""
IMAGE_ROW = "image_row"


@dataclass(frozen=True, slots=True)
class Store:
    """Where the masks are.

    Attributes:
        folder: of all files.
        n_images: images.
        n_masks: masks of each.
    """

    folder: Path
    n_images: int = 50_000
    n_masks: int = 30

    @property
    def index(self) -> Path:
        """The index."""
        return self.folder / "masks.matir"

    @property
    def blob(self) -> Path:
        """All masks, one after the other."""
        return self.folder / "masks.blob"

    @property
    def offsets(self) -> Path:
        """(masks + 1,) first byte of each in the blob, then its size."""
        return self.folder / "masks.offsets.npy"

    @property
    def parquets(self) -> dict[str, Path]:
        """Two Parquet files: row groups as polars makes them, and small ones."""
        return {name: self.folder / f"{name}.parquet" for name in ("parquet", "parquet-small")}


def made_store(n_images: int, n_masks: int, folder: Path = FOLDER) -> Store:
    """Return the masks of so many images, generated when they are not there yet."""
    store = Store(folder / f"masks-{n_images}x{n_masks}-{VERSION}", n_images, n_masks)
    if not store.folder.is_dir():
        beside = Store(store.folder.with_suffix(".tmp"), n_images, n_masks)
        shutil.rmtree(beside.folder, ignore_errors=True)
        beside.folder.mkdir(parents=True)
        write_store(beside)
        beside.folder.rename(store.folder)
    return store


def write_store(store: Store, segment_bytes: int = JOIN_BYTES) -> None:
    """Write the three."""
    per_image = store.n_masks * (MEAN_BYTES + 64)
    at_once = max(segment_bytes // per_image, 1)
    segments, frames, ends = [], [], [np.zeros(1, np.int64)]
    (store.index / SEGMENTS).mkdir(parents=True)
    with store.blob.open("wb") as blob:
        for first in range(0, store.n_images, at_once):
            n_images = min(at_once, store.n_images - first)
            lengths, content = mask_bytes(n_images * store.n_masks, first)
            blob.write(content)
            ends.append(ends[-1][-1] + np.cumsum(lengths))
            masks = list(pieces(content, np.cumsum(lengths)))
            counts = np.full(n_images, store.n_masks, np.int64)
            regions = region_table(len(masks), masks)
            folder = store.index / SEGMENTS / f"{len(segments) + 1:06d}"
            blank = np.zeros((len(masks), DIM), np.float16)
            images = image_table(counts, first)
            segments.append(
                save_segment(
                    folder,
                    images,
                    regions,
                    region_vectors=[blank],
                    image_vectors=[blank[:n_images]],
                    dim=DIM,
                )
            )
            rows = first + np.repeat(np.arange(n_images), store.n_masks)
            frames.append(regions.with_columns(pl.Series(IMAGE_ROW, rows)))
    np.save(store.offsets, np.concatenate(ends))
    made_by = {"encoder": "generated", "segmenter": "generated", "dim": DIM}
    write_manifest(store.index, Manifest(made_by, {}, "", tuple(segments)))
    table = pl.concat(frames)
    table.write_parquet(store.parquets["parquet"])
    table.write_parquet(store.parquets["parquet-small"], row_group_size=SMALL_GROUP)


def mask_bytes(n: int, first: int) -> tuple[NDArray[np.int64], bytes]:
    """Return the lengths of `n` masks, and their bytes one after the other."""
    rng = np.random.default_rng([SEED, 7, first])
    drawn = rng.lognormal(np.log(MEAN_BYTES) - SPREAD_BYTES**2 / 2, SPREAD_BYTES, size=n)
    lengths = np.maximum(drawn, LEAST_BYTES).astype(np.int64)
    # short runs are the most frequent: two of three bytes are of the first quarter
    wide = rng.integers(0, 256, size=int(lengths.sum()), dtype=np.uint8)
    table = ALPHABET[np.where(np.arange(256) < 170, np.arange(256) % 16, np.arange(256) % 64)]
    return lengths, table[wide].tobytes()


def pieces(content: bytes, ends: NDArray[np.int64]) -> Iterator[bytes]:
    """Yield what lies before each end."""
    start = 0
    for end in ends.tolist():
        yield content[start:end]
        start = end
