"""SAM 2 as a mask source: an automatic mask generator over several images per batch.

Each image, and each crop of it, is resized to the model's square and prompted with a grid of
points; masks are filtered by predicted IoU before they are drawn, then by stability, by the
crop's inner edges and by area, and duplicates are suppressed by box IoU. Filters, option names
and crops are those of SAM 2's own generator (Ravi et al. 2024, arXiv:2408.00714). This module
knows no folder of images and no index.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import Sam2Model
from transformers.utils.hub import cached_file

from matir_nb.config import MaskConfig
from matir_nb.errors import ConfigError, ModelUnavailableError, ShapeError
from matir_nb.geometry.boundary import refine_boundary
from matir_nb.geometry.boxes import nms
from matir_nb.geometry.crops import CropXYXY, crop_boxes, point_grid, touches_inner_edge
from matir_nb.geometry.masks import encode, encode_many, regions_from_masks
from matir_nb.models.identity import weights_digest
from matir_nb.models.sam2_decoder import (
    Answers,
    ImageFeatures,
    draw_masks,
    encode_images,
    read_prompts,
)
from matir_nb.types import BoxXYXY, FloatArray, MaskRLE, Regions, RGBImage

PREPROCESSING = "square-bilinear-imagenet-1"
CROPS_PER_BATCH = 8
MASKS_PER_BATCH = 64
EDGE_TOLERANCE = 0.02
"""Fraction of a crop's longer side; SAM 2 uses 20 pixels at 1024."""
HALF_PIXEL = 0.5
"""SAM 2's prompt encoder adds it to every coordinate, so it is taken off before."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def stability_scores(logits: Tensor, offset: float) -> Tensor:
    """Return (n,): IoU of each (n, h, w) mask cut at +offset with itself cut at -offset.

    A mask that is empty even at -offset scores 0.
    """
    inner = (logits > offset).sum((-1, -2))
    outer = (logits > -offset).sum((-1, -2))
    return inner / outer.clamp(min=1)


def boxes_of(masks: Tensor) -> Tensor:
    """Return (n, 4) tight half-open xyxy boxes of (n, h, w) boolean masks; zeros if empty."""
    edges = []
    for filled in (masks.any(1), masks.any(2)):
        length = filled.shape[1]
        first = filled.int().argmax(1)
        last = length - filled.flip(1).int().argmax(1)
        edges.append((first, torch.where(filled.any(1), last, 0)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=1)


@dataclass(frozen=True, slots=True)
class _Proposals:
    """Masks found in one crop that passed every filter but suppression.

    `boxes_xyxy` are pixels of the whole image; `logits` cover the crop at the model's resolution.
    """

    crop: CropXYXY
    logits: Tensor
    boxes_xyxy: FloatArray
    predicted_ious: FloatArray
    stability_scores: FloatArray


class Sam2MaskSource:
    """Finds the regions of images with a `Sam2Model`; implements `MaskSource`."""

    def __init__(self, model: Sam2Model, config: MaskConfig, *, revision: str) -> None:
        """Wrap a loaded model.

        Args:
            model: the model, on its device.
            config: options of the generator.
            revision: name and hash of the weights.
        """
        self._model: Any = model
        self._model.eval()
        self._config = config
        self._revision = revision
        self._side = int(self._model.config.prompt_encoder_config.image_size)

    @classmethod
    def from_pretrained(cls, folder: str | Path, config: MaskConfig, device: str = "cpu") -> Self:
        """Load weights from a folder, or from a hub id; always computed in float32.

        Raises:
            ModelUnavailableError: the weights are missing, incomplete or inconsistent.
        """
        weights = _weights_file(folder)
        model = _load(folder)
        _require_one_position_code(model, folder)
        model.to(device=device, dtype=torch.float32)
        digest = weights_digest([weights])
        name = Path(folder).name if Path(folder).is_dir() else str(folder)
        return cls(model, config, revision=f"{name}@{digest}")

    @property
    def model_id(self) -> str:
        """Name and hash of the weights, preprocessing and every option."""
        options = ",".join(f"{name}={value}" for name, value in asdict(self._config).items())
        return f"sam2:{self._revision}|{PREPROCESSING}-{self._side}|{options}"

    @torch.inference_mode()
    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, best rated first.

        Raises:
            ShapeError: an image is not (H, W, 3) uint8 with at least one pixel.
        """
        for image in images:
            _require_rgb(image)
        tasks = [(row, crop) for row, image in enumerate(images) for crop in self._crops(image)]
        found: list[list[_Proposals]] = [[] for _ in images]
        for start in range(0, len(tasks), CROPS_PER_BATCH):
            batch = tasks[start : start + CROPS_PER_BATCH]
            views = [(images[row], crop) for row, crop in batch]
            for (row, _), proposals in zip(batch, self._propose(views), strict=True):
                found[row].append(proposals)
        return [self._select(i, f) for i, f in zip(images, found, strict=True)]

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
        whole: CropXYXY = (0, 0, width, height)
        features = encode_images(self._model, self._pixels([(image, whole)]))
        scale = self._side / torch.tensor([width, height, width, height], dtype=torch.float32)
        box = torch.tensor(box_xyxy, dtype=torch.float32) * scale - HALF_PIXEL
        answers = read_prompts(self._model, features, boxes=box.to(self._device)[None, None])
        masks = draw_masks(self._model, features, answers, torch.tensor([0], device=self._device))
        best = int(answers.predicted_ious[0, 0].argmax())
        return encode(_full_size(masks[0, best][None], height, width)[0].cpu().numpy())

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._model.device
        return device

    def _crops(self, image: RGBImage) -> tuple[CropXYXY, ...]:
        height, width = image.shape[:2]
        options = self._config
        return crop_boxes(
            height, width, n_layers=options.crop_n_layers, overlap_ratio=options.crop_overlap_ratio
        )

    def _pixels(self, views: Sequence[tuple[RGBImage, CropXYXY]]) -> Tensor:
        """Return (b, 3, s, s) normalised pixels, the aspect ratio given up as SAM 2 does."""
        size = (self._side, self._side)
        squares = [
            Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=crop)
            for image, crop in views
        ]
        pixels = torch.from_numpy(np.stack([np.asarray(s) for s in squares])).to(self._device)
        mean = torch.tensor(IMAGENET_MEAN, device=self._device)
        std = torch.tensor(IMAGENET_STD, device=self._device)
        return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()

    def _propose(self, views: Sequence[tuple[RGBImage, CropXYXY]]) -> list[_Proposals]:
        """Return the proposals of each view, all prompted together."""
        features = encode_images(self._model, self._pixels(views))
        grid = torch.from_numpy(point_grid(self._config.points_per_side)) * self._side - HALF_PIXEL
        per_view = max(1, self._config.points_per_batch // len(views))
        kept = []
        for points in torch.split(grid.to(self._device), per_view):
            prompts = points.expand(len(views), -1, -1)
            answers = read_prompts(self._model, features, points=prompts)
            kept.append(self._draw_rated(features, answers))
        owners, logits, ious, stabilities = (torch.cat(part) for part in zip(*kept, strict=True))
        return [
            self._in_crop(view, logits[mine], ious[mine], stabilities[mine])
            for row, view in enumerate(views)
            for mine in [owners == row]
        ]

    def _draw_rated(
        self, features: ImageFeatures, answers: Answers
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return view row, logits, predicted IoU and stability of the masks good enough."""
        ious = answers.predicted_ious.flatten(0, 1)
        wanted = ious > self._config.pred_iou_thresh
        rows = wanted.any(1).nonzero()[:, 0]
        logits = draw_masks(self._model, features, answers, rows)[wanted[rows]]
        owners = (rows // answers.predicted_ious.shape[1]).repeat_interleave(wanted[rows].sum(1))
        stabilities = stability_scores(logits, self._config.stability_score_offset)
        stable = stabilities > self._config.stability_score_thresh
        return owners[stable], logits[stable], ious[wanted][stable], stabilities[stable]

    def _in_crop(
        self, view: tuple[RGBImage, CropXYXY], logits: Tensor, ious: Tensor, stabilities: Tensor
    ) -> _Proposals:
        """Return the masks that are whole and of an allowed size, measured at full size."""
        image, crop = view
        height, width = image.shape[:2]
        boxes, areas = _measure(logits, crop)
        tolerance = EDGE_TOLERANCE * max(crop[2] - crop[0], crop[3] - crop[1])
        limit = self._config.max_area_fraction * height * width
        good = (areas > 0) & (areas >= self._config.min_mask_region_area) & (areas <= limit)
        good &= ~touches_inner_edge(boxes, crop, height, width, tolerance=tolerance)
        return _Proposals(
            crop=crop,
            logits=logits[torch.from_numpy(good).to(logits.device)],
            boxes_xyxy=boxes[good],
            predicted_ious=ious.cpu().numpy()[good],
            stability_scores=stabilities.cpu().numpy()[good],
        )

    def _select(self, image: RGBImage, found: Sequence[_Proposals]) -> Regions:
        """Return the best rated masks of all crops, without near duplicates."""
        boxes = np.concatenate([f.boxes_xyxy for f in found])
        ious = np.concatenate([f.predicted_ious for f in found])
        stabilities = np.concatenate([f.stability_scores for f in found])
        kept = nms(boxes, ious, self._config.box_nms_thresh)
        places = [(f, row) for f in found for row in range(len(f.predicted_ious))]
        masks = [self._paste(image, *places[row]) for row in kept]
        coded = encode_many(np.stack(masks)) if masks else ()
        regions = regions_from_masks(coded, ious[kept], stabilities[kept])
        return self._without_duplicates(regions)

    def _without_duplicates(self, regions: Regions) -> Regions:
        """Suppress once more: masks that differed may have met at the same boundary."""
        boxes, ious = regions.boxes_xyxy, regions.predicted_ious
        rows = nms(boxes, ious, self._config.box_nms_thresh)[: self._config.max_regions]
        return regions.take([int(row) for row in rows if regions.areas[row] > 0])

    def _paste(self, image: RGBImage, proposals: _Proposals, row: int) -> NDArray[np.bool_]:
        """Return one mask at the image's size, its boundary moved to where the colours change."""
        x0, y0, x1, y1 = proposals.crop
        coarse = proposals.logits[row]
        size = (y1 - y0, x1 - x0)
        logits = F.interpolate(coarse[None, None], size=size, mode="bilinear")[0, 0].cpu().numpy()
        band = round(self._config.boundary_cells * max(size) / coarse.shape[-1])
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[y0:y1, x0:x1] = refine_boundary(image[y0:y1, x0:x1], logits, band=band)
        return mask


def _full_size(logits: Tensor, height: int, width: int) -> Tensor:
    """Return (n, height, width) boolean masks of (n, h, w) logits, cut at 0."""
    if not len(logits):
        return torch.zeros((0, height, width), dtype=torch.bool, device=logits.device)
    return F.interpolate(logits[None], size=(height, width), mode="bilinear")[0] > 0


def _measure(logits: Tensor, crop: CropXYXY) -> tuple[FloatArray, FloatArray]:
    """Return (n, 4) boxes in pixels of the whole image and (n,) areas of the full-size masks.

    The masks themselves are dropped: only those that survive suppression are drawn again, so
    memory does not grow with the number of prompts.
    """
    x0, y0, x1, y1 = crop
    boxes, areas = [torch.zeros((0, 4))], [torch.zeros(0)]
    for part in torch.split(logits, MASKS_PER_BATCH):
        masks = _full_size(part, y1 - y0, x1 - x0)
        boxes.append(boxes_of(masks).float().cpu())
        areas.append(masks.sum((1, 2)).float().cpu())
    offset = np.array([x0, y0, x0, y0], dtype=np.float32)
    return torch.cat(boxes).numpy() + offset, torch.cat(areas).numpy()


def _require_rgb(image: RGBImage) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        message = f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}"
        raise ShapeError(message)


def _weights_file(folder: str | Path) -> Path:
    local = Path(folder)
    if local.is_dir() or local.is_absolute():
        file = local / "model.safetensors"
        if file.is_file():
            return file
        message = (
            f"no SAM 2 weights at {file}: give a folder that `save_pretrained` wrote "
            "(config.json, model.safetensors) or a hub id such as facebook/sam2.1-hiera-tiny"
        )
        raise ModelUnavailableError(message)
    try:
        found = cached_file(str(folder), "model.safetensors")
    except OSError as error:
        message = (
            f"SAM 2 weights {str(folder)!r} are neither a folder here nor reachable on the hub: "
            "check the name and the connection, or use the embedded model"
        )
        raise ModelUnavailableError(message) from error
    return Path(str(found))


def _load(folder: str | Path) -> Any:
    try:
        loaded: Any = Sam2Model.from_pretrained(str(folder), output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        message = f"SAM 2 weights in {str(folder)!r} cannot be read ({error}): fetch them again"
        raise ModelUnavailableError(message) from error
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        message = (
            f"SAM 2 weights in {str(folder)!r} lack {len(missing)} tensors, first {missing[0]}: "
            "this is another architecture or a broken file; fetch the weights again"
        )
        raise ModelUnavailableError(message)
    return model


def _require_one_position_code(model: Sam2Model, folder: str | Path) -> None:
    """Check that points and image features are placed by the same random Fourier code.

    transformers keeps two copies and does not tie them; where they differ, a point means
    nothing to the image.
    """
    image = model.shared_image_embedding.positional_embedding
    points = model.prompt_encoder.shared_embedding.positional_embedding
    if not torch.equal(image, points):
        message = (
            f"SAM 2 weights in {str(folder)!r} place points and image by different codes (largest "
            f"difference {float((image - points).abs().max()):.3g}): copy "
            "shared_image_embedding.positional_embedding into prompt_encoder.shared_embedding"
        )
        raise ModelUnavailableError(message)
