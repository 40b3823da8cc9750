"""Muon: momentum whose matrix updates are made orthogonal (Jordan et al. 2024).

`torch.optim.Muon` computes in bfloat16, which is slow on a processor without such arithmetic;
this one keeps float32 and treats matrices of one shape together.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
RMS = 0.2
"""Root mean square of an update at learning rate 1: about that of AdamW."""


def orthogonal(matrices: Tensor) -> Tensor:
    """Return (n, a, b) matrices with the same singular vectors and singular values near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if tall else x
    return found


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, decoupled weight decay and AdamW's scale of learning rates."""

    def __init__(
        self, matrices: Iterable[Tensor], *, lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(matrices, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for matrices in by_shape.values():
                self._update(matrices, group)

    def _update(self, matrices: list[Tensor], group: dict[str, float]) -> None:
        momentum, rate = group["momentum"], group["lr"]
        moved = []
        for p in matrices:
            buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
            assert p.grad is not None
            buffer.lerp_(p.grad, 1 - momentum)
            moved.append(p.grad.lerp(buffer, momentum))
        scale = RMS * max(matrices[0].shape) ** 0.5
        for p, update in zip(matrices, orthogonal(torch.stack(moved)), strict=True):
            p.mul_(1 - rate * group["weight_decay"])
            p.add_(update, alpha=-rate * scale)
