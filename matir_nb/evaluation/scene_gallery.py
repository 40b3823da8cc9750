"""A gallery of generated scenes with its index, opened: made where it is not there.

Knows no query and no metric.
"""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.evaluation.gallery import file_name, index_gallery, write_gallery
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import Scene
from matir_nb.scenes.vocabulary import Split
from matir_nb.version import __version__

WORK_FOLDER = Path("build", "eval")


@dataclass(frozen=True, slots=True)
class SceneGallery:
    """Which scenes, and which index of them.

    Attributes:
        split: "test" or "validation".
        n_images: gallery size.
        seed: of the gallery.
        preset: models and options.
        device: "auto", "cpu", "cuda" or "mps".
        index: an index of the very gallery, to be used as it is; None = one in `out`.
        out: work folder; None = a folder of its own under ``build/eval``.
    """

    split: Split = "test"
    n_images: int = 1000
    seed: int = 0
    preset: str = "embedded"
    device: str = "auto"
    index: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        """Check names and counts."""
        if self.split not in ("test", "validation"):
            message = f"split = {self.split!r} is not allowed: give test or validation"
            raise ConfigError(message)
        if self.n_images < 1:
            message = f"n_images = {self.n_images} is not allowed: give a number >= 1"
            raise ConfigError(message)

    @property
    def folder(self) -> Path:
        """Where gallery and index are kept."""
        seed = f"-seed{self.seed}" if self.seed else ""
        return self.out or WORK_FOLDER / f"scenes-{self.split}-{self.n_images}{seed}"


def open_gallery(
    config: SceneGallery, seconds: dict[str, float], *, judge: str | None
) -> tuple[Engine, list[Scene]]:
    """Return an engine of a gallery, and its scenes; made where they are not there.

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


def made_by(
    engine: Engine, probe: SearchResult, config: SceneGallery, seconds: Mapping[str, float]
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
