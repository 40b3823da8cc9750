"""Tiny random-weight models of the Qwen-VL architectures, and one that says what it is told."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.models.base import JudgeInput
from matir_nb.types import Candidate, RGBImage

KINDS = ("qwen3_vl", "qwen2_5_vl")
PATCH, HIDDEN = 4, 32
SMALL = {"min_pixels": 16 * 16, "max_pixels": 24 * 40, "max_new_tokens": 6}
"""Options that keep tiny models fast."""
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE that can spell everything; yes and no are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    digits = pre_tokenizers.Digits(individual_digits=True)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, level])
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    words = "yes no Yes No YES NO bbox_2d picture region system user assistant number"
    texts = [text for word in words.split() for text in (word, f" {word}")]
    tokenizer.train_from_iterator(texts * 40, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        padding_side="left",
    )


def tiny_model(kind: str, *, seed: int = 0) -> Any:
    """Return a random model whose answers depend on all that it sees."""
    torch.manual_seed(seed)
    model = _qwen3() if kind == "qwen3_vl" else _qwen25()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    return model.eval()


def tiny_processor(kind: str) -> Qwen2VLImageProcessorPil:
    """Return the image processor that belongs to `tiny_model`."""
    half = [0.5, 0.5, 0.5]
    own = {"image_mean": half, "image_std": half} if kind == "qwen3_vl" else {}
    return Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=2, temporal_patch_size=2, **own)


def save_tiny(folder: Path, kind: str) -> Path:
    """Write model, tokenizer and image processor as the hub's folders hold them."""
    tiny_model(kind).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    tiny_processor(kind).save_pretrained(folder)
    return folder


def picture(width: int, height: int, *, seed: int = 0) -> RGBImage:
    """Return a coarse random pattern."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cells.repeat(8, 0).repeat(8, 1)[:height, :width]


def judge_item(
    width: int, height: int, *, seed: int = 0, region_ids: Sequence[int] = (2, 0)
) -> JudgeInput:
    """Return an input of three regions, side by side; none where `region_ids` is empty."""
    masks = np.zeros((3 if len(region_ids) else 0, height, width), bool)
    for i in range(len(masks)):
        masks[i, height // 4 : height // 2, i * width // 3 : (i + 1) * width // 3 - 1] = True
    scores = np.linspace(0.9, 0.5, len(region_ids), dtype=np.float32)
    return JudgeInput(
        candidate=Candidate(f"{seed}.png", 1, 0.5, 0.5, 0.5, tuple(region_ids), scores),
        width=width,
        height=height,
        regions=regions_from_masks([encode(mask) for mask in masks]),
        region_vectors=np.zeros((len(masks), 4), np.float32),
        load_image=lambda: picture(width, height, seed=seed),
    )


class ScriptedModel:
    """Stands in for a model: generates given words, with a given log-odds of yes against no."""

    def __init__(self, kind: str, words: Sequence[str], log_odds: Sequence[float]) -> None:
        self.config = SimpleNamespace(model_type=kind)
        self.generation_config: Any = None
        self.seen: list[dict[str, Any]] = []
        self._words, self._log_odds = list(words), list(log_odds)

    def eval(self) -> "ScriptedModel":
        return self

    def generate(
        self,
        *,
        generation_config: Any,
        logits_processor: Sequence[Callable[..., Any]],
        stopping_criteria: Sequence[Callable[..., Any]],
        **batch: Any,
    ) -> torch.Tensor:
        self.seen.append(batch)
        tokenizer, n = tiny_tokenizer(), len(batch["input_ids"])
        words, self._words = self._words[:n], self._words[n:]
        odds, self._log_odds = self._log_odds[:n], self._log_odds[n:]
        rows = [tokenizer(w, add_special_tokens=False)["input_ids"] for w in words]
        scores = torch.full((n, len(tokenizer)), -30.0)
        scores[:, tokenizer.convert_tokens_to_ids("yes")] = torch.tensor(odds)
        scores[:, tokenizer.convert_tokens_to_ids("no")] = 0.0
        tokens, is_done = batch["input_ids"], torch.zeros(n, dtype=torch.bool)
        for step in range(min(max(map(len, rows)), generation_config.max_new_tokens)):
            for processor in logits_processor:
                scores = processor(tokens, scores)
            new = torch.tensor([r[step] if step < len(r) else tokenizer.eos_token_id for r in rows])
            new[is_done] = generation_config.pad_token_id
            tokens = torch.cat([tokens, new[:, None]], 1)
            for criterion in stopping_criteria:
                is_done = is_done | criterion(tokens, None)
        return tokens


def _text_config(mrope: dict[str, Any]) -> dict[str, Any]:
    tokenizer = tiny_tokenizer()
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **mrope},
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _token_ids() -> dict[str, int]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    words = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    ids = tiny_tokenizer().convert_tokens_to_ids(list(words))
    return dict(zip(names, ids, strict=True))


def _qwen3() -> Any:
    text = _text_config({"mrope_section": [4, 2, 2], "mrope_interleaved": True})
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": PATCH,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 36,
        "deepstack_visual_indexes": [0],
    }
    text["head_dim"] = 16
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_token_ids())
    return Qwen3VLForConditionalGeneration(config)


def _qwen25() -> Any:
    text = _text_config({"mrope_section": [4, 2, 2]})
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": PATCH,
        "out_hidden_size": HIDDEN,
        "window_size": 16,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_token_ids())
    return Qwen2_5_VLForConditionalGeneration(config)
