"""SAM 2 as a mask source: an automatic mask generator over several images per batch.

Each image, and each crop of it, is resized to the model's square and prompted with a grid of
points; masks are filtered by predicted IoU before they are drawn, then by stability, by the
crop's inner edges and by area, and duplicates are suppressed by box IoU, in each crop and then
over all. Rules and option names are those of SAM 2's own generator (Ravi et al. 2024,
arXiv:2408.00714; `automatic_mask_generator.py` and `utils/amg.py` of facebookresearch/sam2), but
for its refinement by the masks found (`use_m2m`). This module knows no folder of images and no
index.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import Sam2Model

from matir_nb.config import MaskConfig
from matir_nb.errors import ConfigError, ShapeError
from matir_nb.geometry.crops import CropXYXY, crop_boxes, point_grid, touches_inner_edge
from matir_nb.geometry.masks import encode
from matir_nb.models.batches import Batches
from matir_nb.models.identity import weights_digest
from matir_nb.models.runtime import Runtime
from matir_nb.models.sam2_decoder import (
    ImageFeatures,
    draw_masks,
    encode_images,
    read_prompts,
    rows_at_once,
)
from matir_nb.models.sam2_files import load_sam2, require_weights
from matir_nb.models.sam2_masks import Proposals, compared_boxes, full_size
from matir_nb.models.sam2_select import select, suppress
from matir_nb.types import BoxXYXY, MaskRLE, Regions, RGBImage

PREPROCESSING = "square-bilinear-imagenet-1"
CROPS_PER_BATCH = 8
CPU_BATCH_PIXELS = 1 << 20
"""Pixels of the model's squares encoded at once on a CPU, which gains nothing from more."""
EDGE_TOLERANCE_PX = 20.0
"""Pixels of the image; so near a crop's inner edge a mask counts as cut off."""
HALF_PIXEL = 0.5
"""SAM 2's prompt encoder adds it to every coordinate."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BATCH_OPTIONS = ("points_per_batch",)
"""Options that change seconds and not masks: no part of the model id."""


class Sam2MaskSource:
    """Finds the regions of images with a `Sam2Model`; implements `MaskSource`."""

    def __init__(self, model: Sam2Model, config: MaskConfig, *, revision: str) -> None:
        """Wrap a loaded model.

        Args:
            model: the model, on its device, in its precision.
            config: options of the generator.
            revision: name and hash of the weights.
        """
        self._model: Any = model
        self._model.eval()
        self._config = config
        self._revision = revision
        self._side = int(self._model.config.prompt_encoder_config.image_size)
        self._runtime = Runtime(str(self._model.device), self._model.dtype)
        self._crop_batches = Batches("crops to segment", self._crops_at_once())
        self._point_batches: dict[int, Batches] = {}

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        config: MaskConfig,
        *,
        name: str | None = None,
        runtime: Runtime | None = None,
    ) -> Self:
        """Load weights from a folder; those of SAM 2's video model will do.

        Args:
            folder: config.json and weights.
            config: options of the generator.
            name: of the model, in its id; None = the folder's.
            runtime: where and how it computes; None = float32 on the CPU.

        Raises:
            ModelUnavailableError: the weights are missing, incomplete or inconsistent.
        """
        place, runtime = Path(folder), runtime or Runtime()
        digest = weights_digest(require_weights(place))
        model = _place(load_sam2(place), runtime)
        return cls(model, config, revision=f"{name or place.name}@{digest}")

    @property
    def model_id(self) -> str:
        """Name and hash of the weights, preprocessing and every option that decides the masks."""
        decisive = {k: v for k, v in asdict(self._config).items() if k not in BATCH_OPTIONS}
        options = ",".join(f"{name}={value}" for name, value in decisive.items())
        return f"sam2:{self._revision}|{PREPROCESSING}-{self._side}|{options}"

    @torch.inference_mode()
    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, best rated first; masks without a pixel are left out.

        Raises:
            ShapeError: an image is not (H, W, 3) uint8 with at least one pixel.
        """
        for image in images:
            _require_rgb(image)
        found: list[list[Proposals]] = [[] for _ in images]
        for layer in range(self._config.crop_n_layers + 1):
            tasks = [
                (i, crop) for i, image in enumerate(images) for crop in self._crops(image, layer)
            ]
            views = [(images[row], crop) for row, crop in tasks]
            proposed = self._crop_batches.map(partial(self._propose, layer=layer), views)
            for (row, _), proposals in zip(tasks, proposed, strict=True):
                found[row].append(proposals)
        pairs = zip(images, found, strict=True)
        return [select(image, crops, self._config) for image, crops in pairs]

    @torch.inference_mode()
    def from_box(self, image: RGBImage, box_xyxy: BoxXYXY) -> MaskRLE:
        """Return the mask of what a box encloses: the best rated of the model's answers.

        Raises:
            ShapeError: the image is not (H, W, 3) uint8 with at least one pixel.
            ConfigError: the box is empty or its corners are swapped.
        """
        _require_rgb(image)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = box_xyxy
        if not (x1 > x0 and y1 > y0):
            message = f"box_xyxy = {box_xyxy!r} is empty: give x0 < x1 and y0 < y1, in pixels"
            raise ConfigError(message)
        features = encode_images(self._model, self._pixels([(image, (0, 0, width, height))]))
        scale = self._side / torch.tensor([width, height, width, height], dtype=torch.float32)
        box = torch.tensor(box_xyxy, dtype=torch.float32) * scale - self._taken_off
        boxes = box.to(self._model.device)[None, None]
        answers = read_prompts(self._model, features, boxes=boxes)
        first = torch.tensor([0], device=self._model.device)
        masks = draw_masks(self._model, features, answers, first)
        best = int(answers.predicted_ious[0, 0].argmax())
        (drawn,) = full_size(masks[0, best][None], height, width)
        return encode((drawn[0] > 0).cpu().numpy())

    @property
    def _taken_off(self) -> float:
        return HALF_PIXEL if self._config.pixel_convention == "half-open" else 0.0

    def _crops_at_once(self) -> int:
        if self._model.device.type != "cpu":
            return CROPS_PER_BATCH
        return min(CROPS_PER_BATCH, max(1, CPU_BATCH_PIXELS // self._side**2))

    def _crops(self, image: RGBImage, layer: int) -> tuple[CropXYXY, ...]:
        height, width = image.shape[:2]
        ratio = self._config.crop_overlap_ratio
        return crop_boxes(height, width, layer=layer, overlap_ratio=ratio)

    def _pixels(self, views: Sequence[tuple[RGBImage, CropXYXY]]) -> Tensor:
        """Return (b, 3, s, s) normalised pixels, the aspect ratio given up as SAM 2 does."""
        size = (self._side, self._side)
        squares = [
            Image.fromarray(image[y0:y1, x0:x1]).resize(size, Image.Resampling.BILINEAR)
            for image, (x0, y0, x1, y1) in views
        ]
        pixels = self._runtime.send(torch.from_numpy(np.stack([np.asarray(s) for s in squares])))
        mean = torch.tensor(IMAGENET_MEAN, device=pixels.device)
        std = torch.tensor(IMAGENET_STD, device=pixels.device)
        normalised = ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
        return normalised.to(self._runtime.dtype)

    def _propose(
        self, views: Sequence[tuple[RGBImage, CropXYXY]], *, layer: int
    ) -> list[Proposals]:
        """Return the proposals of each view of a layer, all prompted together."""
        features = encode_images(self._model, self._pixels(views))
        n = self._config.points_per_side // self._config.crop_n_points_downscale_factor**layer
        grid = torch.from_numpy(point_grid(n)) * self._side - self._taken_off

        def ask(points: Sequence[Tensor]) -> list[list[list[Proposals]]]:
            # What a batch finds is counted to its first point.
            places = self._runtime.send(torch.stack(list(points)))
            found = self._ask(views, features, places)
            return [[found], *([] for _ in points[1:])]

        asked = self._batches_for(features).map(ask, list(grid))
        by_view = zip(*(found for batch in asked for found in batch), strict=True)
        return [suppress(Proposals.joined(list(parts)), self._config) for parts in by_view]

    def _batches_for(self, features: ImageFeatures) -> Batches:
        """Return the batches of points: all views are asked at each point."""
        n_views = len(features.coarse)
        largest = min(self._config.points_per_batch, rows_at_once(features.coarse[0]))
        at_once = max(1, largest // n_views)
        return self._point_batches.setdefault(n_views, Batches("points to ask at", at_once))

    def _ask(
        self,
        views: Sequence[tuple[RGBImage, CropXYXY]],
        features: ImageFeatures,
        points: Tensor,
    ) -> list[Proposals]:
        """Return the good masks of each view at (p, 2) points of the model's square."""
        prompts = points.expand(len(views), -1, -1)
        answers = read_prompts(self._model, features, points=prompts)
        ious = answers.predicted_ious.flatten(0, 1)
        thresh = self._config.pred_iou_thresh
        wanted = ious > (thresh if thresh > 0 else -torch.inf)
        rows = wanted.any(1).nonzero()[:, 0]
        logits = draw_masks(self._model, features, answers, rows)[wanted[rows]]
        owners = (rows // len(points)).repeat_interleave(wanted[rows].sum(1))
        return [
            self._filtered(view, logits[owners == row], ious[wanted][owners == row])
            for row, view in enumerate(views)
        ]

    def _filtered(self, view: tuple[RGBImage, CropXYXY], logits: Tensor, ious: Tensor) -> Proposals:
        """Return the masks that are stable, whole and of an allowed size."""
        image, crop = view
        height, width = image.shape[:2]
        options = self._config
        offset, at = options.stability_score_offset, options.stability_at
        found = Proposals.measured(logits, ious, crop, offset=offset, at=at)
        good = found.stability_scores >= options.stability_score_thresh
        good &= (found.areas > 0) & (found.areas >= options.min_mask_area)
        good &= found.areas <= options.max_area_fraction * height * width
        boxes = compared_boxes(found.boxes_xyxy, options.pixel_convention)
        tolerance = EDGE_TOLERANCE_PX
        return found.take(
            good & ~touches_inner_edge(boxes, crop, height, width, tolerance=tolerance)
        )


def _place(model: Any, runtime: Runtime) -> Any:
    """Return the model on its device, in its precision; positions stay in float32.

    In 8 bits of mantissa a point would be off by pixels.
    """
    code = model.shared_image_embedding.positional_embedding.float()
    model = runtime.place(model)
    for holder in (model.shared_image_embedding, model.prompt_encoder.shared_embedding):
        holder.positional_embedding = code.to(model.device)
    return model


def _require_rgb(image: RGBImage) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        message = f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}"
        raise ShapeError(message)
