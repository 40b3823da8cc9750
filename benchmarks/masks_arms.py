"""Ways to fetch all masks of some images; each gives the same bytes, a list per image.

    python -m benchmarks.masks_arms ARM FOLDER N_IMAGES N_MASKS SEED N_ROUNDS

prints one line of JSON: the seconds of each round (other images every time) and a digest of what
was fetched. What has to be open is open before the clock starts; imports are done.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

from benchmarks.masks_data import IMAGE_ROW, Store, pieces
from matir_nb.index.store import Index

Masks = list[list[bytes]]
Fetch = Callable[[Sequence[int]], Masks]
N_PICKED = 100


def by_pread(store: Store) -> Fetch:
    """Return the limit: one read per image from one file, whose offsets are in memory."""
    handle, offsets = os.open(store.blob, os.O_RDONLY), np.load(store.offsets)
    n = store.n_masks

    def fetch(rows: Sequence[int]) -> Masks:
        found = []
        for row in rows:
            ends = offsets[row * n : row * n + n + 1]
            content = os.pread(handle, int(ends[-1] - ends[0]), int(ends[0]))
            found.append(list(pieces(content, ends[1:] - ends[0])))
        return found

    return fetch


def by_index(store: Store) -> Fetch:
    """Return ours as the widgets use it: `Regions` of each image, with boxes and scores, too."""
    index = Index.open(store.index)

    def fetch(rows: Sequence[int]) -> Masks:
        ids = index.ids_of(rows)
        return [[mask.counts for mask in index.regions_of(image_id).masks] for image_id in ids]

    return fetch


def by_table(store: Store) -> Fetch:
    """Return ours without objects: the column of bytes of the region table."""
    index = Index.open(store.index)

    def fetch(rows: Sequence[int]) -> Masks:
        found = []
        for row in rows:
            part, local = index.place_of(row)
            first, end = part.offsets[local : local + 2].tolist()
            found.append(part.region_table.slices("counts", first, end - first))
        return found

    return fetch


def by_parquet(name: str) -> Callable[[Store], Fetch]:
    """Return polars' filter on a Parquet file."""

    def opened(store: Store) -> Fetch:
        path = store.parquets[name]

        def fetch(rows: Sequence[int]) -> Masks:
            chosen = pl.scan_parquet(path).filter(pl.col(IMAGE_ROW).is_in(list(rows)))
            table = chosen.select(IMAGE_ROW, "counts").collect()
            parts = table.partition_by(IMAGE_ROW, as_dict=True, include_key=False)
            return [parts[(row,)]["counts"].to_list() for row in rows]

        return fetch

    return opened


ARMS: dict[str, Callable[[Store], Fetch]] = {
    "pread": by_pread,
    "index": by_index,
    "table": by_table,
    "parquet": by_parquet("parquet"),
    "parquet-small": by_parquet("parquet-small"),
}


def measure(arm: str, store: Store, seed: int, n_rounds: int) -> dict[str, Any]:
    """Return the seconds of each round, and a digest of all that was fetched."""
    rng = np.random.default_rng(seed)
    fetch, digest, seconds = ARMS[arm](store), hashlib.sha256(), []
    for _ in range(n_rounds):
        rows = rng.choice(store.n_images, size=min(N_PICKED, store.n_images), replace=False)
        picked = rows.tolist()
        start = perf_counter()
        found = fetch(picked)
        seconds.append(perf_counter() - start)
        digest.update(b"".join(b"".join(masks) for masks in found))
    return {"seconds": seconds, "digest": digest.hexdigest()}


def main(arguments: Sequence[str]) -> None:
    """Measure what the arguments say."""
    arm, folder, *numbers = arguments
    n_images, n_masks, seed, n_rounds = map(int, numbers)
    print(json.dumps(measure(arm, Store(Path(folder), n_images, n_masks), seed, n_rounds)))


if __name__ == "__main__":
    main(sys.argv[1:])
