"""Which preset suits this machine. This module loads no model."""

from matir_nb.config import Preset
from matir_nb.models.registry import require_packages
from matir_nb.presets import AUTO, PRESETS, models_of, preset_named


def choose_preset(preset: str | Preset, device: str = "auto") -> tuple[Preset, str]:
    """Return the preset that is meant, and why: a sentence for "auto", else "".

    Raises:
        ConfigError: no such preset or device.
        ModelUnavailableError: torch sees no such device.
    """
    if isinstance(preset, Preset):
        return preset, ""
    if preset != AUTO:
        return preset_named(preset), ""
    require_packages()
    from matir_nb.models.runtime import resolve_device

    where = resolve_device(device)
    if not where.startswith("cuda"):
        return PRESETS["open-cpu"], f"preset open-cpu: models run on {where} here"
    return _preset_for_gpu(where)


def _preset_for_gpu(where: str) -> tuple[Preset, str]:
    """Return the preset for a GPU, and why; "open" needs memory, and bf16 for its judge."""
    import torch

    from matir_nb.models.hub_table import memory_mb
    from matir_nb.models.runtime import best_precision

    card = torch.cuda.get_device_properties(where)
    n_bytes = memory_mb(models_of(PRESETS["open"])) * 10**6
    has_bf16 = best_precision(where) == "bf16"
    lacks = [] if card.total_memory >= n_bytes else [f"{n_bytes / 2**30:.1f} GiB"]
    lacks += [] if has_bf16 else ["bf16"]
    has = f"{card.total_memory / 2**30:.1f} GiB and {'bf16' if has_bf16 else 'no bf16'}"
    name, needs = ("open-cpu", f"; open needs {' and '.join(lacks)}") if lacks else ("open", "")
    return PRESETS[name], f"preset {name}: the GPU is {card.name} with {has}{needs}"
