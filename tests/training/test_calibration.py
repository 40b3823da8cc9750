"""Calibration and labels of found regions."""

import numpy as np
import pytest
import torch

from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.scenes.draw import draw_scene
from training.alpha_clip import _fit_logistic
from training.segmented import label
from training.truth import JUNK, object_codes


def test_logistic_fit_finds_the_line_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.uniform(-1, 1, 20_000))
    chance = torch.sigmoid(8 * x - 3)
    truth = (torch.from_numpy(rng.random(20_000)) < chance).double()
    scale, bias = _fit_logistic(x, truth)
    assert scale == pytest.approx(8, rel=0.06)
    assert bias == pytest.approx(-3, rel=0.06)


def test_found_regions_get_the_object_they_fit_none_or_neither() -> None:
    scene = next(s for s in (draw_scene("train", i) for i in range(50)) if s.covered.max() == 0)
    whole = scene.visible_mask(0)
    pixels = np.flatnonzero(whole)
    part = np.zeros_like(whole)
    part.flat[pixels[: len(pixels) // 2]] = True
    nothing = scene.labels == 0
    found = label(scene, regions_from_masks([encode(m) for m in (whole, part, nothing)]))
    assert found[0].tolist() == object_codes(scene.objects[0])
    assert found[1].tolist() == [-1] * 4
    assert found[2].tolist() == [JUNK] * 4
