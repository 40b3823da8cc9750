"""Train the embedded SAM 2: a tiny `Sam2Model` that finds every object of a generated scene.

    python -m training.scene_pool --split train --out build/pool/train
    python -m training.scene_pool --split validation --n 500 --out build/pool/validation
    python -m training.sam2 --minutes 93 --seed 0 --out build/sam2
    python -m training.sam2 --export matir_nb/weights/sam2 --out build/sam2
    python -m training.sam2 --evaluate --split test --n 200

The learning rate follows the clock, so the schedule ends when the time does; a run resumes from
its checkpoint. What is exported is the moving average of the weights.
"""

import argparse
import math
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from matir_nb.scenes.vocabulary import SPLITS
from training.muon import Muon
from training.sam2_data import Batch, Pool, draw_batch
from training.sam2_evaluation import evaluate, point_ious
from training.sam2_model import DenseHead, batch_loss, new_model, tiny_config

BOX_EVERY = 6
PEAK_LR, MUON_FACTOR, WARM_UP_STEPS, WEIGHT_DECAY = 2e-3, 1.5, 150, 0.02
EMA_DECAY = 0.998
DENSE_WEIGHT, DENSE_STEPS, DENSE_WEIGHT_AFTER = 1.0, 1700, 0.2
CHECKPOINT_SECONDS = 180.0
STATEFUL = ("model", "average", "dense", "adamw", "muon")


def _learning_rate(step: int, fraction: float) -> float:
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(fraction, 1.0))
    return PEAK_LR * warm_up * max(cosine, 0.01)


def _matrices_and_others(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights of linear layers, for Muon, and everything else, for AdamW."""
    linear: list[Tensor] = [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Linear) and len(module.weight) > 1
    ]
    chosen = {id(weight) for weight in linear}
    return linear, [p for p in model.parameters() if id(p) not in chosen]


class Run:
    """One training run: model, average, optimiser, clock."""

    def __init__(self, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model: Any = new_model(tiny_config()).train()
        self.average: Any = new_model(tiny_config()).eval()
        self.model.to(self.device)
        self.average.to(self.device).load_state_dict(self.model.state_dict())
        hidden = self.model.config.mask_decoder_config.hidden_size
        self.dense = DenseHead(hidden).to(self.device)
        matrices, others = _matrices_and_others(self.model)
        others += self.dense.parameters()
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=PEAK_LR, betas=(0.9, 0.98))
        self.muon = Muon(matrices, lr=PEAK_LR, weight_decay=WEIGHT_DECAY)
        self.step, self.seconds = 0, 0.0
        self.rng = np.random.default_rng(seed)
        if self.checkpoint.exists():
            self._resume(seed)

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept."""
        return self.folder / "checkpoint.pt"

    def _resume(self, seed: int) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng = np.random.default_rng((seed, self.step))

    def save(self) -> None:
        """Write the checkpoint."""
        state: dict[str, Any] = {"step": self.step, "seconds": self.seconds}
        for name in STATEFUL:
            state[name] = getattr(self, name).state_dict()
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def advance(self, pool: Pool, budget_s: float) -> dict[str, float]:
        """Make one step; return the parts of its loss."""
        start = time.monotonic()
        rate = _learning_rate(self.step, self.seconds / budget_s)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        for group in self.muon.param_groups:
            group["lr"] = MUON_FACTOR * rate
        batch = draw_batch(pool, self.rng, with_boxes=self.step % BOX_EVERY == BOX_EVERY - 1)
        loss, parts = batch_loss(
            self.model,
            self.dense,
            _to(batch, self.device),
            dense_weight=DENSE_WEIGHT if self.step < DENSE_STEPS else DENSE_WEIGHT_AFTER,
        )
        self.adamw.zero_grad()
        self.muon.zero_grad()
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_([*self.model.parameters(), *self.dense.parameters()], 1.0)
        self.adamw.step()
        self.muon.step()
        self._update_average()
        self.step += 1
        self.seconds += time.monotonic() - start
        return {**parts, "norm": float(norm)}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA_DECAY, (self.step + 1) / (self.step + 10))
        mine, theirs = list(self.average.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)


def _to(batch: Batch, device: str) -> Batch:
    if device == "cpu":
        return batch
    tensors: dict[str, Any] = {f.name: getattr(batch, f.name) for f in fields(batch)}
    moved: dict[str, Any] = {n: None if t is None else t.to(device) for n, t in tensors.items()}
    return Batch(**moved)


def train(args: argparse.Namespace) -> None:
    """Train until the clock ends."""
    args.out.mkdir(parents=True, exist_ok=True)
    pool = Pool.open(args.pool / "train", args.out)
    held_out = Pool.open(args.pool / "validation", args.out)
    run, budget_s = Run(args.out, args.seed), 60 * args.minutes
    saved, sums = time.monotonic(), dict[str, float]()
    n_parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{n_parameters} parameters, {len(pool.images)} scenes, {run.device}", flush=True)
    while run.seconds < budget_s:
        for name, value in run.advance(pool, budget_s).items():
            sums[name] = sums.get(name, 0.0) + value
        if run.step % 100 == 0:
            means = " ".join(f"{name} {total / 100:.4f}" for name, total in sums.items())
            print(f"step {run.step} seconds {run.seconds:.0f} {means}", flush=True)
            sums.clear()
        if time.monotonic() - saved > CHECKPOINT_SECONDS or run.seconds >= budget_s:
            run.save()
            saved = time.monotonic()
            _report(run, held_out, args.n_validation)


def _report(run: Run, held_out: Pool, n: int) -> None:
    pairs = zip(held_out.images[:n], held_out.labels[:n], strict=True)
    ious = torch.cat([point_ious(run.average, *pair) for pair in pairs])
    iou, share = float(ious.mean()), float((ious >= 0.7).float().mean())
    line = f"validation step {run.step} seconds {run.seconds:.0f} iou {iou:.4f} at.7 {share:.4f}"
    print(line, flush=True)


def export(checkpoint: Path, folder: Path) -> None:
    """Write the averaged weights as fp16 safetensors with their config."""
    model: Any = new_model(tiny_config())
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["average"])
    model.half().save_pretrained(folder)
    print(f"step {state['step']} seconds {state['seconds']:.0f} -> {folder}")


def main() -> None:
    """Train, export or evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=93)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/sam2"))
    parser.add_argument("--pool", type=Path, default=Path("build/pool"))
    parser.add_argument("--n-validation", type=int, default=60)
    parser.add_argument("--export", type=Path, help="write the run's weights to this folder")
    parser.add_argument("--evaluate", action="store_true", help="print the scores of --weights")
    parser.add_argument("--weights", type=Path, default=Path("matir_nb/weights/sam2"))
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--n", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.evaluate:
        evaluate(args.weights, args.split, args.n)
    elif args.export:
        export(args.out / "checkpoint.pt", args.export)
    else:
        train(args)


if __name__ == "__main__":
    main()
