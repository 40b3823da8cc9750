"""What a result says of its own making: options, notices, and how the images beside it scored.

This module searches nothing and knows no judge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import AlignConfig, JudgeConfig, Preset, RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.index.calibrations import Calibration
from matir_nb.types import Histogram, Hit, Provenance

STAGES = ("retrieve", "judging", "align")


def stage_options(options: Preset) -> dict[str, Any]:
    """Return the name of a preset and its stages' options as plain values."""
    return {"preset": options.name} | {name: asdict(getattr(options, name)) for name in STAGES}


def with_judging(
    options: Preset, *, n_judged: int | None = None, calibration: Calibration | None = None
) -> Preset:
    """Return options with another number of candidates, or a calibration; None = as they are."""
    judging = options.judging if calibration is None else calibration.of(options.judging)
    if n_judged is not None:
        judging = replace(judging, n_judged=n_judged)
    return replace(options, judging=judging)


def options_of(provenance: Provenance, preset: Preset, *, n_more: int) -> Preset:
    """Return the options behind a result, with `n_more` candidates judged than there were.

    Args:
        provenance: of the result.
        preset: gives what a provenance does not say.
        n_more: candidates.

    Raises:
        ConfigError: the result does not say how it was made.
    """
    config = provenance.config
    if "judging" not in config:
        message = "the result does not say how it was made: search again"
        raise ConfigError(message)
    wanted = (config["n_judged_done"] or 0) + n_more
    return replace(
        preset,
        name=config["preset"],
        retrieve=RetrieveConfig(**config["retrieve"]),
        judging=replace(JudgeConfig(**config["judging"]), n_judged=wanted),
        align=AlignConfig(**config["align"]),
    )


def rest_of(
    stage1: NDArray[np.float64], final: Sequence[float], hits: Sequence[Hit]
) -> dict[str, Histogram]:
    """Return how the images that are no hits scored.

    Args:
        stage1: (n,) of the images of the index that are no hits.
        final: of the candidates that are no hits.
        hits: of the result.
    """
    return {
        "stage1_score": Histogram.of(
            stage1.astype(np.float32), covering=[hit.stage1_score for hit in hits]
        ),
        "final_score": Histogram.of(
            np.array(final, np.float32), covering=[hit.final_score for hit in hits]
        ),
    }


def notices_of(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader must know of a result's length, and of a judge that was stopped.

    Args:
        config: of a provenance.
    """
    k, n_images, n_done = config["k"], config["n_images"], config["n_judged_done"]
    if k > n_images:
        yield f"k = {k}, but the index has only {n_images} images: all of them are listed"
    n_wanted = min(config["judging"]["n_judged"], n_images)
    if n_done is not None and n_done < n_wanted:
        yield f"cancelled: {n_done} of {n_wanted} candidates were judged"
