"""Alpha-CLIP: one embedding per mask, from the picture and the mask as a fourth channel.

Sun et al., "Alpha-CLIP: A CLIP Model Focusing on Wherever You Want" (CVPR 2024). The model is
transformers' `CLIPModel` with ``vision_config.num_channels = 4``: a convolution of RGB plus one
of alpha is a single convolution of four channels. Image and mask go through one geometry
(`View`). This module knows no index and no ranking.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, CLIPModel

from matir_nb.config import EncodeConfig
from matir_nb.errors import ModelUnavailableError
from matir_nb.models.alpha_clip_options import Options, read_options
from matir_nb.models.batches import Batches
from matir_nb.models.clip_text import ClipTexts, unit
from matir_nb.models.identity import folder_id, weight_files
from matir_nb.models.int8 import quantise_if_faithful
from matir_nb.models.runtime import Runtime
from matir_nb.models.tensor_files import DAMAGE, read_model
from matir_nb.models.views import WHOLE, Framing, cut, cut_regions
from matir_nb.types import FloatArray, LogOdds, MaskRLE, RGBImage

RGB_MEAN = (0.48145466, 0.4578275, 0.40821073)
RGB_STD = (0.26862954, 0.26130258, 0.27577711)
ALPHA_MEAN, ALPHA_STD = 0.5, 0.26
IMAGES_PER_BATCH = 64
MOST_THREADS = 8


def normalise(views: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Return (n, 4, side, side) float32 from (n, side, side, 4) uint8, as Alpha-CLIP expects."""
    x = torch.as_tensor(views).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor((*RGB_MEAN, ALPHA_MEAN), device=x.device).view(1, 4, 1, 1)
    std = torch.tensor((*RGB_STD, ALPHA_STD), device=x.device).view(1, 4, 1, 1)
    return (x - mean) / std


class AlphaClipEncoder:
    """Embeds regions, whole images and texts with Alpha-CLIP; implements `RegionEncoder`."""

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: Any,
        *,
        options: Options,
        model_id: str,
        runtime: Runtime | None = None,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: a CLIPModel with four input channels, placed as `runtime` says.
            tokenizer: its tokenizer.
            options: how regions are shown to it, and what its cosines are worth.
            model_id: see `RegionEncoder.model_id`.
            runtime: where and how it computes; None = float32 on the CPU.
        """
        self._model = model.eval()
        self._options = options
        self._model_id = model_id
        self._runtime = runtime or Runtime()
        self._side = int(model.config.vision_config.image_size)
        self._texts = ClipTexts(model, tokenizer, self._runtime)
        self._batches = Batches("regions for Alpha-CLIP", IMAGES_PER_BATCH)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
        encoding: EncodeConfig | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "AlphaClipEncoder":
        """Load a folder that `save_pretrained` or `alpha_clip_checkpoint.convert` wrote.

        Args:
            folder: config.json, model.safetensors, tokenizer files, and perhaps matir.json.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU.
            encoding: what it is shown of a region; None = as matir.json says.
            options: replace those of matir.json.

        Raises:
            ModelUnavailableError: the folder or its weights are missing or damaged, or not
                Alpha-CLIP.
        """
        path, runtime = Path(folder), runtime or Runtime()
        used = read_options(path, options, (encoding or EncodeConfig()).view)
        model = runtime.place(_load(path))
        encoder = cls(
            model,
            AutoTokenizer.from_pretrained(path),
            options=used,
            model_id=folder_id(path, used.described(), name=name),
            runtime=runtime,
        )
        if runtime.is_int8:
            quantise_if_faithful(model.vision_model.encoder, encoder.vectors_of_samples)
        return encoder

    @property
    def model_id(self) -> str:
        """Name, weights digest, view and turns."""
        return self._model_id

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self._model.config.projection_dim)

    @property
    def log_odds(self) -> LogOdds:
        """What a cosine is worth; for the embedded model fitted on validation scenes."""
        return self._options.log_odds

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return (n_i, dim) float32 unit vectors for the n_i masks of each image."""
        regions = [
            (picture, mask)
            for picture, own in zip(map(Image.fromarray, images), masks, strict=True)
            for mask in own
        ]
        vectors = self._stacked(self._batches.map(self._embed_regions, regions))
        ends = np.cumsum([len(own) for own in masks])[:-1]
        return np.split(vectors, ends)

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (n, dim) float32 unit vectors of whole images (alpha = 1 on all of the image)."""
        return self._stacked(self._batches.map(self._embed_images, images))

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32 unit vectors; texts of like length are encoded together.

        Raises:
            QueryError: a text has more tokens than the encoder reads.
        """
        return self._texts.embed(texts)

    def vectors_of_samples(self) -> torch.Tensor:
        """Return (n, dim) unit vectors of views that are always the same: half in the mask."""
        rng = np.random.default_rng(0)
        coarse = [rng.integers(0, 256, (cells, cells, 3), np.uint8) for cells in (3, 48)]
        size = (self._side, self._side)
        views = np.zeros((len(coarse), *size, 4), np.uint8)
        views[..., :3] = [np.asarray(Image.fromarray(one).resize(size)) for one in coarse]
        views[:, : self._side // 2, :, 3] = 255
        return torch.from_numpy(unit(self._features(views)))

    def _embed_regions(self, regions: Sequence[tuple[Image.Image, MaskRLE]]) -> list[FloatArray]:
        """Return unit vectors of one batch: its views are made here, used, and gone."""
        seen = []
        for framing in self._options.framings:
            views = self._region_views(framing, regions)
            turned = (np.rot90(views, turn, axes=(1, 2)) for turn in range(self._options.n_turns))
            seen += [unit(self._features(view)) for view in turned]
        return list(unit(torch.from_numpy(np.mean(seen, axis=0))))

    def _embed_images(self, images: Sequence[RGBImage]) -> list[FloatArray]:
        return list(unit(self._features(np.stack([self._whole_view(image) for image in images]))))

    def _region_views(
        self, framing: Framing, regions: Sequence[tuple[Image.Image, MaskRLE]]
    ) -> NDArray[np.uint8]:
        """Return the (n, side, side, 4) views; by threads where another device computes."""
        if self._runtime.is_cpu:
            return cut_regions(regions, framing, self._side)
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            return cut_regions(regions, framing, self._side, each=pool.map)

    def _features(self, views: NDArray[np.uint8]) -> torch.Tensor:
        """Return (n, dim) projected features, of no certain length, of (n, side, side, 4) views.

        The bytes are sent, and turned into numbers on the device.
        """
        sent = self._runtime.send(torch.from_numpy(np.ascontiguousarray(views)))
        with torch.inference_mode():
            pixels = normalise(sent).to(self._runtime.dtype)
            features: torch.Tensor = self._model.get_image_features(pixels).pooler_output
        return features

    def _whole_view(self, image: RGBImage) -> NDArray[np.uint8]:
        picture = Image.fromarray(image)
        inside = Image.new("L", picture.size, 255)
        window = WHOLE.window((0, 0, *picture.size), *picture.size)
        return cut(picture, inside, window, self._side)

    def _stacked(self, vectors: Sequence[FloatArray]) -> FloatArray:
        return np.stack(vectors) if vectors else np.zeros((0, self.dim), np.float32)


def _load(folder: Path) -> CLIPModel:
    """Return the float32 model in a folder.

    Raises:
        ModelUnavailableError: it is missing, damaged, or not Alpha-CLIP.
    """
    if not weight_files(folder):
        message = f"no Alpha-CLIP weights in {folder}: expected model.safetensors there"
        raise ModelUnavailableError(message)
    try:
        model, missing = read_model(CLIPModel, folder)
    except UnpicklingError as error:  # torch's own words advise to run the code
        message = f"the weights in {str(folder)!r} cannot be loaded: they hold code, or are damaged"
        raise ModelUnavailableError(message) from error
    except DAMAGE as error:
        message = f"the weights in {str(folder)!r} cannot be loaded: {error}"
        raise ModelUnavailableError(message) from error
    if missing:
        names = ", ".join(missing[:3])
        message = f"the weights in {str(folder)!r} lack {names}: fetch or convert them again"
        raise ModelUnavailableError(message)
    if model.config.vision_config.num_channels != 4:
        message = f"{folder} is plain CLIP: Alpha-CLIP needs vision_config.num_channels = 4"
        raise ModelUnavailableError(message)
    return model
