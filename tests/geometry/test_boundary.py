"""Boundary refinement: shapes of known extent, and scenes with exact masks."""

import numpy as np
import pytest

from matir_nb.geometry.boundary import grow, refine_boundary, shrink
from matir_nb.scenes.draw import draw_gallery


def test_grow_and_shrink_by_hand() -> None:
    mask = np.zeros((5, 6), bool)
    mask[2, 2:4] = True
    grown = grow(mask, 1)
    assert grown.sum() == 12
    assert grown[1:4, 1:5].all()
    np.testing.assert_array_equal(shrink(grown, 1), mask)
    assert shrink(np.ones((4, 4), bool), 2).all()


def test_a_shifted_boundary_moves_to_the_edge() -> None:
    image = np.full((80, 80, 3), 90, np.uint8)
    truth = np.zeros((80, 80), bool)
    truth[20:60, 20:60] = True
    image[truth] = (200, 30, 30)
    logits = np.full((80, 80), -1.0, np.float32)
    logits[22:63, 18:57] = 1.0
    np.testing.assert_array_equal(refine_boundary(image, logits, band=4), truth)


def test_no_band_no_contrast_or_no_mask_changes_nothing() -> None:
    image = np.full((60, 60, 3), 90, np.uint8)
    logits = np.full((60, 60), -2.0, np.float32)
    assert not refine_boundary(image, logits, band=4).any()
    logits[20:40, 20:40] = 2.0
    np.testing.assert_array_equal(refine_boundary(image, logits, band=0), logits > 0)
    flat = refine_boundary(image, logits, band=4)
    assert (flat != (logits > 0)).sum() <= 4
    everything = np.full((60, 60), 2.0, np.float32)
    assert refine_boundary(image, everything, band=4).all()


@pytest.mark.parametrize("shift", [2, 3])
def test_blurred_masks_of_scenes_get_better(shift: int) -> None:
    before, after = [], []
    for scene in draw_gallery("test", 20):
        for index, item in enumerate(scene.objects):
            if item.size == "small" or scene.covered.max() > 0:
                continue
            truth = scene.visible_mask(index)
            logits = np.where(grow(truth, shift), 1.0, -1.0).astype(np.float32)
            found = refine_boundary(scene.image, logits, band=shift + 1)
            before.append((truth & (logits > 0)).sum() / (truth | (logits > 0)).sum())
            after.append((truth & found).sum() / (truth | found).sum())
    assert len(after) >= 5
    assert np.mean(after) > np.mean(before) + 0.5 * (1 - np.mean(before))
