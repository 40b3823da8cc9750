"""What SAM 2's generator measures on masks, and what it drops.

Tensors of logits and booleans only: knows no model and no picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from matir_nb.geometry.crops import CropXYXY
from matir_nb.types import FloatArray

FULL_SIZE_PIXELS = 1 << 24
"""Logits at the image's size that are held at once."""


def pixel_counts(masks: Tensor) -> Tensor:
    """Return (n,) int32 areas of (n, h, w) boolean masks."""
    # torch adds up booleans as int16 ten times faster than as int64; a row must fit.
    narrow = torch.int16 if masks.shape[-1] < 1 << 15 else torch.int32
    return masks.sum(-1, dtype=narrow).sum(-1, dtype=torch.int32)


def stability_scores(logits: Tensor, offset: float) -> Tensor:
    """Return (n,): IoU of each (n, h, w) mask cut at +offset with itself cut at -offset.

    A mask that is empty even at -offset scores 0.
    """
    inner, outer = pixel_counts(logits > offset), pixel_counts(logits > -offset)
    return inner / outer.clamp(min=1)


def boxes_of(masks: Tensor) -> Tensor:
    """Return (n, 4) tight half-open xyxy boxes of (n, h, w) boolean masks; zeros if empty."""
    edges = []
    seen = masks.view(torch.uint8)  # whose maximum torch finds ten times faster than `any`
    for filled in (seen.amax(1) > 0, seen.amax(2) > 0):
        length = filled.shape[1]
        first = filled.int().argmax(1)
        last = length - filled.flip(1).int().argmax(1)
        edges.append((first, torch.where(filled.any(1), last, 0)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=1)


def full_size(logits: Tensor, height: int, width: int) -> Iterator[Tensor]:
    """Yield (k, height, width) logits, a few of the n of (n, h, w) at a time."""
    at_once = max(1, FULL_SIZE_PIXELS // (height * width))
    for part in torch.split(logits, at_once) if len(logits) else ():
        yield F.interpolate(part[None], size=(height, width), mode="bilinear")[0]


def compared_boxes(boxes_xyxy: FloatArray, convention: str) -> FloatArray:
    """Return the boxes as the generator compares them: SAM 2's end at their last pixel."""
    if convention == "half-open":
        return boxes_xyxy
    return boxes_xyxy - np.array([0, 0, 1, 1], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Proposals:
    """n masks found in one crop, columnar.

    Attributes:
        crop: in pixels of the image.
        logits: (n, h, w) of the crop, at the decoder's size.
        boxes_xyxy: (n, 4) half-open, in pixels of the image.
        areas: (n,) pixels of the image.
        predicted_ious: (n,) the model's own estimates.
        stability_scores: (n,) in [0, 1].
    """

    crop: CropXYXY
    logits: Tensor
    boxes_xyxy: FloatArray
    areas: FloatArray
    predicted_ious: FloatArray
    stability_scores: FloatArray

    @classmethod
    def measured(
        cls, logits: Tensor, predicted_ious: Tensor, crop: CropXYXY, *, offset: float, at: str
    ) -> Self:
        """Measure masks; drawn at the image's size they are dropped at once, to spare memory.

        Args:
            logits: (n, h, w) at the decoder's size.
            predicted_ious: (n,) the model's own estimates.
            crop: that the masks cover, in pixels of the image.
            offset: of the stability score.
            at: "image" or "decoder": the size at which stability is measured.
        """
        x0, y0, x1, y1 = crop
        boxes, areas, stabilities = [torch.zeros((0, 4))], [torch.zeros(0)], [torch.zeros(0)]
        for drawn in full_size(logits, y1 - y0, x1 - x0):
            masks = drawn > 0
            boxes.append(boxes_of(masks).float().cpu())
            areas.append(pixel_counts(masks).float().cpu())
            if at == "image":
                stabilities.append(stability_scores(drawn, offset).cpu())
        if at == "decoder":
            stabilities = [stability_scores(logits, offset).cpu()]
        return cls(
            crop=crop,
            logits=logits,
            boxes_xyxy=torch.cat(boxes).numpy() + np.array([x0, y0, x0, y0], dtype=np.float32),
            areas=torch.cat(areas).numpy(),
            predicted_ious=predicted_ious.cpu().numpy(),
            stability_scores=torch.cat(stabilities).numpy(),
        )

    def take(self, rows: ArrayLike) -> Self:
        """Return the masks of `rows`: numbers in any order, or one boolean each."""
        picked: NDArray[np.intp] = np.arange(len(self.areas))[np.asarray(rows)]
        return type(self)(
            crop=self.crop,
            logits=self.logits[torch.from_numpy(picked).to(self.logits.device)],
            boxes_xyxy=self.boxes_xyxy[picked],
            areas=self.areas[picked],
            predicted_ious=self.predicted_ious[picked],
            stability_scores=self.stability_scores[picked],
        )

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return the masks of one or more parts of one crop, in order."""
        return cls(
            crop=parts[0].crop,
            logits=torch.cat([p.logits for p in parts]),
            boxes_xyxy=np.concatenate([p.boxes_xyxy for p in parts]),
            areas=np.concatenate([p.areas for p in parts]),
            predicted_ious=np.concatenate([p.predicted_ious for p in parts]),
            stability_scores=np.concatenate([p.stability_scores for p in parts]),
        )
