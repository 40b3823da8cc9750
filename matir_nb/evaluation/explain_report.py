"""The measure of explanations on generated scenes: gallery, index, queries, rounds, one report.

The report is plain JSON values. Gallery and index are those of `matir_nb.evaluation.scene_gallery`,
in the work folder of `matir eval scenes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.evaluation.absence import absence_of
from matir_nb.evaluation.explain_curves import N_RANDOM
from matir_nb.evaluation.explain_rounds import N_JUDGED, K, play
from matir_nb.evaluation.explain_summary import alarm_bars, summarise
from matir_nb.evaluation.faithfulness import MIN_IOU, attribute_queries
from matir_nb.evaluation.gallery import file_name
from matir_nb.evaluation.scene_gallery import SceneGallery, clock, made_by, open_gallery
from matir_nb.scenes.vocabulary import Split
from matir_nb.types import QueryTruth

N_ABSENT = 100
"""Queries of each kind about the cut, at most: each ranks the whole gallery, with two arms."""


@dataclass(frozen=True, slots=True)
class ExplainEvalConfig:
    """What is measured.

    Attributes:
        split: "test" or "validation".
        n_images: gallery size.
        n_queries: attribute queries.
        seed: of gallery, queries and random orders.
        preset: models and options.
        device: "auto", "cpu", "cuda" or "mps".
        index: an index of the very gallery, to be used as it is; None = one in `out`.
        out: work folder; None = that of `matir eval scenes` for the same gallery.
    """

    split: Split = "test"
    n_images: int = 1000
    n_queries: int = 200
    seed: int = 0
    preset: str = "embedded"
    device: str = "auto"
    index: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        """Check names and counts."""
        self.gallery()
        if self.n_queries < 1:
            message = f"n_queries = {self.n_queries} is not allowed: give a number >= 1"
            raise ConfigError(message)

    @property
    def command(self) -> str:
        """What makes the same report again."""
        return (
            f"matir eval explain --split {self.split} --n-images {self.n_images} "
            f"--n-queries {self.n_queries} --seed {self.seed} --preset {self.preset}"
        )

    def gallery(self) -> SceneGallery:
        """Return the gallery."""
        return SceneGallery(
            split=self.split,
            n_images=self.n_images,
            seed=self.seed,
            preset=self.preset,
            device=self.device,
            index=self.index,
            out=self.out,
        )


def evaluate_explanations(config: ExplainEvalConfig) -> dict[str, Any]:
    """Return the report: pointing games, curves, absence, bars, wrong cases, and provenance.

    Every share is {"value", "interval", "n", "n_queries"}: the mean over n explanations and its
    95 % bootstrap interval over queries; value and interval are None of none. "absence" is what
    `absence.absence_of` gives.

    Raises:
        ConfigError: an index of another gallery was given.
        ModelUnavailableError: a model is missing.
    """
    seconds: dict[str, float] = {}
    engine, scenes = open_gallery(config.gallery(), seconds, judge="default")
    ids = [file_name(scene) for scene in scenes]
    queries = attribute_queries(
        scenes, config.n_queries, split=config.split, seed=config.seed, image_ids=ids
    )
    if not queries:
        message = f"the gallery of {len(scenes)} images affords no attribute query: give n_images"
        raise ConfigError(message)
    with clock(seconds, "explain"):
        scene_of = dict(zip(ids, scenes, strict=True))
        rounds = play(engine, queries, scene_of, seed=config.seed)
    with clock(seconds, "absence"):
        n = min(config.n_queries, N_ABSENT)
        absence = absence_of(engine, scenes, split=config.split, n_queries=n, seed=config.seed)
    measured = summarise(rounds, seed=config.seed)
    return {
        **measured,
        "absence": absence,
        "bars": [*measured["bars"], *alarm_bars(absence)],
        **_provenance(engine, queries, config, seconds),
    }


def _provenance(
    engine: Engine,
    queries: Sequence[QueryTruth],
    config: ExplainEvalConfig,
    seconds: dict[str, float],
) -> dict[str, Any]:
    probe = engine.search(queries[0].text, k=1)
    return {
        "command": config.command,
        "n_queries": len(queries),
        "k": K,
        "n_judge_curves": N_JUDGED,
        "n_random_orders": N_RANDOM,
        "min_iou": MIN_IOU,
        "config": dict(probe.provenance.config),
        **made_by(engine, probe, config.gallery(), seconds),
    }
