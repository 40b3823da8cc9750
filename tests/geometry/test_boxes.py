import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ShapeError
from matir_nb.geometry.boxes import (
    box_area,
    clip_xyxy,
    nms,
    pairwise_iou,
    scale_xyxy,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

whole = st.integers(0, 200)
boxes_xywh = st.lists(st.tuples(whole, whole, whole, whole), max_size=12)


@given(boxes_xywh)
def test_conversion_round_trip(boxes):
    expected = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    assert np.array_equal(xyxy_to_xywh(xywh_to_xyxy(boxes)), expected)


def test_half_open_boxes_measure_without_plus_one():
    assert box_area([[0, 0, 1, 1]]).tolist() == [1]
    assert xywh_to_xyxy([[5, 6, 1, 2]]).tolist() == [[5, 6, 6, 8]]


def test_clip_keeps_boxes_inside_and_empties_those_outside():
    clipped = clip_xyxy([[-3, -3, 4, 5], [90, 2, 95, 4]], width=50, height=3)
    assert clipped.tolist() == [[0, 0, 4, 3], [50, 2, 50, 3]]
    assert box_area(clipped).tolist() == [12, 0]


def test_scale_uses_both_factors():
    assert scale_xyxy([[2, 2, 4, 8]], x_factor=0.5, y_factor=3).tolist() == [[1, 6, 2, 24]]


def test_iou_by_hand():
    # 4x4 and 4x4 shifted by (2, 2): overlap 4, union 28
    ious = pairwise_iou([[0, 0, 4, 4]], [[2, 2, 6, 6], [4, 0, 8, 4], [0, 0, 4, 4]])
    assert ious.shape == (1, 3)
    assert ious[0] == pytest.approx([4 / 28, 0, 1])


def test_iou_of_empty_boxes_is_zero_not_nan():
    assert pairwise_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]]).tolist() == [[0]]


def test_no_boxes_give_empty_arrays():
    assert pairwise_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert nms([], [], 0.5).tolist() == []
    assert clip_xyxy([], 4, 4).shape == (0, 4)


def test_nms_drops_the_worse_of_two_and_keeps_the_far_one():
    boxes = [[0, 0, 10, 10], [1, 0, 10, 10], [30, 30, 40, 40]]
    assert nms(boxes, [0.8, 0.9, 0.1], 0.7).tolist() == [1, 2]
    assert nms(boxes, [0.8, 0.9, 0.1], 0.95).tolist() == [1, 0, 2]


def test_nms_settles_ties_by_row():
    assert nms([[0, 0, 2, 2]] * 3, [0.5] * 3, 0.5).tolist() == [0]


def test_nms_keeps_a_box_that_only_a_dropped_one_covers():
    # B overlaps A and C by 60/140; A and C share 20/180
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    assert nms(boxes, [0.9, 0.8, 0.7], 0.4).tolist() == [0, 2]


@given(boxes_xywh, st.floats(0, 1))
def test_nms_survivors_do_not_overlap(boxes, thresh):
    xyxy = xywh_to_xyxy(boxes)
    kept = nms(xyxy, np.arange(len(boxes)), thresh)
    ious = pairwise_iou(xyxy[kept], xyxy[kept])
    assert (ious[~np.eye(len(kept), dtype=bool)] <= thresh).all()


def test_wrong_shapes_say_expected_and_got():
    with pytest.raises(ShapeError, match=r"expected shape \(n, 4\), got \(1, 3\)"):
        box_area([[1, 2, 3]])
    with pytest.raises(ShapeError, match=r"scores: expected 1, one per box, got 2"):
        nms([[0, 0, 1, 1]], [1, 2], 0.5)
