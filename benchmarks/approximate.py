"""Approximate search beside exact search of the same index: seconds, memory, recall.

Indexes are generated (`search_data`). Two exact searches stand beside: the plain scan that one
writes with numpy (a matrix product of vectors in memory and `maximum.reduceat`), and this
package's own (`matir_nb.index.certified`). The approximate index chooses its effort by its own
sampled queries; recall is then measured here on others, which lie in a cone of their own as texts
do. The run fails (exit code 1) below a bar.

    python benchmarks/approximate.py [--regions 200000] [--dim 256] [--kind ivf] [--json FILE]
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from bars import Bar, report
from search_arms import Regions, oracle, plain_search
from search_data import Size, made_index, queries

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from matir_nb.config import RetrieveConfig  # noqa: E402
from matir_nb.index import certified  # noqa: E402
from matir_nb.index.approximate.build import build_approximate, drop_approximate  # noqa: E402
from matir_nb.index.approximate.opened import Approximate  # noqa: E402
from matir_nb.index.approximate.plan import KINDS, AccelerateConfig  # noqa: E402
from matir_nb.index.store import Index  # noqa: E402

K = 100
N_QUERIES = 40
WEIGHTS = RetrieveConfig()
MIN_RATIO, MIN_RECALL = 1.5, 0.95


def measured(size: Size, kind: str | None) -> dict[str, Any]:
    """Return times and recall of one size."""
    path = made_index(size)
    index = Index.open(path)
    made = build_approximate(path, index.parts, config=AccelerateConfig(kind=kind), weights=WEIGHTS)
    start = perf_counter()
    opened = Approximate.open(path, index.parts, WEIGHTS, exact_rows=0)
    open_s = perf_counter() - start
    drop_approximate(path)
    if not isinstance(opened, Approximate):
        raise SystemExit(opened.reason)
    texts = queries(size, N_QUERIES)
    return {
        "regions": size.n_regions,
        "dim": size.dim,
        "kind": made.about.kind,
        "effort": made.about.effort,
        "build_s": made.seconds,
        "open_s": open_s,
        "n_bytes": made.about.n_bytes,
        "table": [asdict(row) for row in made.about.measured],
        **compared(index, opened, texts),
    }


def compared(index: Index, opened: Approximate, texts: np.ndarray) -> dict[str, float]:
    """Return median milliseconds of each search, and the recall of the approximate one."""
    vectors = np.concatenate([np.asarray(p.regions.exact, np.float32) for p in index.parts])
    plain = plain_search(vectors, Regions.of(index.region_counts))
    rows, exact = opened.rows, oracle(index, texts, WEIGHTS)

    def approximate(text: np.ndarray) -> np.ndarray:
        found = opened.best(text[None], K)
        if found is None:
            raise SystemExit("the index is too small: every search of it is exact")
        return next(found)[0]

    def proven(text: np.ndarray) -> object:
        return certified.search(index, text[None], k=K, config=WEIGHTS)

    times: dict[str, list[float]] = {"plain_ms": [], "certified_ms": [], "ms": []}
    recalls = []
    for text, scores in zip(texts, exact, strict=True):
        # one after the other on the same query: other work on the machine meets all of them
        times["plain_ms"].append(ms_of(lambda text: plain(text, K), text))
        times["certified_ms"].append(ms_of(proven, text))
        times["ms"].append(ms_of(approximate, text))
        best = np.argsort(-scores, kind="stable")[:K]
        recalls.append(len(np.intersect1d(approximate(text), best)) / min(K, rows.n_images))
    medians = {name: float(np.median(each)) for name, each in times.items()}
    return medians | {"recall": float(np.mean(recalls)), "worst_recall": min(recalls)}


def ms_of(search: Callable[[np.ndarray], object], text: np.ndarray) -> float:
    start = perf_counter()
    search(text)
    return (perf_counter() - start) * 1000


def line_of(row: dict[str, Any]) -> str:
    return (
        f"{row['regions']:>9} x {row['dim']}  {row['kind']:6}  effort {row['effort']:>4}  "
        f"build {sum(row['build_s'].values()):6.1f} s  open {row['open_s']:4.2f} s  "
        f"{row['n_bytes'] / 1e6:6.1f} MB  ms: plain {row['plain_ms']:6.2f}, "
        f"certified {row['certified_ms']:6.2f}, approximate {row['ms']:6.2f}  "
        f"recall@{K} {row['recall']:.3f} (worst {row['worst_recall']:.2f})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--regions", type=int, default=200_000, metavar="N")
    parser.add_argument("--dim", type=int, default=256, metavar="N")
    parser.add_argument("--kind", choices=KINDS, help="default: by size and memory")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    rows = []
    for part in (4, 1):
        rows.append(measured(Size(args.regions // part, args.dim), args.kind))
        print(line_of(rows[-1]), flush=True)
    last = rows[-1]
    bars = [
        Bar("plain scan / approximate", last["plain_ms"] / last["ms"], MIN_RATIO),
        Bar(f"recall@{K} of text-like queries", last["recall"], MIN_RECALL, unit=""),
    ]
    return report(bars, {"rows": rows}, args.json)


if __name__ == "__main__":
    raise SystemExit(main())
