"""A Qwen-VL model with its tokenizer and image processor: prompts in, log-odds and words out.

Qwen3-VL and Qwen2.5-VL, by the ``model_type`` of config.json. Knows no index and no judgement.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLForConditionalGeneration,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from matir_nb.errors import ModelUnavailableError, nearest
from matir_nb.models.batches import Batches
from matir_nb.models.qwen_inputs import Prompt, glue, single_tokens, tame, tamed_size
from matir_nb.models.runtime import Runtime
from matir_nb.models.spaces import Space
from matir_nb.models.tensor_files import DAMAGE, lacking, read_model

YES, NO = ("yes", "Yes", "YES"), ("no", "No", "NO")
LARGEST_BATCH = 16
LARGEST_BATCH_ON_CPU = 4
HEAD = "lm_head.weight"
"""What turns hidden states into words; the smaller models use their word embeddings for it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What differs between the model types.

    Attributes:
        model_class: of transformers.
        space: in which the model reads and writes boxes.
        system: what its chat format says first when nothing else is said.
    """

    model_class: Any
    space: Space
    system: str = ""


ARCHITECTURES = {
    "qwen3_vl": Architecture(Qwen3VLForConditionalGeneration, "rel1000"),
    "qwen2_5_vl": Architecture(
        Qwen2_5_VLForConditionalGeneration, "abs_resized", "You are a helpful assistant."
    ),
}
"""``model_type`` of config.json -> what is special about it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Log-odds of yes against no at the first token of the answer, and the model's words."""

    logit: float
    words: str


class QwenModel:
    """A loaded model; see `load`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        runtime: Runtime | None = None,
    ) -> None:
        """Wrap a model that is on its device, in its precision.

        Raises:
            ModelUnavailableError: the tokenizer has no token for yes, or none for no.
        """
        self.architecture = ARCHITECTURES[model.config.model_type]
        self.runtime = runtime or Runtime()
        self.tokenizer = tokenizer
        self._model = model.eval()
        self._image_processor = image_processor
        self._yes, self._no = (single_tokens(tokenizer, words) for words in (YES, NO))
        # what a checkpoint says about sampling and penalties must not touch the answers
        model.generation_config = GenerationConfig()

    @classmethod
    def load(cls, folder: Path, runtime: Runtime | None = None) -> "QwenModel":
        """Load the folder that `save_pretrained` wrote, or a copy of the hub's files.

        Where the runtime says fp16, the model computes in bf16: it was trained in that, and there
        are public reports that activations of this family overflow in fp16.

        Raises:
            ModelUnavailableError: the weights or another file are missing or damaged, or the model
                is of another kind.
        """
        if not any(folder.glob("*.safetensors")):
            message = f"no judge weights in {folder}: expected model.safetensors there"
            raise ModelUnavailableError(message)
        runtime = (runtime or Runtime()).without_fp16()
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
            model = _whole(ARCHITECTURES[kind].model_class, folder, runtime.dtype)
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
            image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
        except ModelUnavailableError:
            raise
        except DAMAGE as error:
            kinds = nearest(None, ARCHITECTURES)
            message = f"the judge in {folder} cannot be loaded ({error}): of model types {kinds}"
            raise ModelUnavailableError(message) from error
        return cls(model.to(runtime.device), tokenizer, image_processor, runtime=runtime)

    def batches(self, what: str) -> Batches:
        """Return batches of whole pictures, as many as the device works on well."""
        return Batches(what, LARGEST_BATCH_ON_CPU if self.runtime.is_cpu else LARGEST_BATCH)

    @property
    def space(self) -> Space:
        """The coordinate space in which the model reads and writes boxes."""
        return self.architecture.space

    def limit_pixels(self, min_pixels: int, max_pixels: int) -> None:
        """Set how many pixels a picture has that the model sees."""
        size = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
        self._image_processor.size = type(self._image_processor)(size=size).size

    def seen_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) that a picture has for the model.

        Qwen2.5-VL writes boxes in pixels of that size.
        """
        processor = self._image_processor
        resized_height, resized_width = smart_resize(
            *tamed_size(width, height)[::-1],
            factor=processor.patch_size * processor.merge_size,
            min_pixels=processor.size["shortest_edge"],
            max_pixels=processor.size["longest_edge"],
        )
        return resized_width, resized_height

    def answer(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, is_brief: bool = True
    ) -> list[Reply]:
        """Return log-odds and words for each prompt, from one call of the model.

        Args:
            prompts: each up to where the answer begins.
            max_new_tokens: an answer is cut off there.
            is_brief: an answer that leans to no ends at its first token.

        Raises:
            ModelUnavailableError: the precision is too low for the model.
        """
        batch = self._batch(prompts)
        watch = _FirstToken(self._yes, self._no)
        ends = [self.tokenizer.eos_token_id, self.tokenizer.pad_token_id]
        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=[token for token in ends if token is not None],
            pad_token_id=self.tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            tokens = self._model.generate(
                **batch,
                generation_config=config,
                logits_processor=LogitsProcessorList([watch]),
                stopping_criteria=StoppingCriteriaList([_EndAtNo(watch)] if is_brief else []),
            )
        new = tokens[:, batch["input_ids"].shape[1] :]
        words = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        log_odds = self._finite(watch.log_odds)
        return [Reply(z, text.strip()) for z, text in zip(log_odds, words, strict=True)]

    def log_odds(self, prompts: Sequence[Prompt], yes: str, no: str) -> list[float]:
        """Return logit(yes) - logit(no) of the answer's first token, from one forward pass.

        Args:
            prompts: each up to where the answer begins.
            yes: a word that is one token.
            no: a word that is one token.

        Raises:
            ModelUnavailableError: the tokenizer has no token for one of the words, or the
                precision is too low for the model.
        """
        columns = [single_tokens(self.tokenizer, (word,), spaced=False)[0] for word in (yes, no)]
        with torch.inference_mode():
            out = self._model(**self._batch(prompts), logits_to_keep=1)
        pair = out.logits[:, -1, columns].float()
        return self._finite(pair[:, 0] - pair[:, 1])

    def _finite(self, log_odds: Tensor) -> list[float]:
        """Return the log-odds as numbers.

        Raises:
            ModelUnavailableError: one is not finite: the precision is too low for the model.
        """
        values: list[float] = log_odds.tolist()
        if not all(map(math.isfinite, values)):
            message = (
                f"the judge's log-odds are {values} in {self.runtime.dtype}: "
                "compute it with precision='bf16' or 'fp32'"
            )
            raise ModelUnavailableError(message)
        return values

    def _batch(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        images = [tame(image) for prompt in prompts for image in prompt.images]
        texts = [prompt.text for prompt in prompts]
        batch = glue(self.tokenizer, self._image_processor, texts, images)
        batch["pixel_values"] = batch["pixel_values"].to(self.runtime.dtype)
        return {key: self.runtime.send(value) for key, value in batch.items()}


def _whole(model_class: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Return a folder's model, on the CPU.

    Raises:
        ModelUnavailableError: tensors are missing; transformers would draw them at random.
    """
    # in its precision at once: casting it later would round its rotary frequencies too
    model, missing = read_model(model_class, folder, dtype=dtype, use_safetensors=True)
    # before version 5 transformers wrote this of the language model alone, and now looks elsewhere
    is_tied = getattr(model.config.text_config, "tie_word_embeddings", False)
    if missing == [HEAD] and is_tied:
        model.lm_head.weight = model.get_input_embeddings().weight
    elif missing:
        raise lacking("judge", folder, missing)
    return model


class _FirstToken(LogitsProcessor):  # type: ignore[misc]
    """Reads the log-odds of yes against no at the first token; changes nothing."""

    def __init__(self, yes: list[int], no: list[int]) -> None:
        self._yes, self._no = yes, no
        self.log_odds = torch.empty(0)

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        if not len(self.log_odds):
            first = scores.float()
            self.log_odds = first[:, self._yes].logsumexp(-1) - first[:, self._no].logsumexp(-1)
        return scores


class _EndAtNo(StoppingCriteria):  # type: ignore[misc]
    """Ends the answers that lean to no: they name no place, so nothing is lost."""

    def __init__(self, watch: _FirstToken) -> None:
        self._watch = watch

    def __call__(self, _input_ids: Tensor, _scores: Any, **_: Any) -> Tensor:
        return self._watch.log_odds < 0
