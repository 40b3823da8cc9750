"""The embedded judge's tokenizer, configuration and initial weights."""

import math

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from matir_nb.models.cutouts import ListedRegions
from matir_nb.models.views import View
from matir_nb.scenes.phrases import TEXTURE_NOUNS, WORDS, all_words
from matir_nb.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES

SIDE, PATCH, HIDDEN = 48, 12, 128
TOKENS_PER_REGION = (SIDE // PATCH // 2) ** 2
LISTED = ListedRegions(n_listed=12, view=View(scale=1.0, power=0.5), side=SIDE, fill=128, step=25)
ATTRIBUTE_WORDS = (*COLOURS, *SHAPES, *SIZES, *TEXTURES)
SPECIAL = (
    "<|endoftext|>",
    "<|unknown|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image_pad|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE in which words, grid numbers and region letters are one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    numbers = [str(n) for n in range(0, 1001, LISTED.step)]
    letters = [chr(ord("A") + i) for i in range(LISTED.n_listed)]
    words = sorted({*all_words(), *numbers, *letters, "yes", "no"})
    tokenizer.train_from_iterator([f" {word}" for word in words] * 8, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",  # noqa: S106
        unk_token="<|unknown|>",  # noqa: S106
        eos_token="<|im_end|>",  # noqa: S106
        padding_side="left",
        chat_template=TEMPLATE,
    )


def word_id(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    """Return the id of a one-token word with a leading space."""
    ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        message = f"{word!r} is {len(ids)} tokens, not 1"
        raise ValueError(message)
    return int(ids[0])


def make_image_processor() -> Qwen2VLImageProcessorPil:
    """Return an image processor that leaves our cut-outs at their size."""
    pixels = SIDE * SIDE
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": pixels, "longest_edge": pixels},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    token = tokenizer.convert_tokens_to_ids
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": HIDDEN,
            "intermediate_size": 320,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 32,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "patch_size": PATCH,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": HIDDEN,
            "num_position_embeddings": (SIDE // PATCH) ** 2,
            "deepstack_visual_indexes": [],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _spread(model: Qwen3VLForConditionalGeneration) -> None:
    """Initialise by fan-in: the library's 0.02 lets the signal die at these widths."""
    n_layers = model.config.text_config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv3d) and not name.endswith("lm_head"):
            std = module.weight[0].numel() ** -0.5
            if name.endswith(("o_proj", "down_proj", "attn.proj", "linear_fc2")):
                std /= math.sqrt(2 * n_layers)
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _embed(model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give unit-length embeddings; synonyms start together, grid numbers start in order."""
    weight = model.get_input_embeddings().weight.data
    nn.init.normal_(weight, std=HIDDEN**-0.5)
    for usual, synonyms in WORDS.items():
        anchor = weight[word_id(tokenizer, usual)].clone()
        for word in (*synonyms, *TEXTURE_NOUNS.get(usual, ())):
            if "-" in word:
                continue
            row = word_id(tokenizer, word)
            weight[row] = 0.9 * anchor + 0.44 * weight[row]
    waves = torch.randn(HIDDEN, generator=torch.Generator().manual_seed(1))
    phase = torch.arange(HIDDEN) % 8 + 1
    for number in range(0, 1001, LISTED.step):
        angle = math.pi * number / 1000 * phase / 2 + waves * math.pi
        weight[word_id(tokenizer, str(number))] = torch.cos(angle) * (2 / HIDDEN) ** 0.5


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """Return a freshly initialised judge of about 1.5 M parameters."""
    model = Qwen3VLForConditionalGeneration(_config(tokenizer))
    _spread(model)
    _embed(model, tokenizer)
    model.set_attn_implementation("eager")
    return model
