"""The image sides of CLIP, SigLIP and SigLIP 2, loaded from a folder, one behaviour for all.

A tower says how large a picture it reads, turns pictures into tokens, and pools tokens under
masks. This module knows no masks' format and no texts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPModel, Siglip2Model, SiglipModel
from transformers.models.siglip2.image_processing_pil_siglip2 import (
    get_image_size_for_max_num_patches,
)

from matir_nb.errors import ConfigError, ModelUnavailableError, nearest
from matir_nb.models.identity import weight_files
from matir_nb.models.patches import KEEP, PAD, SQUASH, Pixels
from matir_nb.models.pooling import ClassTokenPool, ProbePool
from matir_nb.models.runtime import Runtime
from matir_nb.models.tensor_files import DAMAGE, lacking, read_model
from matir_nb.types import FloatArray

CLIP, SIGLIP, NAFLEX = "clip", "siglip", "siglip2"
"""``model_type``; SigLIP 2 of a fixed picture size is a "siglip", NaFlex a "siglip2"."""
CLASSES = {CLIP: CLIPModel, SIGLIP: SiglipModel, NAFLEX: Siglip2Model}
PROCESSING: dict[str, dict[str, Any]] = {
    CLIP: {
        "image_mean": (0.48145466, 0.4578275, 0.40821073),
        "image_std": (0.26862954, 0.26130258, 0.27577711),
        "resample": 3,
    },
    SIGLIP: {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5), "resample": 3},
    NAFLEX: {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5), "resample": 2},
}
"""What transformers' own processors do where a folder does not say."""
NAFLEX_PATCHES = 256
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


class Tower(Protocol):
    """An image encoder that pools under masks."""

    def size_hw(self, width: int, height: int) -> tuple[int, int]:
        """Return the height and width, in the encoder's pixels, of what it sees of a picture."""
        ...

    def tokens(self, pictures: Sequence[FloatArray]) -> Tensor:
        """Return (b, tokens, width) from (3, h, w) pictures."""
        ...

    def pool(self, hidden: Tensor, coverage: Tensor) -> Tensor:
        """Return (b, r, dim) from `tokens` and the (b, r, n) coverage of patches by masks."""
        ...


class FixedTower:
    """Reads squares of one size."""

    def __init__(self, pooling: ClassTokenPool | ProbePool, side: int, runtime: Runtime) -> None:
        """Wrap what pools; `side` in pixels."""
        self._side, self._runtime = side, runtime
        is_compiled = runtime.is_compiled and not runtime.is_int8
        self._read = torch.compile(pooling.tokens) if is_compiled else pooling.tokens
        self.pool = pooling.pool

    def size_hw(self, width: int, height: int) -> tuple[int, int]:  # noqa: ARG002 - a Tower
        """Return the same for every picture."""
        return self._side, self._side

    def tokens(self, pictures: Sequence[FloatArray]) -> Tensor:
        """Return (b, tokens, width) from (3, side, side) pictures."""
        stacked = self._runtime.send(torch.from_numpy(np.stack(pictures)))
        hidden: Tensor = self._read(stacked.to(self._runtime.dtype))
        return hidden


class NaflexTower:
    """Reads pictures in about their own shape, as so many patches at most (SigLIP 2 NaFlex)."""

    def __init__(self, pooling: ProbePool, patch: int, most: int, runtime: Runtime) -> None:
        """Wrap what pools; `patch` in pixels, `most` patches in a picture."""
        self._pooling, self._patch, self._most = pooling, patch, most
        self._runtime = runtime
        self.pool = pooling.pool

    def size_hw(self, width: int, height: int) -> tuple[int, int]:
        """Return the largest size of that shape that the patches cover."""
        size: tuple[int, int] = get_image_size_for_max_num_patches(
            height, width, self._patch, self._most
        )
        return size

    def tokens(self, pictures: Sequence[FloatArray]) -> Tensor:
        """Return (b, most patches of a picture, width) from (3, h, w) pictures."""
        cut = [self._patches(torch.from_numpy(picture)) for picture in pictures]
        filled = torch.nn.utils.rnn.pad_sequence(cut, batch_first=True)
        lengths = torch.tensor([len(one) for one in cut])
        is_patch = torch.arange(filled.shape[1])[None] < lengths[:, None]
        grids = torch.tensor([picture.shape[1:] for picture in pictures]) // self._patch
        send = self._runtime.send
        return self._pooling.tokens_of_patches(
            send(filled).to(self._runtime.dtype), send(is_patch.int()), send(grids)
        )

    def _patches(self, picture: Tensor) -> Tensor:
        """Return (n, patch * patch * 3), row by row, from (3, h, w)."""
        cut: Tensor = picture.unflatten(2, (-1, self._patch)).unflatten(1, (-1, self._patch))
        return cut.permute(1, 3, 2, 4, 0).flatten(0, 1).flatten(1)


@dataclass(frozen=True, slots=True)
class Files:
    """What a folder says of its model, without the weights.

    Attributes:
        path: the folder.
        kind: "clip", "siglip" or "siglip2".
        processing: of its image processor, over what is usual.
    """

    path: Path
    kind: str
    processing: dict[str, Any]

    @property
    def most_patches(self) -> int:
        """How many patches of a picture a NaFlex model sees."""
        return int(self.processing.get("max_num_patches", NAFLEX_PATCHES))

    def load(self) -> Any:
        """Return the model in float32; .bin files are read as tensors only.

        Raises:
            ModelUnavailableError: files are damaged, weights are missing, or it has no pooling
                head.
        """
        try:
            model, missing = read_model(CLASSES[self.kind], self.path)
        except DAMAGE as error:
            what = type(error).__name__
            message = f"the weights in {self.path} cannot be read as tensors ({what}): fetch again"
            raise ModelUnavailableError(message) from error
        if missing:
            raise lacking("model", self.path, missing)
        if self.kind != CLIP and not hasattr(model.vision_model, "head"):
            message = f"the model in {self.path} has no pooling head: nothing reads its patches"
            raise ModelUnavailableError(message)
        return model.eval()

    def pixels(self, model: Any, geometry: str | None) -> Pixels:
        """Return how pictures become numbers; None = the weights' own geometry.

        Raises:
            ConfigError: the model knows no such geometry.
        """
        own = KEEP if self.kind == NAFLEX else SQUASH
        geometry = geometry or own
        if geometry not in (own, PAD):
            message = f"geometry = {geometry!r} is not allowed: give {own!r} or {PAD!r}"
            raise ConfigError(message)
        red, green, blue = self.processing["image_mean"]
        of_red, of_green, of_blue = self.processing["image_std"]
        return Pixels(
            geometry=geometry,
            patch=int(model.config.vision_config.patch_size),
            mean=(red, green, blue),
            std=(of_red, of_green, of_blue),
            resample=int(self.processing["resample"]),
        )

    def tower(self, model: Any, n_blocks: int, runtime: Runtime) -> Tower:
        """Return the image side of `model`; `n_blocks` is for CLIP (`ClassTokenPool`)."""
        vision = model.config.vision_config
        if self.kind == NAFLEX:
            patch, most = int(vision.patch_size), self.most_patches
            return NaflexTower(ProbePool(model), patch, most, runtime)
        pooling = ClassTokenPool(model, n_blocks) if self.kind == CLIP else ProbePool(model)
        return FixedTower(pooling, int(vision.image_size), runtime)


def read_folder(path: Path) -> Files:
    """Return what the folder at `path` says of its model.

    Raises:
        ModelUnavailableError: there are no weights, or of a model that cannot be pooled.
    """
    if not weight_files(path) or not (path / "config.json").is_file():
        message = f"no model in {path}: expected config.json and model.safetensors there"
        raise ModelUnavailableError(message)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    kind = str(config.get("model_type"))
    if kind not in CLASSES:
        message = f"the model in {path} is {kind!r}: {nearest(kind, CLASSES)}"
        raise ModelUnavailableError(message)
    return Files(path, kind, PROCESSING[kind] | _processing(path))


def _processing(path: Path) -> dict[str, Any]:
    for name in PROCESSOR_FILES:
        if (path / name).is_file():
            stored: dict[str, Any] = json.loads((path / name).read_text(encoding="utf-8"))
            return dict(stored.get("image_processor", stored))
    return {}
