"""Alpha-CLIP: one embedding per mask, from the picture and the mask as a fourth channel.

Sun et al., "Alpha-CLIP: A CLIP Model Focusing on Wherever You Want" (CVPR 2024). The model is
transformers' `CLIPModel` with ``vision_config.num_channels = 4``: a convolution of RGB plus one
of alpha is a single convolution of four channels. Image and mask go through one geometry
(`View`). This module knows no index and no ranking.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, CLIPModel

from matir_nb.errors import ModelUnavailableError, QueryError
from matir_nb.geometry.masks import decode, tight_box_xyxy
from matir_nb.models.identity import folder_id
from matir_nb.models.views import View, cut, whole_window
from matir_nb.types import FloatArray, LogOdds, MaskRLE, RGBImage

RGB_MEAN = (0.48145466, 0.4578275, 0.40821073)
RGB_STD = (0.26862954, 0.26130258, 0.27577711)
ALPHA_MEAN, ALPHA_STD = 0.5, 0.26
IMAGES_PER_BATCH = 64
TEXTS_PER_BATCH = 64


def normalise(views: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Return (n, 4, side, side) float32 from (n, side, side, 4) uint8, as Alpha-CLIP expects."""
    x = torch.as_tensor(views).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor((*RGB_MEAN, ALPHA_MEAN), device=x.device).view(1, 4, 1, 1)
    std = torch.tensor((*RGB_STD, ALPHA_STD), device=x.device).view(1, 4, 1, 1)
    return (x - mean) / std


@dataclass(frozen=True, slots=True)
class Options:
    """How a folder's model is used; kept beside the weights, in matir.json.

    Attributes:
        view: the window around each region.
        n_turns: a region's vector is the mean over so many quarter turns of its window: 1 as
            published, 4 where a shape is the same at any angle.
        log_odds: what a cosine is worth.
    """

    view: View
    n_turns: int
    log_odds: LogOdds


class AlphaClipEncoder:
    """Embeds regions, whole images and texts with Alpha-CLIP; implements `RegionEncoder`."""

    def __init__(
        self, model: CLIPModel, tokenizer: Any, *, options: Options, model_id: str
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: a CLIPModel with four input channels.
            tokenizer: its tokenizer.
            options: how regions are shown to it, and what its cosines are worth.
            model_id: see `RegionEncoder.model_id`.
        """
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._options = options
        self._model_id = model_id
        self._side = int(model.config.vision_config.image_size)
        self._n_tokens = int(model.config.text_config.max_position_embeddings)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> "AlphaClipEncoder":
        """Load a folder that `save_pretrained` wrote, with our options in matir.json.

        Raises:
            ModelUnavailableError: the folder or its weights are missing, or not Alpha-CLIP.
        """
        path = Path(folder)
        if not (path / "model.safetensors").is_file():
            message = f"no Alpha-CLIP weights in {path}: expected model.safetensors there"
            raise ModelUnavailableError(message)
        model = CLIPModel.from_pretrained(path, dtype=torch.float32).to(device)
        if model.config.vision_config.num_channels != 4:
            message = f"{path} is plain CLIP: Alpha-CLIP needs vision_config.num_channels = 4"
            raise ModelUnavailableError(message)
        stored = json.loads((path / "matir.json").read_text())
        options = Options(
            View(**stored["view"]), int(stored["n_turns"]), LogOdds(**stored["log_odds"])
        )
        shown = {"view": asdict(options.view), "n_turns": options.n_turns}
        tokenizer = AutoTokenizer.from_pretrained(path)
        return cls(model, tokenizer, options=options, model_id=folder_id(path, shown))

    @property
    def model_id(self) -> str:
        """Folder name, weights digest, view and turns."""
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
        views: list[NDArray[np.uint8]] = []
        for image, own in zip(images, masks, strict=True):
            views.extend(self._region_views(image, own))
        turned = [
            self._embed_views([np.rot90(view, turn) for view in views])
            for turn in range(self._options.n_turns)
        ]
        vectors = _unit(torch.from_numpy(np.mean(turned, axis=0)))
        ends = np.cumsum([len(own) for own in masks])[:-1]
        return np.split(vectors, ends)

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (n, dim) float32 unit vectors of whole images (alpha = 1 on all of the image)."""
        views = []
        for image in images:
            height, width = image.shape[:2]
            inside = Image.new("L", (width, height), 255)
            window = whole_window(width, height)
            views.append(cut(Image.fromarray(image), inside, window, self._side))
        return self._embed_views(views)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32 unit vectors; texts of like length are encoded together.

        Raises:
            QueryError: a text has more tokens than the encoder reads.
        """
        tokens = [self._tokens(text) for text in texts]
        by_length = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        vectors = np.zeros((len(tokens), self.dim), np.float32)
        for start in range(0, len(tokens), TEXTS_PER_BATCH):
            rows = by_length[start : start + TEXTS_PER_BATCH]
            vectors[rows] = self._embed_tokens([tokens[row] for row in rows])
        return vectors

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text)["input_ids"]
        if len(tokens) > self._n_tokens:
            message = (
                f"the query has {len(tokens)} tokens, the text encoder reads {self._n_tokens}: "
                f"shorten {text[:60]!r}"
            )
            raise QueryError(message)
        return tokens

    def _embed_tokens(self, tokens: Sequence[Sequence[int]]) -> FloatArray:
        """Return (t, dim) unit vectors of one batch, padded to its longest text only.

        A causal encoder that is read at the end token sees nothing of what stands behind it, so
        this gives what padding to the full length would give.
        """
        longest = max(len(own) for own in tokens)
        padding = int(self._tokenizer.pad_token_id)
        ids = [[*own, *[padding] * (longest - len(own))] for own in tokens]
        seen = [[1] * len(own) + [0] * (longest - len(own)) for own in tokens]
        with torch.inference_mode():
            out = self._model.get_text_features(
                input_ids=torch.tensor(ids, device=self._model.device),
                attention_mask=torch.tensor(seen, device=self._model.device),
            )
        return _unit(out.pooler_output)

    def _region_views(self, image: RGBImage, masks: Sequence[MaskRLE]) -> list[NDArray[np.uint8]]:
        picture = Image.fromarray(image)
        height, width = image.shape[:2]
        views = []
        for mask in masks:
            window = self._options.view.window(tight_box_xyxy(mask), width, height)
            alpha = Image.fromarray(decode(mask).astype(np.uint8) * 255)
            views.append(cut(picture, alpha, window, self._side))
        return views

    def _embed_views(self, views: Sequence[NDArray[np.uint8]]) -> FloatArray:
        vectors = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(views), IMAGES_PER_BATCH):
            pixels = normalise(np.stack(views[start : start + IMAGES_PER_BATCH]))
            with torch.inference_mode():
                out = self._model.get_image_features(pixels.to(self._model.device))
            vectors.append(_unit(out.pooler_output))
        return np.concatenate(vectors)


def _unit(vectors: torch.Tensor) -> FloatArray:
    unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
    return np.asarray(unit.cpu().numpy(), dtype=np.float32)
