"""A judge that scores and names no place: Qwen3-VL-Reranker.

One forward pass per picture; the score is logit(yes) - logit(no) at the answer's first token,
with the words and the layout that the model was trained with (QwenLM/Qwen3-VL-Embedding, the
model card's scripts/qwen3_vl_reranker.py; Apache-2.0). This module knows no index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError, require_known
from matir_nb.models.answers import sigmoid
from matir_nb.models.base import JudgeInput
from matir_nb.models.folder_options import stored_options
from matir_nb.models.identity import folder_id
from matir_nb.models.prompts import IMAGE, chat, harmless
from matir_nb.models.qwen_inputs import Prompt
from matir_nb.models.qwen_model import QwenModel
from matir_nb.models.runtime import Runtime
from matir_nb.types import Judgement

SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)
LAYOUT_VERSION = 1


@dataclass(frozen=True, slots=True)
class RerankerConfig:
    """How the reranker is asked.

    Attributes:
        instruction: what counts as relevant, in a sentence.
        min_pixels: smaller pictures are enlarged to about this many pixels.
        max_pixels: larger pictures are reduced to at most this many pixels.
    """

    instruction: str = "Given a search query, retrieve relevant candidates that answer the query."
    min_pixels: int = 4 * 32 * 32
    max_pixels: int = 1280 * 32 * 32

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigError: the instruction is no text, or the numbers of pixels cannot be used.
        """
        sentence: object = self.instruction
        if not isinstance(sentence, str):
            message = f"instruction = {sentence!r} is not allowed: give a sentence"
            raise ConfigError(message)
        pair = self.min_pixels, self.max_pixels
        if not (all(isinstance(n, int) for n in pair) and 1 <= pair[0] <= pair[1]):
            message = f"min_pixels, max_pixels = {pair} are not allowed: give 1 <= min <= max"
            raise ConfigError(message)


def reranker_config(options: Mapping[str, Any]) -> RerankerConfig:
    """Return the config that `options` describe.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used; a prompt mode is
            unknown, because the layout is fixed.
    """
    require_known("option of a judge that scores only", options, RerankerConfig.__slots__)
    return RerankerConfig(**options)


def layout(instruction: str, query: str) -> str:
    """Return the text of one question about one picture, up to where the answer begins.

    >>> layout("Find it.", "a cup").split("<|im_start|>")[2].splitlines()
    ['user', '<Instruct>: Find it.<Query>:a cup', \
'<Document>:<|vision_start|><|image_pad|><|vision_end|><|im_end|>']
    """
    user = f"<Instruct>: {instruction}<Query>:{harmless(query)}\n<Document>:{IMAGE}"
    return chat(user, system=SYSTEM)


class QwenReranker:
    """Scores candidates with Qwen3-VL-Reranker; implements `Judge`."""

    grounds = False
    """It names no place: stage 1's best region stands for a relevant image."""

    def __init__(self, model: QwenModel, config: RerankerConfig, *, model_id: str) -> None:
        """Wrap a loaded model; see `from_pretrained`."""
        self._model, self._config, self._model_id = model, config, model_id
        model.limit_pixels(config.min_pixels, config.max_pixels)
        self._batches = model.batches("pictures for the reranker")

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "QwenReranker":
        """Load a folder that `save_pretrained` wrote, or a copy of the hub's files.

        Args:
            folder: config.json, weights, tokenizer files; matir.json there holds defaults of
                the options.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU. In place of fp16 it is
                bf16, because public reports tell of activations that overflow in fp16.
            options: fields of `RerankerConfig`.

        Raises:
            ModelUnavailableError: the weights or another file are missing.
            ConfigError: an option is unknown, or its value cannot be used.
        """
        path = Path(folder)
        config = reranker_config({**stored_options(path), **(options or {})})
        model = QwenModel.load(path, runtime)
        identity = {**asdict(config), "layout": LAYOUT_VERSION}
        return cls(model, config, model_id=folder_id(path, identity, name=name))

    @property
    def model_id(self) -> str:
        """Name, weights digest, layout version and options."""
        return self._model_id

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order: a score, no place and no words."""
        return self._batches.map(partial(self._judge, query), inputs)

    def _judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        text = layout(self._config.instruction, query)
        asked = [Prompt(text, (item.load_image(),)) for item in inputs]
        return [
            Judgement(item.candidate.image_id, sigmoid(z), z, None, None, "")
            for item, z in zip(inputs, self._model.log_odds(asked, "yes", "no"), strict=True)
        ]
