"""Masks of somebody else's generator: any object with `generate(image) -> records`.

Meta's `SAM2AutomaticMaskGenerator` is one, and so is SAM's: a record is a dict with
"segmentation" (a boolean array, or COCO run lengths, compressed or not), "predicted_iou" and
"stability_score". Meta's package is no dependency. It is installed from its own repository::

    pip install "git+https://github.com/facebookresearch/sam2.git"

and brings torchvision, which must fit torch (on a machine without a GPU take both from PyTorch's
CPU index). `pip install matir_nb[sam2]` takes the package called sam2 on PyPI instead: the same
code of December 2024, uploaded by somebody else, built with a torch of its own choice.

    generator = SAM2AutomaticMaskGenerator(build_sam2(config, checkpoint))
    matir.build("photos/", "photos.matir", masks=generator)

This module knows no model.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from matir_nb.errors import AnnotationError
from matir_nb.geometry.masks import area, encode, from_compressed, from_runs, regions_from_masks
from matir_nb.types import MaskRLE, Regions, RGBImage

BATCH_OPTIONS = ("points_per_batch",)
"""Options of generators that change seconds and not masks."""
SCORES = ("predicted_iou", "stability_score")


class RecordGenerator(Protocol):
    """Finds the masks of one image."""

    def generate(self, image: RGBImage) -> Sequence[Mapping[str, Any]]:
        """Return one record per mask of an (H, W, 3) uint8 image."""
        ...


class RecordMasks:
    """A generator of records as a mask source; implements `MaskSource`.

    Attributes:
        model_id: tells generators apart: class, plain options and a digest of the weights, or
            the name given.
    """

    def __init__(self, generator: RecordGenerator, name: str | None = None) -> None:
        """Wrap a generator.

        Args:
            generator: with `generate(image)`.
            name: in place of what is read off the generator; to be changed by the user whenever
                the generator's masks would change.
        """
        self._generator = generator
        self.model_id = f"records:{name or _described(generator)}"

    def generate(self, images: Sequence[RGBImage]) -> list[Regions]:
        """Return the regions of each image, best rated first; masks without a pixel are left out.

        Images go to the generator one at a time, as copies. Boxes and areas are measured on the
        masks: those of the records are not trusted.

        Raises:
            AnnotationError: the generator returned something else than records, or a record is
                broken or of another size than its image.
        """
        return [self._regions(number, image) for number, image in enumerate(images)]

    def _regions(self, number: int, image: RGBImage) -> Regions:
        height, width = image.shape[:2]
        where = f"image {number} ({width} x {height} pixels)"
        records: Any = self._generator.generate(np.array(image))
        if not isinstance(records, list | tuple):
            kind = type(records).__name__
            message = f"the generator gave {kind!r} for {where}: a list of records is expected"
            raise AnnotationError(message)
        found = []
        for row, record in enumerate(records):
            try:
                found.append((_mask_of(record["segmentation"], height, width), *_scores(record)))
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                message = (
                    f"record {row} of {where} cannot be used: {type(error).__name__}: {error}; "
                    'give a dict with "segmentation": a boolean array or run lengths of that size'
                )
                raise AnnotationError(message) from error
        kept = sorted((f for f in found if area(f[0])), key=lambda f: -f[1])
        return regions_from_masks(
            [mask for mask, _, _ in kept], [iou for _, iou, _ in kept], [s for _, _, s in kept]
        )


def _mask_of(segmentation: Any, height: int, width: int) -> MaskRLE:
    """Return one mask; what is no mask raises one of several built-in errors."""
    if not isinstance(segmentation, Mapping):
        mask = np.asarray(segmentation)
        _require_size(mask.shape, height, width)
        return encode(mask.astype(bool))
    _require_size(segmentation["size"], height, width)
    counts = segmentation["counts"]
    if isinstance(counts, str):
        counts = counts.encode("ascii")
    if isinstance(counts, bytes):
        return from_compressed(counts, height, width)
    return from_runs(counts, height, width)


def _require_size(size: Sequence[int], height: int, width: int) -> None:
    if tuple(size) != (height, width):
        message = f"mask: expected (height, width) {(height, width)}, got {tuple(size)}"
        raise ValueError(message)


def _scores(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return predicted IoU and stability score; 1 where a record has none."""
    iou, stability = (float(record.get(name, 1.0)) for name in SCORES)
    if not np.isfinite([iou, stability]).all():
        message = f"scores: expected finite numbers, got {iou} and {stability}"
        raise ValueError(message)
    return iou, stability


def _described(generator: object) -> str:
    """Return what decides a generator's masks, as far as it shows: its model and plain options."""
    model = getattr(getattr(generator, "predictor", None), "model", None)
    options = {
        name: _plain(value)
        for name, value in sorted(getattr(generator, "__dict__", {}).items())
        if not name.startswith("_") and name not in BATCH_OPTIONS
    }
    options = {name: value for name, value in options.items() if value is not None}
    weights = f"@{_weights_digest(model)}" if hasattr(model, "state_dict") else ""
    side = getattr(model, "image_size", None)
    sides = [f"image_size={side}"] if isinstance(side, int) else []
    listed = ",".join([*sides, *(f"{name}={value}" for name, value in options.items())])
    return f"{type(generator).__name__}{weights}|{listed}"


def _plain(value: object) -> str | None:
    """Return an option as text: plain values as they are, numbers in rows as a digest, else None.

    SAM 2's point grids are a list of arrays, one per layer of crops.
    """
    if value is None or isinstance(value, str | int | float | np.generic):
        return str(value)
    if not isinstance(value, list | tuple | np.ndarray):
        return None
    try:
        arrays = [np.asarray(part, dtype=np.float64) for part in value]
    except (TypeError, ValueError):
        return str(value) if all(isinstance(part, str) for part in value) else None
    shapes = json.dumps([array.shape for array in arrays]).encode()
    return hashlib.sha256(b"".join([shapes, *(a.tobytes() for a in arrays)])).hexdigest()[:12]


def _weights_digest(model: Any) -> str:
    """Return 12 hex digits over names, shapes and values, whatever the device and precision."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().float().cpu().numpy()
        digest.update(f"{name} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:12]
