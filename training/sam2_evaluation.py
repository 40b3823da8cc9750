"""How well the embedded SAM 2 segments generated scenes: from one point, and on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import Sam2Model

from matir_nb.config import MaskConfig
from matir_nb.geometry.masks import encode_many, mask_iou
from matir_nb.models.base import MaskSource
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.models.sam2_decoder import draw_masks, encode_images, read_prompts
from matir_nb.presets import preset_named
from matir_nb.scenes.draw import Scene, draw_scene
from matir_nb.scenes.vocabulary import Split
from training.sam2_data import MEAN, STD, square


@dataclass(frozen=True, slots=True)
class AutoScores:
    """What the automatic masks of some scenes are worth.

    Attributes:
        iou: mean over objects of the best IoU with any mask of the scene.
        recall_50: share of objects with a mask of IoU >= 0.5.
        recall_70: share of objects with a mask of IoU >= 0.7.
        precision_50: share of masks with IoU >= 0.5 with an object.
        masks_per_image: mean number of masks.
        objects_per_image: mean number of objects.
    """

    iou: float
    recall_50: float
    recall_70: float
    precision_50: float
    masks_per_image: float
    objects_per_image: float


def auto_scores(source: MaskSource, scenes: Sequence[Scene], *, batch: int = 8) -> AutoScores:
    """Return the scores of the masks that `source` finds by itself."""
    best_of_objects, best_of_masks = [], []
    for start in range(0, len(scenes), batch):
        part = scenes[start : start + batch]
        for scene, regions in zip(part, source.generate([s.image for s in part]), strict=True):
            n = len(scene.objects)
            truth = encode_many(np.stack([scene.visible_mask(i) for i in range(n)]))
            ious = mask_iou(truth, regions.masks)
            best_of_objects.append(ious.max(1, initial=0))
            best_of_masks.append(ious.max(0, initial=0))
    objects, masks = np.concatenate(best_of_objects), np.concatenate(best_of_masks)
    return AutoScores(
        iou=float(objects.mean()),
        recall_50=float((objects >= 0.5).mean()),
        recall_70=float((objects >= 0.7).mean()),
        precision_50=float((masks >= 0.5).mean()) if len(masks) else 0.0,
        masks_per_image=len(masks) / len(scenes),
        objects_per_image=len(objects) / len(scenes),
    )


@torch.no_grad()
def point_ious(model: Sam2Model, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Tensor:
    """Return (n,) IoU of the best-rated mask from one point on each object of a square picture.

    The point is the visible pixel nearest the centre of the object's visible pixels.
    """
    device = model.device
    values = np.unique(labels[labels > 0])
    points = [_central_pixel(labels == value) for value in values]
    pixels = (torch.from_numpy(image.astype(np.float32) / 255) - MEAN) / STD
    features = encode_images(model, pixels[None].to(device))
    at = torch.tensor(points, dtype=torch.float32, device=device)[None]
    answers = read_prompts(model, features, points=at)
    rows = torch.arange(len(values), device=device)
    logits = draw_masks(model, features, answers, rows)[rows, answers.predicted_ious[0].argmax(-1)]
    found = F.interpolate(logits[None], size=labels.shape, mode="bilinear")[0].cpu() > 0
    truth = torch.from_numpy(labels == values[:, None, None])
    return (found & truth).sum((1, 2)) / (found | truth).sum((1, 2)).clamp(min=1)


def _central_pixel(mask: NDArray[np.bool_]) -> tuple[int, int]:
    y, x = np.nonzero(mask)
    nearest = int(np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2))
    return int(x[nearest]), int(y[nearest])


def evaluate(folder: Path, split: Split, n: int, config: MaskConfig | None = None) -> None:
    """Print the scores of exported weights on the first `n` scenes of a split."""
    scenes = [draw_scene(split, index) for index in range(n)]
    source = Sam2MaskSource.from_pretrained(folder, config or preset_named("embedded").masks)
    model: Any = Sam2Model.from_pretrained(folder)
    model.float().eval()
    ious = torch.cat([point_ious(model, *square(scene)) for scene in scenes])
    scores = auto_scores(source, scenes)
    print(source.model_id)
    print(f"{split} scenes {n}, objects per image {scores.objects_per_image:.2f}")
    at_70 = float((ious >= 0.7).float().mean())
    print(f"one point: mIoU {float(ious.mean()):.4f}, share >= 0.7 {at_70:.4f}")
    print(
        f"automatic: mIoU {scores.iou:.4f}, recall@.5 {scores.recall_50:.4f}, "
        f"recall@.7 {scores.recall_70:.4f}, precision@.5 {scores.precision_50:.4f}, "
        f"masks per image {scores.masks_per_image:.2f}"
    )
