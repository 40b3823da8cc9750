"""What a result says of its own making: options, notices, and how the images beside it scored.

This module searches nothing and knows no judge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from matir_nb.config import AlignConfig, JudgeConfig, Preset, RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.index.approximate.opened import Approximate, Refused
from matir_nb.index.calibrations import Calibration
from matir_nb.index.where import Where, shown
from matir_nb.printing import shorten
from matir_nb.types import FloatArray, Histogram, Hit, Provenance

MAX_FILTER = 200
"""Characters of a filter that are shown."""
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


def filter_entry(where: Where, n_kept: int) -> dict[str, Any]:
    """Return what a provenance says of a filter that kept `n_kept` images."""
    return {"text": shown(where), "is_sql": isinstance(where, str), "n_kept": n_kept}


def approximate_entry(
    opened: Approximate | Refused | None, *, is_used: bool
) -> Mapping[str, Any] | None:
    """Return what a provenance says of an approximate index; None = it was not asked for."""
    if isinstance(opened, Approximate) and not is_used:
        return Refused("of so few regions the exact search is as fast").as_json()
    return None if opened is None else opened.as_json()


def filter_of(provenance: Provenance) -> str | None:
    """Return the filter behind a result; None = there was none.

    Raises:
        ConfigError: it was a polars expression, which a result does not keep.
    """
    entry = provenance.config.get("where")
    if entry is None:
        return None
    if not entry["is_sql"]:
        message = (
            f"the result was filtered by the polars expression {entry['text']!r}, which it does "
            "not keep: search again, with the filter as SQL"
        )
        raise ConfigError(message)
    return str(entry["text"])


def rest_of(
    stage1: FloatArray, final: Sequence[float], hits: Sequence[Hit]
) -> dict[str, Histogram]:
    """Return how the images that are no hits scored.

    Args:
        stage1: (n,) of the images of the index that are no hits.
        final: of the candidates that are no hits.
        hits: of the result.
    """
    return {
        "stage1_score": Histogram.of(
            np.asarray(stage1, np.float32), covering=[hit.stage1_score for hit in hits]
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
    if config.get("where") is not None:
        n_all, n_images = n_images, config["where"]["n_kept"]
        text = shorten(config["where"]["text"], MAX_FILTER)
        yield f"where {text}: {n_images:,} of {n_all:,} images"
        if k > n_images > 0:
            yield f"k = {k}, but the filter keeps only {n_images} images: all of them are listed"
    elif k > n_images:
        yield f"k = {k}, but the index has only {n_images} images: all of them are listed"
    yield from _adjusted_notices(config.get("retrieve", {}))
    yield from _approximate_notice(config.get("approximate"))
    n_wanted = min(config["judging"]["n_judged"], n_images)
    if n_done is not None and n_done < n_wanted:
        yield f"cancelled: {n_done} of {n_wanted} candidates were judged"


def _adjusted_notices(options: Mapping[str, Any]) -> Iterator[str]:
    if options.get("dehub_beta"):
        how = f"beta {options['dehub_beta']:g}, {options['dehub_phrases']} neutral phrases"
        yield f"de-hubbed ({how}): stage-1 scores and log-odds are lower by each hit's hub_score"
    if options.get("refine_weight"):
        weight, n = options["refine_weight"], options["n_references"]
        how = f"{weight:g} × reference_score, {n} references"
        yield f"refined by references ({how}): an experiment; stage-1 scores are no plain cosines"


def _approximate_notice(entry: Mapping[str, Any] | None) -> Iterator[str]:
    if entry is None:
        return
    if not entry["is_used"]:
        yield f"searched exactly: {entry['reason']}"
    elif entry["recall"] is None:
        yield f"approximate search ({entry['kind']}), its recall is not known"
    else:
        measured = f"recall {entry['recall']:.3f} on {entry['n_queries']} queries"
        yield f"approximate search ({entry['kind']}, measured {measured}): an image may be missing"
