"""Where and how models compute: device, precision, how tensors get there.

This module knows torch and no model.
"""

import logging
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from matir_nb.config import ComputeConfig
from matir_nb.errors import ConfigError, ModelUnavailableError, unknown

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.float32,
}
PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
SHORT = ("bf16", "fp16")
FIRST_WITH_BF16 = 8
"""Major compute capability (Ampere); older NVIDIA GPUs compute bf16 slowly, as fp32."""
LOG = logging.getLogger(__name__)
IMAGE_SIDES = ("vision_encoder", "vision_model", "vision_tower", "visual")
"""What transformers calls the part of a model that reads pictures."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A device, and what models compute in there.

    Attributes:
        device: that torch can use.
        dtype: of weights and activations.
        is_int8: linear layers that an adapter allows it for are computed in 8 bits.
        is_compiled: image encoders go through `torch.compile`.
    """

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    is_int8: bool = False
    is_compiled: bool = False

    def __str__(self) -> str:
        """Return device and precision.

        >>> str(Runtime("cuda:1", torch.bfloat16, is_compiled=True))
        'cuda:1 bf16 compiled'
        """
        precision = "int8" if self.is_int8 else PRECISIONS.get(self.dtype, str(self.dtype))
        return f"{self.device} {precision}{' compiled' if self.is_compiled else ''}"

    def without_fp16(self) -> "Runtime":
        """Return it with bf16 in place of fp16: for models that leave fp16's range.

        bf16 has the range of fp32. GPUs that are fast at fp16 alone compute it, and slowly.

        >>> str(Runtime("mps", torch.float16).without_fp16()), str(Runtime().without_fp16())
        ('mps bf16', 'cpu fp32')
        """
        return replace(self, dtype=torch.bfloat16) if self.dtype == torch.float16 else self

    @property
    def is_cpu(self) -> bool:
        """Whether it is the CPU."""
        return self.device.startswith("cpu")

    def place(self, model: Any) -> Any:
        """Return `model` on the device, in the precision, for inference.

        Where `is_compiled`, the part that reads pictures is compiled when it first runs.
        """
        placed = model.to(device=self.device, dtype=self.dtype).eval()
        if self.is_compiled:
            for name in IMAGE_SIDES:
                part = getattr(placed, name, None)
                if isinstance(part, torch.nn.Module):
                    part.compile()
        return placed

    def send(self, tensor: Tensor) -> Tensor:
        """Return `tensor` on the device; to a GPU it goes from pinned memory, without waiting."""
        if self.device.startswith("cuda") and tensor.device.type == "cpu":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def choose_runtime(device: str = "auto", compute: ComputeConfig | None = None) -> Runtime:
    """Return what `device` and `compute` mean on this machine.

    A precision that this machine's CPU is slow at is taken as asked for, and warned of once.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        compute: None = the defaults.

    Raises:
        ConfigError: no such device name.
        ModelUnavailableError: torch sees no such device.
    """
    compute = compute or ComputeConfig()
    where = resolve_device(device)
    is_int8 = compute.precision == "int8" and where == "cpu"
    is_left_open = compute.precision == "auto" or (compute.precision == "int8" and not is_int8)
    precision = best_precision(where) if is_left_open else compute.precision
    if where == "cpu" and precision in SHORT:
        _warn_of_slow(precision, best_precision(where))
    return Runtime(where, DTYPES[precision], is_int8, compute.compile)


@cache
def _warn_of_slow(precision: str, best: str) -> None:
    """Log that the CPU is slow at `precision`, unless it is its best: once for each."""
    if precision != best:
        message = "precision %s: this CPU computes %s several times slower than %s: use %s or auto"
        LOG.warning(message, precision, precision, best, best)


def best_precision(device: str) -> str:
    """Return what `device` is fast at: "fp32", "bf16" or "fp16".

    A CPU computes bf16 several times slower than fp32 unless it has instructions for tiles (AMX).
    """
    if device.startswith("cuda"):
        is_new = torch.cuda.get_device_capability(device)[0] >= FIRST_WITH_BF16
        return "bf16" if is_new else "fp16"
    if device == "mps":
        return "fp16"
    return "bf16" if _has_tiles() else "fp32"


def _has_tiles() -> bool:
    # torch offers no public question; a version without this one is told nothing and stays right
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(ask()) if ask is not None else False


def resolve_device(device: str) -> str:
    """Return a device that torch can use; "auto" is the GPU where there is one.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ConfigError: no such device name.
        ModelUnavailableError: torch sees no such device.
    """
    if device not in DEVICES and not re.fullmatch(r"cuda:\d+", device):
        raise ConfigError(unknown("device", device, DEVICES))
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if has_cuda else "mps" if has_mps else "cpu"
    kind, _, number = device.partition(":")
    is_there = {"cpu": True, "cuda": has_cuda, "mps": has_mps}[kind]
    if not is_there or (number and int(number) >= torch.cuda.device_count()):
        use = "cuda" if has_cuda else "cpu"
        message = f"torch sees no device {device!r} here: use device={use!r} or 'auto'"
        raise ModelUnavailableError(message)
    return device
