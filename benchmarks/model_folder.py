"""A stand-in for a fetched model: its folder without weights, which become random numbers.

Tokenizers have the published size and the published ids of special tokens, and words of our own:
what is timed takes about as many tokens as the real ones would. `models_built` makes
transformers give a model built from its configuration wherever a folder's weights are asked for,
so that adapters are made by their own `from_pretrained`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import matir_nb.models
from benchmarks.model_sizes import BYTES, RealModel, build, n_parameters

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
assert DTYPES.keys() == BYTES.keys()
CLIP_PIXELS = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
POSITION_CODE = "shared_image_embedding.positional_embedding"
"""The one tensor of SAM 2 that its adapter asks for by name."""
QWEN_SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> "
    "<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> "
    "<|image_pad|> <|video_pad|>"
).split()
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FLORENCE_SPECIAL = (
    "<od> </od> <ocr> </ocr> {bins} <cap> </cap> <ncap> </ncap> <dcap> </dcap> <grounding> "
    "</grounding> <seg> </seg> <sep> <region_cap> </region_cap> <region_to_desciption> "
    "</region_to_desciption> <proposal> </proposal> <poly> </poly> <and> <image>"
).replace("{bins}", " ".join(f"<loc_{i}>" for i in range(1000)))


@dataclass(frozen=True, slots=True)
class Built:
    """A model that transformers made: its number of parameters, and their precision."""

    n_parameters: int
    dtype: str


@contextmanager
def models_built(real: RealModel | None) -> Iterator[list[Built]]:
    """Yield a list that takes in every model that `from_pretrained` makes.

    Where `real` is given, it makes that model with random weights, whatever the folder holds.
    """
    built: list[Built] = []
    original = PreTrainedModel.from_pretrained.__func__

    def from_pretrained(cls: Any, /, folder: object, *args: object, **options: Any) -> Any:
        made = _random(real, cls, options) if real else original(cls, folder, *args, **options)
        model = made[0] if isinstance(made, tuple) else made
        built.append(Built(n_parameters(model), str(model.dtype).removeprefix("torch.")))
        return made

    with patch.object(PreTrainedModel, "from_pretrained", classmethod(from_pretrained)):
        yield built


def _random(real: RealModel, kind: Any, options: dict[str, Any]) -> Any:
    wanted = options.get("dtype", options.get("torch_dtype"))
    dtype = DTYPES[real.dtype] if wanted == "auto" else wanted or torch.float32
    model = build(real, dtype, kind=kind)
    if hasattr(model, "mask_decoder"):
        _make_masks_good(model.mask_decoder)
    report: dict[str, list[str]] = {
        "missing_keys": [],
        "unexpected_keys": [],
        "mismatched_keys": [],
    }
    return (model, report) if options.get("output_loading_info") else model


def _make_masks_good(decoder: Any) -> None:
    """Let random masks pass the filters as a trained model's do: rated near 1, with sharp edges."""
    decoder.iou_prediction_head.proj_out.bias.data.fill_(4.0)
    for network in decoder.output_hypernetworks_mlps:
        network.proj_out.weight.data.mul_(30_000)


def write_folder(real: RealModel, folder: Path, options: dict[str, Any]) -> None:
    """Write configuration, tokenizer, image processor and a weights file without weights."""
    folder.mkdir(parents=True)
    config = real.config()
    config.architectures = [real.architecture]
    config.save_pretrained(folder)
    save_file({POSITION_CODE: torch.zeros(2, 128)}, folder / "model.safetensors")
    if options:
        (folder / "matir.json").write_text(json.dumps(options))
    if config.model_type in WORDS:
        WORDS[config.model_type]().save_pretrained(folder)
    if pixels := _pixels(config):
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))


def _pixels(config: Any) -> dict[str, Any]:
    """Return the published image processor of a configuration; empty where ours needs none."""
    side = {"clip": 0, "siglip": 0, "florence2": 768}.get(config.model_type, -1)
    side = side or config.vision_config.image_size
    square = {"height": side, "width": side}
    patches = {"temporal_patch_size": 2, "merge_size": 2}
    kinds: dict[str, dict[str, Any]] = {
        "clip": {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": side},
            "crop_size": square,
            **CLIP_PIXELS,
        },
        "siglip": {
            "image_processor_type": "SiglipImageProcessor",
            "size": square,
            "resample": 2,
            **HALVES,
        },
        "florence2": {
            "image_processor_type": "CLIPImageProcessor",
            "size": square,
            "crop_size": square,
            "do_center_crop": False,
            "image_seq_length": 577,
            **IMAGENET,
        },
        "qwen3_vl": {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "size": {"shortest_edge": 65536, "longest_edge": 16777216},
            "patch_size": 16,
            **patches,
            **HALVES,
        },
        "qwen2_5_vl": {
            "image_processor_type": "Qwen2VLImageProcessor",
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": 14,
            **patches,
            **CLIP_PIXELS,
        },
    }
    return kinds.get(config.model_type, {})


def _qwen_words() -> PreTrainedTokenizerFast:
    tokenizer = _byte_words(151643, first=())
    tokenizer.add_special_tokens(list(QWEN_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        padding_side="left",
        chat_template=QWEN_TEMPLATE,
    )


def _florence_words() -> PreTrainedTokenizerFast:
    first = ("<s>", "<pad>", "</s>", "<unk>")
    tokenizer = _byte_words(50264, first=first)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.add_special_tokens(FLORENCE_SPECIAL.split())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        extra_special_tokens={"image_token": "<image>"},
    )


def _siglip_words() -> PreTrainedTokenizerFast:
    tokenizer = _byte_words(256000, first=("<pad>", "<eos>", "<bos>", "<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        model_max_length=64,
        padding_side="right",
    )


def _clip_words() -> PreTrainedTokenizerFast:
    tokenizer = _byte_words(49406, first=())
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 49406), ("<|endoftext|>", 49407)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|startoftext|>",  # noqa: S106
        eos_token="<|endoftext|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        unk_token="<|endoftext|>",  # noqa: S106
        model_max_length=77,
    )


WORDS = {
    "clip": _clip_words,
    "siglip": _siglip_words,
    "florence2": _florence_words,
    "qwen3_vl": _qwen_words,
    "qwen2_5_vl": _qwen_words,
}
"""``model_type`` -> makes its tokenizer; SAM 2 has none."""


def _byte_words(n_words: int, *, first: Sequence[str]) -> Tokenizer:
    """Return a byte-level BPE of `n_words`: words of our prompts, then names of nothing."""
    trained = _plain(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=6000,
        special_tokens=list(first),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    trained.train_from_iterator(_texts() * 2, trainer)
    model = json.loads(trained.to_str())["model"]
    vocab = model["vocab"]
    vocab |= {f"<|{number}|>": number for number in range(len(vocab), n_words)}
    merges = [
        tuple(pair) if isinstance(pair, list) else tuple(pair.split()) for pair in model["merges"]
    ]
    whole = _plain(models.BPE(vocab=vocab, merges=merges))
    whole.add_special_tokens(list(first))
    return whole


def _plain(model: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _texts() -> list[str]:
    """Return the words that stand in prompts: the adapters' own source, and yes and no."""
    sources = sorted(Path(next(iter(matir_nb.models.__path__))).glob("*.py"))
    words = [f"{space}{word}" for space in ("", " ") for word in "yes Yes YES no No NO".split()]
    return [source.read_text(encoding="utf-8") for source in sources] + words * 50
