"""The three seams of the pipeline: mask source, region encoder, judge.

Anything with these methods can be plugged in. This module knows no model and imports no torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from matir_nb.types import Candidate, FloatArray, Judgement, LogOdds, MaskRLE, Regions, RGBImage


class MaskSource(Protocol):
    """Finds the regions of images."""

    @property
    def model_id(self) -> str:
        """Name, revision and preprocessing: all that decides the masks, as one string."""
        ...

    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, best rated first.

        Args:
            images: (H, W, 3) uint8 each; sizes may differ.
        """
        ...


class RegionEncoder(Protocol):
    """Embeds regions, whole images and texts into one space; all vectors have length 1."""

    @property
    def model_id(self) -> str:
        """Name, revision and preprocessing: all that decides the vectors, as one string."""
        ...

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...

    @property
    def log_odds(self) -> LogOdds:
        """What the cosine of a region and a text says about the region showing the text."""
        ...

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return (n_i, dim) float32 unit vectors for the n_i masks of each image."""
        ...

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (len(images), dim) float32 unit vectors of whole images."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (len(texts), dim) float32 unit vectors.

        Raises:
            QueryError: a text is longer than the encoder reads.
        """
        ...


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """What a judge may look at for one candidate image.

    Attributes:
        candidate: the image as stage 1 saw it.
        width: pixels of the upright image.
        height: pixels of the upright image.
        regions: all stored regions of the image.
        region_vectors: (n, d) their embeddings.
        load_image: reads the picture's pixels, on demand.
    """

    candidate: Candidate
    width: int
    height: int
    regions: Regions
    region_vectors: FloatArray
    load_image: Callable[[], RGBImage]


class Judge(Protocol):
    """Decides whether an image shows the query, and where."""

    @property
    def model_id(self) -> str:
        """Name, revision and prompt version: all that decides the answers, as one string."""
        ...

    @property
    def grounds(self) -> bool:
        """Whether it names a place; what names none is then turned down ("not here").

        False = it gives a score alone. May be left out, which means True (see `grounds_of`).
        """
        ...

    def judge(self, query: str, inputs: Sequence[JudgeInput]) -> list[Judgement]:
        """Return one judgement per input, in order."""
        ...


def grounds_of(judge: Judge) -> bool:
    """Return whether a judge names places; one that does not say so does."""
    return bool(getattr(judge, "grounds", True))
