"""A judge of the Qwen-VL family: Qwen3-VL and Qwen2.5-VL, and the embedded judge.

Relevance is the log-odds of yes against no at the first token of the answer, over all
single-token variants of both words; never the generated text. The rest of the answer says where:
a box or the number of a region (`matir_nb.models.prompts`), or, for the embedded judge, the
letter of a cut-out (`matir_nb.models.cutouts`). Choosing among stored regions removes the
mismatch between box and mask (Zheng et al., WeDetect-Ref, arXiv 2512.12309).
This module knows no index and no ranking.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError
from matir_nb.models.answers import sigmoid
from matir_nb.models.base import JudgeInput
from matir_nb.models.batches import Batches
from matir_nb.models.cutouts import ListedRegions, is_listed_regions, listed_regions
from matir_nb.models.folder_options import stored_options
from matir_nb.models.identity import folder_id
from matir_nb.models.prompts import PromptConfig, prompt_config
from matir_nb.models.qwen_askers import Asker, CutoutAsker, PictureAsker, Place
from matir_nb.models.qwen_model import QwenModel, Reply
from matir_nb.models.runtime import Runtime
from matir_nb.types import Judgement

LARGEST_BATCH_OF_CUTOUTS = 32


class QwenVLJudge:
    """Judges candidates with a Qwen-VL model; implements `Judge`."""

    grounds = True
    """It names places: an image in which it names none does not show the query."""

    def __init__(self, asker: Asker, *, model_id: str, batches: Batches) -> None:
        """Wrap a loaded model; see `from_pretrained`."""
        self._asker = asker
        self._model_id = model_id
        self._batches = batches

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "QwenVLJudge":
        """Load a folder that `save_pretrained` wrote, or a copy of the hub's files.

        Args:
            folder: config.json, weights, tokenizer files; matir.json there holds defaults of
                the options, and tells the embedded judge from others.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU. In place of fp16 it is
                bf16, because public reports tell of activations that overflow in fp16.
            options: fields of `PromptConfig`.

        Raises:
            ModelUnavailableError: the weights or another file are missing.
            ConfigError: an option is unknown, or the judge does not know prompt modes.
        """
        path = Path(folder)
        stored = stored_options(path)
        given = dict(options or {})
        if is_listed_regions(stored) and given:
            message = f"the judge in {path} reads cut-outs alone: leave out {', '.join(given)}"
            raise ConfigError(message)
        config = None if is_listed_regions(stored) else prompt_config({**stored, **given})
        model = QwenModel.load(path, runtime)
        if config is None:
            listed = listed_regions(stored)
            return cls.of_cutouts(model, listed, folder_id(path, asdict(listed), name=name))
        return cls.of_pictures(model, config, folder_id(path, config.identity(), name=name))

    @classmethod
    def of_pictures(cls, model: QwenModel, config: PromptConfig, model_id: str) -> "QwenVLJudge":
        """Return a judge that sees whole pictures, asked as `config` says."""
        batches = model.batches("pictures for the judge")
        return cls(PictureAsker(model, config), model_id=model_id, batches=batches)

    @classmethod
    def of_cutouts(cls, model: QwenModel, listed: ListedRegions, model_id: str) -> "QwenVLJudge":
        """Return a judge that sees a list of cut-outs, as the embedded one was trained to."""
        batches = Batches("pictures for the judge", LARGEST_BATCH_OF_CUTOUTS)
        return cls(CutoutAsker(model, listed), model_id=model_id, batches=batches)

    @property
    def model_id(self) -> str:
        """Name, weights digest, prompt mode with its version, and all options."""
        return self._model_id

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order."""
        return self._batches.map(partial(self._judge, query), inputs)

    def _judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        replies = self._asker.ask(query, inputs)
        return [
            _judgement(item, reply, self._asker.place(item, reply))
            for item, reply in zip(inputs, replies, strict=True)
        ]


def _judgement(item: JudgeInput, reply: Reply, place: Place) -> Judgement:
    return Judgement(
        image_id=item.candidate.image_id,
        p_relevant=sigmoid(reply.logit),
        logit=reply.logit,
        box_xyxy=place.box_xyxy,
        region_id=place.region_id,
        answer=reply.words,
    )
