"""Pictures → rows of an index: masks and vectors of several pictures at once.

When a batch fails, its pictures are tried one by one: the one that the models refuse costs itself
only. This module knows no folder and no file of an index.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from matir_nb.config import Preset
from matir_nb.errors import MatirError, ModelUnavailableError
from matir_nb.images import SkippedImage
from matir_nb.index.tables import IndexedImage
from matir_nb.models.base import MaskSource, RegionEncoder
from matir_nb.models.given_masks import GivenMasks
from matir_nb.types import FloatArray, ImageRef, Regions, RGBImage

MODEL_IMAGES = 8
"""Images given to the models at once."""
MODEL_PIXELS = 48_000_000
"""Fewer, when they are large: this many pixels at least end a batch."""
Picture: TypeAlias = tuple[ImageRef, RGBImage]
Masks: TypeAlias = MaskSource | GivenMasks


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        """Start at zero."""
        self.seconds = dict.fromkeys(("read", "masks", "embed", "store"), 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of a block for a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += perf_counter() - start


@dataclass(frozen=True, slots=True)
class Models:
    """What turns pictures into what the index keeps."""

    masks: Masks
    encoder: RegionEncoder

    @property
    def go_by_name(self) -> bool:
        """Whether the masks of a picture are found by its name: its bytes do not tell them."""
        return isinstance(self.masks, GivenMasks)

    def regions(self, refs: Sequence[ImageRef], images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, found in its pixels or by its name."""
        if isinstance(self.masks, GivenMasks):
            return [self.masks.regions_for(r.image_id, r.height, r.width) for r in refs]
        return self.masks.generate(images)

    def made_by(self, options: Preset | None) -> dict[str, Any]:
        """Return all that decides the index's content; `options` are None for given masks."""
        return {
            "segmenter": self.masks.model_id,
            "encoder": self.encoder.model_id,
            "dim": self.encoder.dim,
            "masks": None if options is None else asdict(options.masks),
        }


class RowMaker:
    """Gathers pictures into batches for the models."""

    def __init__(self, models: Models, clock: Clock) -> None:
        """Start with nothing waiting."""
        self.models = models
        self.clock = clock
        self.refusals: list[str] = []
        self._waiting: list[Picture] = []

    def take(self, picture: Picture) -> Iterator[IndexedImage | SkippedImage]:
        """Yield what became of the pictures so far, once there are enough for the models."""
        self._waiting.append(picture)
        n_pixels = sum(ref.width * ref.height for ref, _ in self._waiting)
        if len(self._waiting) >= MODEL_IMAGES or n_pixels >= MODEL_PIXELS:
            yield from self.rest()

    def rest(self) -> Iterator[IndexedImage | SkippedImage]:
        """Yield what became of the pictures that wait.

        Raises:
            ModelUnavailableError: the models do not fit into memory.
        """
        pictures, self._waiting = self._waiting, []
        yield from self._made(pictures) if pictures else ()

    def require_some(self) -> None:
        """Raise where the models refused every picture that they saw.

        Raises:
            MatirError: they did; the message has the commonest reason.
        """
        if not self.refusals:
            return
        reason, n = Counter(self.refusals).most_common(1)[0]
        n_read = len(self.refusals)
        those = "" if n == n_read else f", {n} of them for this reason"
        pictures = "the only picture" if n_read == 1 else f"all {n_read} pictures"
        message = f"the models refuse {pictures} in this folder that can be read{those}: {reason}"
        raise MatirError(message)

    def _made(self, pictures: Sequence[Picture]) -> Iterator[IndexedImage | SkippedImage]:
        """Yield a row per picture: made together, or one by one to find the one that fails."""
        made = self._try(pictures)
        if not isinstance(made, str):
            yield from made
        elif len(pictures) == 1:
            self.refusals.append(made)
            yield SkippedImage(pictures[0][0].image_id, made)
        else:
            free_memory()
            for picture in pictures:
                yield from self._made([picture])

    def _try(self, pictures: Sequence[Picture]) -> list[IndexedImage] | str:
        """Return the rows of `pictures`, or why the models refuse them.

        Raises:
            ModelUnavailableError: the models do not fit into memory.
        """
        try:
            return self._rows(pictures)
        except (MatirError, MemoryError, RuntimeError, Image.DecompressionBombError) as error:
            return _reason(error, [ref for ref, _ in pictures])

    def _rows(self, pictures: Sequence[Picture]) -> list[IndexedImage]:
        refs, images = [ref for ref, _ in pictures], [image for _, image in pictures]
        with self.clock.stage("masks"):
            regions = self.models.regions(refs, images)
        with self.clock.stage("embed"):
            vectors = self.models.encoder.embed_regions(images, [r.masks for r in regions])
            wholes = self.models.encoder.embed_images(images)
        for arrays in zip(vectors, wholes, strict=True):
            _require_finite(arrays, self.models.encoder.model_id)
        return [IndexedImage(*row) for row in zip(refs, regions, vectors, wholes, strict=True)]


def _require_finite(arrays: Sequence[FloatArray], model_id: str) -> None:
    """Raise unless the vectors of a picture are finite as they are kept, in float16.

    One that is not would spoil the codes of all that are stored with it.

    Raises:
        MatirError: one is not.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = all(np.isfinite(array.astype(np.float16)).all() for array in arrays)
    if not is_finite:
        message = (
            f"the encoder {model_id!r} gave numbers for it that are not finite: NaN, infinite, or "
            f"beyond {np.finfo(np.float16).max:.0f}"
        )
        raise MatirError(message)


def _reason(error: Exception, refs: Sequence[ImageRef]) -> str:
    """Return why the models refuse pictures; raise what is not the pictures' fault.

    Memory that one ordinary picture exhausts is the models' fault: no other one would do better.
    """
    if _is_out_of_memory(error):
        width, height = refs[0].width, refs[0].height
        if len(refs) == 1 and width * height <= MODEL_PIXELS:
            message = (
                f"the models do not fit into memory with one picture of {width} x {height} "
                f"({error}): use a smaller preset, or device='cpu'"
            )
            raise ModelUnavailableError(message) from error
        return f"{width} x {height} pixels: the models need more memory for it than there is"
    if isinstance(error, Image.DecompressionBombError):
        return f"{refs[0].width} x {refs[0].height} pixels: too long and narrow for the models"
    if isinstance(error, MatirError) and not isinstance(error, ModelUnavailableError):
        return str(error)
    raise error


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from matir_nb.models.batches import is_out_of_memory

    return is_out_of_memory(error)


def free_memory() -> None:
    """Give back what the models' device holds for reuse."""
    if "torch" in sys.modules:
        from matir_nb.models.batches import free_memory

        free_memory()
