"""Batches for the training of the embedded SAM 2: square pictures, label maps and prompts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from matir_nb.scenes.draw import Scene
from training.scene_pool import load_pool

SIDE = 224
BATCH = 8
N_OBJECT_POINTS, N_BACKGROUND_POINTS = 10, 2
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def square(scene: Scene, side: int = SIDE) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (3, side, side) pixels and (side, side) labels, the aspect ratio given up."""
    image = Image.fromarray(scene.image).resize((side, side), Image.Resampling.BILINEAR)
    labels = Image.fromarray(scene.labels).resize((side, side), Image.Resampling.NEAREST)
    return np.asarray(image).transpose(2, 0, 1), np.asarray(labels)


@dataclass(frozen=True)
class Pool:
    """Square-resized scenes, memory-mapped."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @classmethod
    def open(cls, scenes: Path, cache: Path) -> "Pool":
        """Resize a scene pool once; later calls read the result."""
        files = [cache / f"{scenes.name}-{SIDE}-{part}.npy" for part in ("images", "labels")]
        if not all(file.exists() for file in files):
            rows = [square(scene) for scene in load_pool(scenes)]
            for file, column in zip(files, zip(*rows, strict=True), strict=True):
                np.save(file, np.stack(column))
        return cls(*(np.load(file, mmap_mode="r") for file in files))


@dataclass(frozen=True)
class Batch:
    """Eight pictures with their prompts; objects are numbered as in the label maps.

    Attributes:
        pixels: (B, 3, S, S) normalised.
        labels: (B, S, S) object under each pixel, 0 = background.
        geometry: (B, 256, 6) per label: centre x, y and box x0, y0, x1, y1, in [0, 1].
        asked: (B, P) the object each prompt lies on; 0 = background.
        points: (B, P, 2) x, y in pixels of the square, or None.
        boxes: (B, P, 4) x0, y0, x1, y1, or None.
    """

    pixels: Tensor
    labels: Tensor
    geometry: Tensor
    asked: Tensor
    points: Tensor | None
    boxes: Tensor | None


def _augment(
    rng: np.random.Generator, image: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = np.rot90(image, turns, (1, 2)), np.rot90(labels, turns)
    if flip:
        image, labels = image[:, :, ::-1], labels[:, ::-1]
    contrast, brightness = rng.uniform(0.85, 1.15), rng.uniform(-0.1, 0.1)
    pixels = (image.astype(np.float32) / 255 - 0.5) * contrast + 0.5 + brightness
    return pixels.astype(np.float32), np.ascontiguousarray(labels)


def _geometry(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    table = np.zeros((256, 6), np.float32)
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        columns, rows = np.nonzero(mask.any(0))[0], np.nonzero(mask.any(1))[0]
        x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        table[value] = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x0, y0, x1, y1]) / len(labels)
    return table


def _pick_points(
    rng: np.random.Generator, labels: NDArray[np.uint8]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return points, objects drawn uniformly and then a visible pixel, and what they lie on."""
    values = np.unique(labels)
    objects = values[values > 0]
    asked = rng.choice(objects, N_OBJECT_POINTS).tolist() + [0] * N_BACKGROUND_POINTS
    pixels_of = {int(v): np.flatnonzero(labels == v) for v in values}
    pixels_of.setdefault(0, np.array([0]))
    picked = [int(rng.choice(pixels_of[int(v)])) for v in asked]
    side = len(labels)
    return [(p % side, p // side) for p in picked], [int(labels.flat[p]) for p in picked]


def _pick_boxes(
    rng: np.random.Generator, labels: NDArray[np.uint8], geometry: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[int]]:
    """Return jittered boxes of objects drawn uniformly, in pixels."""
    objects = np.unique(labels[labels > 0])
    asked = rng.choice(objects, N_OBJECT_POINTS + N_BACKGROUND_POINTS)
    boxes = geometry[asked, 2:]
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    jittered = np.clip(boxes + rng.normal(0, 0.06, boxes.shape) * size, 0, 1) * len(labels)
    return jittered.astype(np.float32) - 0.5, [int(v) for v in asked]


def draw_batch(pool: Pool, rng: np.random.Generator, *, with_boxes: bool) -> Batch:
    """Return a random batch."""
    images, maps, geometries, prompts, asked = [], [], [], [], []
    for row in rng.integers(0, len(pool.images), BATCH):
        pixels, labels = _augment(rng, pool.images[row], pool.labels[row])
        if not labels.any():
            continue
        geometry = _geometry(labels)
        where, what = (
            _pick_boxes(rng, labels, geometry) if with_boxes else _pick_points(rng, labels)
        )
        images.append(pixels)
        maps.append(labels)
        geometries.append(geometry)
        prompts.append(np.asarray(where, np.float32))
        asked.append(what)
    tensor = torch.from_numpy(np.stack(prompts))
    return Batch(
        pixels=(torch.from_numpy(np.stack(images)) - MEAN) / STD,
        labels=torch.from_numpy(np.stack(maps)).long(),
        geometry=torch.from_numpy(np.stack(geometries)),
        asked=torch.tensor(asked),
        points=None if with_boxes else tensor,
        boxes=tensor if with_boxes else None,
    )
