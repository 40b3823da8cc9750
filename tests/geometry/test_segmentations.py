import numpy as np
import pytest
from pycocotools import mask as reference

from matir_nb.errors import ShapeError
from matir_nb.geometry.masks import area, decode, encode
from matir_nb.geometry.segmentations import BROKEN, mask_of_segmentation, masks_of_panoptic

PIXELS = np.zeros((4, 6), bool)
PIXELS[1:3, 2:5] = True
SQUARE = [2, 1, 5, 1, 5, 3, 2, 3]
RUNS = [9, 2, 2, 2, 2, 2, 5]
CODE = encode(PIXELS).counts


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        {"size": [4, 6], "counts": RUNS},
        {"size": [4, 6], "counts": CODE.decode()},
        {"size": (4, 6), "counts": CODE},
        PIXELS.tolist(),
    ],
    ids=["polygons", "polygon", "runs", "text", "bytes", "rows"],
)
def test_every_form_is_the_same_mask(segmentation):
    assert (decode(mask_of_segmentation(segmentation, 4, 6)) == PIXELS).all()


def test_no_polygon_is_a_mask_without_a_pixel():
    assert area(mask_of_segmentation([], 4, 6)) == 0


def test_polygons_are_pycocotools_polygons():
    polygons = [[1.2, 0.7, 5.9, 1.1, 4.2, 3.8], [0, 0, 1.5, 0, 1.5, 2.5]]
    expected = reference.merge(reference.frPyObjects(polygons, 4, 6))
    assert mask_of_segmentation(polygons, 4, 6).counts == expected["counts"]


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        {},
        {"size": [4, 6]},
        {"size": [4, 6], "counts": "é"},
        {"size": [4, 6], "counts": [1, 2]},
        {"size": [4, 6], "counts": [24, -1, 1]},
        {"size": [4, 6], "counts": None},
        [[1, 2, 3]],
        [[1, 2, 3, 4, "a", 6]],
        7,
    ],
)
def test_what_is_no_segmentation_raises_one_of_the_named_errors(segmentation):
    with pytest.raises(BROKEN):
        mask_of_segmentation(segmentation, 4, 6)


def test_runs_for_another_size_are_refused():
    with pytest.raises(ShapeError, match=r"expected \(height, width\) \(6, 4\), got \(4, 6\)"):
        mask_of_segmentation({"size": [4, 6], "counts": RUNS}, 6, 4)


def test_panoptic_ids_are_spread_over_three_channels():
    ids = np.array([[0, 5], [5 + 256 * 7 + 65536 * 9, 256 * 7]], np.uint32)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    masks = masks_of_panoptic(rgb, [5 + 256 * 7 + 65536 * 9, 5, 256 * 7, 6])
    assert [decode(mask).astype(int).tolist() for mask in masks] == [
        [[0, 0], [1, 0]],
        [[0, 1], [0, 0]],
        [[0, 0], [0, 1]],
        [[0, 0], [0, 0]],
    ]
    assert masks_of_panoptic(rgb, []) == ()
