import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.geometry.crops import crop_boxes, point_grid, touches_inner_edge


def test_grid_points_are_cell_centres_row_by_row():
    grid = point_grid(4)
    assert grid.shape == (16, 2)
    assert grid[:5].tolist() == [
        [0.125, 0.125],
        [0.375, 0.125],
        [0.625, 0.125],
        [0.875, 0.125],
        [0.125, 0.375],
    ]
    assert grid[-1].tolist() == [0.875, 0.875]


@pytest.mark.parametrize(("height", "width"), [(40, 200), (200, 40), (97, 61)])
def test_every_row_and_column_of_a_picture_is_within_half_a_cell_of_a_point(height, width):
    n = 16
    points = point_grid(n) * [width, height]
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    assert np.abs(rows[:, None] - points[:, 1]).min(1).max() <= height / n / 2
    assert np.abs(columns[:, None] - points[:, 0]).min(1).max() <= width / n / 2


def test_layer_0_is_the_whole_image():
    assert crop_boxes(30, 70, layer=0, overlap_ratio=0.3) == ((0, 0, 70, 30),)


def test_first_layer_crops_worked_by_hand():
    # overlap = int(0.2 * 100 * 2 / 2) = 20; width (20 + 200) / 2 = 110; height (20 + 100) / 2 = 60
    assert crop_boxes(100, 200, layer=1, overlap_ratio=0.2) == (
        (0, 0, 110, 60),
        (0, 40, 110, 100),
        (90, 0, 200, 60),
        (90, 40, 200, 100),
    )


def test_second_layer_crops_worked_by_hand():
    # overlap = int(0.5 * 64 * 2 / 4) = 16; side (16 * 3 + 64) / 4 = 28, a step of 12
    boxes = crop_boxes(64, 64, layer=2, overlap_ratio=0.5)
    spans = [(0, 28), (12, 40), (24, 52), (36, 64)]
    assert boxes == tuple((x0, y0, x1, y1) for x0, x1 in spans for y0, y1 in spans)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    layer=st.integers(0, 3),
    ratio=st.floats(0, 0.9),
)
def test_the_crops_of_a_layer_cover_the_image(height, width, layer, ratio):
    boxes = crop_boxes(height, width, layer=layer, overlap_ratio=ratio)
    assert len(boxes) == 4**layer or min(height, width) < 2**layer * 2**layer
    seen = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        seen[y0:y1, x0:x1] = True
    assert seen.all()


def test_only_inner_edges_count():
    crop, boxes = (
        (50, 0, 100, 40),
        [[50, 5, 60, 9], [60, 0, 70, 9], [90, 5, 100, 9], [60, 9, 70, 40]],
    )
    # In a 100 x 80 image the left and the lower edge of this crop lie inside the image.
    touching = touches_inner_edge(boxes, crop, 80, 100, tolerance=0)
    assert touching.tolist() == [True, False, False, True]


def test_a_box_near_the_edge_of_the_image_is_not_cut_off_by_a_crop_that_ends_beside_it():
    # The crop ends at x = 95, the image at 100: a box up to 92 is near both.
    crop, boxes = (40, 0, 95, 50), [[60, 9, 92, 20], [60, 9, 79, 20], [50, 9, 70, 20]]
    assert touches_inner_edge(boxes, crop, 50, 100, tolerance=10).tolist() == [False, False, True]


def test_tolerance_is_inclusive():
    crop, boxes = (0, 0, 50, 40), [[5, 5, 48, 9], [5, 5, 47, 9]]
    assert touches_inner_edge(boxes, crop, 40, 100, tolerance=2).tolist() == [True, False]


def test_no_boxes_touch_nothing():
    assert touches_inner_edge([], (0, 0, 5, 5), 9, 9, tolerance=1).shape == (0,)
