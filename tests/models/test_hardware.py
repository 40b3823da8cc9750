from types import SimpleNamespace

import pytest
import torch

from matir_nb.errors import ConfigError
from matir_nb.models.hardware import choose_preset
from matir_nb.models.hub_table import memory_mb
from matir_nb.presets import PRESETS, models_of


def test_auto_takes_what_the_hardware_can_carry(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    preset, why = choose_preset("auto")
    assert (preset.name, why) == ("open-cpu", "preset open-cpu: models run on cpu here")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_preset("auto", "cpu")[0].name == "open-cpu"
    assert choose_preset("paper") == (PRESETS["paper"], "")


NEEDED = memory_mb(models_of(PRESETS["open"])) * 10**6
OPEN, OPEN_CPU = ("preset open: the GPU is Card with ", "preset open-cpu: the GPU is Card with ")


@pytest.mark.parametrize(
    ("n_bytes", "capability", "why"),
    [
        (24 << 30, 8, f"{OPEN}24.0 GiB and bf16"),
        (int(15.6 * 2**30), 9, f"{OPEN}15.6 GiB and bf16"),
        (NEEDED, 8, f"{OPEN}{NEEDED / 2**30:.1f} GiB and bf16"),
        (NEEDED - 10**8, 8, f"{OPEN_CPU}15.0 GiB and bf16; open needs 15.1 GiB"),
        (32 << 30, 7, f"{OPEN_CPU}32.0 GiB and no bf16; open needs bf16"),
        (8 << 30, 7, f"{OPEN_CPU}8.0 GiB and no bf16; open needs 15.1 GiB and bf16"),
    ],
)
def test_open_needs_the_memory_of_its_models_and_bf16(monkeypatch, n_bytes, capability, why):
    card = SimpleNamespace(name="Card", total_memory=n_bytes)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (capability, 0))
    assert choose_preset("auto") == (PRESETS[why.split()[1].rstrip(":")], why)


def test_an_unknown_preset_offers_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'autoo': did you mean 'auto'"):
        choose_preset("autoo")
