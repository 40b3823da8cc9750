"""Train the embedded Alpha-CLIP on generated scenes.

    python -m training.scene_pool --split train --n 12000 --out build/pool/train
    python -m training.scene_pool --split validation --n 500 --out build/pool/validation
    python -m training.segmented --n 1400 --out build/segmented
    python -m training.alpha_clip --minutes 46 --segmented-minutes 14 --out build/alpha-clip
    cp build/alpha-clip/export/* matir_nb/weights/alpha-clip/
    python -m training.alpha_clip --calibrate
    python -m training.alpha_clip --evaluate --split test

Every (text, region) pair of a batch has an exact label, so the loss is the pairwise sigmoid loss
of SigLIP (Zhai et al. 2023). First the regions are exact; then half of them are what the embedded
SAM 2 finds, its mistakes included. Regions and whole images share the towers. Linear heads read the
four attributes off the pooled output during training and are thrown away. The run resumes from
its checkpoint, and the learning rate ends when the minutes do.
"""

import argparse
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from matir_nb.geometry.masks import encode, tight_box_xyxy
from matir_nb.models.alpha_clip import AlphaClipEncoder, normalise
from matir_nb.models.registry import embedded_folder
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.models.views import View, cut, whole_window
from matir_nb.presets import preset_named
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.scenes.meaning import ATTRIBUTES, Query
from matir_nb.scenes.phrases import all_words, say
from matir_nb.scenes.queries import sample_query
from matir_nb.scenes.vocabulary import SPLITS, Split
from training.scene_pool import load_pool
from training.segmented import label, load_segmented
from training.truth import (
    JUNK,
    VALUES,
    SceneTable,
    image_truth,
    junk_mask,
    object_codes,
    subject_truth,
)

SIDE, PATCH = 64, 8
VIEW = View(scale=1.0, power=0.5)
MAX_TOKENS = 32
KIND_SHARES = {
    "attribute": 0.5,
    "relation": 0.15,
    "count": 0.1,
    "absence": 0.15,
    "superlative": 0.1,
}
N_TEXTS, N_SCENES = 192, 48
SAVE_SECONDS = 120
WEIGHTS = Path("matir_nb/weights/alpha-clip")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer in which every word of the scenes is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=["<|pad|>", "<|unknown|>", "<|reserved|>", "<|start|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([f" {word}" for word in sorted(set(all_words()))] * 8, trainer)
    start, end = tokenizer.token_to_id("<|start|>"), tokenizer.token_to_id("<|end|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|start|> $A <|end|>", special_tokens=[("<|start|>", start), ("<|end|>", end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",  # noqa: S106
        unk_token="<|unknown|>",  # noqa: S106
        bos_token="<|start|>",  # noqa: S106
        eos_token="<|end|>",  # noqa: S106
        model_max_length=1_000_000,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """Return a freshly initialised Alpha-CLIP of about 1.2 M parameters."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "num_channels": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_size": 128,
        "intermediate_size": 288,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    }
    config = CLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=128,
        logit_scale_init_value=math.log(10),
    )
    return CLIPModel(config)


@dataclass(frozen=True, slots=True)
class RegionPool:
    """All regions of a pool as encoder views, with their attributes and scenes."""

    views: NDArray[np.uint8]
    codes: NDArray[np.int64]
    scene_rows: NDArray[np.int64]
    whole: NDArray[np.uint8]


Found = tuple[int, NDArray[np.bool_], NDArray[np.int64]]
"""Scene row, mask and attribute codes of a region."""


def exact_regions(scenes: Sequence[Scene], *, seed: int) -> Iterator[Found]:
    """Yield every object, and about one region that is none, of each scene."""
    rng = np.random.default_rng(seed)
    for row, scene in enumerate(scenes):
        for number, item in enumerate(scene.objects):
            yield row, scene.visible_mask(number), np.array(object_codes(item))
        junk = junk_mask(rng, scene)
        if junk.sum() > 30:
            yield row, junk, np.full(4, JUNK)


def cut_pool(scenes: Sequence[Scene], regions: Iterable[Found], *, seed: int) -> RegionPool:
    """Cut `regions` out with slightly shaken windows, and every scene whole."""
    rng = np.random.default_rng(seed)
    views, codes, rows, whole = [], [], [], []
    for row, mask, code in regions:
        height, width = mask.shape
        box = np.array(tight_box_xyxy(encode(mask))) + rng.normal(0, 0.7, 4)
        window = VIEW.window((box[0], box[1], box[2], box[3]), width, height)
        alpha = Image.fromarray(mask.astype(np.uint8) * 255)
        views.append(cut(Image.fromarray(scenes[row].image), alpha, window, SIDE))
        codes.append(code)
        rows.append(row)
    for scene in scenes:
        height, width = scene.labels.shape
        inside = Image.new("L", (width, height), 255)
        window = whole_window(width, height)
        whole.append(cut(Image.fromarray(scene.image), inside, window, SIDE))
    return RegionPool(np.stack(views), np.array(codes), np.array(rows), np.stack(whole))


def augment(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Turn and flip a batch of region views, shake its colours, thin or thicken its masks."""
    turn = int(rng.integers(4))
    x = torch.rot90(x, turn, (2, 3)) if turn else x
    x = x.flip(3) if rng.random() < 0.5 else x
    n = len(x)
    gain = torch.from_numpy(rng.normal(1, 0.06, (n, 1, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, 0.06, (n, 3, 1, 1)).astype(np.float32))
    alpha = x[:, 3:]
    wide = torch.nn.functional.max_pool2d(alpha, 3, 1, 1)
    thin = -torch.nn.functional.max_pool2d(-alpha, 3, 1, 1)
    kind = torch.from_numpy(rng.integers(0, 4, (n, 1, 1, 1)))
    alpha = torch.where(kind == 0, wide, torch.where(kind == 1, thin, alpha))
    return torch.cat([x[:, :3] * gain.to(x.device) + shift.to(x.device), alpha], 1)


class Trainee(nn.Module):
    """The model with its training-only parts: bias and attribute heads."""

    def __init__(self, model: CLIPModel) -> None:
        """Wrap `model`."""
        super().__init__()
        self.model = model
        self.bias = nn.Parameter(torch.tensor(-5.0))
        width = model.config.vision_config.hidden_size
        sizes = [len(VALUES[a]) for a in ATTRIBUTES]
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in sizes)

    def image_vectors(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return unit vectors and the pooled output before projection."""
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        vectors = self.model.visual_projection(pooled)
        return nn.functional.normalize(vectors, dim=-1), pooled

    def text_vectors(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return unit vectors of texts."""
        out = self.model.get_text_features(**batch)
        return nn.functional.normalize(out.pooler_output, dim=-1)

    def pair_loss(
        self, texts: torch.Tensor, images: torch.Tensor, truth: torch.Tensor
    ) -> torch.Tensor:
        """Return the sigmoid loss of all pairs; positives weigh as much as negatives / 3."""
        logits = self.model.logit_scale.exp() * texts @ images.T + self.bias
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        n_positive = truth.sum().clamp(min=1)
        return (loss * truth).sum() / n_positive + 3 * (loss * (1 - truth)).sum() / (
            1 - truth
        ).sum()

    def attribute_loss(self, pooled: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the attribute heads over real objects."""
        real = codes[:, 0] != JUNK
        losses = [
            nn.functional.cross_entropy(head(pooled[real]), codes[real, k])
            for k, head in enumerate(self.heads)
        ]
        return torch.stack(losses).mean()


def sample_queries(rng: np.random.Generator, scenes: Sequence[Scene], n: int) -> list[Query]:
    """Return `n` queries inspired by `scenes`, kinds by `KIND_SHARES`."""
    kinds, shares = list(KIND_SHARES), list(KIND_SHARES.values())
    queries: list[Query] = []
    while len(queries) < n:
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        query = sample_query(rng, scenes[int(rng.integers(len(scenes)))], kind)
        if query is not None:
            queries.append(query)
    return queries


def attribute_accuracy(trainee: Trainee, pool: RegionPool, n: int = 1500) -> dict[str, float]:
    """Return the accuracy of each attribute head on clean views."""
    trainee.eval()
    real = np.flatnonzero(pool.codes[:, 0] != JUNK)[:n]
    with torch.inference_mode():
        pooled = [
            trainee.image_vectors(_pixels(trainee, pool.views[rows]))[1]
            for rows in np.array_split(real, max(len(real) // 128, 1))
        ]
        guesses = [head(torch.cat(pooled)).argmax(-1).cpu().numpy() for head in trainee.heads]
    trainee.train()
    return {
        a: float((g == pool.codes[real, k]).mean())
        for k, (a, g) in enumerate(zip(ATTRIBUTES, guesses, strict=True))
    }


def _pixels(trainee: Trainee, views: NDArray[np.uint8]) -> torch.Tensor:
    return normalise(views).to(trainee.bias.device)


def region_map(
    encoder: AlphaClipEncoder, scenes: Sequence[Scene], *, split: Split, n_queries: int = 200
) -> float:
    """Return mAP of attribute texts over all true-mask regions of `scenes`."""
    rng = np.random.default_rng(5)
    masks = [[encode(s.visible_mask(i)) for i in range(len(s.objects))] for s in scenes]
    vectors = np.concatenate(encoder.embed_regions([s.image for s in scenes], masks))
    codes = np.array([object_codes(o) for s in scenes for o in s.objects])
    queries = [
        sample_query(rng, scenes[int(rng.integers(len(scenes)))], "attribute")
        for _ in range(n_queries)
    ]
    known = [q for q in queries if q is not None]
    texts = encoder.embed_texts([say(q, rng, split) for q in known])
    truth = subject_truth(known, codes)
    order = np.argsort(-(texts @ vectors.T), axis=1)
    ranked = np.take_along_axis(truth, order, 1)
    precision = ranked.cumsum(1) / np.arange(1, ranked.shape[1] + 1)
    return float(((precision * ranked).sum(1) / ranked.sum(1)).mean())


def export(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model as fp16 safetensors with tokenizer and options."""
    state = {
        k: v.half().contiguous()
        for k, v in trainee.model.state_dict().items()
        if v.is_floating_point()
    }
    trainee.model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    options = {
        "view": {"scale": VIEW.scale, "power": VIEW.power},
        "n_turns": 4,
        "log_odds": {
            "scale": round(float(trainee.model.logit_scale.detach().exp()), 4),
            "bias": round(float(trainee.bias.detach()), 4),
        },
    }
    (folder / "matir.json").write_text(json.dumps(options, indent=2) + "\n")


class Run:
    """One training run that can stop and go on."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Load data, model and checkpoint."""
        self.args = args
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.tokenizer = make_tokenizer()
        self.trainee = Trainee(make_model(self.tokenizer)).to(self.device)
        scale = [self.trainee.bias, self.trainee.model.logit_scale]
        rest = [p for p in self.trainee.parameters() if all(p is not s for s in scale)]
        groups = [
            {"params": rest, "peak": args.lr},
            {"params": scale, "peak": 10 * args.lr, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=args.lr, weight_decay=0.02, betas=(0.9, 0.98))
        self.seconds, self.step = 0.0, 0
        self.log: list[dict[str, float]] = []
        args.out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = args.out / "checkpoint.pt"
        if self.checkpoint.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.trainee.load_state_dict(state["trainee"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.seconds, self.step, self.log = state["seconds"], state["step"], state["log"]
        self.rng = np.random.default_rng((self.args.seed, self.step))

    def save(self) -> None:
        """Write the checkpoint and the weights."""
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(
            {
                "trainee": self.trainee.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "seconds": self.seconds,
                "step": self.step,
                "log": self.log,
            },
            partial,
        )
        partial.replace(self.checkpoint)
        export(self.trainee, self.tokenizer, self.args.out / "export")
        (self.args.out / "log.json").write_text(json.dumps(self.log, indent=1))

    def train(self) -> None:
        """Train until the minutes of both phases are spent."""
        scenes = load_pool(self.args.pool)
        unseen = load_pool(self.args.pool.parent / "validation", 300)
        self.held_out = cut_pool(unseen, exact_regions(unseen, seed=1), seed=1)
        exact = list(exact_regions(scenes, seed=self.args.seed))
        first_s = self.args.minutes * 60
        if self.seconds < first_s:
            pool = cut_pool(scenes, exact, seed=self.args.seed)
            self._phase(scenes, pool, np.arange(len(scenes)), span_s=(0, first_s), peak=1.0)
        if self.args.segmented.is_dir():
            found = load_segmented(self.args.segmented, scenes)
            often = np.unique([row for row, _, _ in found])
            others = [r for r in exact if r[0] > often.max()]
            pool = cut_pool(scenes, [*found, *others], seed=self.args.seed)
            last_s = first_s + self.args.segmented_minutes * 60
            self._phase(scenes, pool, often, span_s=(first_s, last_s), peak=0.5)

    def _phase(
        self,
        scenes: Sequence[Scene],
        pool: RegionPool,
        often: NDArray[np.int64],
        *,
        span_s: tuple[float, float],
        peak: float,
    ) -> None:
        """Train from span_s[0] to span_s[1] seconds; half of each batch is of scenes in `often`."""
        print(f"{len(scenes)} scenes, {len(pool.views)} regions", flush=True)
        table = SceneTable.of(scenes)
        start_s, end_s = span_s
        last_save = self.seconds
        while self.seconds < end_s:
            start = time.perf_counter()
            self._set_rate(peak, (self.seconds - start_s) / (end_s - start_s))
            losses = self._step(scenes, table, pool, often)
            self.seconds += time.perf_counter() - start
            self.step += 1
            if self.step % 25 == 0:
                words = [f"{x:.3f}" for x in losses]
                print(f"step {self.step} {self.seconds:.0f}s", *words, flush=True)
            if self.seconds - last_save > SAVE_SECONDS or self.seconds >= end_s:
                last_save = self.seconds
                scores = attribute_accuracy(self.trainee, self.held_out)
                self.log.append({"seconds": self.seconds, "step": self.step, **scores})
                print({k: round(v, 3) for k, v in self.log[-1].items()}, flush=True)
                self.save()

    def _set_rate(self, peak: float, done: float) -> None:
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(done, 1.0))
        rate = peak * min(self.step / 80, 1.0) * cosine + 0.005
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate

    def _step(
        self,
        scenes: Sequence[Scene],
        table: SceneTable,
        pool: RegionPool,
        often: NDArray[np.int64],
    ) -> tuple[float, float, float]:
        rng = self.rng
        half = rng.choice(often, N_SCENES // 2, replace=False)
        others = rng.choice(
            np.setdiff1d(np.arange(len(scenes)), half), N_SCENES // 2, replace=False
        )
        rows = np.sort(np.concatenate([half, others]))
        queries = sample_queries(rng, [scenes[r] for r in rows], N_TEXTS)
        encoded = self.tokenizer(
            [say(q, rng, "train") for q in queries],
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        regions = np.flatnonzero(np.isin(pool.scene_rows, rows))
        pixels = augment(_pixels(self.trainee, pool.views[regions]), rng)
        whole = _pixels(self.trainee, pool.whole[rows])
        vectors, pooled = self.trainee.image_vectors(torch.cat([pixels, whole]))
        texts = self.trainee.text_vectors({k: v.to(self.device) for k, v in encoded.items()})
        codes, n = pool.codes[regions], len(regions)
        pointing = [c for c, q in enumerate(queries) if not q.is_none]
        truth = subject_truth([queries[c] for c in pointing], codes)
        pairs = self.trainee.pair_loss(texts[pointing], vectors[:n], self._tensor(truth))
        relevant = image_truth(queries, table.take(rows))
        images = self.trainee.pair_loss(texts, vectors[n:], self._tensor(relevant))
        heads = self.trainee.attribute_loss(pooled[:n], torch.from_numpy(codes).to(self.device))
        loss = pairs + 0.25 * images + heads
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0)
        self.optimiser.step()
        return float(pairs.detach()), float(images.detach()), float(heads.detach())

    def _tensor(self, truth: NDArray[np.bool_]) -> torch.Tensor:
        return torch.from_numpy(truth.astype(np.float32)).to(self.device)


def evaluate(folder: Path, split: Split, n: int) -> None:
    """Print the region mAP of attribute texts on unseen scenes with true masks."""
    encoder = AlphaClipEncoder.from_pretrained(folder)
    scenes = list(draw_gallery(split, n))
    value = region_map(encoder, scenes, split=split)
    print(f"region mAP, true masks, {n} {split} scenes: {value:.3f}")


def calibrate(folder: Path, n: int) -> None:
    """Fit log-odds = scale * cosine + bias on regions found in validation scenes; store both."""
    encoder = AlphaClipEncoder.from_pretrained(folder)
    preset = preset_named("embedded")
    source = Sam2MaskSource.from_pretrained(embedded_folder(preset.segmenter), preset.masks)
    scenes = list(draw_gallery("validation", n, seed=7))
    images = [scene.image for scene in scenes]
    regions = [found for i in range(0, n, 8) for found in source.generate(images[i : i + 8])]
    codes = np.concatenate([label(s, r) for s, r in zip(scenes, regions, strict=True)])
    vectors = np.concatenate(encoder.embed_regions(images, [r.masks for r in regions]))
    rng = np.random.default_rng(0)
    queries = [q for q in sample_queries(rng, scenes, 600) if not q.is_none]
    texts = encoder.embed_texts([say(q, rng, "validation") for q in queries])
    clear = codes[:, 0] != -1
    cosines = torch.from_numpy(texts @ vectors[clear].T).double()
    truth = torch.from_numpy(subject_truth(queries, codes[clear])).double()
    fitted = _fit_logistic(cosines, truth)
    path = folder / "matir.json"
    options = json.loads(path.read_text())
    options["log_odds"] = {"scale": round(fitted[0], 3), "bias": round(fitted[1], 3)}
    path.write_text(json.dumps(options, indent=2) + "\n")
    print(f"log-odds = {fitted[0]:.3f} * cosine + {fitted[1]:.3f}, on {int(clear.sum())} regions")


def _fit_logistic(x: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """Return the scale and bias of least cross-entropy (Platt 1999), by LBFGS."""
    line = torch.tensor([20.0, -6.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = line[0] * x + line[1]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)
    scale, bias = line.tolist()
    return scale, bias


def main() -> None:
    """Train, calibrate, or evaluate what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--segmented", type=Path, default=Path("build/segmented"))
    parser.add_argument("--segmented-minutes", type=float, default=12)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pool", type=Path, default=Path("build/pool/train"))
    parser.add_argument("--out", type=Path, default=Path("build/alpha-clip"))
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--n", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.evaluate:
        evaluate(args.weights, args.split, args.n)
    elif args.calibrate:
        calibrate(args.weights, args.n)
    else:
        Run(args).train()


if __name__ == "__main__":
    main()
