import dataclasses

import pytest

from matir_nb.config import (
    AlignConfig,
    CutConfig,
    JudgeConfig,
    MaskConfig,
    RetrieveConfig,
    preset_from_json,
)
from matir_nb.errors import ConfigError, MatirError
from matir_nb.presets import PRESETS, preset_named


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (MaskConfig, "points_per_side", 0),
        (MaskConfig, "points_per_batch", 0),
        (MaskConfig, "max_regions", -1),
        (MaskConfig, "crop_n_layers", 4),
        (MaskConfig, "box_nms_thresh", 1.5),
        (MaskConfig, "stability_score_thresh", -0.1),
        (RetrieveConfig, "m_regions", 0),
        (RetrieveConfig, "region_weight", -0.5),
        (RetrieveConfig, "dehub_beta", -1.0),
        (RetrieveConfig, "dehub_beta", float("nan")),
        (RetrieveConfig, "dehub_phrases", 0),
        (RetrieveConfig, "refine_weight", float("inf")),
        (RetrieveConfig, "refine_temperature", 0.0),
        (RetrieveConfig, "n_references", 5000),
        (JudgeConfig, "n_judged", -1),
        (JudgeConfig, "chunk_size", 0),
        (JudgeConfig, "calibration_scale", 0),
        (JudgeConfig, "calibration_scale", -1.5),
        (JudgeConfig, "calibration_scale", float("inf")),
        (JudgeConfig, "calibration_bias", float("nan")),
        (AlignConfig, "min_align_iou", 1.01),
        (CutConfig, "error_rate", 0),
        (CutConfig, "error_rate", 1.0),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(kind, name, value):
    with pytest.raises(ConfigError, match=rf"{name} = {value} is not allowed: give "):
        kind(**{name: value})


def test_config_errors_are_value_errors_too():
    with pytest.raises(ValueError, match="m_regions"):
        RetrieveConfig(m_regions=0)
    assert issubclass(ConfigError, MatirError)


def test_calibrated_log_odds_and_back():
    config = JudgeConfig(calibration_scale=0.5, calibration_bias=-1)
    assert (config.calibrated(4.0), config.raw(1.0)) == (1.0, 4.0)
    assert (config.is_calibrated, JudgeConfig().is_calibrated) == (True, False)
    assert JudgeConfig().calibrated(-float("inf")) == -float("inf")


def test_no_stage_2_is_allowed():
    assert JudgeConfig(n_judged=0).n_judged == 0


def test_a_misspelt_option_fails():
    with pytest.raises(TypeError, match="point_per_side"):
        MaskConfig(point_per_side=3)


def test_a_misspelt_preset_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="unknown preset 'embeded': did you mean 'embedded'"):
        preset_named("embeded")
    with pytest.raises(ConfigError, match="choose from embedded"):
        preset_named("zzz")


def test_presets_are_frozen_and_named_like_their_key():
    for name, preset in PRESETS.items():
        assert preset.name == name
        with pytest.raises(dataclasses.FrozenInstanceError):
            preset.name = "other"


def test_the_embedded_preset_warns_about_photographs():
    assert "photographs" in preset_named("embedded").notice


def test_a_stored_preset_comes_back_and_one_without_cut_and_bank_gets_the_defaults():
    preset = dataclasses.replace(preset_named("embedded"), cut=CutConfig(error_rate=0.2))
    stored = dataclasses.asdict(preset)
    assert preset_from_json(stored) == preset
    older = {name: value for name, value in stored.items() if name not in ("cut", "neutral")}
    expected = dataclasses.replace(preset, cut=CutConfig(), neutral="everyday")
    assert preset_from_json(older) == expected
    with pytest.raises(ConfigError, match="the stored preset cannot be used"):
        preset_from_json(stored | {"cut": {"eror_rate": 0.1}})
