import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import OracleEncoder
from tiny_encoders import tiny_siglip
from transformers.utils import logging

from matir_nb.catalogue import CATALOGUE
from matir_nb.config import EncodeConfig
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.models import registry
from matir_nb.models.registry import (
    ADAPTERS,
    Weights,
    find_weights,
    load_encoder,
    load_judge,
    load_segmenter,
)
from matir_nb.models.structured import StructuredJudge
from matir_nb.presets import PRESETS

NOWHERE = replace(PRESETS["embedded"], segmenter="embedded:nope", encoder="/nowhere/clip")


def test_embedded_weights_are_folders_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    (tmp_path / "sam2").mkdir()
    (tmp_path / "sam2" / "config.json").write_text('{"model_type": "sam2"}')
    expected = Weights(tmp_path / "sam2", "sam2", "sam2")
    assert find_weights("embedded:sam2", "segmenter") == expected
    assert find_weights(str(tmp_path / "sam2"), "segmenter") == expected
    with pytest.raises(ModelUnavailableError, match="'embedded:nope': this installation has sam2"):
        find_weights("embedded:nope", "segmenter")
    with pytest.raises(ConfigError, match="encoder is wanted, and it is segmenter"):
        find_weights("embedded:sam2", "encoder")


@pytest.mark.parametrize(
    ("config", "adapter"),
    [
        ({"model_type": "sam2_video"}, "sam2"),
        ({"model_type": "clip", "vision_config": {"num_channels": 4}}, "alpha_clip"),
        ({"model_type": "clip", "vision_config": {"num_channels": 3}}, "dense_pool"),
        ({"model_type": "clip"}, "dense_pool"),
        ({"model_type": "siglip"}, "dense_pool"),
        ({"model_type": "qwen2_5_vl"}, "qwen_vl"),
        ({"model_type": "florence2"}, "florence"),
    ],
)
def test_a_folder_says_what_loads_it(tmp_path, config, adapter):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert find_weights(str(tmp_path), ADAPTERS[adapter][0]).adapter == adapter


def test_a_folder_may_name_its_adapter(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (tmp_path / "matir.json").write_text('{"adapter": "qwen_reranker"}')
    assert find_weights(str(tmp_path), "judge").adapter == "qwen_reranker"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "sigilp"}', "is 'sigilp': did you mean 'siglip'"),
        ("{}", "does not say which model it is"),
        ("[]", "does not say which model it is"),
        ("{", "does not say which model it is"),
    ],
)
def test_a_folder_with_another_model_is_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelUnavailableError, match=message):
        find_weights(str(tmp_path), "encoder")


def test_a_name_of_another_stage_is_refused():
    message = "'qwen3-vl-4b' is a model for another stage: encoder is wanted, and it is judge"
    with pytest.raises(ConfigError, match=message):
        find_weights("qwen3-vl-4b", "encoder")


def test_every_preset_names_models_of_the_right_stage(monkeypatch):
    monkeypatch.setattr("matir_nb.models.hub.find", lambda entry: Path(entry.name))
    for preset in PRESETS.values():
        assert find_weights(preset.segmenter, "segmenter").adapter == "sam2"
        assert find_weights(preset.encoder, "encoder")
        assert preset.judge == "structured" or find_weights(preset.judge, "judge")


def test_every_entry_has_an_adapter_of_its_role():
    for entry in CATALOGUE.values():
        assert ADAPTERS[entry.adapter][0] == entry.role


def test_missing_weights_say_what_to_give():
    with pytest.raises(ModelUnavailableError, match="no model weights at 'embedded:nope'"):
        load_segmenter(NOWHERE)
    with pytest.raises(ModelUnavailableError, match="'/nowhere/clip': give a folder with config"):
        load_encoder(NOWHERE)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailableError, match="needs the package torch: pip install torch"):
        load_encoder(replace(NOWHERE, encoder=str(tmp_path)))


def test_judges_by_name(tmp_path):
    encoder = OracleEncoder([])
    assert load_judge("none", encoder) is None
    assert isinstance(load_judge("structured", encoder), StructuredJudge)
    with pytest.raises(ModelUnavailableError, match="no model weights at"):
        load_judge(str(tmp_path), encoder)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("traind", "did you mean 'trained'"), ("gpt", "choose from structured, trained, none")],
)
def test_an_unknown_judge_offers_the_nearest(name, hint):
    with pytest.raises(ConfigError, match=f"unknown judge '{name}': {hint}"):
        load_judge(name, OracleEncoder([]))


@pytest.mark.parametrize("place", ["qwen3-vl-4b", "embedded:judge", "{folder}"])
def test_an_unknown_way_of_asking_is_named_and_fetches_nothing(place, tmp_path):
    place = place.format(folder=tmp_path)
    hint = rf"unknown way of asking 'mark': did you mean 'marks'\? \(behind {place!r}\)"
    with pytest.raises(ConfigError, match=hint):
        load_judge(f"{place}:mark", OracleEncoder([]))
    with pytest.raises(ConfigError, match="unknown judge 'structured:box'"):
        load_judge("structured:box", OracleEncoder([]))


def test_a_judge_that_scores_only_is_asked_in_one_way_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("matir_nb.models.hub.find", lambda _: pytest.fail("it is fetched"))
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (tmp_path / "matir.json").write_text('{"adapter": "qwen_reranker"}')
    for place in ("qwen3-vl-reranker-2b", str(tmp_path)):
        message = f"judge {place!r} gives a score only: leave out ':marks'"
        with pytest.raises(ConfigError, match=message):
            load_judge(f"{place}:marks", OracleEncoder([]))


@pytest.mark.parametrize("view", ["crop", "both"])
def test_a_view_that_a_published_encoder_has_not_is_refused_before_it_is_fetched(monkeypatch, view):
    monkeypatch.setattr("matir_nb.models.hub.find", lambda _: pytest.fail("it is fetched"))
    preset = replace(PRESETS["open"], encoding=EncodeConfig(view))
    with pytest.raises(ConfigError, match=f"view = {view!r} is for encoders that look at one"):
        load_encoder(preset, "cpu")


def test_the_trained_judge_is_the_embedded_one(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    with pytest.raises(ModelUnavailableError, match="no model weights at 'embedded:judge'"):
        load_judge("trained", OracleEncoder([]))


def test_models_are_loaded_without_alarming_words(tmp_path, caplog, monkeypatch):
    """Transformers warns of token ids that SigLIP's published config.json does not even name."""
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    folder = tiny_siglip(tmp_path / "siglip")
    caplog.clear()
    type(logging.get_logger("transformers")).warning_once.cache_clear()
    before = logging.get_verbosity()
    load_encoder(replace(PRESETS["open"], encoder=str(folder)), "cpu")
    assert [r.message for r in caplog.records if r.name.startswith("transformers")] == []
    assert logging.get_verbosity() == before
