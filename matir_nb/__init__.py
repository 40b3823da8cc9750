"""Mask-aware text-to-image retrieval: find pictures by words, and see where and why.

::

    import matir_nb as matir

    report = matir.build("photos/", "photos.matir")
    engine = matir.open("photos.matir")
    result = engine.search("the red circle left of the blue square", k=12)
    result.to_polars()

Names are imported when first used, so that importing the package costs nearly nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from matir_nb.version import __version__

if TYPE_CHECKING:
    from matir_nb.config import (
        PRESETS,
        AlignConfig,
        JudgeConfig,
        MaskConfig,
        Preset,
        RetrieveConfig,
    )
    from matir_nb.engine import Engine
    from matir_nb.engine import open_engine as open  # noqa: A004 - matir_nb.open
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
    from matir_nb.images import ImageLimits
    from matir_nb.index.build import BuildReport, build
    from matir_nb.index.store import Index
    from matir_nb.models.base import Judge, JudgeInput, MaskSource, RegionEncoder
    from matir_nb.results import HIT_SCHEMA, SearchResult
    from matir_nb.types import (
        Candidate,
        Hit,
        ImageRef,
        Judgement,
        MaskRLE,
        Provenance,
        QueryTruth,
        Regions,
    )

__all__ = [
    "HIT_SCHEMA",
    "PRESETS",
    "AlignConfig",
    "AnnotationError",
    "AnswerParseError",
    "BuildReport",
    "Candidate",
    "ConfigError",
    "Engine",
    "Hit",
    "ImageError",
    "ImageLimits",
    "ImageRef",
    "Index",
    "IndexCorruptError",
    "IndexMismatchError",
    "IndexNotFoundError",
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
    "RegionEncoder",
    "Regions",
    "RetrieveConfig",
    "SearchResult",
    "ShapeError",
    "__version__",
    "build",
    "open",
]

_PLACES = {
    "config": "AlignConfig JudgeConfig MaskConfig PRESETS Preset RetrieveConfig",
    "engine": "Engine open_engine",
    "errors": "AnnotationError AnswerParseError ConfigError ImageError IndexCorruptError "
    "IndexMismatchError IndexNotFoundError MatirError ModelUnavailableError QueryError ShapeError",
    "images": "ImageLimits",
    "index.build": "BuildReport build",
    "index.store": "Index",
    "models.base": "Judge JudgeInput MaskSource RegionEncoder",
    "results": "HIT_SCHEMA SearchResult",
    "types": "Candidate Hit ImageRef Judgement MaskRLE Provenance QueryTruth Regions",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    target = "open_engine" if name == "open" else name
    for module, names in _PLACES.items():
        if name in __all__ and target in names.split():
            return getattr(import_module(f"matir_nb.{module}"), target)
    message = f"module 'matir_nb' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
