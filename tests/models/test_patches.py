"""Which share of each patch a mask covers, worked by hand and counted pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.geometry.masks import decode, encode, segments
from matir_nb.models.patches import KEEP, PAD, SQUASH, Pixels

HALF = (0.5, 0.5, 0.5)


def pixels(geometry: str = SQUASH, patch: int = 2) -> Pixels:
    return Pixels(geometry, patch, HALF, HALF, 2)


def test_shares_by_hand() -> None:
    """A 3 x 6 picture seen as 2 x 2 patches: each covers 1.5 x 3 pixels."""
    mask = np.zeros((3, 6), bool)
    mask[1, :4] = True
    shares = pixels().coverage(encode(mask), (4, 4)).reshape(2, 2)
    # row 1 lies half in either row of patches: 3 of 4.5 halves on the left, 1 on the right
    np.testing.assert_allclose(shares, [[1.5 / 4.5, 0.5 / 4.5]] * 2, atol=1e-6)


def test_padding_is_no_part_of_the_picture() -> None:
    full = np.ones((2, 4), bool)
    padded = pixels(PAD)
    assert padded.window(4, 2) == (0, -1, 4, 3)
    by_mask = padded.coverage(encode(full), (8, 8)).reshape(4, 4)
    np.testing.assert_allclose(by_mask, [[0] * 4, [1] * 4, [1] * 4, [0] * 4], atol=1e-6)
    np.testing.assert_allclose(padded.whole((2, 4), (8, 8)).reshape(4, 4), by_mask, atol=1e-6)
    np.testing.assert_allclose(pixels().whole((2, 4), (8, 8)), 1)


def test_a_mask_without_pixels_is_the_whole_picture() -> None:
    np.testing.assert_array_equal(pixels().coverage(encode(np.zeros((3, 5))), (4, 4)), 1)


def test_one_pixel_of_a_large_picture_counts() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[2999, 3999] = True
    shares = pixels(patch=14).coverage(encode(mask), (384, 384))
    assert shares.shape == (27 * 27,)
    assert np.flatnonzero(shares).tolist() == [27 * 27 - 1]
    cell = (3000 * (1 - 26 * 14 / 384)) * (4000 * (1 - 26 * 14 / 384))
    assert shares[-1] == pytest.approx(1 / cell, rel=1e-4)


@given(
    st.integers(1, 13),
    st.integers(1, 13),
    st.integers(0, 2**32 - 1),
    st.sampled_from([SQUASH, PAD]),
)
def test_shares_are_those_of_counted_pixels(height: int, width: int, seed: int, geometry) -> None:
    """Every pixel cut into as many parts as there are patches; parts are counted."""
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    mask[0, 0] = True
    seen = pixels(geometry)
    x0, y0, x1, y1 = seen.window(width, height)
    square = np.zeros((y1 - y0, x1 - x0))
    square[-y0 : -y0 + height, -x0 : -x0 + width] = mask
    parts = square.repeat(3, axis=0).repeat(5, axis=1)
    rows, columns = y1 - y0, x1 - x0
    counted = parts.reshape(3, rows, 5, columns).mean(axis=(1, 3))
    ours = seen.coverage(encode(mask), (6, 10)).reshape(3, 5)
    np.testing.assert_allclose(ours, counted, atol=1e-6)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_segments_are_the_mask(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    drawn = np.zeros((height, width), int)
    for x, y0, y1 in zip(*segments(encode(mask)), strict=True):
        assert y0 < y1
        drawn[y0:y1, x] += 1
    np.testing.assert_array_equal(drawn, decode(encode(mask)))


def test_pictures_are_padded_with_the_mean_colour() -> None:
    image = np.full((10, 20, 3), 255, np.uint8)
    seen = pixels(PAD).numbers(image, (20, 20))
    assert seen.shape == (3, 20, 20)
    np.testing.assert_allclose(seen[:, 0], 0, atol=0.01)
    np.testing.assert_allclose(seen[:, 5:15], 1)
    assert pixels(KEEP).numbers(image, (10, 20)).shape == (3, 10, 20)
