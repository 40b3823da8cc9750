"""Text and pictures -> what a Qwen-VL model takes.

transformers' own processors for these models cannot be built without torchvision; `glue` stands
in for them. Knows no model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from matir_nb.errors import ModelUnavailableError
from matir_nb.types import RGBImage

IMAGE_PAD = "<|image_pad|>"
MAX_ASPECT = 190
"""The image processor refuses pictures whose sides differ by a factor of 200."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text in the model's chat format, with one `IMAGE_PAD` per picture."""

    text: str
    images: tuple[RGBImage, ...]


def glue(
    tokenizer: Any, image_processor: Any, texts: Sequence[str], images: Sequence[RGBImage]
) -> dict[str, Tensor]:
    """Return model inputs: each image placeholder becomes as many tokens as its image has.

    Stands in for transformers' Qwen3VLProcessor, which cannot be built without torchvision.
    """
    pixels = image_processor(
        images=list(images), return_tensors="pt", input_data_format="channels_last"
    )
    sizes = pixels["image_grid_thw"].prod(-1) // image_processor.merge_size**2
    counts = iter(sizes.tolist())
    placed = [re.sub(re.escape(IMAGE_PAD), lambda _: IMAGE_PAD * next(counts), t) for t in texts]
    batch = tokenizer(placed, return_tensors="pt", padding=True, return_token_type_ids=False)
    image_id = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "mm_token_type_ids": (batch["input_ids"] == image_id).long(),
        "pixel_values": pixels["pixel_values"],
        "image_grid_thw": pixels["image_grid_thw"],
    }


def single_tokens(tokenizer: Any, words: Sequence[str], *, spaced: bool = True) -> list[int]:
    """Return the ids of those words that are one token, with and without a space before them.

    Args:
        tokenizer: of the model.
        words: to look up.
        spaced: also look for the words after a space.

    Raises:
        ModelUnavailableError: none of them is one token.
    """
    found = set()
    for variant in (text for word in words for text in (word, f" {word}")[: 1 + spaced]):
        ids = tokenizer(variant, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and tokenizer.decode(ids).strip() == variant.strip():
            found.add(int(ids[0]))
    if not found:
        message = f"the judge's tokenizer has no single token for {words[0]!r}: use another model"
        raise ModelUnavailableError(message)
    return sorted(found)


def tame(image: RGBImage) -> RGBImage:
    """Return a picture whose sides the model's processor takes: a sliver is made wider."""
    height, width = image.shape[:2]
    size = tamed_size(width, height)
    if size == (width, height):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def tamed_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) with the shorter side at least 1 / MAX_ASPECT of the longer."""
    shortest = -(-max(width, height) // MAX_ASPECT)
    return max(width, shortest), max(height, shortest)
