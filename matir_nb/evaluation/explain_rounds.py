"""Ask an engine, have it explain its hits, and put the truth beside each explanation.

One row per explanation (`POINTING_SCHEMA`, `WORD_SCHEMA`, `CURVE_SCHEMA`). What is true is decided
by `matir_nb.evaluation.faithfulness`; this module sums nothing up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from tqdm import tqdm

from matir_nb.engine import Engine
from matir_nb.evaluation.explain_curves import Explained, areas
from matir_nb.evaluation.faithfulness import (
    MIN_IOU,
    NEAR_MISS,
    ONE_SHARED,
    RegionCase,
    WordCase,
    point_at,
    region_cases,
    shown_objects,
    word_case,
)
from matir_nb.explain.occlusion import occlusion
from matir_nb.explain.words import word_matrix
from matir_nb.geometry.masks import mask_iou
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import Scene, SceneObject
from matir_nb.types import Hit, QueryTruth

K = 50
"""Hits in which near misses are looked for."""
N_BEST = 10
"""Hits whose regions are explained."""
N_JUDGED = 50
"""Queries on whose best hit the judge is asked again and again."""
LEFT_OUT, ALONE = "left out", "alone"
WAYS = (LEFT_OUT, ALONE)
"""Of a word: the query without it, or the word as a query of its own."""
BY_OCCLUSION, BY_STAGES, BY_WORDS = "occlusion", "shown", "words"
EXPLANATIONS = (BY_OCCLUSION, BY_STAGES, BY_WORDS)

_ABOUT = {"query_id": pl.String, "text": pl.String, "image_id": pl.String, "rank": pl.Int64}
POINTING_SCHEMA = pl.Schema(
    _ABOUT
    | {"explanation": pl.String, "region_id": pl.Int64, "iou": pl.Float64, "has_iou": pl.Boolean}
    | {"centre_on_target": pl.Boolean, "inmost_on_target": pl.Boolean, "chance": pl.Float64}
)
"""One row per right hit and explanation; `chance`: share of regions with the IoU."""
WORD_SCHEMA = pl.Schema(
    _ABOUT
    | {"way": pl.String, "game": pl.String, "region_id": pl.Int64}
    | {"true_word": pl.String, "named_word": pl.String}
    | {"is_right": pl.Boolean, "chance": pl.Float64}
)
CURVE_SCHEMA = pl.Schema(
    _ABOUT
    | {"curve": pl.String, "order": pl.String, "deletion": pl.Float64, "insertion": pl.Float64}
)
"""One row per right hit, curve and order: areas, random ones the mean of several."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was asked, explained and true.

    Attributes:
        pointing: `POINTING_SCHEMA`.
        words: `WORD_SCHEMA`.
        curves: `CURVE_SCHEMA`.
    """

    pointing: pl.DataFrame
    words: pl.DataFrame
    curves: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Played:
    """A hit about whose regions the words are asked.

    Attributes:
        hit: of a result.
        items: the objects of its scene.
        shown: for each region the number of the object that it shows, or None.
    """

    hit: Hit
    items: tuple[SceneObject, ...]
    shown: tuple[int | None, ...]

    def rounds(self, *, is_right: bool) -> Iterator[tuple[str, int, SceneObject]]:
        """Yield (game, region, object): a wrong hit's near miss, a good hit's other objects.

        The region of a near miss is the one shown, else stage 1's best: a judge that turns a hit
        down shows none.
        """
        hit = self.hit
        explained = hit.best_region_id if hit.region_id is None else hit.region_id
        if explained is None:
            return
        for region_id, number in enumerate(self.shown):
            if number is None:
                continue
            if region_id == explained and not is_right:
                yield NEAR_MISS, region_id, self.items[number]
            elif number != self.shown[explained] and hit.rank <= N_BEST:
                yield ONE_SHARED, region_id, self.items[number]


def play(
    engine: Engine,
    queries: Sequence[QueryTruth],
    scenes: Mapping[str, Scene],
    *,
    seed: int = 0,
) -> Rounds:
    """Return all explanations of the answers to `queries`, with the truth beside them.

    Args:
        engine: of the very gallery.
        queries: attribute queries (`faithfulness.attribute_queries`).
        scenes: image id -> scene.
        seed: of the random orders.
    """
    pointing: list[Row] = []
    words: list[Row] = []
    curves: list[Row] = []
    shown_in = cache(lambda image_id: shown_objects(engine.regions_of(image_id), scenes[image_id]))
    for number, truth in enumerate(tqdm(queries, desc="explain", unit="query", disable=None)):
        result = engine.search(truth.text, k=K)
        for hit in result:
            played = _Played(hit, scenes[hit.image_id].objects, shown_in(hit.image_id))
            words += [_about(hit, truth) | row for row in _word_rows(engine, played, truth)]
        for hit in result.hits[:N_BEST]:
            if hit.image_id not in truth.relevant:
                continue
            seen = _explained(engine, result, hit, truth)
            about = _about(hit, truth)
            pointing += [about | row for row in _pointing_rows(engine, seen, truth)]
            asks_judge = hit.rank == 1 and number < N_JUDGED and hit.p_relevant is not None
            found = areas(result, seen, asks_judge=asks_judge, seed=seed)
            curves += [about | asdict(area) for area in found]
    return Rounds(
        pl.DataFrame(pointing, schema=POINTING_SCHEMA),
        pl.DataFrame(words, schema=WORD_SCHEMA),
        pl.DataFrame(curves, schema=CURVE_SCHEMA),
    )


def _about(hit: Hit, truth: QueryTruth) -> Row:
    return {
        "query_id": truth.query_id,
        "text": truth.text,
        "image_id": hit.image_id,
        "rank": hit.rank,
    }


def _explained(engine: Engine, result: SearchResult, hit: Hit, truth: QueryTruth) -> Explained:
    table = occlusion(result, hit.rank).sort("region_id")
    regions, targets = engine.regions_of(hit.image_id), truth.masks[hit.image_id]
    ious = mask_iou(regions.masks, targets).max(axis=1, initial=0.0)
    return Explained(
        hit,
        regions,
        table["region_score"].to_numpy().astype(np.float32),
        table["stage1_drop"].to_numpy().astype(np.float32),
        ious,
    )


def _pointing_rows(engine: Engine, seen: Explained, truth: QueryTruth) -> Iterator[Row]:
    matrix = word_matrix(truth.text, seen.hit.image_id, engine)
    named = {
        BY_OCCLUSION: seen.best,
        BY_STAGES: seen.hit.region_id,
        BY_WORDS: int(matrix.base.argmax()) if len(matrix.base) else None,
    }
    chance = float((seen.ious >= MIN_IOU).mean()) if len(seen.ious) else 0.0
    for explanation, region_id in named.items():
        mask = None if region_id is None else seen.regions.masks[region_id]
        found = point_at(mask, truth.masks[seen.hit.image_id])
        yield {
            "explanation": explanation,
            "region_id": region_id,
            "iou": found.iou,
            "has_iou": found.has_iou,
            "centre_on_target": found.centre_on_target,
            "inmost_on_target": found.inmost_on_target,
            "chance": chance,
        }


def _word_rows(engine: Engine, played: _Played, truth: QueryTruth) -> Iterator[Row]:
    matrix = word_matrix(truth.text, played.hit.image_id, engine)
    is_right = played.hit.image_id in truth.relevant
    for way, scores in ((LEFT_OUT, matrix.by_word), (ALONE, matrix.word_alone)):
        cases: list[WordCase | RegionCase | None] = [
            word_case(game, region_id, item, matrix.words, scores[:, region_id])
            for game, region_id, item in played.rounds(is_right=is_right)
        ]
        if is_right and played.hit.rank <= N_BEST:
            cases += region_cases(matrix.words, scores, played.items, played.shown)
        for case in cases:
            if case is not None:
                yield {
                    "way": way,
                    "game": case.game,
                    "region_id": case.region_id,
                    "true_word": matrix.words[case.true_word],
                    "named_word": matrix.words[case.named_word],
                    "is_right": case.is_right,
                    "chance": case.chance,
                }
