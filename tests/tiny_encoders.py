"""Folders with tiny random CLIP, SigLIP and SigLIP 2 models, as `save_pretrained` writes them."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)

from matir_nb.models.registry import WEIGHTS

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
UNKNOWN = "<unk>"
CORPUS = ["a small striped red circle left of the large blue square", "a photo of a dog and a cat"]


def lively(model: Any, *, seed: int) -> Any:
    """Return `model` with weights so large that attention tells patches apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(drawn * 1.5 / parameter[0].numel() ** 0.5)
            elif name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def tiny_clip(folder: Path, *, side: int = 32, patch: int = 8, seed: int = 0) -> Path:
    """Write a random CLIP of 77 tokens with the shipped tokenizer."""
    shipped = WEIGHTS / "alpha-clip"
    tokenizer = AutoTokenizer.from_pretrained(shipped)
    text = {
        **SIZES,
        "vocab_size": len(tokenizer) + 1,
        "max_position_embeddings": 77,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**SIZES, "image_size": side, "patch_size": patch}
    config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)
    folder.mkdir(parents=True, exist_ok=True)
    lively(CLIPModel(config), seed=seed).save_pretrained(folder)
    for file in shipped.glob("*token*"):
        shutil.copy(file, folder)
    return folder


def tiny_siglip(
    folder: Path, *, side: int = 32, patch: int = 8, seed: int = 0, processor: bool = False
) -> Path:
    """Write a random SigLIP (or SigLIP 2 of a fixed size) with a tokenizer made like Gemma's.

    With `processor`, the settings of its image processor, as the hub has them, are there, too.
    """
    if processor:
        square = {"height": side, "width": side}
        half = [0.5, 0.5, 0.5]
        settings = {"image_processor_type": "SiglipImageProcessor", "size": square, "resample": 2}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "preprocessor_config.json").write_text(
            json.dumps({**settings, "image_mean": half, "image_std": half})
        )
    vision = {**SIZES, "image_size": side, "patch_size": patch}
    config = SiglipConfig(vision_config=vision, text_config=_siglip_text())
    return _with_tokenizer(_scaled(lively(SiglipModel(config), seed=seed)), folder)


def tiny_naflex(folder: Path, *, patch: int = 8, most: int = 16, seed: int = 0) -> Path:
    """Write a random SigLIP 2 NaFlex that sees `most` patches of a picture."""
    vision = {**SIZES, "num_patches": 16, "patch_size": patch}
    config = Siglip2Config(vision_config=vision, text_config=_siglip_text())
    _with_tokenizer(_scaled(lively(Siglip2Model(config), seed=seed)), folder)
    processing = {"max_num_patches": most, "patch_size": patch}
    (folder / "preprocessor_config.json").write_text(json.dumps(processing))
    return folder


def _siglip_text() -> dict[str, Any]:
    special = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    sizes = {"vocab_size": 400, "max_position_embeddings": 64, "projection_size": 32}
    return {**SIZES, **sizes, **special}


def _scaled(model: Any) -> Any:
    with torch.no_grad():
        model.logit_scale.fill_(4.0)
        model.logit_bias.fill_(-10.0)
    return model


def _with_tokenizer(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    tokenizer.decoder = decoders.Replace("▁", " ")
    special = ["<pad>", "<eos>", "<bos>", UNKNOWN]
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("$A <eos>", None, [("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return folder
