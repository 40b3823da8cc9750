"""An engine that knows the truth: masks and vectors made from a dataset's annotations.

It shows that files, reader, index, search and metrics fit together: wherever the truth has
masks, every metric of a right ranking is 1 with it. Each text has a dimension of its own; a
region's vector says which texts its mask answers, an image's vector which texts it shows. Images
are known by their pixels. This module knows no file format.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.geometry.masks import regions_from_masks
from matir_nb.images import read_folder
from matir_nb.types import FloatArray, LogOdds, MaskRLE, QueryTruth, Regions, RGBImage


class Oracle:
    """A mask source and a region encoder in one, which look everything up.

    Attributes:
        model_id: "oracle:" and a digest of texts, images and what answers what.
        dim: one dimension for each text, and one for "nothing of these".
        log_odds: of a right region 10, of a wrong one -10.
    """

    def __init__(self, dataset: Dataset, images: Path | str) -> None:
        """Read the pictures of a folder, to know them again.

        Args:
            dataset: `Dataset.placed` in that folder.
            images: the folder of the gallery.

        Raises:
            ImageError: there is no such folder.
        """
        texts = sorted({query.text for query in dataset.queries})
        self._dims = {text: place for place, text in enumerate(texts)}
        self._queries = dataset.queries
        pictures = (item for item in read_folder(images) if isinstance(item, tuple))
        self._ids = {_digest(pixels): ref.image_id for ref, pixels in pictures}
        self._answers = _answers(dataset.queries)
        self.model_id = f"oracle:{self._known(texts)}"
        self.dim = len(texts) + 1
        self.log_odds = LogOdds(scale=20.0, bias=-10.0)

    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        """Return the annotated masks of each image; none where it is not of the gallery."""
        return [
            regions_from_masks(list(self._answers.get(self._ids.get(_digest(image), ""), {})))
            for image in images
        ]

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return (n_i, dim) vectors: which texts each mask answers."""
        found = []
        for image, of_image in zip(images, masks, strict=True):
            answers = self._answers.get(self._ids.get(_digest(image), ""), {})
            rows = [self._vector(answers.get(mask, frozenset())) for mask in of_image]
            found.append(np.array(rows, np.float32).reshape(-1, self.dim))
        return found

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (n, dim) vectors: which texts each image shows."""
        names = [self._ids.get(_digest(image), "") for image in images]
        shown = [frozenset(q.text for q in self._queries if name in q.relevant) for name in names]
        return np.array([self._vector(texts) for texts in shown], np.float32).reshape(-1, self.dim)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) vectors; a text that the dataset does not ask is none of these."""
        rows = [self._vector(frozenset({text}) & self._dims.keys()) for text in texts]
        return np.array(rows, np.float32).reshape(-1, self.dim)

    def _known(self, texts: Sequence[str]) -> str:
        """Return a digest of all that decides masks and vectors."""
        known = hashlib.sha256("\n".join([*texts, *sorted(self._ids)]).encode())
        for query in self._queries:
            known.update(repr((query.text, sorted(query.relevant))).encode())
        for image_id, answers in sorted(self._answers.items()):
            told = [(mask.size, mask.counts, sorted(by)) for mask, by in answers.items()]
            known.update(repr((image_id, told)).encode())
        return known.hexdigest()[:16]

    def _vector(self, texts: frozenset[str]) -> FloatArray:
        vector = np.zeros(self.dim, np.float32)
        vector[[self._dims[text] for text in texts] or [-1]] = 1
        unit: FloatArray = vector / np.linalg.norm(vector)
        return unit


def _answers(queries: Sequence[QueryTruth]) -> dict[str, dict[MaskRLE, frozenset[str]]]:
    """Return image id -> mask -> the texts that it answers."""
    found: dict[str, dict[MaskRLE, frozenset[str]]] = {}
    for query in queries:
        for image_id, masks in query.masks.items():
            of_image = found.setdefault(image_id, {})
            for mask in masks:
                of_image[mask] = of_image.get(mask, frozenset()) | {query.text}
    return found


def _digest(pixels: RGBImage) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
