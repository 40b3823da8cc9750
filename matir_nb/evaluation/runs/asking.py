"""Queries of a dataset → answers of an engine, each searched where its truth is known.

This module compares nothing with the truth, and writes nothing down.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import polars as pl

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.arms import Arm
from matir_nb.evaluation.runs.arrays import ABSENCE
from matir_nb.types import Hit, Provenance, QueryTruth

Judged: TypeAlias = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Gallery:
    """A dataset's images in an index.

    Attributes:
        dataset: with the names that its images have in the index.
        indexed: image ids of the index.
        copies: image id of the index -> other files of the same bytes, found where it is.
        sizes: image id -> (width, height), copies included.
    """

    dataset: Dataset
    indexed: frozenset[str]
    copies: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, engine: Engine, dataset: Dataset) -> "Gallery":
        """Find the images of a dataset in an engine's index.

        Raises:
            AnnotationError: none is there, or a file name fits several.
        """
        facts = engine.index.facts_table().select("image_id", "width", "height", "copies")
        sizes: dict[str, tuple[int, int]] = {}
        copies: dict[str, tuple[str, ...]] = {}
        for image_id, width, height, others in facts.iter_rows():
            sizes |= dict.fromkeys((image_id, *(others or ())), (width, height))
            if others:
                copies[image_id] = tuple(others)
        return cls(dataset.placed(sizes), frozenset(facts["image_id"]), copies, sizes)

    @property
    def missing(self) -> list[str]:
        """Images of the dataset that the index does not hold: no search finds them."""
        return [name for name in self.dataset.image_ids if name not in self.sizes]

    def allowed(self, judged: Judged) -> frozenset[str]:
        """Return the images that a query may find, whether the index holds them or not."""
        return frozenset(self.dataset.image_ids) if judged is None else judged

    def searched(self, allowed: frozenset[str]) -> frozenset[str]:
        """Return the images of the index that stand for some of `allowed`."""
        held = {name for name, others in self.copies.items() if not allowed.isdisjoint(others)}
        return (allowed & self.indexed) | held

    def with_copies(self, hits: Sequence[Hit], allowed: frozenset[str]) -> list[Hit]:
        """Return the hits of `allowed`, each copy behind its original, ranked anew."""
        found: list[Hit] = []
        for hit in hits:
            for name in (hit.image_id, *self.copies.get(hit.image_id, ())):
                if name in allowed:
                    found.append(replace(hit, image_id=name, rank=len(found) + 1))
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What an arm answered.

    Attributes:
        truth: the query.
        hits: those that are recorded, best first.
        n_gallery: images that could have been found.
        seconds: of all stages.
        provenance: of the search; None = nothing was there to be searched.
    """

    truth: QueryTruth
    hits: tuple[Hit, ...]
    n_gallery: int
    seconds: float
    provenance: Provenance | None


def answers(
    engine: Engine, gallery: Gallery, arm: Arm, queries: Sequence[QueryTruth]
) -> Iterator[Answer]:
    """Yield an answer to each of `queries`, those that search the same images together.

    Args:
        engine: of the gallery's index.
        gallery: what is searched.
        arm: how.
        queries: some of the dataset's.

    Raises:
        ModelUnavailableError: the arm's judge is missing.
    """
    asked = arm.engine_of(engine)
    groups: dict[tuple[Judged, bool], list[QueryTruth]] = {}
    for query in queries:
        records_all = arm.judge is not False and wants_all(query)
        groups.setdefault((query.judged, records_all), []).append(query)
    for (judged, records_all), some in groups.items():
        yield from _together(asked, gallery, arm, some, judged=judged, records_all=records_all)


def wants_all(query: QueryTruth) -> bool:
    """Return whether all that a judge saw is recorded: the query is about what is not there."""
    return query.kind == ABSENCE or not query.relevant


def _together(
    engine: Engine,
    gallery: Gallery,
    arm: Arm,
    queries: Sequence[QueryTruth],
    *,
    judged: Judged,
    records_all: bool,
) -> Iterator[Answer]:
    allowed = gallery.allowed(judged)
    searched = gallery.searched(allowed)
    if not searched:
        yield from (Answer(query, (), len(allowed), 0.0, None) for query in queries)
        return
    depth = gallery.dataset.depth or len(allowed)
    results = engine.searches(
        [query.text for query in queries],
        k=len(searched) if records_all else min(depth, len(searched)),
        judge=arm.judge,
        n_judged=None if arm.judge is False else arm.n_judged,
        where=None if searched == gallery.indexed else pl.col("image_id").is_in(sorted(searched)),
    )
    for query, result in zip(queries, results, strict=True):
        hits = gallery.with_copies(result.hits, allowed)
        deep = [hit for hit in hits[depth:] if records_all and hit.p_relevant is not None]
        seconds = sum(result.provenance.seconds.values())
        yield Answer(query, (*hits[:depth], *deep), len(allowed), seconds, result.provenance)


def sampled(dataset: Dataset, n: int | None, seed: int = 0) -> Dataset:
    """Return the dataset with `n` of its queries, drawn without replacement, in their order.

    Args:
        dataset: whose gallery stays whole.
        n: None, or as many as there are = all.
        seed: of the draw.

    Raises:
        ConfigError: `n` < 1.
    """
    if n is None or n >= len(dataset.queries):
        return dataset
    if n < 1:
        message = f"n_queries = {n} is not allowed: give a number >= 1"
        raise ConfigError(message)
    drawn = sorted(np.random.default_rng(seed).permutation(len(dataset.queries))[:n].tolist())
    return replace(dataset, queries=tuple(dataset.queries[place] for place in drawn))
