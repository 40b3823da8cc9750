"""Models that know generated scenes by heart: exact masks, one direction per attribute.

With them the whole pipeline gives meaningful, hand-checkable answers without trained weights.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from matir_nb.errors import QueryError
from matir_nb.geometry.masks import decode, encode, regions_from_masks
from matir_nb.index.build import build
from matir_nb.models.base import JudgeInput
from matir_nb.scenes.draw import Scene, SceneObject, draw_gallery
from matir_nb.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES
from matir_nb.types import FloatArray, Hit, Judgement, LogOdds, MaskRLE, Regions, RGBImage

WORDS = (*COLOURS, *SHAPES, *SIZES, *TEXTURES, "unknown")
MAX_WORDS = 30


def bare_hit(**values: Any) -> Hit:
    """Return a hit of stage 1 alone, without region or mask; `values` replace fields."""
    plain = {
        "rank": 1,
        "image_id": "a.png",
        "path": "a.png",
        "width": 8,
        "height": 8,
        "final_score": 1.5,
        "stage1_rank": 1,
        "stage1_score": 0.5,
        "whole_image_score": 0.5,
        "copies": (),
    }
    return Hit(**dict.fromkeys(field.name for field in fields(Hit)) | plain | values)


def scene_gallery(folder: Path, n: int, *, seed: int = 0) -> list[Scene]:
    """Draw `n` test scenes and save them losslessly as <scene_id>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = list(draw_gallery("test", n, seed=seed))
    for scene in scenes:
        Image.fromarray(scene.image).save(folder / f"{scene.scene_id}.png", compress_level=1)
    return scenes


def oracle_index(folder: Path, n: int) -> tuple[list[Scene], Path]:
    """Draw `n` scenes in folder/scenes and index them with the models that know them by heart."""
    scenes = scene_gallery(folder / "scenes", n)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    build(folder / "scenes", folder / "i.matir", masks=masks, encoder=encoder)
    return scenes, folder / "i.matir"


def words_of(item: SceneObject) -> tuple[str, ...]:
    """Return the four attributes of an object."""
    return (item.colour, item.shape, item.size, item.texture)


def vector_of(words: Sequence[str]) -> FloatArray:
    """Return the unit sum of the words' directions."""
    vector = np.zeros(len(WORDS), np.float32)
    for word in words:
        vector[WORDS.index(word)] += 1
    return vector / np.linalg.norm(vector)


def _key(image: RGBImage) -> str:
    return hashlib.sha256(image.tobytes() + str(image.shape).encode()).hexdigest()


class SceneBook:
    """Finds the scene of a picture; any other picture is a scene without objects."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = {_key(np.asarray(scene.image)): scene for scene in scenes}

    def objects(self, image: RGBImage) -> list[tuple[SceneObject, np.ndarray]]:
        scene = self._scenes.get(_key(image))
        if scene is None:
            return []
        return [(item, scene.visible_mask(i)) for i, item in enumerate(scene.objects)]


class OracleMaskSource:
    """The exact visible mask of every object."""

    model_id = "oracle-masks"

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._book = SceneBook(scenes)
        self.n_calls = 0

    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        self.n_calls += 1
        return [
            regions_from_masks([encode(mask) for _, mask in self._book.objects(image)])
            for image in images
        ]


class OracleEncoder:
    """One orthogonal direction per attribute word; a region is the sum of its four."""

    dim = len(WORDS)
    log_odds = LogOdds(20.0, -9.0)
    """Two attributes of two: +5; one of two: -2."""

    def __init__(self, scenes: Sequence[Scene], *, model_id: str = "oracle-encoder") -> None:
        self._book = SceneBook(scenes)
        self.model_id = model_id

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        return [
            np.array([self._region(image, m) for m in of_image], np.float32).reshape(-1, self.dim)
            for image, of_image in zip(images, masks, strict=True)
        ]

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        return np.array([self._whole(image) for image in images], np.float32)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        for text in texts:
            if len(text.split()) > MAX_WORDS:
                message = f"the query has {len(text.split())} words: use {MAX_WORDS}"
                raise QueryError(message)
        return np.array([vector_of(known_words(text)) for text in texts], np.float32)

    def _region(self, image: RGBImage, mask: MaskRLE) -> FloatArray:
        pixels = decode(mask)
        for item, truth in self._book.objects(image):
            if (pixels & truth).sum() > 0.5 * pixels.sum():
                return vector_of(words_of(item))
        return vector_of(["unknown"])

    def _whole(self, image: RGBImage) -> FloatArray:
        items = [item for item, _ in self._book.objects(image)]
        return vector_of([word for item in items for word in words_of(item)] or ["unknown"])


def known_words(text: str) -> list[str]:
    """Return the attribute words of a query, "unknown" when there are none."""
    return [word for word in text.lower().split() if word in WORDS] or ["unknown"]


class OracleJudge:
    """Says yes, and which region, when one region has every attribute that the query names."""

    def __init__(self, *, answers_with: str = "region", model_id: str = "oracle-judge") -> None:
        self.answers_with = answers_with
        self.model_id = model_id
        self.seen: list[list[str]] = []

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        self.seen.append([item.candidate.image_id for item in inputs])
        return [self._one(query, item) for item in inputs]

    def _one(self, query: str, item: JudgeInput) -> Judgement:
        image_id = item.candidate.image_id
        wanted = [WORDS.index(word) for word in known_words(query)]
        has_all = (item.region_vectors[:, wanted] > 0.1).all(axis=1)
        if not has_all.any():
            return Judgement(image_id, 0.02, -4.0, None, None, "no")
        row = int(np.flatnonzero(has_all)[0])
        if self.answers_with == "box":
            x0, y0, x1, y1 = (float(v) for v in item.regions.boxes_xyxy[row])
            return Judgement(image_id, 0.98, 4.0, (x0, y0, x1, y1), None, "yes, there")
        return Judgement(image_id, 0.98, 4.0, None, row, f"yes, region {row}")
