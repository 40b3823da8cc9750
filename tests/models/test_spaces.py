import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.models.spaces import SPACES, from_pixels, to_pixels

WIDE = (640, 200)


def test_relative_boxes_scale_each_side_by_itself():
    box = to_pixels((100, 250, 500, 1000), "rel1000", image_size=WIDE)
    assert box == (64.0, 50.0, 320.0, 200.0)


def test_boxes_of_the_resized_picture_ignore_the_1000_grid():
    box = to_pixels((28, 14, 280, 84), "abs_resized", image_size=WIDE, resized_size=(280, 84))
    assert box == pytest.approx((64.0, 200 * 14 / 84, 640.0, 200.0))


def test_a_bin_stands_for_its_centre():
    box = to_pixels((0, 100, 499, 999), "loc_bins", image_size=(2000, 1000))
    assert box == (1.0, 100.5, 999.0, 999.5)


def test_swapped_corners_are_put_right_and_the_outside_is_cut_off():
    assert to_pixels((500, 900, -20, 100), "rel1000", image_size=(100, 50)) == (0, 5, 50, 45)
    assert to_pixels((900, 0, 1500, 1000), "rel1000", image_size=(100, 50)) == (90, 0, 100, 50)


@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 9),
        (5, 9, 8, 9),
        (1001, 0, 1200, 50),
        (-9, -9, 0, 0),
        (1, 2, 3),
        (math.nan,) * 4,
        (0, 0, math.inf, 9),
    ],
)
def test_nothing_inside_is_none(box):
    assert to_pixels(box, "rel1000", image_size=(100, 50)) is None


def test_unknown_space_and_missing_size():
    with pytest.raises(ConfigError, match="did you mean 'rel1000'"):
        to_pixels((0, 0, 1, 1), "rel100", image_size=(1, 1))
    with pytest.raises(ConfigError, match="give resized_size"):
        to_pixels((0, 0, 1, 1), "abs_resized", image_size=(1, 1))


@given(
    st.tuples(*[st.floats(-1e5, 1e5)] * 4),
    st.sampled_from(SPACES),
    st.tuples(*[st.integers(1, 5000)] * 2),
    st.tuples(*[st.integers(1, 2000)] * 2),
)
def test_boxes_lie_in_the_picture(box, space, size, resized):
    found = to_pixels(box, space, image_size=size, resized_size=resized)
    if found is not None:
        x0, y0, x1, y1 = found
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]


@given(
    st.sampled_from(SPACES),
    st.tuples(st.integers(0, 700), st.integers(0, 150), st.integers(80, 99), st.integers(60, 99)),
)
def test_there_and_back(space, xywh):
    x, y, width, height = xywh
    box, sizes = (x, y, x + width, y + height), {"image_size": (800, 250)}
    sizes["resized_size"] = (1600, 500)
    found = to_pixels(from_pixels(box, space, **sizes), space, **sizes)
    assert found == pytest.approx(box, abs=0.81)
