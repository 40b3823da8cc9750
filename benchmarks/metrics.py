"""Ranking metrics of 10,000 queries x 100 results, beside plain Python loops and ranx.

    python benchmarks/metrics.py [--json FILE] [--queries 10000] [--results 100] [--rounds 7]

Thirteen numbers of every query: R@1, 5, 10, 50, the share found in 10 and 100, P@10, the reciprocal
rank, nDCG@10 and 50, AP@50 under its three normalisers. All ways must find the same numbers, or
the benchmark fails. Two stretches, each timed in turn, the best of all rounds after a first one
that is not counted (ranx compiles in it):

- "from ids": the run and the judgements are polars frames of (query id, image id), in order of
  rank, as they are read from a file. Ours checks the order. The loops put the ids into lists and
  sets; they trust the order. ranx is given the dicts that it wants, ready made, and builds its
  `Qrels` and `Run`, which has to hash all ids.
- "prepared": ours has the matrix of relevance; the loops have lists of booleans; ranx has its
  compiled objects, in which it still looks up the ids, once for every metric.

"From dicts" is told beside them: ids as Python strings in lists and sets, where we and the loops
alike spend most of the time on finding a million of them. ranx has neither R@K with several
thresholds in one pass nor the normalisers "min" and "found": it is asked for eleven of the thirteen
numbers, and its AP is compared with ours ÷ N. polars and ranx use all cores; numpy and the loops
one. Prints every bar; the last line is the worst; exit code 1 when one is missed.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import Bar, report
from benchmarks.metrics_plain import plain_metrics, plain_relevance
from matir_nb.evaluation.metrics.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank,
    share_recall_at_k,
)
from matir_nb.evaluation.metrics.relevance import RankedQueries, relevance_of_run

LOOPS, RANX, SAME = 10.0, 1.0, 1e-9
N_IMAGES = 100_000
RANX_NAMES = {
    **{f"R@{k}": f"hit_rate@{k}" for k in (1, 5, 10, 50)},
    "recall@10": "recall@10",
    "recall@100": "recall@100",
    "P@10": "precision@10",
    "MRR": "mrr",
    "nDCG@10": "ndcg@10",
    "nDCG@50": "ndcg@50",
    "mAP@50/relevant": "map@50",
}
Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """The same ids in every form that a way reads.

    Attributes:
        lists: query -> image ids, best first.
        sets: query -> relevant image ids.
        run: frame of query_id, image_id, rank.
        qrels: frame of query_id, image_id.
    """

    lists: dict[str, list[str]]
    sets: dict[str, set[str]]
    run: pl.DataFrame
    qrels: pl.DataFrame


def made_case(n_queries: int, n_results: int, seed: int = 7) -> Case:
    """Return queries with 1 to 20 relevant images: each is listed more often the higher it is."""
    rng = np.random.default_rng(seed)
    images = np.array([f"val2017/{i:012d}.jpg" for i in range(N_IMAGES)], dtype=object)
    lists, sets = {}, {}
    for number in range(n_queries):
        drawn = rng.choice(N_IMAGES, n_results + 20, replace=False)
        n_relevant = int(rng.integers(1, 21))
        places = (rng.random(n_relevant) ** 3 * (n_results + 20)).astype(int)
        query_id = f"query-{number:06d}"
        lists[query_id] = images[drawn[:n_results]].tolist()
        sets[query_id] = set(images[drawn[places]])
    run, qrels = (
        pl.DataFrame({"query_id": list(ids), "image_id": list(map(list, ids.values()))})
        for ids in (lists, sets)
    )
    ranks = pl.Series("rank", np.tile(np.arange(1, n_results + 1), n_queries))
    return Case(lists, sets, run.explode("image_id").with_columns(ranks), qrels.explode("image_id"))


def our_metrics(queries: RankedQueries) -> Numbers:
    """Return name -> (q,) by the library."""
    ranked, n = queries.ranked, queries.n_relevant
    return {
        **{f"R@{k}": recall_at_k(ranked, n, k) for k in (1, 5, 10, 50)},
        **{f"recall@{k}": share_recall_at_k(ranked, n, k) for k in (10, 100)},
        "P@10": precision_at_k(ranked, n, 10),
        "MRR": reciprocal_rank(ranked, n),
        **{f"nDCG@{k}": ndcg_at_k(ranked, n, k) for k in (10, 50)},
        "mAP@50": average_precision_at_k(ranked, n, 50),
        "mAP@50/relevant": average_precision_at_k(ranked, n, 50, normaliser="relevant"),
        "mAP@50/found": average_precision_at_k(ranked, n, 50, normaliser="found"),
    }


def ranx_objects(case: Case) -> Callable[[], tuple[Any, Any]]:
    """Return what builds ranx's judgements and run, from dicts that are ready."""
    import ranx

    qrels = {query: dict.fromkeys(found, 1) for query, found in case.sets.items()}
    run = {
        query: {image: 1 / rank for rank, image in enumerate(found, 1)}
        for query, found in case.lists.items()
    }
    return lambda: (ranx.Qrels(qrels), ranx.Run(run))


def ranx_metrics(qrels: Any, run: Any) -> Numbers:
    """Return name -> (q,) by ranx, which sorts the queries."""
    import ranx

    found = ranx.evaluate(qrels, run, list(RANX_NAMES.values()), return_mean=False)
    return {ours: found[theirs] for ours, theirs in RANX_NAMES.items()}


def ways(case: Case) -> dict[str, Callable[[], Numbers]]:
    """Return name -> what computes all numbers from its own form of the ids."""
    n_results = max(map(len, case.lists.values()))
    queries = relevance_of_run(case.run, case.qrels, n_results)
    flags = plain_relevance(case.lists, case.sets)
    build = ranx_objects(case)
    objects = build()
    return {
        "ours, from ids": lambda: our_metrics(relevance_of_run(case.run, case.qrels, n_results)),
        "loops, from ids": lambda: plain_metrics(plain_relevance(*plain_dicts(case))),
        "ranx, from ids": lambda: ranx_metrics(*build()),
        "ours, prepared": lambda: our_metrics(queries),
        "loops, prepared": lambda: plain_metrics(flags),
        "ranx, prepared": lambda: ranx_metrics(*objects),
        "ours, from dicts": lambda: our_metrics(relevance_of_run(case.lists, case.sets, n_results)),
        "loops, from dicts": lambda: plain_metrics(plain_relevance(case.lists, case.sets)),
    }


def columns(frame: pl.DataFrame) -> tuple[list[str], list[str]]:
    return frame["query_id"].to_list(), frame["image_id"].to_list()


def plain_dicts(case: Case) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Return the frames as dicts, in the quickest plain way: columns first, then their rows."""
    lists: dict[str, list[str]] = {}
    for query, image in zip(*columns(case.run), strict=True):
        lists.setdefault(query, []).append(image)
    sets: dict[str, set[str]] = {}
    for query, image in zip(*columns(case.qrels), strict=True):
        sets.setdefault(query, set()).add(image)
    return lists, sets


def difference(one: Numbers, other: Numbers) -> float:
    """Return the largest difference of a number that both have; infinite if none is shared."""
    shared = one.keys() & other.keys()
    gaps = [np.abs(np.asarray(one[name]) - np.asarray(other[name])).max() for name in shared]
    return float(np.nan_to_num(max(gaps, default=np.inf), nan=np.inf, posinf=np.inf))


def measure(case: Case, n_rounds: int) -> tuple[dict[str, list[float]], float]:
    """Return the seconds of every way, in turn, and the largest difference of their numbers."""
    seconds: dict[str, list[float]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, of ranx's typed lists
        compute = ways(case)
        first = {name: work() for name, work in compute.items()}
        for _ in range(n_rounds):
            for name, work in compute.items():
                start = time.perf_counter()
                work()
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    ours = first["ours, prepared"]
    return seconds, max(difference(ours, numbers) for numbers in first.values())


def bars_of(best: Mapping[str, float], gap: float) -> list[Bar]:
    """Return what must hold of the best times."""
    found = [Bar("largest difference of the numbers", gap, SAME, is_limit=True, unit="")]
    for stretch in ("from ids", "prepared"):
        ours = best[f"ours, {stretch}"]
        found.append(
            Bar(f"{stretch}: time of plain loops", best[f"loops, {stretch}"] / ours, LOOPS)
        )
        found.append(Bar(f"{stretch}: time of ranx", best[f"ranx, {stretch}"] / ours, RANX))
    return found


def main() -> int:
    """Measure, print, and return 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--results", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    seconds, gap = measure(made_case(args.queries, args.results), args.rounds)
    best = {name: min(times) for name, times in seconds.items()}
    print("; ".join(f"{name} {value * 1000:.0f} ms" for name, value in best.items()))
    ratio = best["loops, from dicts"] / best["ours, from dicts"]
    print(f"from dicts: time of plain loops {ratio:.1f} x ours, no bar")
    return report(bars_of(best, gap), {"seconds": seconds, "best": best}, args.json)


if __name__ == "__main__":
    sys.exit(main())
