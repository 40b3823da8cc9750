"""How a judge of the Qwen-VL family is shown a candidate, and how its answer is read.

`PictureAsker` shows whole pictures, in a prompt mode of `matir_nb.models.prompts`; `CutoutAsker`
shows cut-outs of regions, as the embedded judge was trained to read them. Neither knows the
index, a batch or a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from matir_nb.geometry.masks import decode
from matir_nb.models import prompts
from matir_nb.models.answers import boxes_in, letter_answer, number_answer
from matir_nb.models.base import JudgeInput
from matir_nb.models.cutouts import ListedRegions, prompt_content, region_cutouts
from matir_nb.models.marks import draw_marks
from matir_nb.models.prompts import IMAGE, PromptConfig
from matir_nb.models.qwen_inputs import Prompt, tame
from matir_nb.models.qwen_model import QwenModel, Reply
from matir_nb.models.spaces import from_pixels, to_pixels
from matir_nb.types import BoxXYXY, RGBImage

NO_REGION = Reply(-13.8, "no region is stored for this image")
"""Log-odds (p = 1e-6) and words where there is nothing to list."""
CUTOUT_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer says it is; both None = not here."""

    box_xyxy: BoxXYXY | None = None
    region_id: int | None = None


NOWHERE = Place()


class Asker(Protocol):
    """How a picture is put before the model, and how its answer is read."""

    def ask(self, query: str, items: Sequence[JudgeInput]) -> list[Reply]:
        """Return the model's reply to each item."""
        ...

    def place(self, item: JudgeInput, reply: Reply) -> Place:
        """Return where a reply says that the query is shown."""
        ...


class PictureAsker:
    """Shows whole pictures, in one of the prompt modes.

    Regions are stage 1's best ones of the candidate. Where the log-odds lean to no, no place is
    taken, whatever the words say. Of several boxes the first is taken.
    """

    def __init__(self, model: QwenModel, config: PromptConfig) -> None:
        """Set how many pixels the model sees."""
        self._model, self._config = model, config
        model.limit_pixels(config.min_pixels, config.max_pixels)

    def ask(self, query: str, items: Sequence[JudgeInput]) -> list[Reply]:
        """Return the model's reply to each item."""
        asked = [self.prompt(query, item) for item in items]
        return self._model.answer(asked, max_new_tokens=self._config.max_new_tokens)

    def prompt(self, query: str, item: JudgeInput) -> Prompt:
        """Return what the model is shown and asked."""
        image = item.load_image()
        if self._config.prompt == "box":
            question = prompts.box_question(query)
        elif self._config.prompt == "marks":
            question = prompts.marks_question(query, len(self._rows(item)))
            image = self._marked(image, item)
        else:
            question = prompts.listed_question(query, self._boxes(item))
        user = f"{IMAGE}{question}"
        return Prompt(prompts.chat(user, system=self._model.architecture.system), (image,))

    def place(self, item: JudgeInput, reply: Reply) -> Place:
        """Return where a reply says that the query is shown."""
        if not reply.logit >= 0:
            return NOWHERE
        if self._config.prompt == "box":
            size = item.width, item.height
            seen = self._model.seen_size(*size)
            for box in boxes_in(reply.words)[:1]:
                return Place(to_pixels(box, self._model.space, image_size=size, resized_size=seen))
            return NOWHERE
        rows, number = self._rows(item), number_answer(reply.words)
        is_known = number is not None and 1 <= number <= len(rows)
        return Place(region_id=rows[number - 1]) if number and is_known else NOWHERE

    def _rows(self, item: JudgeInput) -> tuple[int, ...]:
        return item.candidate.region_ids[: self._config.n_listed]

    def _boxes(self, item: JudgeInput) -> list[tuple[int, int, int, int]]:
        size = item.width, item.height
        seen = self._model.seen_size(*size)
        return [
            from_pixels(
                item.regions.boxes_xyxy[row].tolist(),
                self._model.space,
                image_size=size,
                resized_size=seen,
            )
            for row in self._rows(item)
        ]

    def _marked(self, image: RGBImage, item: JudgeInput) -> RGBImage:
        """Return the picture at the model's size, marked: no line or digit is resized again."""
        seen = self._model.seen_size(image.shape[1], image.shape[0])
        picture = Image.fromarray(tame(image)).resize(seen, Image.Resampling.BICUBIC)
        return draw_marks(np.asarray(picture), [item.regions.masks[r] for r in self._rows(item)])


class CutoutAsker:
    """Shows a list of cut-out regions, as the embedded judge was trained to read them.

    An image without regions is answered "no", without the model.
    """

    def __init__(self, model: QwenModel, listed: ListedRegions) -> None:
        """Keep the model and its options."""
        self._model, self._listed = model, listed

    def ask(self, query: str, items: Sequence[JudgeInput]) -> list[Reply]:
        """Return the model's reply to each item."""
        asked = [self.prompt(query, item) for item in items if len(item.regions)]
        replies = iter(
            self._model.answer(asked, max_new_tokens=CUTOUT_TOKENS, is_brief=False) if asked else ()
        )
        return [next(replies) if len(item.regions) else NO_REGION for item in items]

    def prompt(self, query: str, item: JudgeInput) -> Prompt:
        """Return what the model is shown and asked."""
        n = min(len(item.regions), self._listed.n_listed)
        boxes = item.regions.boxes_xyxy[:n]
        content = prompt_content(boxes, item.width, item.height, self._listed)
        content.append({"type": "text", "text": f"\n {prompts.harmless(query)}"})
        text = self._model.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        masks = [decode(mask) for mask in item.regions.masks[:n]]
        cutouts = region_cutouts(item.load_image(), masks, boxes, self._listed)
        return Prompt(text, tuple(cutouts))

    def place(self, item: JudgeInput, reply: Reply) -> Place:
        """Return the region whose letter a reply names."""
        row = letter_answer(reply.words)
        is_known = row is not None and row < min(len(item.regions), self._listed.n_listed)
        return Place(region_id=row if is_known else None)
