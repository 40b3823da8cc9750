"""Which approximate index to build: chosen by the number of regions and by memory.

Sizes in bytes are those of the FAISS index, which is read whole into memory. The rules come from
``benchmarks/approximate.py`` (see docs/approximate.md). This module knows no vectors and no FAISS.
"""

import os
from dataclasses import dataclass
from math import log2, sqrt
from typing import Any

from matir_nb.errors import ConfigError, unknown

KINDS = ("ivf", "hnsw", "rabitq")
EXACT_UP_TO = 5_000_000
"""Regions up to which the exact search answers in about a third of a second at 512 numbers per
vector: it reads n_regions * dim bytes, at about 9 GB/s of one core."""
LINKS = 32
TRAIN_PER_LIST = 40
"""k-means wants at least 39 vectors per list."""
UNKNOWN_MEMORY = 8 << 30
EFFORTS_HNSW = (128, 256, 512, 1024, 2048, 4096)
EFFORT_PARTS_IVF = (64, 32, 16, 8, 6, 4, 3, 2)
"""A search visits one of so many lists."""
MOST_HNSW = 16384


@dataclass(frozen=True, slots=True)
class AccelerateConfig:
    """How an approximate index is built.

    Attributes:
        kind: "ivf" (inverted lists of 8-bit codes), "hnsw" (a graph over half precision),
            "rabitq" (inverted lists of 1-bit codes); None = by size and memory.
        memory_bytes: what the FAISS index may take; None = half of this machine's memory.
        recall: share of the exact best images that has to be found, at 10 and at 100 images.
        n_queries: sampled queries that it is measured on.
        seed: of the training sample, the k-means, the rotation and the sampled queries.
    """

    kind: str | None = None
    memory_bytes: int | None = None
    recall: float = 0.95
    n_queries: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        if self.kind is not None and self.kind not in KINDS:
            raise ConfigError(unknown("kind", self.kind, KINDS))
        if not 0 < self.recall <= 1:
            message = f"recall = {self.recall!r}: expected a share above 0, at most 1"
            raise ConfigError(message)
        if self.n_queries < 1:
            message = f"n_queries = {self.n_queries!r}: expected a whole number >= 1"
            raise ConfigError(message)
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            message = f"memory_bytes = {self.memory_bytes!r}: expected a number of bytes > 0"
            raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class Plan:
    """An approximate index that is to be built.

    Attributes:
        kind: one of `KINDS`.
        n_regions: vectors that it holds.
        dim: numbers per vector.
        n_lists: inverted lists; 0 for a graph.
        n_bytes: estimated size of the FAISS index.
        is_exact_better: whether the exact search is fast enough without it.
        why: this choice in words.
    """

    kind: str
    n_regions: int
    dim: int
    n_lists: int
    n_bytes: int
    is_exact_better: bool
    why: str

    @property
    def n_train(self) -> int:
        """Vectors that the lists are trained on."""
        return min(self.n_regions, TRAIN_PER_LIST * self.n_lists)


def choose(
    n_regions: int, dim: int, memory_bytes: int | None = None, *, kind: str | None = None
) -> Plan:
    """Return what to build for an index of `n_regions` vectors of `dim` numbers.

    Args:
        n_regions: vectors, those of dropped images too.
        dim: numbers per vector.
        memory_bytes: what the FAISS index may take; None = half of this machine's memory.
        kind: one of `KINDS`; None = by size and memory.

    Raises:
        ConfigError: there are no regions, or the memory is too small for any kind.

    >>> [choose(n, 512, 64 << 30).kind for n in (8_000_000, 30_000_000, 500_000_000)]
    ['ivf', 'ivf', 'rabitq']
    >>> choose(1_000_000, 512).is_exact_better
    True
    """
    if n_regions < 1:
        message = "there are no regions to search: index some images first"
        raise ConfigError(message)
    memory = _half_of_memory() if memory_bytes is None else memory_bytes
    sizes = {name: _bytes_of(name, n_regions, dim) for name in KINDS}
    chosen = kind or _by_size(sizes, memory)
    why = f"{n_regions:,} regions x {dim}: {_words_of(chosen)}, {_gib(sizes[chosen])}"
    why += " as asked" if kind else f" of {_gib(memory)} allowed"
    is_exact_better = n_regions <= EXACT_UP_TO
    if is_exact_better:
        why += f"; up to {EXACT_UP_TO:,} regions the exact search is fast, and misses nothing"
    n_lists = 0 if chosen == "hnsw" else _n_lists(n_regions)
    return Plan(chosen, n_regions, dim, n_lists, sizes[chosen], is_exact_better, why)


def efforts(kind: str, n_lists: int) -> tuple[int, ...]:
    """Return efforts to try, ascending: lists visited (nprobe), or the graph's efSearch.

    >>> efforts("ivf", 1024)
    (16, 32, 64, 128, 170, 256, 341, 512)
    """
    if kind == "hnsw":
        return EFFORTS_HNSW
    return tuple(sorted({max(1, n_lists // part) for part in EFFORT_PARTS_IVF}))


def most_effort(kind: str, n_lists: int) -> int:
    """Return the effort beyond which none is tried."""
    return MOST_HNSW if kind == "hnsw" else n_lists


def parameters(plan: Plan) -> dict[str, Any]:
    """Return what FAISS was told, plain JSON values."""
    if plan.kind == "hnsw":
        return {"links": LINKS}
    return {"n_lists": plan.n_lists, "n_train": plan.n_train}


def _by_size(sizes: dict[str, int], memory: int) -> str:
    # a graph took three times as long as inverted lists at the same recall, and hours to build
    fitting = [name for name in ("ivf", "rabitq") if sizes[name] <= memory]
    if not fitting:
        message = (
            f"the smallest approximate index takes {_gib(sizes['rabitq'])}, {_gib(memory)} are "
            "allowed: allow more memory, or stay with the exact search, which maps its files"
        )
        raise ConfigError(message)
    return fitting[0]


def _bytes_of(kind: str, n: int, dim: int) -> int:
    centroids = 4 * dim * _n_lists(n)
    if kind == "hnsw":  # half precision; twice the links on the lowest level; offset and level
        return n * (2 * dim + 8 * LINKS + 16)
    if kind == "ivf":  # 8-bit codes and an id each
        return n * (dim + 8) + centroids
    return n * (dim // 8 + 16) + centroids + 4 * dim * dim


def _n_lists(n: int) -> int:
    """Return about 2 sqrt(n), a power of two; fewer where the training sample is too small."""
    wanted: int = 2 ** round(log2(2 * sqrt(n)))
    return max(1, min(wanted, n // TRAIN_PER_LIST))


def _words_of(kind: str) -> str:
    words = {
        "ivf": "inverted lists of 8-bit codes",
        "hnsw": "a graph over half precision",
        "rabitq": "inverted lists of 1-bit codes",
    }
    return f"{kind}, {words[kind]}"


def _half_of_memory() -> int:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 2
    except (AttributeError, ValueError, OSError):  # not offered by every system
        return UNKNOWN_MEMORY


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):.2f} GiB"
