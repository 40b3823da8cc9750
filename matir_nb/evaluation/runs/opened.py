"""A dataset's images, indexed where they are not, and opened: by models, or by an oracle."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matir_nb.config import Preset
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.oracle import Oracle
from matir_nb.images import find_images, image_id_of
from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.progress import Progress

INDEX_FOLDER = "index.matir"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a dataset's index is made and opened.

    Attributes:
        out: the run's folder, which holds the index where none is given.
        images: folder of the images; None = where the given index knows them.
        index: an index of them, to be used as it is; None = one in `out`.
        preset: models and options.
        device: "auto", "cpu", "cuda" or "mps".
        is_oracle: masks and vectors are made from the annotations.
        is_generated: the images can always be made again: an index in `out` that other models
            made is thrown away.
    """

    out: Path
    images: Path | None = None
    index: Path | None = None
    preset: str | Preset = "embedded"
    device: str = "auto"
    is_oracle: bool = False
    is_generated: bool = False


def open_for(dataset: Dataset, opening: Opening, *, progress: Progress | None = None) -> Engine:
    """Return an engine of a dataset's images; what is not indexed yet is.

    Args:
        dataset: names the images.
        opening: how.
        progress: of indexing: called with (files done, files).

    Raises:
        ConfigError: neither images nor index are given, or an oracle has no images.
        AnnotationError: none of the dataset's images is in the folder.
        IndexMismatchError: other models made the index.
        ModelUnavailableError: a model is missing.
    """
    images, path = opening.images, opening.index or opening.out / INDEX_FOLDER
    if images is None and (opening.index is None or opening.is_oracle):
        message = f"the images of {dataset.name} are not given: give their folder as --images"
        raise ConfigError(message)
    oracle = None
    if images is not None:
        there = {image_id_of(file, root=images) for file in find_images(images)}
        placed = dataset.placed(there)
        oracle = Oracle(placed, images) if opening.is_oracle else None
    if images is not None and opening.index is None:
        models = {"preset": opening.preset, "device": opening.device, "progress": progress}
        _index(images, path, opening, models | {"masks": oracle, "encoder": oracle})
    return open_engine(path, judge=None, device=opening.device, images=images, encoder=oracle)


def _index(images: Path, path: Path, opening: Opening, options: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        build(images, path, **options)
    except IndexMismatchError as error:
        if not opening.is_generated:
            message = f"{error}; or give another --out: {str(path)!r} is of other models"
            raise IndexMismatchError(message) from error
        shutil.rmtree(path)
        build(images, path, **options)
