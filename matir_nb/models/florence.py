"""A judge for CPUs: Florence-2 (Xiao et al., CVPR 2024), which captions and grounds.

It has no yes and no. Relevance is how much better the picture explains the words than no picture
does: the pointwise mutual information of query and picture, per token of the query,

    pmi = (log p(query | picture) - log p(query | a picture of the mean colour)) / n tokens

with the query in place of the caption that the model would write (teacher forcing). What words are
worth without a picture is subtracted: else common words would win whatever is shown (Holtzman et
al., "Surface form competition", EMNLP 2021; Lin et al., "Revisiting the role of language priors in
vision-language models", ICML 2024, do so for captions). The log-odds are scale * pmi + bias: a
prior, not fitted; `Engine.calibrate` fits what they are worth on marks.

The place is what the model names for the query's first phrase when it locates "the phrases in the
caption". It is asked of the pictures whose pmi is above 0, whatever that is worth: one that says no
more of the words than none has no place ("not here"). The picture is read once for both questions,
so the second adds about a fifth of the seconds. This module knows no index and no ranking.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    Florence2ForConditionalGeneration,
    GenerationConfig,
)
from transformers.modeling_outputs import BaseModelOutput

from matir_nb.errors import ConfigError, ModelUnavailableError, QueryError, require_known
from matir_nb.models.answers import sigmoid
from matir_nb.models.base import JudgeInput
from matir_nb.models.batches import Batches
from matir_nb.models.identity import folder_id
from matir_nb.models.runtime import Runtime
from matir_nb.models.spaces import to_pixels
from matir_nb.models.tensor_files import DAMAGE, lacking, read_model
from matir_nb.types import BoxXYXY, Judgement

VERSION = "florence-1"
LARGEST_BATCH_ON_CPU = 2
LARGEST_BATCH = 16
MAX_TOKENS = 256
"""Of a query; picture, prompt and query share 1024 positions."""
BLANK_SIDE = 64
"""Pixels; it is resized as every picture."""
PROMPT = "prompt"
COMPUTED = "pos_idx_to_embed"
"""A table of sines, which need not be among the weights."""
BOX = re.compile(r"\s*".join([r"<loc_(\d{1,4})>"] * 4))


@dataclass(frozen=True, slots=True)
class FlorenceOptions:
    """How Florence-2 is asked, and what its answer is worth.

    Attributes:
        caption_prompt: of the task <CAPTION>.
        grounding_prompt: of the task <CAPTION_TO_PHRASE_GROUNDING>; {query} = the words.
        scale: log-odds per nat and token. With both defaults a picture that makes each token 1.65
            times as likely (0.5 nats) has p = 0.5, one that changes nothing p = 0.12.
        bias: log-odds of a picture that says as much as none.
        max_new_tokens: of an answer that names places.
    """

    caption_prompt: str = "What does the image describe?"
    grounding_prompt: str = "Locate the phrases in the caption: {query}"
    scale: float = 4.0
    bias: float = -2.0
    max_new_tokens: int = 64

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "FlorenceOptions":
        """Return the options that a catalogue or a user gives by name.

        Raises:
            ConfigError: one is unknown, or asks for a prompt that this model cannot read.
        """
        prompt = options.get(PROMPT, "box")
        if prompt != "box":
            message = f"Florence-2 cannot be asked with {prompt!r}: it reads one phrase, give 'box'"
            raise ConfigError(message)
        given = {name: value for name, value in options.items() if name != PROMPT}
        require_known("option", given, cls.__slots__)
        return cls(**given)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as the model reads it.

    Attributes:
        caption: token ids of the query as a caption.
        grounding: token ids of the question where it is.
        prior: mean log p of the caption's tokens without a picture, nats.
    """

    caption: tuple[int, ...]
    grounding: tuple[int, ...]
    prior: float


class FlorenceJudge:
    """Judges candidates with a Florence-2 model; implements `Judge`."""

    grounds = True

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        model_id: str,
        runtime: Runtime | None = None,
        options: FlorenceOptions | None = None,
    ) -> None:
        """Wrap a loaded model; see `from_pretrained`."""
        self._runtime = runtime or Runtime()
        self._model = self._runtime.place(model)
        # what a checkpoint says about beams and penalties must not touch the answers
        self._model.generation_config = GenerationConfig()
        self._tokenizer = tokenizer
        self._image_processor = image_processor
        self._options = options or FlorenceOptions()
        self._model_id = model_id
        self._image_token = int(model.config.image_token_id)
        self._start = int(model.config.text_config.decoder_start_token_id)
        largest = LARGEST_BATCH_ON_CPU if self._runtime.is_cpu else LARGEST_BATCH
        self._batches = Batches("pictures judged", largest)
        self._caption_prompt = self._prompt(self._options.caption_prompt)
        self._blank: Tensor | None = None
        self._last: tuple[str, _Asked] | None = None
        self._generation = GenerationConfig(
            max_new_tokens=self._options.max_new_tokens,
            do_sample=False,
            num_beams=1,
            no_repeat_ngram_size=3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=self._start,
            forced_bos_token_id=tokenizer.bos_token_id,
        )

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "FlorenceJudge":
        """Load a folder in the layout of transformers, such as Florence-2-base-ft.

        Args:
            folder: config.json, weights, tokenizer files, preprocessor_config.json.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU.
            options: fields of `FlorenceOptions`.

        Raises:
            ModelUnavailableError: the folder, weights or another file are missing, or damaged.
            ConfigError: an option is unknown.
        """
        path = Path(folder)
        chosen = FlorenceOptions.of(options or {})
        return cls(
            *_loaded(path),
            model_id=folder_id(path, {"version": VERSION, **asdict(chosen)}, name=name),
            runtime=runtime,
            options=chosen,
        )

    @property
    def model_id(self) -> str:
        """Name, weights digest, version of this module's questions, options."""
        return self._model_id

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order.

        Raises:
            QueryError: the query has more than `MAX_TOKENS` tokens.
        """
        with torch.inference_mode():
            asked = self._asked(query)
            return self._batches.map(lambda items: self._judged(asked, items), inputs)

    def _judged(self, asked: _Asked, items: Sequence[JudgeInput]) -> list[Judgement]:
        images = self._image_features([item.load_image() for item in items])
        likelihoods = self._log_likelihoods(self._encoded(images, self._caption_prompt), asked)
        gains = [likelihood - asked.prior for likelihood in likelihoods]
        logits = [self._options.scale * gain + self._options.bias for gain in gains]
        here = [row for row, gain in enumerate(gains) if gain > 0]
        words = dict(zip(here, self._located(images[here], asked) if here else (), strict=True))
        return [
            Judgement(
                image_id=item.candidate.image_id,
                p_relevant=sigmoid(logits[row]),
                logit=logits[row],
                box_xyxy=first_box(words.get(row, ""), item.width, item.height),
                region_id=None,
                answer=f"{gains[row]:+.3f} nats per token {words.get(row, '')}".strip(),
            )
            for row, item in enumerate(items)
        ]

    def _asked(self, query: str) -> _Asked:
        if self._last is None or self._last[0] != query:
            self._last = (query, self._read(query.strip()))
        return self._last[1]

    def _read(self, query: str) -> _Asked:
        # captions, on which the model was trained, begin with a capital
        caption = tuple(self._ids(query[:1].upper() + query[1:]))
        if not 0 < len(caption) <= MAX_TOKENS:
            message = f"the query has {len(caption)} tokens for the judge: use 1 to {MAX_TOKENS}"
            raise QueryError(message)
        grounding = self._prompt(self._options.grounding_prompt.replace("{query}", query))
        (prior,) = self._log_likelihoods(self._blank_encoded(), _Asked(caption, (), 0.0))
        return _Asked(caption, grounding, prior)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _prompt(self, text: str) -> tuple[int, ...]:
        return (self._tokenizer.bos_token_id, *self._ids(text), self._tokenizer.eos_token_id)

    def _image_features(self, images: Sequence[Any]) -> Tensor:
        """Return (b, n, d): the tokens of pictures, each squashed to the model's square."""
        pixels = self._image_processor(images=list(images), return_tensors="pt")["pixel_values"]
        sent = self._runtime.send(pixels).to(self._runtime.dtype)
        features: Tensor = self._model.get_image_features(sent).pooler_output
        return features

    def _blank_encoded(self) -> Tensor:
        """Return what the encoder makes of a picture of the colour that is normalised to 0."""
        if self._blank is None:
            mean = np.round(255 * np.array(self._image_processor.image_mean)).astype(np.uint8)
            blank = np.full((BLANK_SIDE, BLANK_SIDE, 3), mean)
            self._blank = self._encoded(self._image_features([blank]), self._caption_prompt)
        return self._blank

    def _encoded(self, images: Tensor, prompt: Sequence[int]) -> Tensor:
        """Return (b, n + len(prompt), d): pictures and the same prompt behind each, encoded.

        Stands in for transformers' Florence2Processor, whose tokens stand in the same order.
        """
        embed = self._model.get_input_embeddings()
        words = embed(torch.tensor([list(prompt)], device=images.device)).to(images.dtype)
        joined = torch.cat([images, words.expand(len(images), -1, -1)], dim=1)
        encoder = self._model.get_encoder()
        encoded: Tensor = encoder(inputs_embeds=joined).last_hidden_state
        return encoded

    def _log_likelihoods(self, encoded: Tensor, asked: _Asked) -> list[float]:
        """Return the mean log p of the caption's tokens for each picture, nats."""
        caption = torch.tensor([asked.caption], device=encoded.device).expand(len(encoded), -1)
        begin = [[self._start, self._tokenizer.bos_token_id]]
        before = torch.tensor(begin, device=encoded.device).expand(len(encoded), -1)
        logits = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            decoder_input_ids=torch.cat([before, caption[:, :-1]], dim=1),
            use_cache=False,
        ).logits[:, 1:]
        log_p = logits.float().log_softmax(-1).gather(-1, caption[..., None])[..., 0]
        means: list[float] = log_p.mean(-1).tolist()
        return means

    def _located(self, images: Tensor, asked: _Asked) -> list[str]:
        """Return the model's words about where the query is, for each picture."""
        encoded = self._encoded(images, asked.grounding)
        sequences = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            attention_mask=torch.ones(encoded.shape[:2], dtype=torch.long, device=encoded.device),
            generation_config=self._generation,
        )
        tokenizer = self._tokenizer
        frame = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        kept = [[i for i in row if i not in frame] for row in sequences.tolist()]
        return [str(tokenizer.decode(row, skip_special_tokens=False)).strip() for row in kept]


def _loaded(path: Path) -> tuple[Any, Any, Any]:
    """Return model, tokenizer and image processor of a folder.

    Raises:
        ModelUnavailableError: something is missing or damaged.
    """
    if not any(path.glob("*.safetensors")):
        message = f"no judge weights in {str(path)!r}: expected model.safetensors there"
        raise ModelUnavailableError(message)
    try:
        model, absent = read_model(Florence2ForConditionalGeneration, path, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(path)
        image_processor = CLIPImageProcessorPil.from_pretrained(path)
    except DAMAGE as error:
        message = f"the judge in {str(path)!r} cannot be loaded ({error}): fetch it again"
        raise ModelUnavailableError(message) from error
    missing = [name for name in absent if not name.endswith(COMPUTED)]
    if missing:
        raise lacking("judge", path, missing)
    return model, tokenizer, image_processor


def first_box(words: str, width: int, height: int) -> BoxXYXY | None:
    """Return the first box that an answer names, in pixels; None = none that lies inside.

    >>> first_box("red circle<loc_100><loc_200><loc_500><loc_600>", width=2000, height=1000)
    (201.0, 200.5, 1001.0, 600.5)
    """
    found = BOX.search(words)
    if found is None:
        return None
    return to_pixels([float(n) for n in found.groups()], "loc_bins", image_size=(width, height))
