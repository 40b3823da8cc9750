"""Build, measure and write an approximate index beside the segments; or drop it.

Vectors are read in blocks: only the training sample and one block are in memory as single
precision. Nothing that is there is changed until the new one is written and measured; a build that
is stopped leaves the index as it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ShapeError
from matir_nb.index import disk
from matir_nb.index.approximate import library
from matir_nb.index.approximate.about import ABOUT, FOLDER, About
from matir_nb.index.approximate.opened import Approximate
from matir_nb.index.approximate.plan import AccelerateConfig, Plan, choose, efforts, parameters
from matir_nb.index.approximate.recall import SHARES, exact_best, measure, sampled_queries
from matir_nb.index.approximate.rows import Part, Rows
from matir_nb.index.lock import write_lock
from matir_nb.progress import Progress
from matir_nb.types import FloatArray


@dataclass(frozen=True, slots=True)
class Report:
    """What a build made.

    Attributes:
        about: what was written, with the measured recall.
        plan: why it is of this kind.
        seconds: per step.
        n_gpus: that trained it.
    """

    about: About
    plan: Plan
    seconds: dict[str, float]
    n_gpus: int

    def __str__(self) -> str:
        """Return the choice, the recall table and the seconds."""
        seconds = ", ".join(f"{step} {value:.1f}" for step, value in self.seconds.items())
        where = f"{self.n_gpus} GPU" if self.n_gpus else "CPU"
        return f"{self.plan.why}\n{self.about}\nseconds (trained on {where}): {seconds}"


def build_approximate(
    path: Path,
    parts: Sequence[Part],
    *,
    config: AccelerateConfig | None = None,
    weights: RetrieveConfig | None = None,
    queries: FloatArray | None = None,
    progress: Progress | None = None,
) -> Report:
    """Build the approximate index of the index folder `path`, in place of an older one.

    Args:
        path: the index folder.
        parts: its opened segments.
        config: what to build.
        weights: that images are ranked by; another weighing needs another build.
        queries: (q, d) real query vectors that recall is measured on, too.
        progress: called with (regions added, regions).

    Raises:
        ConfigError: there are no regions, or the memory is too small.
        ModelUnavailableError: FAISS is not installed.
        ShapeError: queries do not fit the index.
        OSError: the disk says no.
    """
    config, weights = config or AccelerateConfig(), weights or RetrieveConfig()
    rows, timer = Rows(parts, weights), _Timer()
    if queries is not None and (queries.ndim != 2 or queries.shape[1] != rows.dim):
        message = f"queries: expected shape (q, {rows.dim}), got {queries.shape}"
        raise ShapeError(message)
    library.require()
    plan = choose(rows.n_regions, rows.dim, config.memory_bytes, kind=config.kind)
    index = library.make(plan, _sample(rows, plan, config.seed), config.seed)
    timer.step("train")
    library.fill(index, _counted(rows, progress))
    timer.step("add")
    about = _described(rows, plan, config)
    about = _measured(about, index, rows, config, queries)
    timer.step("measure")
    about = _written(path / FOLDER, index, about)
    timer.step("write")
    return Report(about, plan, timer.seconds, library.n_gpus())


def drop_approximate(path: Path) -> bool:
    """Remove the approximate index of the index folder `path`; return whether there was one."""
    folder = path / FOLDER
    was_there = folder.is_dir()
    if was_there:
        disk.remove_file(folder / ABOUT)
        disk.remove_tree(folder)
        disk.sync_folder(path)
    return was_there


class _Timer:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = perf_counter()

    def step(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name], self._start = now - self._start, now


def _sample(rows: Rows, plan: Plan, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(plan.n_regions, max(plan.n_train, 1), replace=False)
    return rows.take(np.sort(chosen))


def _counted(rows: Rows, progress: Progress | None) -> Iterator[FloatArray]:
    for first, block in rows.blocks():
        yield block
        if progress is not None:
            progress(first + len(block), rows.n_regions)


def _described(rows: Rows, plan: Plan, config: AccelerateConfig) -> About:
    return About(
        kind=plan.kind,
        parameters=parameters(plan),
        segments=tuple(part.name for part in rows.parts),
        n_regions=rows.n_regions,
        dim=rows.dim,
        region_weight=rows.config.region_weight,
        image_weight=rows.config.image_weight,
        seed=config.seed,
        faiss=library.version(),
        file=f"{plan.kind}-{token_hex(4)}.faiss",
        n_bytes=plan.n_bytes,
        sha256="",
        effort=efforts(plan.kind, plan.n_lists)[0],
        wanted_recall=config.recall,
        is_reached=False,
        n_queries=config.n_queries,
        measured=(),
        contents=tuple(part.content for part in rows.parts),
    )


def _measured(
    about: About, index: Any, rows: Rows, config: AccelerateConfig, given: FloatArray | None
) -> About:
    """Return `about` with the table, and the smallest effort that reaches the wanted recall."""
    queries = {"sampled": sampled_queries(rows, config.n_queries, config.seed)}
    if given is not None and len(given):
        queries["given"] = given.astype(np.float32)
    masks = [_mask(rows.n_images, share, config.seed) for share in SHARES]
    truths = {name: exact_best(rows, v, [None, *masks]) for name, v in queries.items()}
    unfiltered = {name: per_mask[0] for name, per_mask in truths.items()}
    everything = Approximate(about, index, rows, exact_rows=0)
    tried = efforts(about.kind, about.parameters.get("n_lists", 0))
    tables = {effort: measure(everything, queries, unfiltered, effort) for effort in tried}
    lowest = {effort: min((m.recall for m in made), default=0) for effort, made in tables.items()}
    enough = [effort for effort in tried if lowest[effort] >= config.recall]
    effort = enough[0] if enough else tried[-1]
    about = replace(about, effort=effort, is_reached=bool(enough))
    table = [row for made in tables.values() for row in made]
    used = Approximate(about, index, rows)
    for place, mask in enumerate(masks, start=1):
        truth = {name: per_mask[place] for name, per_mask in truths.items()}
        table += measure(used, queries, truth, None, allowed=mask)
    return replace(about, measured=tuple(table))


def _mask(n_images: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which images a filter lets pass that knows nothing of their vectors."""
    passed: NDArray[np.bool_] = np.random.default_rng(seed).random(n_images) < share
    return passed


def _written(folder: Path, index: Any, about: About) -> About:
    """Write both files; what was there is removed when nothing names it any more."""
    with write_lock(folder.parent):
        disk.make_folder(folder)
        try:
            with disk.writing(folder / about.file) as file:
                library.write(index, file)
            disk.sync_folder(folder)
            about = replace(about, n_bytes=file.n_bytes, sha256=file.sha256)
            disk.write_whole(folder / ABOUT, about.to_json().encode())
        except BaseException:
            with suppress(OSError):
                disk.remove_file(folder / about.file)
            raise
        for other in folder.iterdir():
            if other.name not in (ABOUT, about.file):
                disk.remove_tree(other)
    return about
