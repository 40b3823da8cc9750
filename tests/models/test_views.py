"""Views: image and mask go through one geometry, non-square pictures included."""

import numpy as np
import pytest
from PIL import Image

from matir_nb.models.views import View, cut, whole_window


def test_the_published_crop_is_one_and_a_half_boxes() -> None:
    assert View(scale=1.5, power=0.0).window((100, 50, 140, 70), 640, 480) == (90, 30, 150, 90)


def test_power_one_shows_every_region_at_the_same_magnification() -> None:
    view = View(scale=1.0, power=1.0)
    small = view.window((10, 10, 12, 12), 200, 100)
    large = view.window((10, 10, 90, 90), 200, 100)
    assert small[2] - small[0] == large[2] - large[0] == 100


def test_power_half_is_the_geometric_mean() -> None:
    window = View(scale=1.0, power=0.5).window((80, 40, 105, 50), 400, 100)
    assert window[2] - window[0] == 50


@pytest.mark.parametrize(("width", "height"), [(300, 100), (100, 300), (128, 128)])
def test_image_and_mask_stay_together(width: int, height: int) -> None:
    mask = np.zeros((height, width), np.uint8)
    mask[20:60, 30:80] = 255
    image = np.dstack([mask, mask, mask])
    for window in (
        View(1.5, 0.0).window((30, 20, 80, 60), width, height),
        whole_window(width, height),
    ):
        view = cut(Image.fromarray(image), Image.fromarray(mask), window, 64).astype(int)
        assert view.shape == (64, 64, 4)
        assert np.abs(view[..., 0] - view[..., 3]).max() < 80
        assert ((view[..., 0] > 127) == (view[..., 3] > 127)).mean() > 0.995


def test_outside_the_image_is_black_and_not_in_the_mask() -> None:
    white = np.full((40, 80, 3), 255, np.uint8)
    inside = np.full((40, 80), 255, np.uint8)
    window = whole_window(80, 40)
    view = cut(Image.fromarray(white), Image.fromarray(inside), window, 80)
    assert (view[:15] == 0).all()
    assert (view[30:50] == 255).all()
