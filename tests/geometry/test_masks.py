import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from matir_nb.errors import ShapeError
from matir_nb.geometry import masks
from matir_nb.types import MaskRLE

bool_masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24))


def disc(height=40, width=60, centre=(20, 30), radius=11):
    y, x = np.mgrid[:height, :width]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


@given(bool_masks)
def test_encode_agrees_with_pycocotools(mask):
    rle = masks.encode(mask)
    assert rle.counts == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert rle.size == mask.shape
    assert np.array_equal(masks.decode(rle), mask)


@given(bool_masks, st.integers(1, 9))
def test_coarse_decoding_takes_pixels_of_the_mask(mask, step):
    coarse = masks.decode_coarsely(masks.encode(mask), step)
    top, left = (min(step // 2, side - 1) for side in mask.shape)
    assert np.array_equal(coarse, mask[top::step, left::step])
    assert coarse.size


@given(bool_masks)
def test_area_and_box_agree_with_the_pixels(mask):
    rle = masks.encode(mask)
    assert masks.area(rle) == mask.sum()
    rows, columns = np.nonzero(mask)
    expected = (0, 0, 0, 0)
    if len(rows):
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert masks.tight_box_xyxy(rle) == expected


@given(bool_masks)
def test_untrusted_counts_are_read_like_pycocotools_reads_them(mask):
    rle = masks.encode(mask)
    assert masks.from_compressed(rle.counts, *rle.size) == rle


def test_box_is_half_open():
    mask = np.zeros((5, 7), bool)
    mask[4, 6] = True
    assert masks.tight_box_xyxy(masks.encode(mask)) == (6, 4, 7, 5)


def test_many_masks_round_trip_in_order():
    stack = np.stack([disc(radius=r) for r in (3, 9, 0)])
    rles = masks.encode_many(stack)
    assert np.array_equal(masks.decode_many(rles), stack)
    assert masks.encode_many(stack[:0]) == ()
    assert masks.decode_many([]).shape == (0, 0, 0)


def test_any_nonzero_number_is_inside():
    assert masks.area(masks.encode(np.array([[0, 255, 1, 256]]))) == 3


def test_mask_iou_by_hand():
    a, b, empty = (masks.encode(np.array([row])) for row in ([1, 1, 0], [0, 1, 1], [0, 0, 0]))
    ious = masks.mask_iou([a, empty], [b, a, empty])
    assert ious.dtype == np.float32
    assert ious == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))
    assert masks.mask_iou([], [a]).shape == (0, 1)


def test_merge_is_the_union():
    a, b = masks.encode([[1, 0, 0]]), masks.encode([[0, 0, 1]])
    assert masks.decode(masks.merge([a, b])).tolist() == [[True, False, True]]
    with pytest.raises(ShapeError, match="at least one mask"):
        masks.merge([])


def test_polygons_are_joined():
    squares = [[0, 0, 3, 0, 3, 3, 0, 3], [5, 5, 7, 5, 7, 7, 5, 7]]
    rle = masks.from_polygons(squares, height=10, width=12)
    assert rle.size == (10, 12)
    assert masks.area(rle) == 9 + 4
    assert masks.tight_box_xyxy(rle) == (0, 0, 7, 7)
    assert masks.area(masks.from_polygons([], height=4, width=4)) == 0


def test_runs_are_column_major():
    rle = masks.from_runs([2, 3, 1], height=3, width=2)
    assert masks.decode(rle).tolist() == [[False, True], [False, True], [True, False]]


def test_zero_runs_inside_are_normalised():
    rle = masks.from_runs([1, 1, 0, 1, 1], height=2, width=2)
    assert rle == masks.from_runs([1, 2, 1], height=2, width=2)
    assert masks.tight_box_xyxy(rle) == (0, 0, 2, 2)


def test_regions_measure_the_masks():
    regions = masks.regions_from_masks(
        masks.encode_many(np.stack([disc(), np.zeros((40, 60), bool)])), predicted_ious=[0.5, 0.25]
    )
    assert regions.boxes_xyxy.tolist() == [[20, 10, 41, 31], [0, 0, 0, 0]]
    assert regions.areas.tolist() == [disc().sum(), 0]
    assert regions.predicted_ious.tolist() == [0.5, 0.25]
    assert regions.stability_scores.tolist() == [1, 1]
    assert masks.regions_from_masks([]).boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masks.encode(np.zeros((2, 2, 2))), r"expected shape \(H, W\), got \(2, 2, 2\)"),
        (lambda: masks.encode(np.zeros((0, 3))), r"H, W >= 1, got \(1, 0, 3\)"),
        (lambda: masks.from_runs([1, 2], 2, 2), r"expected sum 4 \(2 x 2\), got 3"),
        (lambda: masks.from_runs([5, -1], 2, 2), "expected sum 4"),
        (lambda: masks.from_polygons([[0, 0, 1, 1]], 2, 2), "3 corners, got 4 numbers"),
        (lambda: masks.from_polygons([[0] * 7], 2, 2), "3 corners, got 7 numbers"),
        (lambda: masks.from_compressed(b"14", 2, 3), "expected sum 6"),
        (lambda: masks.from_compressed(b"1 4", 2, 2), "expected bytes"),
        (lambda: masks.from_compressed(b"1P", 2, 2), "truncated"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_masks_of_two_sizes_are_refused():
    pair = [masks.encode(np.ones((2, 2))), masks.encode(np.ones((2, 3)))]
    for call in (masks.decode_many, masks.regions_from_masks, masks.merge):
        with pytest.raises(ShapeError, match=r"one \(height, width\), got \(2, 2\) and \(2, 3\)"):
            call(pair)
    with pytest.raises(ShapeError, match="got"):
        masks.mask_iou(pair[:1], pair[1:])


def test_crowded_code_of_another_tool_is_not_trusted_blindly():
    huge = coco.encode(np.asfortranarray(np.ones((90, 90), np.uint8)))["counts"]
    with pytest.raises(ShapeError, match="expected sum 4"):
        masks.from_compressed(huge, 2, 2)
    assert isinstance(masks.from_compressed(huge, 90, 90), MaskRLE)


def test_scaling_agrees_with_averaging_the_pixels():
    mask = disc(600, 400, centre=(250, 180), radius=120)
    cover = mask.reshape(100, 6, 100, 4).mean(axis=(1, 3))
    scaled = masks.decode(masks.scale(masks.encode(mask), 100, 100))
    assert (scaled == (cover >= 0.5)).mean() > 0.995
    assert scaled[cover == 1].all()
    assert not scaled[cover == 0].any()


@given(bool_masks, array_shapes(min_dims=2, max_dims=2, max_side=40))
def test_a_scaled_mask_stays_inside_the_scaled_box(mask, size):
    scaled = masks.scale(masks.encode(mask), *size)
    assert scaled.size == size
    x0, y0, x1, y1 = masks.tight_box_xyxy(masks.encode(mask))
    sx0, sy0, sx1, sy1 = masks.tight_box_xyxy(scaled)
    if masks.area(scaled):
        assert sx0 >= np.floor(x0 * size[1] / mask.shape[1])
        assert sx1 <= np.ceil(x1 * size[1] / mask.shape[1])
        assert sy0 >= np.floor(y0 * size[0] / mask.shape[0])
        assert sy1 <= np.ceil(y1 * size[0] / mask.shape[0])


@given(bool_masks)
def test_a_mask_scaled_to_its_own_size_is_unchanged(mask):
    rle = masks.encode(mask)
    assert masks.scale(rle, *mask.shape) is rle


def test_a_line_one_pixel_wide_survives_scaling():
    line = np.zeros((300, 300), bool)
    line[151] = True
    assert masks.area(masks.scale(masks.encode(line), 100, 100)) >= 100
