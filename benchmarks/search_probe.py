"""One measurement of a search, in a process of its own; its figures are one line of JSON.

    python -m benchmarks.search_probe {first,first-faiss,warm,batch} JOB

JOB is the JSON of a `Job`. Imports are done before any clock starts, one thread computes.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.page_cache import PeakMemory, anonymous_mb
from benchmarks.search_arms import (
    Regions,
    faiss_search,
    flat_faiss,
    is_exact,
    oracle,
    plain_search,
    stream,
    vectors_of,
)
from matir_nb.config import RetrieveConfig
from matir_nb.index.certified import Best, search
from matir_nb.index.store import Index
from matir_nb.stages.retrieve import retrieve
from matir_nb.types import FloatArray

Timed = dict[str, list[float]]
CONFIG = RetrieveConfig()


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured.

    Attributes:
        index: the index.
        queries: ``.npy`` of (q, d) unit queries.
        k: images wanted.
        n_rounds: repeats, interleaved.
        with_baselines: whether the full scans are timed and the answers checked, too.
        faiss_file: index of FAISS over the same regions; for "first-faiss".
        counts_file: ``.npy`` of the regions of each image; for "first-faiss".
    """

    index: str
    queries: str
    k: int = 100
    n_rounds: int = 9
    with_baselines: bool = True
    faiss_file: str = ""
    counts_file: str = ""

    def as_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self))


class GivenTexts:
    """An encoder that has read every text before: text "7" is query 7."""

    model_id = "given"

    def __init__(self, vectors: FloatArray) -> None:
        """Keep the vectors."""
        self._vectors = vectors

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of the texts."""
        return self._vectors[[int(text) for text in texts]]


def first(job: Job, queries: FloatArray) -> dict[str, Any]:
    """Return how long opening and the first answer take, and what more queries need."""
    before = anonymous_mb()
    with PeakMemory() as memory:
        start = perf_counter()
        index = Index.open(job.index)
        opened = perf_counter()
        ours(index, queries[:1], job.k)
        answered = perf_counter()
        for query in queries[1:6]:
            ours(index, query[None], job.k)
    return {
        "seconds": answered - start,
        "open_s": opened - start,
        "imported_mb": before,
        "anonymous_mb": memory.peak_mb,
    }


def first_faiss(job: Job, queries: FloatArray) -> dict[str, Any]:
    """Return how long FAISS takes to read its index and to give the first answer."""
    import faiss

    faiss.omp_set_num_threads(1)
    counts = np.load(job.counts_file)
    with PeakMemory() as memory:
        start = perf_counter()
        index = faiss.read_index(job.faiss_file)
        opened = perf_counter()
        faiss_search(index, Regions.of(counts).owners)(queries[0], job.k)
        answered = perf_counter()
    seconds = {"seconds": answered - start, "open_s": opened - start}
    return {**seconds, "anonymous_mb": memory.peak_mb}


def warm(job: Job, queries: FloatArray) -> dict[str, Any]:
    """Return the median seconds of each way to answer a query, and whether ours is exact."""
    index = Index.open(job.index)
    encoder: Any = GivenTexts(queries)
    codes = [
        np.asarray(vectors.coded.codes)
        for part in index.parts
        for vectors in (part.regions, part.wholes)
    ]
    found: dict[int, Best] = {}

    def answer(number: int) -> None:
        found[number] = ours(index, queries[number : number + 1], job.k)[0]

    arms: dict[str, Callable[[int], Any]] = {
        "ours": answer,
        "stream": lambda _: stream(codes),
        "retrieve": lambda number: retrieve(
            str(number), index, encoder, n_images=job.k, config=CONFIG
        ),
    }
    if job.with_baselines:
        arms |= baselines(index, queries, job.k)
    samples = interleaved(arms, job.n_rounds)
    figures: dict[str, Any] = {
        "seconds": {name: statistics.median(values) for name, values in samples.items()},
        "fastest": {name: min(values) for name, values in samples.items()},
        "n_exact": [best.n_exact for best in found.values()],
    }
    if job.with_baselines:
        numbers = sorted(found)
        truth = oracle(index, queries[numbers], CONFIG)
        rights = [
            is_exact(found[n].rows, scores, job.k) for n, scores in zip(numbers, truth, strict=True)
        ]
        figures["share_exact"] = float(np.mean(rights))
    return figures


def baselines(index: Index, queries: FloatArray, k: int) -> dict[str, Callable[[int], Any]]:
    """Return the full scans by numpy and by FAISS, over one copy of the vectors in memory."""
    import faiss

    faiss.omp_set_num_threads(1)
    regions = Regions.of(index.region_counts)
    flat = flat_faiss(index)
    by_numpy = plain_search(vectors_of(flat), regions)
    by_faiss = faiss_search(flat, regions.owners)
    return {
        "numpy": lambda number: by_numpy(queries[number], k),
        "faiss": lambda number: by_faiss(queries[number], k),
    }


def batch(job: Job, queries: FloatArray) -> dict[str, Any]:
    """Return the median seconds of all queries together and one by one."""
    index = Index.open(job.index)
    arms: dict[str, Callable[[int], Any]] = {
        "together": lambda _: ours(index, queries, job.k),
        "one by one": lambda _: [ours(index, query[None], job.k) for query in queries],
    }
    together = ours(index, queries, job.k)
    same = [
        np.array_equal(best.rows, ours(index, query[None], job.k)[0].rows)
        for best, query in zip(together, queries, strict=True)
    ]
    with PeakMemory() as memory:
        arms["together"](0)
    samples = interleaved(arms, job.n_rounds, warm_ups=0)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return {"seconds": medians, "are_same": all(same), "anonymous_mb": memory.peak_mb}


def ours(index: Index, queries: FloatArray, k: int) -> list[Best]:
    """Return the best images, found as the engine finds them."""
    return search(index, queries, k=k, config=CONFIG)


def interleaved(
    arms: dict[str, Callable[[int], Any]], n_rounds: int, *, warm_ups: int = 1
) -> Timed:
    """Time every arm once per round, each round with another query; the first do not count."""
    samples: Timed = {name: [] for name in arms}
    for number in range(-warm_ups, n_rounds):
        for name, arm in arms.items():
            start = perf_counter()
            arm(max(number, 0))
            if number >= 0:
                samples[name].append(perf_counter() - start)
    return samples


WHAT = {"first": first, "first-faiss": first_faiss, "warm": warm, "batch": batch}


def main(arguments: Sequence[str]) -> None:
    """Measure what the arguments say."""
    torch.set_num_threads(1)
    job = Job(**json.loads(arguments[1]))
    queries = np.ascontiguousarray(np.load(Path(job.queries)))
    # the first product of a process loads kernels: part of importing, not of searching
    queries @ queries.T
    print(json.dumps(WHAT[arguments[0]](job, queries)))


if __name__ == "__main__":
    main(sys.argv[1:])
