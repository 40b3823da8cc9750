"""From the masks found in every crop of a picture to its regions.

Near duplicates are suppressed as SAM 2's own generator does it; small holes and islands are
cleaned as SAM's does (`postprocess_small_regions`). This module knows no model.
"""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from matir_nb.config import MaskConfig
from matir_nb.geometry.boundary import refine_boundary
from matir_nb.geometry.boxes import box_area, nms
from matir_nb.geometry.components import drop_small_islands, fill_small_holes
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.models.sam2_masks import Proposals, compared_boxes
from matir_nb.types import FloatArray, MaskRLE, Regions, RGBImage

BoolArray = NDArray[np.bool_]


def suppress(found: Proposals, config: MaskConfig) -> Proposals:
    """Return a crop's masks without near duplicates, best rated first."""
    return found.take(
        _survivors(found.boxes_xyxy, found.predicted_ious, config, config.box_nms_thresh)
    )


def select(image: RGBImage, found: Sequence[Proposals], config: MaskConfig) -> Regions:
    """Return the masks of all crops, best rated first, without near duplicates.

    Args:
        image: (H, W, 3) uint8.
        found: of each crop, in order, near duplicates within it left out; one or more.
        config: options of the generator.
    """
    places = [(f, row) for f in found for row in range(len(f.areas))]
    places = [places[row] for row in _over_crops(found, config)]
    drawn = [_draw(image, f, row, config) for f, row in places]
    regions = regions_from_masks(
        [mask for mask, _ in drawn],
        np.array([f.predicted_ious[row] for f, row in places], np.float32),
        np.array([f.stability_scores[row] for f, row in places], np.float32),
    )
    if config.min_mask_region_area:
        untouched = np.array([is_untouched for _, is_untouched in drawn], np.float32)
        thresh = max(config.box_nms_thresh, config.crop_nms_thresh)
        regions = regions.take(_survivors(regions.boxes_xyxy, untouched, config, thresh))
    return _best(regions, config)


def _survivors(
    boxes_xyxy: FloatArray, scores: FloatArray, config: MaskConfig, thresh: float
) -> NDArray[np.intp]:
    return nms(compared_boxes(boxes_xyxy, config.pixel_convention), scores, thresh)


def _over_crops(found: Sequence[Proposals], config: MaskConfig) -> NDArray[np.intp]:
    """Return the rows, of all crops' masks, that no mask of a smaller crop shows as well."""
    boxes = np.concatenate([f.boxes_xyxy for f in found])
    if len(found) == 1:
        return np.arange(len(boxes))
    areas = np.repeat(box_area([f.crop for f in found]), [len(f.areas) for f in found])
    return _survivors(boxes, np.reciprocal(areas), config, config.crop_nms_thresh)


def _draw(image: RGBImage, found: Proposals, row: int, config: MaskConfig) -> tuple[MaskRLE, bool]:
    """Return one mask at the image's size, and whether it had no small hole or island."""
    pasted = mask = _paste(image, found, row, config)
    if config.min_mask_region_area:
        mask = fill_small_holes(mask, config.min_mask_region_area)
        mask = drop_small_islands(mask, config.min_mask_region_area)
    return encode(mask), np.array_equal(mask, pasted)


def _paste(image: RGBImage, found: Proposals, row: int, config: MaskConfig) -> BoolArray:
    """Return one mask at the image's size, its boundary moved to where the colours change."""
    x0, y0, x1, y1 = found.crop
    coarse = found.logits[row]
    size = (y1 - y0, x1 - x0)
    logits = F.interpolate(coarse[None, None], size=size, mode="bilinear")[0, 0].cpu().numpy()
    band = round(config.boundary_cells * max(size) / coarse.shape[-1])
    mask = np.zeros(image.shape[:2], dtype=bool)
    mask[y0:y1, x0:x1] = refine_boundary(image[y0:y1, x0:x1], logits, band=band)
    return mask


def _best(regions: Regions, config: MaskConfig) -> Regions:
    """Return at most `max_regions`, best rated first.

    Masks whose boundaries were moved are suppressed once more: several may have met.
    """
    rows = np.argsort(-regions.predicted_ious, kind="stable")
    if config.boundary_cells > 0:
        boxes, ious = regions.boxes_xyxy, regions.predicted_ious
        rows = _survivors(boxes, ious, config, config.box_nms_thresh)
    kept = rows[: config.max_regions]
    return regions.take([int(row) for row in kept if regions.areas[row] > 0])
