import importlib.util
from dataclasses import replace

import pytest
from fakes import OracleEncoder

from matir_nb.config import PRESETS
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.models import registry
from matir_nb.models.registry import (
    find_weights,
    load_encoder,
    load_judge,
    load_segmenter,
    resolve_device,
)
from matir_nb.models.structured import StructuredJudge

NOWHERE = replace(PRESETS["embedded"], segmenter="embedded:nope", encoder="/nowhere/clip")


def test_embedded_weights_are_folders_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    (tmp_path / "sam2").mkdir()
    (tmp_path / "sam2" / "config.json").write_text("{}")
    assert find_weights("embedded:sam2") == tmp_path / "sam2"
    assert find_weights(str(tmp_path / "sam2")) == tmp_path / "sam2"
    with pytest.raises(ModelUnavailableError, match="'embedded:nope': this installation has sam2"):
        find_weights("embedded:nope")


def test_missing_weights_say_what_to_give():
    with pytest.raises(ModelUnavailableError, match="no model weights at 'embedded:nope'"):
        load_segmenter(NOWHERE)
    with pytest.raises(ModelUnavailableError, match="'/nowhere/clip': give a folder with config"):
        load_encoder(NOWHERE)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
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


def test_the_trained_judge_is_the_embedded_one(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    with pytest.raises(ModelUnavailableError, match="no model weights at 'embedded:judge'"):
        load_judge("trained", OracleEncoder([]))


def test_devices():
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="unknown device 'cudaa': did you mean 'cuda'"):
        resolve_device("cudaa")
    with pytest.raises(ConfigError, match="unknown device 'tpu'"):
        resolve_device("tpu")


def test_auto_is_the_gpu_only_where_there_is_one(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ModelUnavailableError, match="torch sees no device 'cuda:1' here"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
