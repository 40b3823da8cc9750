"""Search over an index of a million regions, beside FAISS, numpy and the speed of memory.

    python benchmarks/search.py [--json FILE] [--regions 1000000] [--rounds 9] [--scale]
        [--only {first,warm,batch} ...]

The index is generated once (`benchmarks/search_data.py`), in the real format, and kept under
``build/bench`` (3 GB with FAISS's). Every process computes with one thread. Four measurements:

- "first": a fresh process opens the index and answers one query (the 100 best images), imports
  not counted, with the files out of the page cache ("cold") and in it ("warm"); FAISS reads a flat
  half-precision index of the same regions, is asked for ten times as many regions, and groups.
  Cold needs a file system that drops pages when asked: what stayed is said, more than 1 % fails.
- "warm": one query after the other in one process, all ways in turn: ours, numpy (a product in
  single precision, `maximum.reduceat`, argpartition), FAISS's IndexFlatIP, and reading the int8
  codes of all regions and images once from the same memory map ("stream"), which is the limit; the
  same search with its candidates described is "retrieve". Our answers are compared
  with a full scan of the stored vectors in single precision, which adds the whole images as the
  index does; images whose scores differ by less than 1e-6 may swap. The full scans by numpy and
  FAISS rank by regions alone, which is less work. Ratios are of medians.
- "batch": 100 queries together, and one by one.
- "scale" (`--scale`; 17 GB under ``build/bench``, removed afterwards): ten times the regions.

Anonymous memory is all of the process, PyTorch's 170 MB too, at its peak. Prints every bar; the
last line is the worst; fails (exit code 1) when one is missed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import Bar, report
from benchmarks.page_cache import available_mb, evict, files_of, warm_up
from benchmarks.search_arms import half_faiss
from benchmarks.search_data import FOLDER, Size, made_index, queries
from benchmarks.search_probe import Job
from matir_nb.index.store import Index

N_QUERIES = 100
COLD, WARM, FULL_SCAN, STREAM, BATCH = 6.0, 30.0, 3.0, 1.5, 3.0
MEMORY_MB, LARGE_MEMORY_MB = 300.0, 600.0
STAYED = 0.01
SCALE = 10
NOISE = 1.25
"""Time per region may grow by so much from the small index to the large: what noise does."""
ALL = ("first", "warm", "batch")


def probe(what: str, job: Job) -> dict[str, Any]:
    """Return the figures of `benchmarks/search_probe.py` in a fresh process of one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search_probe", what, job.as_json()],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        env=os.environ | threads | {"POLARS_MAX_THREADS": "1"},
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def made_job(size: Size, folder: Path) -> Job:
    """Return the job of measuring an index of that size, generated if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = made_index(size, folder)
    file = folder / f"{size.name}-queries.npy"
    np.save(file, queries(size, N_QUERIES))
    return Job(index=str(path.resolve()), queries=str(file.resolve()))


def with_faiss(job: Job) -> Job:
    """Return the job with FAISS's index of the same regions, written if need be."""
    path = Path(job.index)
    index = Index.open(path)
    counts = path.with_suffix(".counts.npy")
    np.save(counts, index.region_counts)
    file = half_faiss(index, path.with_suffix(".faiss"))
    return replace(job, faiss_file=str(file), counts_file=str(counts))


def measure_first(job: Job, n_rounds: int) -> tuple[dict[str, Any], list[Bar]]:
    """Return the time to the first answer, ours and FAISS's, cold and warm."""
    files = {"first": files_of(Path(job.index)), "first-faiss": [Path(job.faiss_file)]}
    runs: dict[str, list[dict[str, Any]]] = {}
    stayed = 0.0
    for _ in range(n_rounds):
        for what, used in files.items():
            stayed = max(stayed, evict(used))
            runs.setdefault(f"{what} cold", []).append(probe(what, job))
        for what, used in files.items():
            warm_up(used)
            runs.setdefault(f"{what} warm", []).append(probe(what, job))
    seconds = {name: statistics.median(run["seconds"] for run in rs) for name, rs in runs.items()}
    print("; ".join(f"{name} {value * 1000:.0f} ms" for name, value in seconds.items()))
    anonymous = max(run["anonymous_mb"] for run in runs["first warm"] + runs["first cold"])
    bars = [
        Bar("pages that stayed in memory for cold", stayed, STAYED, is_limit=True, unit="of all"),
        Bar("first answer, cold", seconds["first-faiss cold"] / seconds["first cold"], COLD),
        Bar("first answer, warm", seconds["first-faiss warm"] / seconds["first warm"], WARM),
        Bar("anonymous memory", anonymous, MEMORY_MB, is_limit=True, unit="MB"),
    ]
    return {"runs": runs, "seconds": seconds}, bars


def measure_warm(job: Job) -> tuple[dict[str, Any], list[Bar]]:
    """Return the time of one query, and whether the answers are those of a full scan."""
    figures = probe("warm", job)
    seconds = figures["seconds"]
    print("; ".join(f"{name} {value * 1000:.0f} ms" for name, value in seconds.items()))
    print(f"images scored exactly: {statistics.median(figures['n_exact']):.0f} of a query")
    bars = [
        Bar("answers equal to the full scan's", figures["share_exact"], 1.0, unit="of all"),
        Bar("one query, numpy's time", seconds["numpy"] / seconds["ours"], FULL_SCAN),
        Bar("one query, FAISS's time", seconds["faiss"] / seconds["ours"], FULL_SCAN),
        Bar(
            "one query, beside reading", seconds["ours"] / seconds["stream"], STREAM, is_limit=True
        ),
    ]
    return figures, bars


def measure_batch(job: Job) -> tuple[dict[str, Any], list[Bar]]:
    """Return the time of all queries, together and one by one."""
    figures = probe("batch", replace(job, n_rounds=3))
    seconds = figures["seconds"]
    print("; ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    print(f"together {figures['anonymous_mb']:.0f} MB of anonymous memory")
    gain = seconds["one by one"] / seconds["together"]
    same = Bar("same answers together as one by one", figures["are_same"], 1.0, unit="of all")
    return figures, [same, Bar(f"batch of {N_QUERIES}", gain, BATCH)]


def measure_scale(job: Job, size: Size, folder: Path) -> tuple[dict[str, Any], list[Bar]]:
    """Return how time and memory grow with ten times the regions."""
    large = replace(size, n_regions=size.n_regions * SCALE)
    large_job = made_job(large, folder / "scale")
    try:
        n_bytes = sum(file.stat().st_size for file in files_of(Path(large_job.index)))
        print(f"{n_bytes / 1e9:.1f} GB; memory available {available_mb() / 1e3:.1f} GB")
        stayed = evict(files_of(Path(large_job.index)))
        cold = probe("first", large_job)
        runs = {
            name: probe("warm", replace(chosen, with_baselines=False))
            for name, chosen in (("small", job), ("large", large_job))
        }
        warm = probe("first", large_job)
        seconds = {name: run["seconds"]["ours"] for name, run in runs.items()}
    finally:
        shutil.rmtree(folder / "scale")
    print(
        f"{large.n_regions} regions: first answer cold {cold['seconds']:.1f} s ({stayed:.0%} "
        f"of the pages stayed), warm {warm['seconds']:.1f} s; one query {seconds['large']:.2f} s, "
        f"of {size.n_regions} regions {seconds['small']:.3f} s"
    )
    growth = seconds["large"] / seconds["small"] / SCALE
    memory = max(cold["anonymous_mb"], warm["anonymous_mb"])
    bars = [
        Bar(f"time per region, {SCALE} times as many", growth, NOISE, is_limit=True),
        Bar("anonymous memory, large", memory, LARGE_MEMORY_MB, is_limit=True, unit="MB"),
    ]
    return {"cold": cold, "warm": warm, "runs": runs, "n_bytes": n_bytes}, bars


def main() -> int:
    """Measure, print, and return 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--regions", type=int, default=Size().n_regions)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--only", choices=ALL, nargs="+", default=ALL)
    parser.add_argument("--scale", action="store_true")
    args = parser.parse_args()
    size = Size(args.regions)
    job = replace(made_job(size, args.folder), n_rounds=args.rounds)
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    work = {
        "first": lambda: measure_first(with_faiss(job), max(args.rounds // 3, 1)),
        "warm": lambda: measure_warm(job),
        "batch": lambda: measure_batch(job),
        "scale": lambda: measure_scale(job, size, args.folder),
    }
    for name in [*args.only, *(["scale"] if args.scale else [])]:
        figures[name], found = work[name]()
        bars += found
    return report(bars, figures, args.json)


if __name__ == "__main__":
    sys.exit(main())
