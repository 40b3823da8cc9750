"""The rules that choose among masks, each on a case worked by hand."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from matir_nb.config import MaskConfig
from matir_nb.errors import ConfigError
from matir_nb.geometry.masks import decode
from matir_nb.models.sam2_masks import Proposals, compared_boxes
from matir_nb.models.sam2_select import select, suppress

IMAGE = np.zeros((40, 60, 3), np.uint8)
WHOLE = (0, 0, 60, 40)


def drawn(crop, *boxes, holes=()):
    """Return logits at the crop's own size: +1 in each box, -1 elsewhere."""
    x0, y0, x1, y1 = crop
    logits = -torch.ones(len(boxes), y1 - y0, x1 - x0)
    for mask, (left, top, right, bottom) in zip(logits, boxes, strict=True):
        mask[top - y0 : bottom - y0, left - x0 : right - x0] = 1
        for x, y in holes:
            mask[y - y0, x - x0] *= -1
    return logits


def proposals(crop, *boxes, ious, holes=()):
    logits = drawn(crop, *boxes, holes=holes)
    return Proposals.measured(logits, torch.tensor(ious), crop, offset=0.5, at="image")


def config(**options):
    return MaskConfig(**{"max_area_fraction": 1.0, **options})


def boxes_of(regions):
    return regions.boxes_xyxy.astype(int).tolist()


def test_masks_are_measured_in_pixels_of_the_picture():
    crop = (20, 10, 60, 40)
    found = proposals(crop, (25, 15, 35, 20), (20, 10, 21, 11), ious=[0.5, 0.9])
    assert found.boxes_xyxy.tolist() == [[25, 15, 35, 20], [20, 10, 21, 11]]
    assert found.areas.tolist() == [50, 1]
    assert found.stability_scores.tolist() == [1, 1]


def test_stability_at_the_size_of_the_picture_by_hand():
    # One row of two cells, -1 and 3, drawn 4 wide: bilinear gives -1, 0, 2, 3.
    logits = torch.tensor([[[-1.0, 3.0]]])
    crop = (0, 0, 4, 1)
    by_image, by_decoder = (
        Proposals.measured(logits, torch.ones(1), crop, offset=0.5, at=at)
        for at in ("image", "decoder")
    )
    assert by_image.stability_scores.tolist() == pytest.approx([2 / 3])
    assert by_decoder.stability_scores.tolist() == [1.0]


def test_boxes_and_areas_are_those_of_pycocotools():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, 7, generator=generator) - 0.8
    found = Proposals.measured(logits, torch.ones(6), (0, 0, 23, 17), offset=1, at="image")
    masks = torch.nn.functional.interpolate(logits[None], (17, 23), mode="bilinear")[0] > 0
    coded = coco.encode(np.asfortranarray(masks.numpy().transpose(1, 2, 0), np.uint8))
    x, y, width, height = coco.toBbox(coded).T
    assert np.array_equal(found.boxes_xyxy, np.stack([x, y, x + width, y + height], 1))
    assert found.areas.tolist() == coco.area(coded).tolist()


def test_boxes_are_compared_up_to_their_last_pixel_or_after_it():
    boxes = np.array([[2, 3, 8, 9]], np.float32)
    assert compared_boxes(boxes, "sam2").tolist() == [[2, 3, 7, 8]]
    assert compared_boxes(boxes, "half-open").tolist() == [[2, 3, 8, 9]]


def test_the_convention_decides_near_the_threshold():
    # 10 x 4 and 9 x 4: half-open 36 / 40 = 0.9; up to the last pixel 8 * 3 / (9 * 3) = 0.889
    pair = proposals(WHOLE, (0, 0, 10, 4), (0, 0, 9, 4), ious=[0.9, 0.8])
    for convention, n in (("sam2", 2), ("half-open", 1)):
        options = config(box_nms_thresh=0.895, pixel_convention=convention)
        assert len(suppress(pair, options).areas) == n


def test_within_a_crop_the_better_rated_of_two_stays():
    pair = proposals(WHOLE, (0, 0, 20, 20), (0, 0, 20, 19), ious=[0.7, 0.9])
    assert suppress(pair, config()).boxes_xyxy.tolist() == [[0, 0, 20, 19]]


def test_over_crops_the_mask_of_the_smaller_crop_stays_whatever_the_ratings():
    crop = (0, 0, 40, 30)
    found = [
        proposals(WHOLE, (0, 0, 20, 20), (40, 20, 60, 40), ious=[0.99, 0.5]),
        proposals(crop, (0, 0, 20, 19), ious=[0.6]),
    ]
    kept = select(IMAGE, found, config())
    assert boxes_of(kept) == [[0, 0, 20, 19], [40, 20, 60, 40]]
    assert kept.predicted_ious.tolist() == pytest.approx([0.6, 0.5])
    assert len(select(IMAGE, found, config(crop_nms_thresh=0.99))) == 3


def test_of_two_crops_of_one_size_the_first_wins():
    left, right = (0, 0, 40, 40), (20, 0, 60, 40)
    found = [
        proposals(left, (22, 5, 38, 35), ious=[0.5]),
        proposals(right, (22, 5, 38, 34), ious=[0.9]),
    ]
    assert boxes_of(select(IMAGE, found, config())) == [[22, 5, 38, 35]]


def test_small_holes_are_filled_and_masks_that_had_none_preferred():
    # The better rated mask has two holes of one pixel; the other is one row shorter and whole.
    holed = proposals(WHOLE, (0, 0, 20, 20), ious=[0.9], holes=[(5, 5), (9, 9)])
    whole = proposals(WHOLE, (0, 0, 20, 19), ious=[0.8])
    both = Proposals.joined([holed, whole])
    options = {"box_nms_thresh": 0.9, "crop_nms_thresh": 0.5}
    raw = select(IMAGE, [both], config(**options))
    assert raw.areas.tolist() == [398, 380]
    cleaned = select(IMAGE, [both], config(**options, min_mask_region_area=2))
    assert cleaned.areas.tolist() == [380]
    alone = select(IMAGE, [holed], config(min_mask_region_area=2))
    assert alone.areas.tolist() == [400]


def test_small_islands_are_removed_and_boxes_measured_anew():
    speck = proposals(WHOLE, (0, 0, 20, 20), ious=[0.9], holes=[(50, 30)])
    assert boxes_of(select(IMAGE, [speck], config())) == [[0, 0, 51, 31]]
    assert boxes_of(select(IMAGE, [speck], config(min_mask_region_area=2))) == [[0, 0, 20, 20]]


def test_the_best_rated_come_first_and_no_more_than_allowed():
    found = proposals(WHOLE, (0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9), ious=[0.5, 0.9, 0.7])
    kept = select(IMAGE, [found], config(max_regions=2))
    assert boxes_of(kept) == [[20, 0, 29, 9], [40, 0, 49, 9]]
    assert [decode(mask).sum() for mask in kept.masks] == [81, 81]


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("stability_at", "nowhere", "'image' or 'decoder'"),
        ("pixel_convention", "coco", "'sam2' or 'half-open'"),
        ("crop_nms_thresh", 1.5, "0 to 1"),
        ("crop_overlap_ratio", -0.1, "0 to 1"),
        ("min_mask_area", -1, "a number >= 0"),
        ("crop_n_points_downscale_factor", 0, "a whole number >= 1"),
    ],
)
def test_wrong_options_are_refused(option, value, allowed):
    with pytest.raises(ConfigError, match=f"{option} = .* is not allowed: give {allowed}"):
        MaskConfig(**{option: value})
