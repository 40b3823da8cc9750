import numpy as np
import pytest

from matir_nb.exports import drawing
from matir_nb.exports.drawing import MASK, fit, font_of, picture, wrap
from matir_nb.geometry.masks import encode
from tests.exports.examples import HEIGHT, SQUARE, WIDTH, hit

TILE = 296
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def tile_of(one, pixels=GREY):
    return np.asarray(picture(one, pixels, TILE)).astype(int)


def test_the_image_is_letterboxed_in_the_middle_with_its_aspect_kept():
    tile = tile_of(hit(mask=None))
    column = (tile[: TILE - 40, TILE // 2] == 128).all(axis=-1)
    assert column.sum() == TILE // 2
    assert np.flatnonzero(column)[[0, -1]].tolist() == [TILE // 4, TILE // 4 + TILE // 2 - 1]
    assert (tile[5, TILE // 2] == drawing.LETTERBOX).all()


def test_the_mask_is_tinted_where_it_is_and_nowhere_else():
    tile = tile_of(hit())
    scale = TILE / WIDTH
    top = TILE // 4
    inside = tile[top + round(20 * scale), round(30 * scale)]
    expected = np.array(MASK) * drawing.MASK_OPACITY + 128 * (1 - drawing.MASK_OPACITY)
    assert np.abs(inside - expected).max() <= 2
    outside = tile[top + round(20 * scale), round(60 * scale)]
    assert (outside == 128).all()


def test_the_outline_is_the_pure_colour_on_the_edge_of_the_mask():
    tile = tile_of(hit())
    row = tile[TILE // 4 + round(20 * TILE / WIDTH)]
    pure = np.flatnonzero(np.abs(row - np.array(MASK)).max(axis=-1) < 30)
    edges = np.array([20, 40]) * TILE / WIDTH
    assert len(pure) >= 2
    assert np.abs(pure[:, None] - edges).min(axis=1).max() <= 3
    assert {int(np.abs(edges - x).argmin()) for x in pure} == {0, 1}


def test_a_picture_at_another_scale_than_its_mask_is_the_same_tile():
    twice = np.full((2 * HEIGHT, 2 * WIDTH, 3), 128, np.uint8)
    assert (tile_of(hit(), twice) == tile_of(hit())).all()


def test_a_mask_that_fills_the_image_is_outlined_at_the_border():
    row = tile_of(hit(mask=encode(np.ones_like(SQUARE))))[TILE // 2]
    assert np.abs(row[:4] - np.array(MASK)).max(axis=-1).min() < 30


def test_the_judged_box_is_dashed_in_two_tones():
    box = (10.0, 5.0, 70.0, 35.0)
    tile = tile_of(hit(mask=None, judged_box_xyxy=box))
    line = tile[TILE // 4 + round(5 * TILE / WIDTH), 40:255]
    yellow = (np.abs(line - np.array(drawing.BOX)).max(axis=-1) < 8).sum()
    dark = (line.max(axis=-1) < 40).sum()
    assert yellow > 60
    assert dark > 40


@pytest.mark.parametrize("box", [(-50.0, -9.0, 500.0, 90.0), (79.0, 39.0, 79.0, 39.0)])
def test_a_box_out_of_the_image_or_without_area_is_drawn_inside(box):
    tile = tile_of(hit(mask=None, judged_box_xyxy=box))
    assert (np.abs(tile - np.array(drawing.BOX)).max(axis=-1) < 8).any()
    assert (tile[: TILE // 4 - 1] == drawing.LETTERBOX).all()


@pytest.mark.parametrize("shape", [(1, 4000, 3), (4000, 1, 3), (1, 1, 3)])
def test_extreme_shapes_make_a_tile(shape):
    thin = hit(mask=encode(np.ones(shape[:2], bool)), height=shape[0], width=shape[1])
    assert tile_of(thin, np.zeros(shape, np.uint8)).shape == (TILE, TILE, 3)


def test_without_pixels_the_tile_says_so_and_shows_no_mask():
    tile = tile_of(hit(), None)
    assert not (np.abs(tile - np.array(MASK)).max(axis=-1) < 30).any()
    assert len(np.unique(tile.reshape(-1, 3), axis=0)) > 1


def test_text_is_cut_until_it_fits():
    font = font_of(15)
    text = "holiday-2024-" * 40
    short = fit(text, font, 120)
    assert 90 < font.getlength(short) <= 120
    assert short.startswith("hol")
    assert fit("short", font, 120) == "short"
    assert fit("wide", font, 1) == "…"


def test_lines_are_no_wider_than_asked_for():
    lines = wrap(f"two words and {'x' * 300} more", font_of(15), 90)
    assert len(lines) > 2
    assert max(font_of(15).getlength(line) for line in lines) <= 90
