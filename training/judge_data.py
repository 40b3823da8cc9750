"""Questions about listed regions, packed into batches for the judge's training.

Several questions share one list of regions; a block mask keeps them apart, so each is answered
as if it stood alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from matir_nb.geometry.masks import encode, tight_box_xyxy
from matir_nb.models.cutouts import box_words, region_cutouts
from matir_nb.scenes.draw import Scene
from matir_nb.scenes.meaning import ATTRIBUTES, KINDS, NounPhrase, Query
from matir_nb.scenes.phrases import say
from matir_nb.scenes.queries import RELATIONS, entails, sample_query
from matir_nb.scenes.vocabulary import Split
from training.judge_model import ATTRIBUTE_WORDS, LISTED, TOKENS_PER_REGION, word_id
from training.truth import VALUES, junk_mask

N_QUESTIONS = 8
MAX_REGIONS = 10
KIND_SHARES = (0.28, 0.34, 0.1, 0.16, 0.12)


@dataclass(frozen=True, slots=True)
class Regions:
    """All regions of a pool: cut-outs, attribute words present, scene, object number, box words.

    Object number -1 = junk.
    """

    cutouts: NDArray[np.uint8]
    words: NDArray[np.float32]
    scene_rows: NDArray[np.int64]
    objects: NDArray[np.int64]
    boxes: list[NDArray[np.float64]]


def cut_regions(scenes: Sequence[Scene], *, seed: int) -> Regions:
    """Cut out every object and about one junk region a scene."""
    rng = np.random.default_rng(seed)
    cutouts, words, rows, objects, boxes = [], [], [], [], []
    for row, scene in enumerate(scenes):
        masks = [scene.visible_mask(i) for i in range(len(scene.objects))]
        junk = junk_mask(rng, scene)
        numbers = list(range(len(masks)))
        if junk.sum() > 30:
            masks.append(junk)
            numbers.append(-1)
        own = np.array([tight_box_xyxy(encode(mask)) for mask in masks], np.float64)
        shaken = own + rng.normal(0, 0.7, own.shape)
        cutouts.extend(region_cutouts(scene.image, masks, shaken.astype(np.float32), LISTED))
        for number, box in zip(numbers, own, strict=True):
            names = [getattr(scene.objects[number], a) for a in ATTRIBUTES] if number >= 0 else []
            words.append([float(word in names) for word in ATTRIBUTE_WORDS])
            rows.append(row)
            objects.append(number)
            boxes.append(box)
    return Regions(
        np.stack(cutouts), np.array(words, np.float32), np.array(rows), np.array(objects), boxes
    )


def mutate(rng: np.random.Generator, query: Query) -> Query:
    """Return a query that differs in one attribute, relation, count or superlative."""
    choices = ["subject"]
    choices += ["relation", "other"] if query.relation else []
    choices += ["count"] if query.count else []
    kind = choices[int(rng.integers(len(choices)))]
    if kind == "relation":
        return replace(query, relation=str(rng.choice(RELATIONS)))
    if kind == "count":
        return replace(query, count=int(rng.integers(2, 5)))
    phrase = query.subject if kind == "subject" else query.other
    named = [a for a in ATTRIBUTES if phrase is not None and getattr(phrase, a)]
    if phrase is None or not named:
        return query
    attribute = named[int(rng.integers(len(named)))]
    changed: NounPhrase = replace(phrase, **{attribute: str(rng.choice(VALUES[attribute]))})
    return replace(query, other=changed) if kind == "other" else replace(query, subject=changed)


def ask(rng: np.random.Generator, scene: Scene, others: Sequence[Scene]) -> Query:
    """Return a question for the scene; about half are true, false ones are often near misses."""
    while True:
        kind = str(rng.choice(KINDS, p=KIND_SHARES))
        roll = rng.random()
        source = scene if roll < 0.78 else others[int(rng.integers(len(others)))]
        query = sample_query(rng, source, kind)
        if query is None:
            continue
        if kind == "superlative" or roll > 0.42:
            return query if roll < 0.55 or roll > 0.78 else mutate(rng, query)
        return query


@dataclass(slots=True)
class Packed:
    """A batch: token ids, positions, mask, where images stand, and what must be answered."""

    ids: torch.Tensor
    positions: torch.Tensor
    allowed: torch.Tensor
    region_rows: torch.Tensor
    image_slots: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    verdicts: list[tuple[int, int, bool, str]] = field(default_factory=list)
    letters: list[tuple[int, int, list[int]]] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    watched: list[tuple[int, int, list[int]]] = field(default_factory=list)


class Packer:
    """Turns scenes and questions into packed batches."""

    def __init__(
        self, tokenizer: Any, scenes: Sequence[Scene], regions: Regions, split: Split
    ) -> None:
        """Index the regions of each scene."""
        self.tokenizer, self.scenes, self.regions, self.split = tokenizer, scenes, regions, split
        order = np.argsort(regions.scene_rows, kind="stable")
        edges = np.searchsorted(regions.scene_rows[order], np.arange(len(scenes) + 1))
        self.rows = [order[a:b] for a, b in pairwise(edges)]
        self.image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.ask_id = tokenizer.convert_tokens_to_ids("<|im_start|>")
        self.end_id = tokenizer.eos_token_id
        self.yes_id, self.no_id = word_id(tokenizer, "yes"), word_id(tokenizer, "no")
        self.letter_ids = [word_id(tokenizer, chr(ord("A") + i)) for i in range(LISTED.n_listed)]
        self.newline_id = tokenizer("\n", add_special_tokens=False)["input_ids"][0]

    def listed(self, rng: np.random.Generator, row: int) -> NDArray[np.int64]:
        """Return the region rows of a scene in random order; junk is left out half of the time."""
        rows = self.rows[row]
        if rng.random() < 0.5:
            rows = rows[self.regions.objects[rows] >= 0]
        return rng.permutation(rows)[:MAX_REGIONS]

    def pack(self, rng: np.random.Generator, scene_rows: Iterable[int]) -> Packed:
        """Return one batch of `N_QUESTIONS` questions for each scene."""
        sequences = [self._sequence(rng, int(row)) for row in scene_rows]
        length = max(len(s.ids) for s in sequences)
        n = len(sequences)
        batch = Packed(
            ids=torch.full((n, length), self.tokenizer.pad_token_id),
            positions=torch.zeros((3, n, length), dtype=torch.long),
            allowed=torch.eye(length, dtype=torch.bool).repeat(n, 1, 1, 1),
            region_rows=torch.cat([torch.from_numpy(s.rows) for s in sequences]),
        )
        for b, s in enumerate(sequences):
            m = len(s.ids)
            batch.ids[b, :m] = torch.tensor(s.ids)
            batch.positions[:, b, :m] = torch.tensor(s.positions).T
            block = torch.tensor(s.block)
            same = (block[:, None] == block[None]) | (block[None] == 0)
            batch.allowed[b, 0, :m, :m] = same & torch.ones(m, m, dtype=torch.bool).tril()
            batch.verdicts += [(b, *v) for v in s.verdicts]
            batch.letters += [(b, *v) for v in s.letters]
            batch.ends += [(b, v) for v in s.ends]
            batch.watched += [(b, *v) for v in s.watched]
        batch.image_slots = batch.ids == self.image_id
        return batch

    def _sequence(self, rng: np.random.Generator, row: int) -> "Sequenced":
        """Return the list of regions of a scene, followed by its questions."""
        scene, rows = self.scenes[row], self.listed(rng, row)
        height, width = scene.labels.shape
        sequence = Sequenced(rows)
        for letter, region in zip(self.letter_ids, rows, strict=False):
            box = self.regions.boxes[region] + rng.normal(0, 0.7, 4)
            inside = np.clip(box, 0, (width, height) * 2)
            words = f" {box_words(inside, width, height, LISTED.step)}"
            corners = self.tokenizer(words, add_special_tokens=False)["input_ids"]
            sequence.add_region(letter, self.image_id, corners)
        for number in range(N_QUESTIONS):
            self._add_question(rng, scene, sequence, block=number + 1)
        return sequence

    def _add_question(
        self, rng: np.random.Generator, scene: Scene, sequence: "Sequenced", *, block: int
    ) -> None:
        query = ask(rng, scene, self.scenes)
        answer = entails(scene, query)
        words = f" {say(query, rng, self.split)}"
        text = self.tokenizer(words, add_special_tokens=False)["input_ids"]
        ids = [self.newline_id, *text, self.ask_id]
        at = len(sequence.ids) + len(ids) - 1
        sequence.verdicts.append((at, answer.is_relevant, query.kind))
        numbers = [int(self.regions.objects[r]) for r in sequence.rows]
        targets = [numbers.index(t) for t in answer.targets if t in numbers]
        ids.append(self.yes_id if answer.is_relevant else self.no_id)
        if targets:
            sequence.letters.append((at + 1, [self.letter_ids[t] for t in targets]))
            ids.append(self.letter_ids[targets[int(rng.integers(len(targets)))]])
            slots = [slot for t in targets for slot in sequence.spans[t]]
            sequence.watched += [(at, slots), (at + 1, slots)]
        sequence.ends.append(at + len(ids) - ids.index(self.ask_id) - 1)
        sequence.add_block(ids, block)


@dataclass(slots=True)
class Sequenced:
    """One scene's token ids with positions, blocks (0 = shared list) and what must be answered."""

    rows: NDArray[np.int64]
    ids: list[int] = field(default_factory=list)
    positions: list[tuple[int, int, int]] = field(default_factory=list)
    block: list[int] = field(default_factory=list)
    spans: list[list[int]] = field(default_factory=list)
    verdicts: list[tuple[int, bool, str]] = field(default_factory=list)
    letters: list[tuple[int, list[int]]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    watched: list[tuple[int, list[int]]] = field(default_factory=list)
    now: int = 0

    def add_region(self, letter: int, image_id: int, corners: list[int]) -> None:
        """Append letter, image tokens and box, at the positions that Qwen3-VL gives them."""
        start, now = len(self.ids), self.now
        self.ids += [letter, *[image_id] * TOKENS_PER_REGION, *corners]
        grid = [(now + 1, now + 1 + i // 2, now + 1 + i % 2) for i in range(TOKENS_PER_REGION)]
        self.positions += [(now,) * 3, *grid]
        self.positions += [(now + 3 + i,) * 3 for i in range(len(corners))]
        self.now = now + 3 + len(corners)
        self.block += [0] * (len(self.ids) - start)
        self.spans.append(list(range(start, len(self.ids))))

    def add_block(self, ids: list[int], block: int) -> None:
        """Append a question that sees the list and itself."""
        self.ids += ids
        self.positions += [(self.now + i,) * 3 for i in range(len(ids))]
        self.block += [block] * len(ids)
