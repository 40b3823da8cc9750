"""Mask-aware text-to-image retrieval: find pictures by words, and see where and why.

::

    import matir_nb as matir

    report = matir.build("photos/", "photos.matir")
    engine = matir.open("photos.matir")
    result = engine.search("the red circle left of the blue square", k=12)
    result.to_polars()

Names are imported when first used, so that importing the package costs nearly nothing.
"""

from typing import TYPE_CHECKING

from matir_nb.version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from matir_nb.config import (
        AlignConfig,
        ComputeConfig,
        CutConfig,
        EncodeConfig,
        JudgeConfig,
        MaskConfig,
        Preset,
        RetrieveConfig,
    )
    from matir_nb.engine import Engine
    from matir_nb.errors import (
        AnnotationError,
        AnswerParseError,
        ConfigError,
        ImageError,
        IndexCorruptError,
        IndexMismatchError,
        IndexNotFoundError,
        MatirError,
        ModelUnavailableError,
        QueryError,
        ShapeError,
    )
    from matir_nb.evaluation.datasets.readers import read_dataset
    from matir_nb.evaluation.runs.arms import Arm
    from matir_nb.evaluation.runs.evaluate import evaluate
    from matir_nb.evaluation.runs.folder import Run
    from matir_nb.hit_table import HIT_SCHEMA
    from matir_nb.images import ImageLimits
    from matir_nb.index.build import BuildReport, build
    from matir_nb.index.calibrations import Calibration
    from matir_nb.index.compact import compact
    from matir_nb.index.repair import repair
    from matir_nb.index.store import Index
    from matir_nb.index.verify import verify
    from matir_nb.models.base import Judge, JudgeInput, MaskSource, RegionEncoder
    from matir_nb.models.record_masks import RecordMasks
    from matir_nb.opening import open_engine as open  # noqa: A004 - matir_nb.open
    from matir_nb.presets import PRESETS
    from matir_nb.results import SearchResult, Source
    from matir_nb.review.ledger import Review
    from matir_nb.review.tables import REVIEW_SCHEMA
    from matir_nb.review.templates import TemplateResult
    from matir_nb.types import (
        Candidate,
        Histogram,
        Hit,
        ImageRef,
        Judgement,
        MaskRLE,
        Provenance,
        QueryTruth,
        Regions,
    )
    from matir_nb.widgets.compare import CompareView
    from matir_nb.widgets.flow import StageFlow
    from matir_nb.widgets.grid import ResultGrid
    from matir_nb.widgets.inspector import Inspector
    from matir_nb.widgets.search_box import SearchBox

__all__ = [
    "HIT_SCHEMA",
    "PRESETS",
    "REVIEW_SCHEMA",
    "AlignConfig",
    "AnnotationError",
    "AnswerParseError",
    "Arm",
    "BuildReport",
    "Calibration",
    "Candidate",
    "CompareView",
    "ComputeConfig",
    "ConfigError",
    "CutConfig",
    "EncodeConfig",
    "Engine",
    "Histogram",
    "Hit",
    "ImageError",
    "ImageLimits",
    "ImageRef",
    "Index",
    "IndexCorruptError",
    "IndexMismatchError",
    "IndexNotFoundError",
    "Inspector",
    "Judge",
    "JudgeConfig",
    "JudgeInput",
    "Judgement",
    "MaskConfig",
    "MaskRLE",
    "MaskSource",
    "MatirError",
    "ModelUnavailableError",
    "Preset",
    "Provenance",
    "QueryError",
    "QueryTruth",
    "RecordMasks",
    "RegionEncoder",
    "Regions",
    "ResultGrid",
    "RetrieveConfig",
    "Review",
    "Run",
    "SearchBox",
    "SearchResult",
    "ShapeError",
    "Source",
    "StageFlow",
    "TemplateResult",
    "__version__",
    "build",
    "compact",
    "evaluate",
    "open",
    "read_dataset",
    "repair",
    "verify",
]

_PLACES = {
    "config": "AlignConfig ComputeConfig CutConfig EncodeConfig JudgeConfig MaskConfig Preset "
    "RetrieveConfig",
    "engine": "Engine",
    "errors": "AnnotationError AnswerParseError ConfigError ImageError IndexCorruptError "
    "IndexMismatchError IndexNotFoundError MatirError ModelUnavailableError QueryError ShapeError",
    "evaluation.datasets.readers": "read_dataset",
    "evaluation.runs.arms": "Arm",
    "evaluation.runs.evaluate": "evaluate",
    "evaluation.runs.folder": "Run",
    "hit_table": "HIT_SCHEMA",
    "images": "ImageLimits",
    "index.build": "BuildReport build",
    "index.calibrations": "Calibration",
    "index.compact": "compact",
    "index.repair": "repair",
    "index.store": "Index",
    "index.verify": "verify",
    "models.base": "Judge JudgeInput MaskSource RegionEncoder",
    "models.record_masks": "RecordMasks",
    "opening": "open_engine",
    "presets": "PRESETS",
    "results": "SearchResult Source",
    "review.ledger": "Review",
    "review.tables": "REVIEW_SCHEMA",
    "review.templates": "TemplateResult",
    "types": "Candidate Histogram Hit ImageRef Judgement MaskRLE Provenance QueryTruth Regions",
    "widgets.compare": "CompareView",
    "widgets.flow": "StageFlow",
    "widgets.grid": "ResultGrid",
    "widgets.inspector": "Inspector",
    "widgets.search_box": "SearchBox",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use; a view's says which package it needs."""
    from matir_nb.doors import above

    target = "open_engine" if name == "open" else name
    for module, names in _PLACES.items():
        if name in __all__ and target in names.split():
            return getattr(above(module), target)
    message = f"module 'matir_nb' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Add ``%matir`` to IPython: called by ``%load_ext matir_nb``."""
    from matir_nb.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Take ``%matir`` away again: called by ``%unload_ext matir_nb``."""
    from matir_nb.notebook.magics import unload

    unload(shell)
