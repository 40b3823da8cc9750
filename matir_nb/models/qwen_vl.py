"""A judge of the Qwen-VL family that reads listed regions.

The prompt lists the candidate regions of a picture: a letter, the region cut out of the picture,
its box on a 0-1000 grid; then the query. The answer is "no", or "yes" and a letter. Relevance is
the log-odds of yes against no at the first answer token (never the generated text), the region is
the letter. This is the "pick a region" form of stage 2: choosing among stored proposals removes
the mismatch between box and mask (Zheng et al., WeDetect-Ref, arXiv 2512.12309).
This module knows no index and no ranking.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    Qwen2VLImageProcessorPil,
    Qwen3VLForConditionalGeneration,
)

from matir_nb.errors import ModelUnavailableError
from matir_nb.geometry.masks import decode
from matir_nb.models.answers import letter_answer, sigmoid
from matir_nb.models.base import JudgeInput
from matir_nb.models.identity import folder_id
from matir_nb.models.views import View, cut
from matir_nb.types import FloatArray, Judgement, RGBImage

GRID = 1000
NO_REGION = (-13.8, "no region is stored for this image")
"""Log-odds (p = 1e-6) and words where there is nothing to list."""


@dataclass(frozen=True, slots=True)
class ListedRegions:
    """How regions are put into the prompt.

    Attributes:
        n_listed: at most so many regions, in stored order; letters allow 26.
        view: the window around each region.
        side: pixels of each cut-out.
        fill: grey level outside the mask, 0 to 255.
        step: box corners are rounded to multiples of this on the 0-1000 grid.
        instruction: text before the regions.
    """

    n_listed: int = 12
    view: View = field(default_factory=View)
    side: int = 224
    fill: int = 128
    step: int = 1
    instruction: str = ""


def region_cutouts(
    image: RGBImage,
    masks: Sequence[NDArray[np.bool_]],
    boxes_xyxy: FloatArray,
    listed: ListedRegions,
) -> list[RGBImage]:
    """Return one (side, side, 3) cut-out per mask; outside the mask it is `fill` grey."""
    picture = Image.fromarray(image)
    height, width = image.shape[:2]
    cutouts = []
    for mask, box in zip(masks, boxes_xyxy.tolist(), strict=True):
        window = listed.view.window(tuple(box), width, height)
        view = cut(picture, Image.fromarray(mask.astype(np.uint8) * 255), window, listed.side)
        alpha = view[..., 3:].astype(np.float32) / 255
        mixed = view[..., :3] * alpha + listed.fill * (1 - alpha)
        cutouts.append(mixed.astype(np.uint8))
    return cutouts


def box_words(box_xyxy: Sequence[float], width: int, height: int, step: int) -> str:
    """Return the box on the 0-1000 grid, corners rounded to `step`.

    >>> box_words((10, 20, 50, 100), width=200, height=100, step=25)
    '50 200 250 1000'
    """
    sides = (width, height, width, height)
    scaled = (GRID * value / side for value, side in zip(box_xyxy, sides, strict=True))
    return " ".join(str(round(value / step) * step) for value in scaled)


def prompt_content(
    boxes_xyxy: FloatArray, width: int, height: int, listed: ListedRegions
) -> list[dict[str, str]]:
    """Return the chat content that lists the regions, without the query."""
    content: list[dict[str, str]] = []
    if listed.instruction:
        content.append({"type": "text", "text": listed.instruction})
    for letter, box in zip(ascii_uppercase, boxes_xyxy.tolist(), strict=False):
        content.append({"type": "text", "text": f" {letter}"})
        content.append({"type": "image"})
        content.append({"type": "text", "text": f" {box_words(box, width, height, listed.step)}"})
    return content


class QwenVLJudge:
    """Judges candidates with a Qwen3-VL model; implements `Judge`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        listed: ListedRegions,
        model_id: str,
    ) -> None:
        """Wrap a loaded model; see `from_pretrained`."""
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._image_processor = image_processor
        self._listed = listed
        self._model_id = model_id
        self._yes, self._no = (
            _single_tokens(tokenizer, words) for words in (("yes", "Yes"), ("no", "No"))
        )
        self._generation = GenerationConfig(
            max_new_tokens=4,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> "QwenVLJudge":
        """Load a folder that `save_pretrained` wrote, with our options in matir.json.

        Raises:
            ModelUnavailableError: the folder or its weights are missing.
        """
        path = Path(folder)
        if not (path / "model.safetensors").is_file():
            message = f"no judge weights in {path}: expected model.safetensors there"
            raise ModelUnavailableError(message)
        options = json.loads((path / "matir.json").read_text())
        listed = ListedRegions(**{**options, "view": View(**options["view"])})
        model = Qwen3VLForConditionalGeneration.from_pretrained(path, dtype=torch.float32)
        return cls(
            model.to(device),
            AutoTokenizer.from_pretrained(path, padding_side="left"),
            Qwen2VLImageProcessorPil.from_pretrained(path),
            listed=listed,
            model_id=folder_id(path, asdict(listed)),
        )

    @property
    def model_id(self) -> str:
        """Folder name, weights digest and prompt options."""
        return self._model_id

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order; an image without regions is answered "no"."""
        seen = [item for item in inputs if len(item.regions)]
        answers = iter(self._ask(query, seen) if seen else [])
        return [
            self._judgement(item, next(answers) if len(item.regions) else NO_REGION)
            for item in inputs
        ]

    def _judgement(self, item: JudgeInput, answer: tuple[float, str]) -> Judgement:
        logit, words = answer
        row = letter_answer(words)
        is_known = row is not None and row < min(len(item.regions), self._listed.n_listed)
        return Judgement(
            image_id=item.candidate.image_id,
            p_relevant=sigmoid(logit),
            logit=logit,
            box_xyxy=None,
            region_id=row if is_known else None,
            answer=words,
        )

    def _ask(self, query: str, items: Sequence[JudgeInput]) -> list[tuple[float, str]]:
        """Return log-odds of yes and the model's words for each item."""
        batch = self._batch(query, items)
        with torch.inference_mode():
            out = self._model.generate(**batch, generation_config=self._generation)
        first = out.logits[0].float()
        log_odds = first[:, self._yes].logsumexp(-1) - first[:, self._no].logsumexp(-1)
        words = self._tokenizer.batch_decode(
            out.sequences[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return [(float(z), text.strip()) for z, text in zip(log_odds, words, strict=True)]

    def _batch(self, query: str, items: Sequence[JudgeInput]) -> dict[str, torch.Tensor]:
        texts, cutouts = [], []
        for item in items:
            n = min(len(item.regions), self._listed.n_listed)
            boxes = item.regions.boxes_xyxy[:n]
            content = prompt_content(boxes, item.width, item.height, self._listed)
            content.append({"type": "text", "text": f"\n {query.strip()}"})
            message = [{"role": "user", "content": content}]
            texts.append(
                self._tokenizer.apply_chat_template(
                    message, tokenize=False, add_generation_prompt=True
                )
            )
            masks = [decode(mask) for mask in item.regions.masks[:n]]
            cutouts.extend(region_cutouts(item.load_image(), masks, boxes, self._listed))
        batch = glue(self._tokenizer, self._image_processor, texts, cutouts)
        return {key: value.to(self._model.device) for key, value in batch.items()}


def glue(
    tokenizer: Any, image_processor: Any, texts: Sequence[str], images: Sequence[RGBImage]
) -> dict[str, torch.Tensor]:
    """Return model inputs: each image placeholder becomes as many tokens as its image has.

    Stands in for transformers' Qwen3VLProcessor, which cannot be built without torchvision.
    """
    pixels = image_processor(images=list(images), return_tensors="pt")
    sizes = pixels["image_grid_thw"].prod(-1) // image_processor.merge_size**2
    counts = iter(sizes.tolist())
    placed = [
        re.sub(r"<\|image_pad\|>", lambda _: "<|image_pad|>" * next(counts), text) for text in texts
    ]
    batch = tokenizer(placed, return_tensors="pt", padding=True, return_token_type_ids=False)
    image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "mm_token_type_ids": (batch["input_ids"] == image_id).long(),
        "pixel_values": pixels["pixel_values"],
        "image_grid_thw": pixels["image_grid_thw"],
    }


def _single_tokens(tokenizer: Any, words: Sequence[str]) -> list[int]:
    """Return the ids of those words, with and without a leading space, that are one token."""
    found = []
    for word in words:
        for variant in (word, f" {word}"):
            ids = tokenizer(variant, add_special_tokens=False)["input_ids"]
            if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
                found.append(int(ids[0]))
    return sorted(set(found))
