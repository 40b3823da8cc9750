"""Ask every query of a dataset, with every arm, and leave a run behind.

What was asked is kept as it comes: the same call goes on where one stopped, however it ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.arms import ARMS, Arm, standard_arms
from matir_nb.evaluation.runs.asking import Answer, Gallery, answers, sampled, unread
from matir_nb.evaluation.runs.folder import Run, set_aside
from matir_nb.evaluation.runs.measures import measured
from matir_nb.evaluation.runs.observe import observed_row
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.evaluation.runs.page import write_pages
from matir_nb.evaluation.runs.parts import Parts, fingerprints
from matir_nb.evaluation.runs.provenance import provenance_of
from matir_nb.evaluation.runs.summary import summarise
from matir_nb.progress import shown_progress


def evaluate(  # noqa: PLR0913 - one optional argument per choice
    engine: Engine,
    dataset: Dataset,
    *,
    out: str | Path,
    arms: Sequence[Arm] | None = None,
    n_queries: int | None = None,
    k: int | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    has_pages: bool = True,
) -> Run:
    """Return the run of a dataset, which is written to a folder.

    Args:
        engine: of an index of the dataset's images; those it lacks count as not found.
        dataset: the queries and their truth (`datasets.readers.read_dataset`).
        out: the run's folder; a run that was stopped there goes on. A finished one with rows that
            this one does not have is moved into a folder ``earlier-N`` in it.
        arms: ways to answer; None = stage 1 alone, and each judge. One whose model is missing is
            left out, and the run says so.
        n_queries: so many of the queries, drawn with `seed`; None = all.
        k: hits recorded for each query; None = as the dataset says.
        seed: of the draw of queries and of the bootstrap.
        about: what the run's provenance says besides, such as the command; plain JSON values.
        has_pages: write the report as HTML and Markdown, too (`runs.page.write_pages`).

    Raises:
        AnnotationError: no image of the dataset is in the index, or masks do not fit the pictures.
        ConfigError: arms share a name, an option cannot be used, or nothing can be written.
        ModelUnavailableError: no arm has its model.
    """
    started = perf_counter()
    folder = Path(out).expanduser()
    ways = _checked(standard_arms(ARMS, engine.preset) if arms is None else arms)
    chosen = sampled(dataset, n_queries, seed)
    chosen = chosen if k is None else replace(chosen, depth=_depth(k))
    gallery = Gallery.of(engine, chosen)
    known_by = fingerprints(engine, gallery.dataset, ways)
    frames, unavailable = _observed(engine, gallery, ways, folder, known_by)
    seconds = {"ask": perf_counter() - started}
    queries = measured(pl.concat(frames), gallery.dataset.depth)
    report = summarise(queries, gallery.dataset, seed=seed)
    seconds["total"] = perf_counter() - started
    provenance = provenance_of(
        engine,
        gallery,
        ways,
        known_by=known_by,
        unavailable=unavailable,
        unread=unread(gallery, queries),
        seed=seed,
        seconds=seconds,
    )
    earlier = set_aside(folder, known_by)
    provenance |= {"earlier": earlier.name if earlier else None, **(about or {})}
    run = Run(folder, queries, report, provenance)
    run.save()
    if has_pages:
        write_pages(run, engine, gallery.dataset)
    return run


def _checked(arms: Sequence[Arm]) -> Sequence[Arm]:
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            message = f"two arms are called {name!r}: give each its own name"
            raise ConfigError(message)
    if not names:
        raise ConfigError("there are no arms: give at least one")
    return arms


def _depth(k: int) -> int:
    if k < 1:
        message = f"k = {k} is not allowed: give a number >= 1"
        raise ConfigError(message)
    return k


def _observed(
    engine: Engine,
    gallery: Gallery,
    arms: Sequence[Arm],
    folder: Path,
    known_by: Mapping[str, str],
) -> tuple[list[pl.DataFrame], dict[str, str]]:
    """Return the rows of every arm, and why others have none."""
    frames: list[pl.DataFrame] = []
    unavailable: dict[str, str] = {}
    for arm in arms:
        parts = Parts(folder, known_by[arm.name])
        try:
            frames.append(_rows_of(engine, gallery, arm, parts))
        except ModelUnavailableError as error:
            unavailable[arm.name] = str(error)
    if not frames:
        message = "no arm has its model: " + "; ".join(unavailable.values())
        raise ModelUnavailableError(message)
    return frames, unavailable


def _rows_of(engine: Engine, gallery: Gallery, arm: Arm, parts: Parts) -> pl.DataFrame:
    """Return the rows of an arm, one per query in their order; what is kept is not asked."""
    done = set(parts.load()["query_id"])
    left = [query for query in gallery.dataset.queries if query.query_id not in done]
    with shown_progress(arm.name, units="queries") as progress, parts.writing():
        for place, answer in enumerate(answers(engine, gallery, arm, left), len(done) + 1):
            parts.add(_row(answer, gallery, arm.name))
            progress(place, len(gallery.dataset.queries))
    order = pl.DataFrame({"query_id": [query.query_id for query in gallery.dataset.queries]})
    found = order.join(parts.load(), on="query_id", how="left", maintain_order="left")
    return found.select(OBSERVED_SCHEMA.names())


def _row(answer: Answer, gallery: Gallery, arm: str) -> dict[str, Any]:
    return observed_row(
        arm,
        answer.truth,
        answer.hits,
        n_gallery=answer.n_gallery,
        seconds=answer.seconds,
        sizes=gallery.sizes,
    )
