"""Names become models: presets, ``embedded:NAME`` folders, devices, judges.

Adapters are imported when one is asked for, so that whoever needs none pays for none. This
module knows no pixels and no scores.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matir_nb.config import Preset
from matir_nb.errors import ConfigError, ModelUnavailableError, unknown
from matir_nb.models.base import Judge, MaskSource, RegionEncoder

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
EMBEDDED = "embedded:"
TRAINED_JUDGE = "embedded:judge"
JUDGE_NAMES = ("structured", "trained", "none")
DEVICES = ("auto", "cpu", "cuda", "mps")
NEEDED_PACKAGES = ("torch", "transformers")


def load_segmenter(preset: Preset, device: str = "auto") -> MaskSource:
    """Return the preset's mask source.

    Raises:
        ModelUnavailableError: its weights or a package are missing.
        ConfigError: no such device.
    """
    folder = find_weights(preset.segmenter)
    _require_packages()
    from matir_nb.models.sam2 import Sam2MaskSource

    with _quiet_loading():
        return Sam2MaskSource.from_pretrained(folder, preset.masks, device=resolve_device(device))


def load_encoder(preset: Preset, device: str = "auto") -> RegionEncoder:
    """Return the preset's region encoder.

    Raises:
        ModelUnavailableError: its weights or a package are missing.
        ConfigError: no such device.
    """
    folder = find_weights(preset.encoder)
    _require_packages()
    from matir_nb.models.alpha_clip import AlphaClipEncoder

    with _quiet_loading():
        return AlphaClipEncoder.from_pretrained(folder, device=resolve_device(device))


def load_judge(name: str, encoder: RegionEncoder, device: str = "auto") -> Judge | None:
    """Return the judge called `name`; None for "none".

    Args:
        name: "structured", "trained", "none", "embedded:NAME" or a folder with a judge model.
        encoder: the index's encoder, for judges that compare words with stored vectors.
        device: see `resolve_device`.

    Raises:
        ConfigError: no such judge; the message offers the nearest name.
        ModelUnavailableError: its weights or a package are missing.
    """
    if name == "none":
        return None
    if name == "structured":
        from matir_nb.models.structured import StructuredJudge

        return StructuredJudge(encoder)
    folder = find_weights(_judge_place(name))
    _require_packages()
    from matir_nb.models.qwen_vl import QwenVLJudge

    with _quiet_loading():
        return QwenVLJudge.from_pretrained(folder, device=resolve_device(device))


def find_weights(place: str) -> Path:
    """Return the folder that `place` means: "embedded:NAME" or a path.

    Raises:
        ModelUnavailableError: there is no such folder, or it holds no model.
    """
    is_embedded = place.startswith(EMBEDDED)
    folder = WEIGHTS / place.removeprefix(EMBEDDED) if is_embedded else Path(place)
    if (folder / "config.json").is_file():
        return folder
    if is_embedded:
        there = sorted(p.parent.name for p in WEIGHTS.glob("*/config.json"))
        hint = f"this installation has {', '.join(there) or 'no embedded models'}"
    else:
        hint = "give a folder with config.json and model.safetensors, downloaded beforehand"
    message = f"no model weights at {place!r}: {hint}"
    raise ModelUnavailableError(message)


def resolve_device(device: str) -> str:
    """Return a device that torch can use; "auto" is the GPU where there is one.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ConfigError: no such device name.
        ModelUnavailableError: torch is missing, or sees no such device.
    """
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise ConfigError(unknown("device", device, DEVICES))
    if kind == "cpu":
        return device
    _require_packages()
    import torch

    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    is_there = torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available()
    if not is_there:
        message = f"torch sees no device {device!r} here: use device='cpu' or 'auto'"
        raise ModelUnavailableError(message)
    return device


def _judge_place(name: str) -> str:
    if name == "trained":
        return TRAINED_JUDGE
    if name.startswith(EMBEDDED) or Path(name).is_dir():
        return name
    raise ConfigError(unknown("judge", name, JUDGE_NAMES))


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Keep transformers from drawing a bar per file: in a notebook each would stay as a widget."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def _require_packages() -> None:
    for package in NEEDED_PACKAGES:
        if importlib.util.find_spec(package) is None:
            message = f"this model needs the package {package}: pip install {package}"
            raise ModelUnavailableError(message)
