"""Linear layers in 8 bits on a CPU: about three times as fast where it has VNNI instructions.

Weights are rounded once, one scale per output channel; activations when they arrive, one scale
per row (Dettmers et al., "LLM.int8()", NeurIPS 2022, call this vector-wise quantisation). A row is
thus rounded alike whatever it is batched with. Sums are exact 32-bit integers. This module knows
no model.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from matir_nb.errors import ConfigError

LOG = logging.getLogger(__name__)
LEAST_COSINE = 0.999
"""Of vectors in 8 bits with those in float32: below it nothing is gained that is worth it."""
LEVELS = 127
ZERO_POINT = 128
"""What stands for 0 in unsigned bytes."""
TINY = 1e-12
FLOAT_OUT: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")
"""Sums leave the product as float32, times the channels' scales, with no function after them."""


def is_available() -> bool:
    """Tell whether this CPU and this torch multiply bytes fast and without overflow."""
    has_vnni: bool = getattr(torch.cpu, "_is_vnni_supported", bool)()
    return has_vnni and hasattr(torch.ops.onednn, "qlinear_pointwise")


class Int8Linear(nn.Module):
    """What an `nn.Linear` computes, in 8 bits; takes and gives float32 on a CPU."""

    def __init__(self, linear: nn.Linear) -> None:
        """Round the weights of `linear`; (out, in) float32 on the CPU."""
        super().__init__()
        weight = linear.weight.detach()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._scales = weight.abs().amax(dim=1).clamp_min(TINY) / LEVELS
        levels = torch.round(weight / self._scales[:, None]).to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(levels, None)
        self._zeros = torch.zeros(self.out_features, dtype=torch.int64)
        has_bias = isinstance(linear.bias, Tensor)
        bias = linear.bias if has_bias else torch.zeros(self.out_features)
        self._bias = bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out) float32 from (..., in) float32."""
        rows, scales = _bytes(x.reshape(-1, self.in_features))
        weights = (self._packed, self._scales, self._zeros, None)
        y = torch.ops.onednn.qlinear_pointwise(rows, 1.0, ZERO_POINT, *weights, *FLOAT_OUT)
        return torch.addcmul(self._bias, y, scales).reshape(*x.shape[:-1], self.out_features)


def _bytes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n, in) uint8, `ZERO_POINT` = 0, and the (n, 1) step of each row of x."""
    most = torch.maximum(x.amax(dim=-1, keepdim=True), -x.amin(dim=-1, keepdim=True))
    most = most.clamp_min(TINY)
    half_up = torch.full((1, 1), ZERO_POINT + 0.5)  # truncation to bytes then rounds to nearest
    return torch.addcmul(half_up, x, LEVELS / most).to(torch.uint8), most / LEVELS


def quantise(module: nn.Module) -> nn.Module:
    """Return `module` after replacing every `nn.Linear` in it, in place.

    Give the blocks of an image encoder; what pools and projects their output stays as exact as it
    was. Subclasses of `nn.Linear` are left alone: their owners read the weights themselves.

    Raises:
        ConfigError: the module is not float32 on the CPU.
    """
    _replace(module)
    return module


def quantise_if_faithful(
    module: nn.Module, vectors: Callable[[], Tensor], *, least: float = LEAST_COSINE
) -> bool:
    """Put `module` into 8 bits if the vectors stay what they were; tell whether they did.

    Args:
        module: part of a model; unchanged when the result is False.
        vectors: computes (n, d) vectors with the model as it is.
        least: allowed cosine of each vector with that of float32.

    Raises:
        ConfigError: the module is not float32 on the CPU.
    """
    if not is_available():
        LOG.warning("this processor has no fast 8-bit products: computing in float32")
        return False
    with torch.inference_mode():
        exact = vectors()
        replaced = _replace(module)
        cosines = nn.functional.cosine_similarity(exact, vectors(), dim=-1)
    if float(cosines.min()) >= least:
        return True
    for parent, name, linear in replaced:
        setattr(parent, name, linear)
    what = "in 8 bits this model's vectors differ (cosine %.4f < %s): computing in float32"
    LOG.warning(what, float(cosines.min()), least)
    return False


def _replace(module: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Put `Int8Linear` in place of linear layers; return what was replaced, and where."""
    wrong = {f"{p.dtype} on {p.device}" for p in module.parameters() if not _fits(p)}
    if wrong:
        message = f"8-bit layers are made of float32 on a CPU, got {', '.join(sorted(wrong))}"
        raise ConfigError(message)
    found = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    for parent, name, child in found:
        setattr(parent, name, Int8Linear(child))
    return found


def _fits(parameter: Tensor) -> bool:
    return parameter.dtype == torch.float32 and parameter.device.type == "cpu"
