"""The evaluation on generated scenes: gallery, index, queries, arms, one report.

The report is plain JSON values. Everything that costs time is kept in the work folder, so a
second run goes on where the first one ended.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.evaluation.gallery import file_name, index_gallery, write_gallery
from matir_nb.evaluation.run import (
    TAU,
    K,
    compare,
    evaluate,
    summarise,
)
from matir_nb.evaluation.runs.arms import ARMS, arm_of_default, judge_of_arm, n_judged_of_arm
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import Scene
from matir_nb.scenes.queries import make_queries
from matir_nb.scenes.vocabulary import Split
from matir_nb.types import QueryTruth
from matir_nb.version import __version__

WORK_FOLDER = Path("build", "eval")


@dataclass(frozen=True, slots=True)
class SceneEvalConfig:
    """What is evaluated.

    Attributes:
        split: "test" or "validation".
        n_images: gallery size.
        n_queries: queries, equally many of each kind.
        seed: of gallery and queries.
        preset: models and options.
        device: "auto", "cpu", "cuda" or "mps".
        arms: some of `matir_nb.evaluation.runs.arms.ARMS`.
        n_judged: candidates that a judge sees; None = as `arms.n_judged_of_arm` says.
        index: an index of the very gallery, to be used as it is; None = one in `out`.
        out: work folder; None = a folder of its own under ``build/eval``.
    """

    split: Split = "test"
    n_images: int = 1000
    n_queries: int = 500
    seed: int = 0
    preset: str = "embedded"
    device: str = "auto"
    arms: tuple[str, ...] = ARMS
    n_judged: int | None = None
    index: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        """Check names and counts."""
        allowed = {"split": ("test", "validation"), "arms": ARMS}
        for name, value in [("split", self.split), *(("arms", arm) for arm in self.arms)]:
            if value not in allowed[name]:
                message = f"{name} = {value!r} is not allowed: give {' or '.join(allowed[name])}"
                raise ConfigError(message)
        for name in ("n_images", "n_queries"):
            if getattr(self, name) < 1:
                message = f"{name} = {getattr(self, name)} is not allowed: give a number >= 1"
                raise ConfigError(message)

    @property
    def folder(self) -> Path:
        """Where gallery and index are kept."""
        seed = f"-seed{self.seed}" if self.seed else ""
        return self.out or WORK_FOLDER / f"scenes-{self.split}-{self.n_images}{seed}"


def evaluate_scenes(config: SceneEvalConfig) -> dict[str, Any]:
    """Return the report: "arms" → arm → kind of query → metric, gains, and provenance.

    "default" repeats the numbers of the arm whose judge is the preset's. An arm whose model is
    missing is None, with the reason under "unavailable".

    Raises:
        ConfigError: an index of another gallery was given.
        ModelUnavailableError: segmenter or encoder are missing.
    """
    seconds: dict[str, float] = {}
    engine, scenes = open_gallery(config, seconds, judge=None)
    with clock(seconds, "queries"):
        queries = make_queries(scenes, config.n_queries, split=config.split, seed=config.seed)
    tables, unavailable = _tables(engine, queries, config, seconds)
    arms: dict[str, Any] = dict.fromkeys(config.arms)
    arms |= {arm: summarise(table) for arm, table in tables.items() if arm in config.arms}
    return {
        "arms": arms,
        "gains_over_stage1": _gains(tables),
        "default_is": arm_of_default(engine.preset.judge),
        "unavailable": unavailable,
        **_provenance(engine, queries, config, seconds),
    }


def open_gallery(
    config: SceneEvalConfig, seconds: dict[str, float], *, judge: str | None
) -> tuple[Engine, list[Scene]]:
    """Return an engine of the gallery of `config`, and its scenes; made where they are not there.

    Args:
        config: says which gallery and which index.
        seconds: gets how long "gallery" and "index" took.
        judge: as `matir_nb.opening.open_engine` takes it.

    Raises:
        ConfigError: an index of another gallery was given.
        ModelUnavailableError: a model is missing.
    """
    images, path = config.folder / "images", config.index or config.folder / "index.matir"
    with clock(seconds, "gallery"):
        scenes = write_gallery(images, config.n_images, split=config.split, seed=config.seed)
    with clock(seconds, "index"):
        if config.index is None:
            index_gallery(images, path, preset=config.preset, device=config.device)
        engine = open_engine(path, judge=judge, device=config.device)
    differing = {file_name(scene) for scene in scenes} ^ set(engine.index.image_ids)
    if differing:
        message = (
            f"the index {str(path)!r} is not of this gallery ({len(differing)} images differ, such "
            f"as {min(differing)!r}): give another --index, or none to build it"
        )
        raise ConfigError(message)
    return engine, scenes


def _tables(
    engine: Engine,
    queries: Sequence[QueryTruth],
    config: SceneEvalConfig,
    seconds: dict[str, float],
) -> tuple[dict[str, pl.DataFrame], dict[str, str]]:
    """Return a table per arm, and why the other arms have none."""
    tables: dict[str, pl.DataFrame] = {}
    unavailable: dict[str, str] = {}
    default = arm_of_default(engine.preset.judge)
    for arm in config.arms:
        if arm == "default" and default in tables:
            tables[arm] = tables[default]
            continue
        judge = judge_of_arm(arm, engine.preset.judge)
        try:
            with clock(seconds, arm):
                n = _n_judged(engine, config, arm)
                tables[arm] = evaluate(engine, queries, judge=judge, n_judged=n, description=arm)
        except ModelUnavailableError as error:
            unavailable[arm] = str(error)
    return tables, unavailable


def _n_judged(engine: Engine, config: SceneEvalConfig, arm: str) -> int:
    judge = arm_of_default(engine.preset.judge) if arm == "default" else arm
    return n_judged_of_arm(judge, config.n_judged, engine.preset.judging.n_judged)


def _gains(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    if "stage1" not in tables:
        return {}
    return {
        arm: compare(table, tables["stage1"]) for arm, table in tables.items() if arm != "stage1"
    }


def _provenance(
    engine: Engine,
    queries: Sequence[QueryTruth],
    config: SceneEvalConfig,
    seconds: dict[str, float],
) -> dict[str, Any]:
    return {
        "n_queries": len(queries),
        "k": K,
        "tau": TAU,
        "n_judged": {arm: _n_judged(engine, config, arm) for arm in config.arms},
        "preset": asdict(engine.preset),
        **made_by(engine, engine.search(queries[0].text, judge=False), config, seconds),
    }


def made_by(
    engine: Engine, probe: SearchResult, config: SceneEvalConfig, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return what a report says of its gallery, models and machine; `probe` is any answer."""
    provenance = probe.provenance
    return {
        "version": __version__,
        "split": config.split,
        "seed": config.seed,
        "n_images": engine.index.n_images,
        "n_regions": engine.index.n_regions,
        "models": dict(provenance.models),
        "index_fingerprint": provenance.index_fingerprint,
        "versions": dict(provenance.versions),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }


@contextmanager
def clock(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note in `seconds` how long the block takes."""
    start = perf_counter()
    try:
        yield
    finally:
        seconds[stage] = perf_counter() - start
