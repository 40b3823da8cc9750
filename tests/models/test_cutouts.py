"""Cut-outs: what the embedded judge sees of a region."""

import numpy as np
import pytest

from matir_nb.models.cutouts import (
    ListedRegions,
    box_words,
    is_listed_regions,
    listed_regions,
    prompt_content,
    region_cutouts,
)
from matir_nb.models.views import View


def test_boxes_are_written_on_the_grid_of_a_non_square_picture() -> None:
    assert box_words((0, 0, 320, 90), width=640, height=180, step=1) == "0 0 500 500"
    assert box_words((13, 13, 613, 173), width=640, height=180, step=25) == "25 75 950 950"


def test_the_prompt_lists_letters_images_and_boxes() -> None:
    boxes = np.array([[0, 0, 50, 50], [50, 0, 100, 50]], np.float32)
    content = prompt_content(boxes, 100, 100, ListedRegions(instruction="Look."))
    assert [part.get("text", "*") for part in content] == [
        "Look.",
        " A",
        "*",
        " 0 0 500 500",
        " B",
        "*",
        " 500 0 1000 500",
    ]


def test_cutouts_show_the_region_on_plain_grey() -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    image[:, :, 0] = 200
    mask = np.zeros((60, 120), bool)
    mask[10:50, 20:60] = True
    listed = ListedRegions(view=View(scale=1.5, power=0.0), side=60, fill=77)
    (cutout,) = region_cutouts(image, [mask], np.array([[20, 10, 60, 50]], np.float32), listed)
    assert cutout.shape == (60, 60, 3)
    assert cutout[30, 30].tolist() == [200, 0, 0]
    assert cutout[3, 3].tolist() == [77, 77, 77]
    assert ((cutout[..., 0] > 140).sum() / 3600) == pytest.approx(1 / 1.5**2, rel=0.05)


def test_options_of_a_folder_tell_its_kind() -> None:
    stored = {"n_listed": 3, "view": {"scale": 1.0, "power": 0.5}, "side": 48, "step": 25}
    assert is_listed_regions(stored)
    assert not is_listed_regions({"n_listed": 3, "prompt": "marks"})
    assert listed_regions(stored) == ListedRegions(3, View(1.0, 0.5), 48, step=25)
