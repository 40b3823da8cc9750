"""Dense pooling: one pass over a picture gives the vectors of all its regions.

For CLIP, SigLIP and SigLIP 2, whose weights may be used freely. The model's own pooling token reads
the patches under each mask (`matir_nb.models.pooling`); picture and masks go through one geometry
(`matir_nb.models.patches`). This module knows no index and no ranking.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer

from matir_nb.config import EncodeConfig
from matir_nb.errors import ConfigError, require_known
from matir_nb.models.batches import Batches
from matir_nb.models.clip_text import CLIP_LOG_ODDS, ClipTexts, unit
from matir_nb.models.dense_towers import CLIP, NAFLEX, Tower, read_folder
from matir_nb.models.folder_options import stored_options
from matir_nb.models.identity import folder_id
from matir_nb.models.int8 import quantise_if_faithful
from matir_nb.models.patches import PAD, Pixels
from matir_nb.models.runtime import Runtime
from matir_nb.models.siglip_text import SiglipTexts, SiglipTokens
from matir_nb.types import FloatArray, LogOdds, MaskRLE, RGBImage

LARGEST_BATCH_ON_CPU = 4
LARGEST_BATCH = 32
N_BLOCKS = 4
"""CLIP's blocks in which regions have tokens of their own. Nearly all of what the class token says
of a picture it reads in the last four (Gandelsman et al., "Interpreting CLIP's Image Representation
via Text-Based Decomposition", ICLR 2024)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a folder's model is used; its matir.json may say it.

    Attributes:
        geometry: "squash", "pad" or, for SigLIP 2 NaFlex, "keep" (`Pixels`); None = as the
            weights' own processor. CLIP's own cuts the longer side off, so CLIP is squashed.
        n_blocks: of CLIP, that read under masks.
        log_odds: what a cosine is worth; None = SigLIP's own scale and bias, CLIP's prior.
    """

    geometry: str | None = None
    n_blocks: int = N_BLOCKS
    log_odds: LogOdds | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Options":
        """Return the options that JSON holds.

        Raises:
            ConfigError: an option is unknown, or has a value that cannot be used.
        """
        require_known("option of dense pooling", values, cls.__slots__)
        stored = dict(values)
        if stored.get("log_odds") is not None:
            stored["log_odds"] = LogOdds(**stored["log_odds"])
        options = cls(**stored)
        if options.n_blocks < 1:
            message = f"n_blocks = {options.n_blocks!r} is not allowed: give a whole number >= 1"
            raise ConfigError(message)
        return options


class DensePoolEncoder:
    """Embeds regions, whole images and texts with CLIP or SigLIP; implements `RegionEncoder`.

    Under a mask of the whole picture the vector is the model's own of the picture, and so is that
    of a mask without any pixel. Whole pictures of the last call of `embed_regions` cost nothing.
    """

    def __init__(
        self,
        tower: Tower,
        texts: ClipTexts | SiglipTexts,
        *,
        pixels: Pixels,
        dim: int,
        log_odds: LogOdds,
        model_id: str,
        runtime: Runtime | None = None,
    ) -> None:
        """Put the parts together; `from_pretrained` makes them.

        Args:
            tower: the image side.
            texts: the text side.
            pixels: the geometry, and how pictures become numbers.
            dim: length of the vectors.
            log_odds: see `RegionEncoder.log_odds`.
            model_id: see `RegionEncoder.model_id`.
            runtime: where the tower computes; None = on the CPU.
        """
        self._tower, self._texts, self._pixels = tower, texts, pixels
        self._dim, self._log_odds, self._model_id = dim, log_odds, model_id
        self._runtime = runtime or Runtime()
        largest = LARGEST_BATCH_ON_CPU if self._runtime.is_cpu else LARGEST_BATCH
        self._batches = Batches("images", largest)
        self._wholes: dict[str, FloatArray] = {}

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
        encoding: EncodeConfig | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> "DensePoolEncoder":
        """Load a folder of CLIP, SigLIP or SigLIP 2, as the hub has it.

        Args:
            folder: config.json, weights, tokenizer files; preprocessor_config.json, too, where
                pictures are to be normalised otherwise than usual; may hold a matir.json.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU.
            encoding: "own" = `Options.geometry`; "whole" = the picture padded to a square.
            options: see `Options`; replace those of matir.json.

        Raises:
            ModelUnavailableError: files are missing, or of a model that cannot be pooled.
            ConfigError: an option or the view is not for this encoder.
        """
        path, runtime = Path(folder), runtime or Runtime()
        used = Options.of(stored_options(path) | dict(options or {}))
        geometry = _geometry(encoding or EncodeConfig(), used)
        files = read_folder(path)
        model = files.load()
        pixels = files.pixels(model, geometry)
        is_clip = files.kind == CLIP
        log_odds = used.log_odds or (CLIP_LOG_ODDS if is_clip else _own_log_odds(model))
        n_blocks = min(used.n_blocks, int(model.config.vision_config.num_hidden_layers))
        shown = asdict(pixels) | ({"n_blocks": n_blocks} if is_clip else {})
        shown |= {"most_patches": files.most_patches} if files.kind == NAFLEX else {}
        # the towers compile what they call: they do not call the model as a whole
        model = replace(runtime, is_compiled=False).place(model)
        encoder = cls(
            files.tower(model, n_blocks, runtime),
            _clip_texts(path, model, runtime) if is_clip else _siglip_texts(path, model, runtime),
            pixels=pixels,
            dim=_dim(model, is_clip=is_clip),
            log_odds=log_odds,
            model_id=folder_id(path, {"dense_pool": shown}, name=name),
            runtime=runtime,
        )
        if runtime.is_int8:
            quantise_if_faithful(model.vision_model.encoder, encoder.vectors_of_samples)
        return encoder

    @property
    def model_id(self) -> str:
        """Name, weights digest, geometry and normalisation."""
        return self._model_id

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def log_odds(self) -> LogOdds:
        """What a cosine is worth: SigLIP's own scale and bias, a prior for CLIP."""
        return self._log_odds

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return (n_i, dim) float32 unit vectors for the n_i masks of each image."""
        vectors = self._batches.map(self._embed, list(zip(images, masks, strict=True)))
        self._wholes = {_digest(image): own[-1] for image, own in zip(images, vectors, strict=True)}
        return [own[:-1] for own in vectors]

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (len(images), dim) float32 unit vectors: all of the picture is in the mask."""
        known = dict(self._wholes)
        digests = [_digest(image) for image in images]
        new = {d: image for d, image in zip(digests, images, strict=True) if d not in known}
        embedded = self._batches.map(self._embed, [(image, ()) for image in new.values()])
        known |= {digest: own[0] for digest, own in zip(new, embedded, strict=True)}
        return np.array([known[d] for d in digests], np.float32).reshape(-1, self._dim)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (len(texts), dim) float32 unit vectors.

        Raises:
            QueryError: a text has more tokens than the encoder reads.
        """
        return self._texts.embed(texts)

    def vectors_of_samples(self) -> Tensor:
        """Return (n, dim) vectors of pictures that are always the same: smooth colours, noise."""
        rng = np.random.default_rng(0)
        coarse = [rng.integers(0, 256, (cells, cells, 3), np.uint8) for cells in (3, 7, 64)]
        pictures = [np.asarray(Image.fromarray(one).resize((256, 192))) for one in coarse]
        return torch.from_numpy(np.concatenate([self._embed([(one, ())])[0] for one in pictures]))

    def _embed(self, batch: Sequence[tuple[RGBImage, Sequence[MaskRLE]]]) -> list[FloatArray]:
        """Return (n_i + 1, dim) unit vectors for each image: of its masks, and of all of it."""
        pictures, covered = [], []
        for image, masks in batch:
            height, width = image.shape[:2]
            x0, y0, x1, y1 = self._pixels.window(width, height)
            size_hw = self._tower.size_hw(x1 - x0, y1 - y0)
            pictures.append(self._pixels.numbers(image, size_hw))
            rows = [self._pixels.coverage(mask, size_hw) for mask in masks]
            covered.append(np.stack([*rows, self._pixels.whole((height, width), size_hw)]))
        with torch.inference_mode():
            coverage = self._runtime.send(torch.from_numpy(_filled(covered)))
            pooled = self._tower.pool(self._tower.tokens(pictures), coverage)
        vectors = unit(pooled)
        return [vectors[i, : len(own)] for i, own in enumerate(covered)]


def _filled(covered: Sequence[FloatArray]) -> FloatArray:
    """Return (b, most masks, most patches) from (masks, patches) each.

    Filled-up patches are in no mask; filled-up masks, which nobody reads, hold everything.
    """
    most = np.max([own.shape for own in covered], axis=0)
    filled = np.ones((len(covered), *most), np.float32)
    for row, own in zip(filled, covered, strict=True):
        row[: len(own), : own.shape[1]] = own
        row[: len(own), own.shape[1] :] = 0
    return filled


def _digest(image: RGBImage) -> str:
    pixels = np.ascontiguousarray(image)
    return f"{pixels.shape} {hashlib.blake2b(pixels.data).hexdigest()}"


def require_view(encoding: EncodeConfig) -> None:
    """Raise unless the encoder can show a region so.

    Raises:
        ConfigError: the view is for encoders that look at one region at a time.
    """
    if encoding.view not in ("own", "whole"):
        message = (
            f"view = {encoding.view!r} is for encoders that look at one region at a time: dense "
            "pooling reads the picture once, give 'own' (as its weights) or 'whole' (padded)"
        )
        raise ConfigError(message)


def _geometry(encoding: EncodeConfig, options: Options) -> str | None:
    require_view(encoding)
    return PAD if encoding.view == "whole" else options.geometry


def _own_log_odds(model: Any) -> LogOdds:
    """Return what SigLIP learned: sigmoid(exp(logit_scale) * cosine + logit_bias)."""
    return LogOdds(float(model.logit_scale.detach().exp()), float(model.logit_bias.detach()))


def _clip_texts(path: Path, model: Any, runtime: Runtime) -> ClipTexts:
    return ClipTexts(model, AutoTokenizer.from_pretrained(path), runtime)


def _siglip_texts(path: Path, model: Any, runtime: Runtime) -> SiglipTexts:
    return SiglipTexts(model, SiglipTokens.from_pretrained(path), runtime)


def _dim(model: Any, *, is_clip: bool) -> int:
    config = model.config
    return int(config.projection_dim if is_clip else config.vision_config.hidden_size)
