"""The presets: choices of models, and the options that suit them, as data.

What the named models are is in `matir_nb.catalogue`. This module knows no hardware:
`matir_nb.models.hardware.choose_preset` picks one for "auto".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from matir_nb.catalogue import CATALOGUE, NOTICES, RESEARCH_ONLY, ModelEntry
from matir_nb.config import (
    ComputeConfig,
    JudgeConfig,
    MaskConfig,
    Preset,
)
from matir_nb.errors import ConfigError, unknown

AUTO = "auto"

EMBEDDED_NOTICE = (
    "embedded models: tiny, trained on generated scenes of coloured shapes only; "
    "on photographs their scores mean nothing"
)

_PRESETS = (
    Preset(
        name="embedded",
        segmenter="embedded:sam2",
        encoder="embedded:alpha-clip",
        judge="structured",
        notice=EMBEDDED_NOTICE,
        neutral="scenes",
        masks=MaskConfig(
            points_per_side=16,
            points_per_batch=256,
            pred_iou_thresh=0.3,
            stability_score_thresh=0.4,
            box_nms_thresh=0.8,
            min_mask_area=16,
            max_area_fraction=0.35,
            max_regions=32,
            boundary_cells=1.1,
            stability_at="decoder",
            pixel_convention="half-open",
        ),
        judging=JudgeConfig(n_judged=400),
    ),
    Preset(
        name="open-cpu",
        segmenter="sam2.1-hiera-tiny",
        encoder="siglip2-base-512",
        judge="florence-2-base-ft",
        masks=MaskConfig(points_per_side=16, points_per_batch=16),
        compute=ComputeConfig(precision="int8"),
        judging=JudgeConfig(n_judged=10, chunk_size=1),
    ),
    Preset(
        name="open",
        segmenter="sam2.1-hiera-base-plus",
        encoder="siglip2-so400m-512",
        judge="qwen3-vl-4b",
        judging=JudgeConfig(n_judged=50, chunk_size=8),
    ),
    Preset(
        name="paper",
        segmenter="sam2.1-hiera-large",
        encoder="alpha-clip-l14-336",
        judge="qwen2.5-vl-7b",
        notice=RESEARCH_ONLY,
        judging=JudgeConfig(n_judged=50, chunk_size=8),
    ),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})
"""Name -> preset."""
PRESET_NAMES = (*PRESETS, AUTO)


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds that a preset takes on one class of device; None = not measured.

    Attributes:
        image: to index one photograph: masks and vectors.
        query: to search: the text and all judged candidates.
    """

    image: float | None = None
    query: float | None = None


DEVICES = ("cpu", "gpu")
MEANT_FOR = {"embedded": "any", "open-cpu": "cpu", "open": "gpu", "paper": "gpu"}
"""Preset -> class of device on which it is quick enough to be used."""
EXPECTED: dict[str, dict[str, Expected]] = {
    "embedded": {"cpu": Expected(1.1, 0.4), "gpu": Expected()},
    "open-cpu": {"cpu": Expected(34, 70), "gpu": Expected()},
    "open": {"cpu": Expected(131, 2000), "gpu": Expected()},
    "paper": {"cpu": Expected(286), "gpu": Expected()},
}
"""Preset -> class of device -> seconds, where they were measured: by `benchmarks/models.py`, one
thread, random weights, 30 regions; a query asks the judge about `n_judged` candidates."""


def models_of(preset: Preset) -> tuple[ModelEntry, ...]:
    """Return the models of the catalogue that a preset names, in the order of their use.

    >>> [entry.name for entry in models_of(PRESETS["open"])]
    ['sam2.1-hiera-base-plus', 'siglip2-so400m-512', 'qwen3-vl-4b']
    """
    places = (preset.segmenter, preset.encoder, preset.judge, preset.judge.rpartition(":")[0])
    return tuple(CATALOGUE[place] for place in places if place in CATALOGUE)


def with_true_notice(preset: Preset, encoder_id: str | None = None) -> Preset:
    """Return the preset with the notice that is true of what its encoder, or another, makes.

    The notice of the embedded models goes with their encoder. Those of licences are told of every
    model that is used (`matir_nb.catalogue.licence_notices`): another encoder is not under them.

    Args:
        preset: of the index.
        encoder_id: model id of the user's own encoder; None = the preset's is used.

    >>> with_true_notice(PRESETS["embedded"], "mine@0123456789ab {}").notice
    ''
    """
    embedded, is_own = PRESETS["embedded"].encoder, encoder_id is not None
    name = embedded if encoder_id is None else f"embedded:{encoder_id.partition('@')[0]}"
    if preset.encoder == embedded == name:
        return replace(preset, notice=EMBEDDED_NOTICE)
    untrue = (EMBEDDED_NOTICE, *(NOTICES.values() if is_own else ()))
    return replace(preset, notice="") if preset.notice in untrue else preset


def preset_named(name: str) -> Preset:
    """Return the preset called `name`.

    Raises:
        ConfigError: there is none; the message offers the nearest name.
    """
    if name in PRESETS:
        return PRESETS[name]
    raise ConfigError(unknown("preset", name, PRESET_NAMES))
