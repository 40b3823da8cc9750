"""The options of every stage, as frozen dataclasses; presets are data.

Each dataclass checks its values at birth and raises `ConfigError` with the value got and what
is allowed. This module knows no model code: a preset only names models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matir_nb.errors import ConfigError, unknown


def _require(condition: bool, name: str, value: object, allowed: str) -> None:  # noqa: FBT001
    if not condition:
        message = f"{name} = {value!r} is not allowed: give {allowed}"
        raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """Automatic mask generation; names and meaning as in SAM 2's own generator.

    Attributes:
        points_per_side: prompts form a points_per_side x points_per_side grid over the image.
        points_per_batch: prompts decoded at once.
        pred_iou_thresh: masks whose predicted IoU is lower are dropped, in [0, 1].
        stability_score_thresh: masks whose stability score is lower are dropped, in [0, 1].
        stability_score_offset: logit shift of the stability score.
        box_nms_thresh: box IoU above which the lower-rated mask is dropped.
        crop_n_layers: 0 = whole image only; layer i adds 4**i crops.
        crop_overlap_ratio: overlap of neighbouring crops, fraction of the image's short side.
        min_mask_region_area: smaller masks are dropped, pixels.
        max_area_fraction: larger masks are dropped, fraction of the image.
        max_regions: at most so many masks are kept per image, best rated first.
        boundary_cells: width of the band, in cells of the model's mask grid, in which boundaries
            are moved to where the colours change (`geometry.boundary`); 0 = as the model drew.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_overlap_ratio: float = 512 / 1500
    min_mask_region_area: int = 0
    max_area_fraction: float = 0.95
    max_regions: int = 256
    boundary_cells: float = 0.0

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("points_per_side", "points_per_batch", "max_regions"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "a whole number >= 1")
        _require(0 <= self.boundary_cells <= 4, "boundary_cells", self.boundary_cells, "0 to 4")
        _require(0 <= self.crop_n_layers <= 3, "crop_n_layers", self.crop_n_layers, "0 to 3")
        for name in ("box_nms_thresh", "max_area_fraction", "stability_score_thresh"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")


@dataclass(frozen=True, slots=True)
class RetrieveConfig:
    """Stage 1.

    Attributes:
        region_weight: weight of the best region's cosine in the image score.
        image_weight: weight of the whole image's cosine.
        m_regions: best regions kept per candidate.
    """

    region_weight: float = 0.9
    image_weight: float = 0.1
    m_regions: int = 12

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.m_regions >= 1, "m_regions", self.m_regions, "a whole number >= 1")
        for name in ("region_weight", "image_weight"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a number >= 0")


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Stage 2.

    Attributes:
        n_judged: candidates that the judge sees, best of stage 1 first; 0 = no stage 2.
        chunk_size: images given to the judge at once.
        weight: weight of the judge's log-odds in the final score.
        stage1_weight: weight of stage 1's log-odds in the final score.
        max_logit: judge log-odds are clipped to +-max_logit in the final score.
    """

    n_judged: int = 100
    chunk_size: int = 32
    weight: float = 1.0
    stage1_weight: float = 0.25
    max_logit: float = 12.0

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.n_judged >= 0, "n_judged", self.n_judged, "a whole number >= 0")
        _require(self.chunk_size >= 1, "chunk_size", self.chunk_size, "a whole number >= 1")


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Alignment of a judged box with a stored mask.

    Attributes:
        min_align_iou: below this box IoU the hit keeps its box and gets no mask, in [0, 1].
        prompt_sam: the segmenter, prompted with the box, makes the mask in place of a stored one.
    """

    min_align_iou: float = 0.3
    prompt_sam: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        _require(0 <= self.min_align_iou <= 1, "min_align_iou", self.min_align_iou, "0 to 1")


@dataclass(frozen=True, slots=True)
class CutConfig:
    """Which hits stand out (`matir_nb.explain.cut`).

    Attributes:
        error_rate: share of the queries for something absent that may have a hit above the cut,
            above 0 and below 1.
    """

    error_rate: float = 0.05

    def __post_init__(self) -> None:
        """Check every value."""
        _require(0 < self.error_rate < 1, "error_rate", self.error_rate, "above 0 and below 1")


@dataclass(frozen=True, slots=True)
class Preset:
    """A choice of models and the options that suit them.

    Attributes:
        name: what the user types.
        segmenter: where SAM 2 is loaded from: a folder or "embedded:NAME".
        encoder: where the region encoder is loaded from.
        judge: default judge: "structured", "none", or where a judge model is loaded from.
        notice: what a reader of the scores must know; empty = nothing.
        neutral: bank of neutral phrases that the encoder understands
            (`matir_nb.explain.neutral.bank`).
    """

    name: str
    segmenter: str
    encoder: str
    judge: str
    notice: str = ""
    neutral: str = "everyday"
    masks: MaskConfig = field(default_factory=MaskConfig)
    retrieve: RetrieveConfig = field(default_factory=RetrieveConfig)
    judging: JudgeConfig = field(default_factory=JudgeConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    cut: CutConfig = field(default_factory=CutConfig)


EMBEDDED_NOTICE = (
    "embedded models: tiny, trained on generated scenes of coloured shapes only; "
    "on photographs their scores mean nothing"
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
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
                min_mask_region_area=16,
                max_area_fraction=0.35,
                max_regions=32,
                boundary_cells=1.1,
            ),
            judging=JudgeConfig(n_judged=400),
        ),
    )
}


def preset_named(name: str) -> Preset:
    """Return the preset called `name`.

    Raises:
        ConfigError: there is none; the message offers the nearest name.
    """
    if name in PRESETS:
        return PRESETS[name]
    raise ConfigError(unknown("preset", name, PRESETS))


def preset_from_json(values: Mapping[str, Any]) -> Preset:
    """Return the preset that `dataclasses.asdict` turned into `values`.

    Raises:
        ConfigError: an option is unknown to this version, or missing.
    """
    stages: dict[str, Any] = {"masks": MaskConfig, "retrieve": RetrieveConfig}
    stages |= {"judging": JudgeConfig, "align": AlignConfig}
    try:
        nested = {name: config(**values[name]) for name, config in stages.items()}
        nested["cut"] = CutConfig(**values.get("cut", {}))
        return Preset(**{**values, **nested})
    except (TypeError, KeyError) as error:
        message = f"the stored preset cannot be used ({error}): give a preset by name"
        raise ConfigError(message) from error
