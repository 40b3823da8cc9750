"""Queries of a dataset → answers of an engine, each searched where its truth is known.

This module compares nothing with the truth, and writes nothing down.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import polars as pl

from matir_nb.engine import QUERIES_AT_ONCE, Engine
from matir_nb.errors import AnnotationError, ConfigError, QueryError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.arms import Arm
from matir_nb.evaluation.runs.arrays import ABSENCE
from matir_nb.results import SearchResult
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
        misfits: images whose true masks have another size than the picture: the dataset is without
            these masks and their boxes.
    """

    dataset: Dataset
    indexed: frozenset[str]
    copies: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, tuple[int, int]]
    misfits: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: Engine, dataset: Dataset) -> "Gallery":
        """Find the images of a dataset in an engine's index.

        Raises:
            AnnotationError: none is there, a file name fits several, or no mask fits its picture.
        """
        facts = engine.index.facts_table().select("image_id", "width", "height", "copies")
        sizes: dict[str, tuple[int, int]] = {}
        copies: dict[str, tuple[str, ...]] = {}
        for image_id, width, height, others in facts.iter_rows():
            sizes |= dict.fromkeys((image_id, *(others or ())), (width, height))
            if others:
                copies[image_id] = tuple(others)
        placed = dataset.placed(sizes)
        misfits = _misfits(placed, sizes)
        fitting = replace(placed, queries=tuple(_without(q, misfits) for q in placed.queries))
        return cls(fitting, frozenset(facts["image_id"]), copies, sizes, tuple(sorted(misfits)))

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


def _misfits(dataset: Dataset, sizes: Mapping[str, tuple[int, int]]) -> frozenset[str]:
    masks = [item for query in dataset.queries for item in query.masks.items() if item[1]]
    there = {(image_id, mask.size[::-1]) for image_id, of_image in masks for mask in of_image}
    there = {(image_id, size) for image_id, size in there if image_id in sizes}
    wrong = {(image_id, size) for image_id, size in there if sizes[image_id] != size}
    if wrong and len(wrong) == len(there):
        image_id, (width, height) = min(wrong)
        message = (
            f"no mask of {dataset.name} fits its picture (in {image_id!r} it is of {width} x "
            f"{height} pixels, the picture of {sizes[image_id][0]} x {sizes[image_id][1]}): "
            "give the dataset's own images"
        )
        raise AnnotationError(message)
    return frozenset(image_id for image_id, _ in wrong)


def _without(query: QueryTruth, images: frozenset[str]) -> QueryTruth:
    """Return the query without the targets in some images, which stay relevant."""
    if images.isdisjoint(query.masks):
        return query
    masks = {name: masks for name, masks in query.masks.items() if name not in images}
    boxes = {name: boxes for name, boxes in query.boxes_xyxy.items() if name not in images}
    return replace(query, masks=masks, boxes_xyxy=boxes)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an arm answered.

    Attributes:
        truth: the query.
        hits: those that are recorded, best first.
        n_gallery: images that could have been found.
        seconds: of all stages.
        provenance: of the search; None = nothing was there to be searched, or a model cannot read
            the query (`unread`).
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

    A query that is empty, or longer than a model reads, has no hits.

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
    search = partial(
        engine.searches,
        k=len(searched) if records_all else min(depth, len(searched)),
        judge=arm.judge,
        n_judged=None if arm.judge is False else arm.n_judged,
        where=None if searched == gallery.indexed else pl.col("image_id").is_in(sorted(searched)),
    )
    results = _found(search, [query.text for query in queries])
    for query, result in zip(queries, results, strict=True):
        if result is None:
            yield Answer(query, (), len(allowed), 0.0, None)
            continue
        hits = gallery.with_copies(result.hits, allowed)
        deep = [hit for hit in hits[depth:] if records_all and hit.p_relevant is not None]
        seconds = sum(result.provenance.seconds.values())
        yield Answer(query, (*hits[:depth], *deep), len(allowed), seconds, result.provenance)


def _found(
    search: Callable[[Sequence[str]], Iterator[SearchResult]], texts: Sequence[str]
) -> Iterator[SearchResult | None]:
    """Yield what `search` finds for each text; None where a model cannot read it."""
    for start in range(0, len(texts), QUERIES_AT_ONCE):
        left = list(texts[start : start + QUERIES_AT_ONCE])
        try:
            for result in search(tuple(left)):
                del left[0]
                yield result
        except QueryError:
            yield from (_one(search, text) for text in left)


def _one(
    search: Callable[[Sequence[str]], Iterator[SearchResult]], text: str
) -> SearchResult | None:
    try:
        return next(search([text]))
    except QueryError:
        return None


def unread(gallery: Gallery, observed: pl.DataFrame) -> dict[str, list[str]]:
    """Return arm -> ids of the queries that are empty, or longer than one of its models reads.

    They have no hit, though there was something to be searched.

    Args:
        gallery: what was searched.
        observed: all rows, `OBSERVED_SCHEMA`.
    """
    truths = {query.query_id: query for query in gallery.dataset.queries}
    found: dict[str, list[str]] = {}
    empty = observed.filter(pl.col("hits").list.len() == 0).select("arm", "query_id")
    for arm, query_id in empty.iter_rows():
        if gallery.searched(gallery.allowed(truths[query_id].judged)):
            found.setdefault(arm, []).append(query_id)
    return found


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
