"""Train the embedded judge (a tiny Qwen3-VL) on generated scenes.

    python -m training.scene_pool --split train --n 12000 --out build/pool/train
    python -m training.judge --vision-minutes 10 --minutes 40 --out build/judge
    python -m training.judge --evaluate --split test

Two phases, each resumes from its checkpoint. (1) The vision tower learns to put, in every image
token of a cut-out region, the word embeddings of the region's attributes. (2) With vision frozen
and its tokens computed once, the language model answers questions about listed regions: eight
questions share one list (a block mask keeps them apart, so each is answered as if alone). Besides
the answer tokens, the attention of two heads is drawn to the regions that answer the question.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AttentionInterface

from matir_nb.scenes.meaning import KINDS
from training.judge_data import Packed, Packer, Regions, cut_regions
from training.judge_model import (
    ATTRIBUTE_WORDS,
    HIDDEN,
    LISTED,
    PATCH,
    SIDE,
    TOKENS_PER_REGION,
    make_image_processor,
    make_model,
    make_tokenizer,
    word_id,
)
from training.scene_pool import load_pool
from training.truth import VALUES

N_IMAGES = 20
WATCHED_LAYER, WATCHED_HEADS = 2, 2
PATCHES_PER_REGION = (SIDE // PATCH) ** 2


def attend_within_images(
    module: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any
) -> tuple[torch.Tensor, None]:
    """Attend within each cut-out; all have `PATCHES_PER_REGION` patches, so they batch."""
    heads, length, dim = q.shape[1:]
    shape = (heads, length // PATCHES_PER_REGION, PATCHES_PER_REGION, dim)
    q, k, v = (x[0].reshape(shape).transpose(0, 1) for x in (q, k, v))
    out = nn.functional.scaled_dot_product_attention(q, k, v, scale=module.scaling)
    return out.permute(0, 2, 1, 3).reshape(1, length, heads, dim), None


AttentionInterface.register("within_images", attend_within_images)


def patches(cutouts: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Return (n * patches, 864) as `Qwen2VLImageProcessorPil` lays them out, from (n, S, S, 3)."""
    x = torch.as_tensor(cutouts).float() / 127.5 - 1
    n, grid = len(x), SIDE // PATCH // 2
    x = x.view(n, grid, 2, PATCH, grid, 2, PATCH, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    x = x.unsqueeze(6).expand(*x.shape[:6], 2, PATCH, PATCH)
    return x.reshape(n * PATCHES_PER_REGION, -1)


def region_tokens(visual: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return (n, tokens, HIDDEN) image tokens of n cut-outs' patches."""
    n = len(pixels) // PATCHES_PER_REGION
    grid = torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]]).repeat(n, 1)
    ends = torch.tensor([0, len(pixels)], dtype=torch.int32)
    out = visual(pixels, grid, cu_seqlens=ends)
    tokens: torch.Tensor = out.pooler_output.view(n, TOKENS_PER_REGION, HIDDEN)
    return tokens


def _word_groups() -> list[slice]:
    starts = np.cumsum([0, *(len(VALUES[a]) for a in ("colour", "shape", "size", "texture"))])
    return [slice(int(a), int(b)) for a, b in pairwise(starts)]


class VisionPhase:
    """Phase 1: image tokens that carry the attribute words."""

    def __init__(self, model: Any, tokenizer: Any, *, seed: int) -> None:
        """Prepare the loss for `model`."""
        self.visual = model.model.visual
        self.visual.set_attn_implementation("within_images")
        table = model.get_input_embeddings().weight.detach()
        ids = [word_id(tokenizer, word) for word in ATTRIBUTE_WORDS]
        self.embeddings = nn.functional.normalize(table[ids], dim=-1)
        self.bias = nn.Parameter(torch.tensor(-2.0))
        self.rng = np.random.default_rng(seed)
        self.optimiser = torch.optim.AdamW(
            [*self.visual.parameters(), self.bias], lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98)
        )

    def step(self, regions: Regions, rate: float) -> float:
        """Take one step at learning rate `rate`; return the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rows = self.rng.choice(len(regions.cutouts), 256, replace=False)
        x = torch.from_numpy(regions.cutouts[rows])
        turn = int(self.rng.integers(4))
        x = torch.rot90(x, turn, (1, 2)) if turn else x
        x = x.flip(2) if self.rng.random() < 0.5 else x
        gain = torch.from_numpy(self.rng.normal(1, 0.06, (256, 1, 1, 1)).astype(np.float32))
        x = (x.float() * gain).clamp(0, 255)
        tokens = region_tokens(self.visual, patches(x))
        loss = self.loss(tokens, torch.from_numpy(regions.words[rows]))
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.visual.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def loss(self, tokens: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Return sigmoid loss of all words plus cross-entropy of each attribute, per token."""
        logits = 4 * tokens @ self.embeddings.T
        wanted = words[:, None].expand_as(logits)
        both = nn.functional.binary_cross_entropy_with_logits(logits + self.bias, wanted)
        real = words.sum(1) > 0
        parts = []
        for group in _word_groups():
            target = wanted[real][..., group].argmax(-1)
            guess = logits[real][..., group]
            parts.append(nn.functional.cross_entropy(guess.flatten(0, 1), target.flatten()))
        return 4 * both + torch.stack(parts).mean() + 1e-3 * tokens.pow(2).mean()

    def accuracy(self, regions: Regions) -> dict[str, float]:
        """Return the accuracy of each attribute, by the mean token."""
        with torch.inference_mode():
            tokens = region_tokens(self.visual, patches(regions.cutouts)).mean(1)
            logits = (tokens @ self.embeddings.T).numpy()
        real = regions.words.sum(1) > 0
        groups = zip(("colour", "shape", "size", "texture"), _word_groups(), strict=True)
        return {
            name: float(
                (logits[real][:, g].argmax(1) == regions.words[real][:, g].argmax(1)).mean()
            )
            for name, g in groups
        }


class LanguagePhase:
    """Phase 2: answering questions about listed regions."""

    def __init__(self, model: Any, packer: Packer, tokens: torch.Tensor, *, seed: int) -> None:
        """Hold the frozen region tokens and prepare the loss."""
        self.model, self.packer, self.tokens = model, packer, tokens
        self.rng = np.random.default_rng(seed)
        language = model.model.language_model
        self.parameters = list(language.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=1e-3, weight_decay=0.02, betas=(0.9, 0.98)
        )
        self.attention: list[torch.Tensor] = []
        watched = language.layers[WATCHED_LAYER].self_attn
        watched.register_forward_hook(lambda _m, _i, out: self.attention.append(out[1]))

    def hidden(self, batch: Packed, tokens: torch.Tensor, *, noise: float) -> torch.Tensor:
        """Return (b, length, HIDDEN) last hidden states; `noise` shakes the image tokens."""
        embedded = self.model.get_input_embeddings()(batch.ids)
        rows = tokens[batch.region_rows].float()
        rows = rows + noise * torch.randn_like(rows) * rows.std()
        embedded = embedded.masked_scatter(batch.image_slots[..., None], rows)
        self.attention.clear()
        allowed = torch.zeros(batch.allowed.shape).masked_fill(~batch.allowed, -1e9)
        out = self.model.model.language_model(
            inputs_embeds=embedded, position_ids=batch.positions, attention_mask=allowed
        )
        states: torch.Tensor = out.last_hidden_state
        return states

    def log_p(self, hidden: torch.Tensor, places: Sequence[tuple[int, int]]) -> torch.Tensor:
        """Return (m, vocabulary) log-probabilities at m places (b, position)."""
        rows, columns = (list(x) for x in zip(*places, strict=True))
        logits: torch.Tensor = self.model.lm_head(hidden[rows, columns])
        return logits.log_softmax(-1)

    def step(self, rate: float) -> dict[str, float]:
        """Take one step at learning rate `rate`; return the parts of the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rows = self.rng.choice(len(self.packer.scenes), N_IMAGES, replace=False)
        batch = self.packer.pack(self.rng, rows)
        parts = self.losses(batch, self.hidden(batch, self.tokens, noise=0.1))
        loss = parts["verdict"] + 0.7 * parts["letter"] + 0.05 * parts["end"] + 0.3 * parts["watch"]
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        return {name: float(part.detach()) for name, part in parts.items()}

    def losses(self, batch: Packed, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mean loss of verdicts, letters, end tokens and watched attention."""
        packer = self.packer
        verdicts = self.log_p(hidden, [v[:2] for v in batch.verdicts])
        right = [packer.yes_id if v[2] else packer.no_id for v in batch.verdicts]
        letters = self.log_p(hidden, [v[:2] for v in batch.letters])
        wanted = torch.full_like(letters, -torch.inf)
        for row, (_, _, ids) in enumerate(batch.letters):
            wanted[row, ids] = 0
        ends = self.log_p(hidden, batch.ends)
        return {
            "verdict": -verdicts[torch.arange(len(right)), right].mean(),
            "letter": -(letters + wanted).logsumexp(-1).mean(),
            "end": -ends[:, packer.end_id].mean(),
            "watch": self._watch_loss(batch),
        }

    def _watch_loss(self, batch: Packed) -> torch.Tensor:
        """Return -log of the attention that the watched heads give to the answering regions."""
        rows, columns, slots = zip(*batch.watched, strict=True)
        weights = self.attention[-1][:, :WATCHED_HEADS]
        found = weights[list(rows), :, list(columns)]
        answering = torch.zeros(len(rows), 1, weights.shape[-1])
        for row, own in enumerate(slots):
            answering[row, 0, own] = 1
        return -((found * answering).sum(-1) + 1e-4).log().mean()

    def evaluate(self, packer: Packer, tokens: torch.Tensor, n: int) -> dict[str, float]:
        """Return AUC of yes against no by kind, and accuracy of the letter, on unseen scenes."""
        rng = np.random.default_rng(3)
        truth: dict[str, list[tuple[bool, float]]] = {kind: [] for kind in KINDS}
        picked: list[bool] = []
        with torch.inference_mode():
            for start in range(0, n, N_IMAGES):
                batch = packer.pack(rng, range(start, min(start + N_IMAGES, n)))
                hidden = self.hidden(batch, tokens, noise=0.0)
                log_p = self.log_p(hidden, [v[:2] for v in batch.verdicts])
                margins = (log_p[:, packer.yes_id] - log_p[:, packer.no_id]).tolist()
                for (_, _, wanted, kind), margin in zip(batch.verdicts, margins, strict=True):
                    truth[kind].append((wanted, margin))
                letters = self.log_p(hidden, [v[:2] for v in batch.letters])
                best = letters[:, packer.letter_ids].argmax(-1).tolist()
                picked += [
                    packer.letter_ids[guess] in ids
                    for guess, (_, _, ids) in zip(best, batch.letters, strict=True)
                ]
        scores = {f"auc_{kind}": auc(pairs) for kind, pairs in truth.items()}
        return {**scores, "letter": float(np.mean(picked))}


def auc(pairs: Sequence[tuple[bool, float]]) -> float:
    """Return the area under the ROC curve (Mann-Whitney, ties count half)."""
    positive = np.array([z for wanted, z in pairs if wanted])
    negative = np.array([z for wanted, z in pairs if not wanted])
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


def all_tokens(visual: Any, regions: Regions) -> torch.Tensor:
    """Return the image tokens of every region, (n, tokens, HIDDEN) float16."""
    with torch.inference_mode():
        chunks = np.array_split(regions.cutouts, max(len(regions.cutouts) // 512, 1))
        found = torch.cat([region_tokens(visual, patches(c)).half() for c in chunks])
    return found.clone()


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model as fp16 safetensors with tokenizer, image processor and options."""
    state = {
        k: v.half().contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"
    }
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    make_image_processor().save_pretrained(folder)
    (folder / "matir.json").write_text(json.dumps(asdict(LISTED), indent=2) + "\n")


class Run:
    """Both phases, with checkpoints."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Load data, model and checkpoint."""
        torch.manual_seed(args.seed)
        self.args = args
        self.tokenizer = make_tokenizer()
        self.model = make_model(self.tokenizer)
        self.state = {"vision_seconds": 0.0, "language_seconds": 0.0}
        self.log: list[dict[str, float]] = []
        args.out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = args.out / "checkpoint.pt"
        self.optimisers: dict[str, Any] = {}
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.state, self.log = saved["state"], saved["log"]
            self.optimisers = saved["optimisers"]
        scenes = load_pool(args.pool, args.n_scenes)
        unseen = load_pool(args.pool.parent / "validation", 200)
        self.regions, self.unseen = cut_regions(scenes, seed=args.seed), cut_regions(unseen, seed=1)
        self.packer = Packer(self.tokenizer, scenes, self.regions, "train")
        self.unseen_packer = Packer(self.tokenizer, unseen, self.unseen, "validation")
        print(f"{len(scenes)} scenes, {len(self.regions.cutouts)} regions", flush=True)

    def save(self, **scores: float) -> None:
        """Write checkpoint, log and weights."""
        self.log.append({**self.state, **scores})
        print({k: round(v, 3) for k, v in self.log[-1].items()}, flush=True)
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(
            {
                "model": self.model.state_dict(),
                "state": self.state,
                "log": self.log,
                "optimisers": self.optimisers,
            },
            partial,
        )
        partial.replace(self.checkpoint)
        export(self.model, self.tokenizer, self.args.out / "export")
        (self.args.out / "log.json").write_text(json.dumps(self.log, indent=1))

    def _loop(
        self, phase: Any, key: str, minutes: float, peak: float, step: Any, score: Any
    ) -> None:
        budget, saved, n = minutes * 60, self.state[key], 0
        if key in self.optimisers:
            phase.optimiser.load_state_dict(self.optimisers[key])
            phase.rng = np.random.default_rng((self.args.seed, int(self.state[key])))
        while self.state[key] < budget:
            start = time.perf_counter()
            done = self.state[key] / budget
            rate = peak * (min((n + 1) / 60, 1) * (0.5 + 0.5 * math.cos(math.pi * done)) + 0.01)
            loss = step(rate)
            self.state[key] += time.perf_counter() - start
            n += 1
            if n % 50 == 0:
                print(n, round(self.state[key]), loss, flush=True)
            if self.state[key] - saved > 150 or self.state[key] >= budget:
                saved = self.state[key]
                self.optimisers[key] = phase.optimiser.state_dict()
                self.save(steps=n, **score())

    def train(self) -> None:
        """Run both phases until their minutes are spent."""
        vision = VisionPhase(self.model, self.tokenizer, seed=self.args.seed)
        self._loop(
            vision,
            "vision_seconds",
            self.args.vision_minutes,
            2e-3,
            lambda rate: vision.step(self.regions, rate),
            lambda: vision.accuracy(self.unseen),
        )
        tokens = all_tokens(vision.visual, self.regions)
        unseen_tokens = all_tokens(vision.visual, self.unseen)
        language = LanguagePhase(self.model, self.packer, tokens, seed=self.args.seed)
        self._loop(
            language,
            "language_seconds",
            self.args.minutes,
            1.2e-3,
            language.step,
            lambda: language.evaluate(self.unseen_packer, unseen_tokens, 200),
        )


def main() -> None:
    """Train the judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision-minutes", type=float, default=10)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n-scenes", type=int, default=12000)
    parser.add_argument("--pool", type=Path, default=Path("build/pool/train"))
    parser.add_argument("--out", type=Path, default=Path("build/judge"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    Run(args).train()


if __name__ == "__main__":
    main()
