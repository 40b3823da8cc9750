"""The plain loop that indexing is measured against: SAM 2's and Alpha-CLIP's own examples.

One image at a time; every prompt of a batch through `Sam2Model.forward`; every mask drawn at the
image's size before any is dropped; run lengths mask by mask; one Alpha-CLIP call per mask. The
rules (predicted IoU, stability, box suppression; a box ends at its last pixel) are those of SAM 2's
generator, so that masks and vectors are those of `matir_nb` with the same options.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from matir_nb.config import MaskConfig
from matir_nb.geometry.boxes import nms
from matir_nb.geometry.crops import point_grid
from matir_nb.geometry.masks import decode, from_runs
from matir_nb.models.alpha_clip import normalise
from matir_nb.models.sam2 import IMAGENET_MEAN, IMAGENET_STD
from matir_nb.models.views import CROP, WHOLE, Framing, cut
from matir_nb.types import FloatArray, MaskRLE, RGBImage


@dataclass(frozen=True, slots=True)
class PlainRow:
    """What the loop found in one image: n masks, and n vectors beside that of the image."""

    masks: tuple[MaskRLE, ...]
    vectors: FloatArray
    whole: FloatArray


@dataclass(slots=True)
class PlainLoop:
    """SAM 2 and Alpha-CLIP, one after the other.

    Attributes:
        sam: a `Sam2Model` on its device.
        clip: a `CLIPModel` with an alpha channel on the same device.
        config: options of the generator; those that SAM 2's has.
        framing: what Alpha-CLIP is shown of a region.
        seconds: by stage, summed over images.
    """

    sam: Any
    clip: Any
    config: MaskConfig
    framing: Framing = CROP
    seconds: dict[str, float] = field(default_factory=dict)

    def index(self, files: list[Path]) -> list[PlainRow]:
        """Return masks and vectors of each file."""
        return [self._row(file) for file in files]

    @torch.inference_mode()
    def _row(self, file: Path) -> PlainRow:
        with self._clock("decode"):
            image = np.asarray(Image.open(file).convert("RGB"))
        masks = self._masks(image)
        with self._clock("embed"):
            vectors = [self._vector(image, mask) for mask in masks]
            whole = self._embed(self._view(image, np.ones(image.shape[:2], bool), WHOLE))
        return PlainRow(masks, np.array(vectors, np.float32), whole)

    def _masks(self, image: RGBImage) -> tuple[MaskRLE, ...]:
        height, width = image.shape[:2]
        with self._clock("encode"):
            embeddings = self.sam.get_image_embeddings(self._pixels(image))
        side = self.sam.config.prompt_encoder_config.image_size
        grid = torch.from_numpy(point_grid(self.config.points_per_side)) * side
        boxes, ious, runs = [], [], []
        for points in torch.split(grid.to(self.sam.device), self.config.points_per_batch):
            with self._clock("decoder"):
                answer = self.sam(
                    image_embeddings=embeddings,
                    input_points=points[None, :, None],
                    input_labels=torch.ones_like(points[None, :, None, 0], dtype=torch.int),
                    multimask_output=True,
                )
            with self._clock("filter"):
                kept, rated = self._good(answer, height, width)
                boxes += [inclusive_box(mask) for mask in kept]
                ious += rated.tolist()
            with self._clock("run lengths"):
                runs += plain_runs(kept)
        with self._clock("filter"):
            order = nms(np.array(boxes), np.array(ious), self.config.box_nms_thresh)
        with self._clock("run lengths"):
            return tuple(from_runs(runs[row], height, width) for row in order)

    def _pixels(self, image: RGBImage) -> Tensor:
        side = self.sam.config.prompt_encoder_config.image_size
        square = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        scaled = torch.from_numpy(np.array(square)).float() / 255
        normal = (scaled - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        return normal.permute(2, 0, 1)[None].to(self.sam.device, self.sam.dtype)

    def _good(self, answer: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return (n, height, width) masks and (n,) predicted IoUs of those that pass."""
        logits = answer.pred_masks[0].float()
        logits = F.interpolate(logits, size=(height, width), mode="bilinear").flatten(0, 1)
        ious = answer.iou_scores[0].float().flatten()
        rated = ious > self.config.pred_iou_thresh
        logits, ious = logits[rated], ious[rated]
        offset = self.config.stability_score_offset
        inner = (logits > offset).sum((1, 2))
        outer = (logits > -offset).sum((1, 2))
        stable = inner / outer.clamp(min=1) >= self.config.stability_score_thresh
        masks = logits[stable] > 0
        filled = masks.any(2).any(1)
        return masks[filled], ious[stable][filled]

    def _vector(self, image: RGBImage, mask: MaskRLE) -> FloatArray:
        return self._embed(self._view(image, decode(mask), self.framing))

    def _view(self, image: RGBImage, inside: Any, framing: Framing) -> Any:
        height, width = image.shape[:2]
        alpha = Image.fromarray(inside.astype(np.uint8) * 255)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        window = framing.window(tuple(map(float, box)), width, height)
        side = self.clip.config.vision_config.image_size
        return cut(Image.fromarray(image), alpha, window, side, outside=framing.outside)

    def _embed(self, view: Any) -> FloatArray:
        pixels = normalise(view[None]).to(self.clip.device, self.clip.dtype)
        features = self.clip.get_image_features(pixels).pooler_output.float()
        vector: FloatArray = F.normalize(features, dim=-1)[0].cpu().numpy()
        return vector

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start


def inclusive_box(mask: Tensor) -> list[int]:
    """Return x0, y0, x1, y1 of one mask with at least a pixel; x1 and y1 are its last pixels."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]


def plain_runs(masks: Tensor) -> list[list[int]]:
    """Return COCO's uncompressed runs of each (h, w) mask: down the columns, background first."""
    found = []
    for mask in masks:
        pixels = mask.T.flatten()
        ends = (pixels[1:] != pixels[:-1]).nonzero()[:, 0] + 1
        edges = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([len(pixels)])])
        runs = edges.diff().tolist()
        found.append([0, *runs] if pixels[0] else runs)
    return found
