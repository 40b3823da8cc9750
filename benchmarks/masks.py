"""Fetching all masks of 100 random images out of 50,000 with 30 each, from disk.

    python benchmarks/masks.py [--json FILE] [--images 50000] [--masks 30] [--rounds 15]

Five ways, each in fresh processes of one thread, the same images for all; all must give the same
bytes, a list per image (0.9 GB of masks; generated once, `benchmarks/masks_data.py`):

- "pread": one read per image from one file, offsets in memory: the limit;
- "index": `Index.regions_of` of each image id, as the widgets use it, which gives boxes, areas and
  scores, too, and an object per mask; the images' ids are looked up within the time;
- "table": the same bytes from the index's region table, without objects;
- "parquet", "parquet-small": a polars filter on a Parquet file, with row groups as polars makes
  them and of 3,000 rows.

"Warm": the files are in the page cache; medians of rounds, after one that does not count. "Cold":
they are not; one round in each of several processes, whose files are opened (our small ones read
and checked) before the clock starts. Fails (exit code 1) unless, warm and cold, "table" is within
3 times of "pread", which is the same work, and "index", which is more, 20 times faster than
"parquet": the last line is the worst.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import Bar, report
from benchmarks.masks_arms import ARMS
from benchmarks.masks_data import Store, made_store
from benchmarks.page_cache import evict, files_of, warm_up
from benchmarks.search_data import FOLDER

LIMIT, PARQUET, STAYED = 3.0, 20.0, 0.01
N_COLD = 3


def probe(arm: str, store: Store, *, seed: int, n_rounds: int) -> dict[str, Any]:
    """Return the figures of `benchmarks/masks_arms.py` in a fresh process of one thread."""
    numbers = (store.n_images, store.n_masks, seed, n_rounds)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.masks_arms", arm]
        + [str(value) for value in (store.folder.resolve(), *numbers)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        env=os.environ | threads,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure_warm(store: Store, n_rounds: int) -> dict[str, Any]:
    """Return the figures of every arm, files in the page cache."""
    warm_up(files_of(store.folder))
    found = {arm: probe(arm, store, seed=0, n_rounds=n_rounds + 1) for arm in ARMS}
    seconds = {arm: statistics.median(f["seconds"][1:]) for arm, f in found.items()}
    return {"seconds": seconds, "digests": {arm: f["digest"] for arm, f in found.items()}}


def measure_cold(store: Store) -> dict[str, Any]:
    """Return the figures of every arm, files out of the page cache."""
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    stayed = 0.0
    for number in range(N_COLD):
        for arm in ARMS:
            stayed = max(stayed, evict(files_of(store.folder)))
            seconds[arm] += probe(arm, store, seed=1 + number, n_rounds=1)["seconds"]
    medians = {arm: statistics.median(values) for arm, values in seconds.items()}
    return {"seconds": medians, "stayed": stayed}


def bars_of(state: str, seconds: dict[str, float]) -> list[Bar]:
    """Return what must be reached "warm" or "cold"."""
    times = "; ".join(
        f"{arm} {s * 1000:.1f} ms ({s / seconds['pread']:.1f} x pread)"
        for arm, s in seconds.items()
    )
    print(f"{state}: {times}")
    return [
        Bar(f"{state}, bytes, beside pread", seconds["table"] / seconds["pread"], LIMIT, True),
        Bar(f"{state}, regions, Parquet's time", seconds["parquet"] / seconds["index"], PARQUET),
    ]


def main() -> int:
    """Measure, print, and return 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--masks", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    store = made_store(args.images, args.masks, args.folder)
    warm, cold = measure_warm(store, args.rounds), measure_cold(store)
    n_answers = len(set(warm["digests"].values()))
    bars = [
        Bar("different answers", n_answers, 1, is_limit=True, unit="in all"),
        Bar("pages that stayed in memory", cold["stayed"], STAYED, is_limit=True, unit="of all"),
        *bars_of("warm", warm["seconds"]),
        *bars_of("cold", cold["seconds"]),
    ]
    return report(bars, {"warm": warm, "cold": cold}, args.json)


if __name__ == "__main__":
    sys.exit(main())
