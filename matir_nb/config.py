"""The options of every stage, as frozen dataclasses.

Each dataclass checks its values at birth and raises `ConfigError` with the value got and what
is allowed. This module knows no model code; what the presets choose is in `matir_nb.presets`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from matir_nb.errors import ConfigError


def _require(condition: bool, name: str, value: object, allowed: str) -> None:  # noqa: FBT001
    if not condition:
        message = f"{name} = {value!r} is not allowed: give {allowed}"
        raise ConfigError(message)


STABILITY_AT = ("image", "decoder")
CONVENTIONS = ("sam2", "half-open")


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """Automatic mask generation.

    Up to `min_mask_region_area` names, meaning and defaults are those of SAM 2's own generator;
    the rest is ours.

    Attributes:
        points_per_side: prompts form a points_per_side x points_per_side grid over the image.
        points_per_batch: prompts decoded at once.
        pred_iou_thresh: masks whose predicted IoU is not higher are dropped, in [0, 1]; 0 = none.
        stability_score_thresh: masks whose stability score is lower are dropped, in [0, 1].
        stability_score_offset: logit shift of the stability score.
        box_nms_thresh: of two masks of one crop with a higher box IoU, the lower rated is dropped.
        crop_n_layers: 0 = whole image only; layer i adds 4**i crops.
        crop_nms_thresh: of two masks of different crops with a higher box IoU, the one from the
            larger crop is dropped.
        crop_overlap_ratio: overlap of neighbouring crops, fraction of the image's short side.
        crop_n_points_downscale_factor: the grid in a crop of layer i has
            points_per_side / crop_n_points_downscale_factor**i points a side.
        min_mask_region_area: holes and islands with fewer pixels of the image are filled and
            removed; 0 = left as they are. (SAM 2's own generator does this on its coarse masks,
            and only where its CUDA extension is built; this is the rule of SAM 1.)
        min_mask_area: smaller masks are dropped, pixels.
        max_area_fraction: larger masks are dropped, fraction of the image.
        max_regions: at most so many masks are kept per image, best rated first.
        boundary_cells: width of the band, in cells of the model's mask grid, in which boundaries
            are moved to where the colours change (`geometry.boundary`); 0 = as the model drew.
        stability_at: where the stability score is measured: "image" = at the image's size, as
            SAM 2's generator does; "decoder" = on the coarse masks, which is cheaper.
        pixel_convention: "sam2" = as SAM 2's generator: prompts lie half a model pixel right of
            and below the middle of their cells, and while masks are compared a box ends at its
            last pixel; "half-open" = prompts lie in the middle, and boxes end after it.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0
    min_mask_area: int = 0
    max_area_fraction: float = 0.95
    max_regions: int = 256
    boundary_cells: float = 0.0
    stability_at: str = "image"
    pixel_convention: str = "sam2"

    def __post_init__(self) -> None:
        """Check every value."""
        whole = ("points_per_side", "points_per_batch", "max_regions")
        for name in (*whole, "crop_n_points_downscale_factor"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "a whole number >= 1")
        for name in ("min_mask_region_area", "min_mask_area"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a number >= 0")
        _require(0 <= self.boundary_cells <= 4, "boundary_cells", self.boundary_cells, "0 to 4")
        _require(0 <= self.crop_n_layers <= 3, "crop_n_layers", self.crop_n_layers, "0 to 3")
        shares = ("box_nms_thresh", "crop_nms_thresh", "max_area_fraction")
        for name in (*shares, "stability_score_thresh", "crop_overlap_ratio"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        for name, allowed in (("stability_at", STABILITY_AT), ("pixel_convention", CONVENTIONS)):
            value = getattr(self, name)
            _require(value in allowed, name, value, " or ".join(map(repr, allowed)))
        fewest = self.points_per_side // self.crop_n_points_downscale_factor**self.crop_n_layers
        what = "one that leaves a point per side in the smallest crops"
        factor = self.crop_n_points_downscale_factor
        _require(fewest >= 1, "crop_n_points_downscale_factor", factor, what)


VIEWS = ("own", "crop", "whole", "both")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
MOST_EXTRA = 4096
"""Neutral phrases or references that stage 1 can be told to use."""


@dataclass(frozen=True, slots=True)
class EncodeConfig:
    """What a region encoder is shown of a region.

    Attributes:
        view: "own" = as the encoder's weights want it; "crop" = a square window of 1.5 times the
            region's longer side; "whole" = the whole picture, padded to a square; "both" = the
            mean of the vectors of these two. A part of the encoder's id, so of the index's
            fingerprint.
    """

    view: str = "own"

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.view in VIEWS, "view", self.view, ", ".join(VIEWS))


@dataclass(frozen=True, slots=True)
class ComputeConfig:
    """How models compute; changes seconds and the last digits of scores, never what is compared.

    Attributes:
        precision: "auto" = what the device is fast at; or "fp32", "bf16", "fp16", or "int8"
            (linear layers of the encoder's image side, on a CPU).
        compile: `torch.compile` the image encoders: slower to start, faster for many images.
    """

    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.precision in PRECISIONS, "precision", self.precision, ", ".join(PRECISIONS))


@dataclass(frozen=True, slots=True)
class RetrieveConfig:
    """Stage 1.

    De-hubbing and references (`matir_nb.index.adjust`, off by default) change what regions and
    images are ranked by; the search is then a plain scan of all of them, several times slower.

    Attributes:
        region_weight: weight of the best region's cosine in the image score.
        image_weight: weight of the whole image's cosine.
        m_regions: best regions kept per candidate.
        approximate: use the index's approximate index (`matir accelerate`) where it has one.
        dehub_beta: what many texts score in a region or image is taken from its cosine: the
            inverse temperature of that soft mean, QBNorm's default being 20; 0 = off. The scores
            sink by about that mean, and with them stage 1's log-odds.
        dehub_phrases: so many neutral phrases stand for "many texts".
        refine_weight: weight of how alike query and region are placed among the references;
            0 = off. An experiment.
        refine_temperature: of the softmax that places them; the smaller, the fewer references
            count.
        n_references: centroids of the index's regions.
    """

    region_weight: float = 0.9
    image_weight: float = 0.1
    m_regions: int = 12
    approximate: bool = False
    dehub_beta: float = 0.0
    dehub_phrases: int = 256
    refine_weight: float = 0.0
    refine_temperature: float = 0.1
    n_references: int = 64

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.m_regions >= 1, "m_regions", self.m_regions, "a whole number >= 1")
        for name in ("region_weight", "image_weight"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a number >= 0")
        for name in ("dehub_beta", "refine_weight"):
            _require(0 <= getattr(self, name) < inf, name, getattr(self, name), "a number >= 0")
        for name in ("dehub_phrases", "n_references"):
            value = getattr(self, name)
            _require(1 <= value <= MOST_EXTRA, name, value, f"1 to {MOST_EXTRA}")
        temperature = self.refine_temperature
        _require(0 < temperature < inf, "refine_temperature", temperature, "a number > 0")

    @property
    def is_adjusted(self) -> bool:
        """Whether images are ranked by more than cosines."""
        return self.dehub_beta > 0 or self.refine_weight > 0


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Stage 2.

    Attributes:
        n_judged: candidates that the judge sees, best of stage 1 first; 0 = no stage 2.
        chunk_size: images given to the judge at once.
        weight: weight of the judge's log-odds in the final score.
        stage1_weight: weight of stage 1's log-odds in the final score.
        max_logit: calibrated log-odds are clipped to +-max_logit in the final score.
        calibration_scale: what the judge's log-odds are multiplied by (Platt scaling,
            `matir_nb.models.calibration`), > 0: calibration never changes the judge's order.
        calibration_bias: what is then added to them.
    """

    n_judged: int = 100
    chunk_size: int = 32
    weight: float = 1.0
    stage1_weight: float = 0.25
    max_logit: float = 12.0
    calibration_scale: float = 1.0
    calibration_bias: float = 0.0

    def __post_init__(self) -> None:
        """Check every value."""
        _require(self.n_judged >= 0, "n_judged", self.n_judged, "a whole number >= 0")
        _require(self.chunk_size >= 1, "chunk_size", self.chunk_size, "a whole number >= 1")
        scale, bias = self.calibration_scale, self.calibration_bias
        _require(0 < scale < inf, "calibration_scale", scale, "a number > 0")
        _require(isfinite(bias), "calibration_bias", bias, "a number")

    @property
    def is_calibrated(self) -> bool:
        """Whether the judge's log-odds are changed before they count."""
        return (self.calibration_scale, self.calibration_bias) != (1.0, 0.0)

    def calibrated(self, logit: float) -> float:
        """Return what log-odds of the judge are worth.

        >>> JudgeConfig(calibration_scale=0.5, calibration_bias=-1.0).calibrated(6.0)
        2.0
        """
        return self.calibration_scale * logit + self.calibration_bias

    def raw(self, calibrated: float) -> float:
        """Return the judge's log-odds that are worth `calibrated`."""
        return (calibrated - self.calibration_bias) / self.calibration_scale


P_SHOWN = 0.5
"""From this p on, a judge that names no place lets the region of stage 1 be shown."""


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
        segmenter: the mask source: a name of `matir_nb.catalogue`, "embedded:NAME" or a folder.
        encoder: the region encoder, named likewise.
        judge: default judge: "structured", "none", or a judge model, named likewise.
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
    encoding: EncodeConfig = field(default_factory=EncodeConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    retrieve: RetrieveConfig = field(default_factory=RetrieveConfig)
    judging: JudgeConfig = field(default_factory=JudgeConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    cut: CutConfig = field(default_factory=CutConfig)


def preset_from_json(values: Mapping[str, Any]) -> Preset:
    """Return the preset that `dataclasses.asdict` turned into `values`.

    Raises:
        ConfigError: an option is unknown to this version, or missing.
    """
    stages: dict[str, Any] = {"masks": MaskConfig, "retrieve": RetrieveConfig}
    stages |= {"judging": JudgeConfig, "align": AlignConfig}
    try:
        nested = {name: config(**values[name]) for name, config in stages.items()}
        newer = {"cut": CutConfig, "encoding": EncodeConfig, "compute": ComputeConfig}
        nested |= {name: config(**values.get(name, {})) for name, config in newer.items()}
        return Preset(**{**values, **nested})
    except (TypeError, KeyError) as error:
        message = f"the stored preset cannot be used ({error}): give a preset by name"
        raise ConfigError(message) from error
