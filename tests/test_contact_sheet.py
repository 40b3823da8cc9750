from dataclasses import replace

import numpy as np
import pytest

from matir_nb import contact_sheet as sheets
from matir_nb.contact_sheet import MASK, TILE, contact_sheet
from matir_nb.errors import ConfigError, ImageError
from matir_nb.geometry.masks import encode
from matir_nb.results import SearchResult
from matir_nb.types import Hit, Provenance

HEIGHT, WIDTH = 40, 80
SQUARE = np.zeros((HEIGHT, WIDTH), bool)
SQUARE[10:30, 20:40] = True


def hit(rank=1, **changes):
    plain = Hit(
        rank=rank,
        image_id=f"image-{rank}.png",
        path=f"image-{rank}.png",
        width=WIDTH,
        height=HEIGHT,
        final_score=1.5,
        stage1_rank=rank,
        stage1_score=0.5,
        best_region_score=None,
        whole_image_score=0.5,
        judge_rank=None,
        p_relevant=None,
        logit=None,
        answer=None,
        judged_box_xyxy=None,
        region_id=None,
        region_score=None,
        align_iou=None,
        box_xyxy=None,
        mask=encode(SQUARE),
    )
    return replace(plain, **changes)


def result(*hits, query="a blue square", notices=()):
    return SearchResult(query, hits, Provenance("f", {}, {}, {}, {}, notices))


def grey(_hit):
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def tile_of(sheet, place=0):
    """Return the pixels of a tile in the first row."""
    x = sheets.MARGIN + place * (TILE + sheets.GAP)
    y = sheets._layout(result(hit()), 4).top
    return np.asarray(sheet)[y : y + TILE, x : x + TILE].astype(int)


def test_the_image_is_letterboxed_in_the_middle_with_its_aspect_kept():
    tile = tile_of(contact_sheet(result(hit(mask=None)), grey))
    column = (tile[: TILE - 40, TILE // 2] == 128).all(axis=-1)
    assert column.sum() == TILE // 2
    assert np.flatnonzero(column)[[0, -1]].tolist() == [TILE // 4, TILE // 4 + TILE // 2 - 1]
    assert (tile[5, TILE // 2] == sheets.LETTERBOX).all()


def test_the_mask_is_tinted_where_it_is_and_nowhere_else():
    tile = tile_of(contact_sheet(result(hit()), grey))
    scale = TILE / WIDTH
    top = TILE // 4
    inside = tile[top + round(20 * scale), round(30 * scale)]
    expected = np.array(MASK) * sheets.MASK_OPACITY + 128 * (1 - sheets.MASK_OPACITY)
    assert np.abs(inside - expected).max() <= 2
    outside = tile[top + round(20 * scale), round(60 * scale)]
    assert (outside == 128).all()


def test_the_outline_is_the_pure_colour_on_the_edge_of_the_mask():
    tile = tile_of(contact_sheet(result(hit()), grey))
    row = tile[TILE // 4 + round(20 * TILE / WIDTH)]
    pure = np.flatnonzero(np.abs(row - np.array(MASK)).max(axis=-1) < 30)
    edges = np.array([20, 40]) * TILE / WIDTH
    assert len(pure) >= 2
    assert np.abs(pure[:, None] - edges).min(axis=1).max() <= 3
    assert {int(np.abs(edges - x).argmin()) for x in pure} == {0, 1}


def test_a_mask_that_fills_the_image_is_outlined_at_the_border():
    tile = tile_of(contact_sheet(result(hit(mask=encode(np.ones_like(SQUARE)))), grey))
    row = tile[TILE // 2]
    assert np.abs(row[:4] - np.array(MASK)).max(axis=-1).min() < 30


def test_the_judged_box_is_dashed_in_two_tones():
    box = (10.0, 5.0, 70.0, 35.0)
    tile = tile_of(contact_sheet(result(hit(mask=None, judged_box_xyxy=box)), grey))
    line = tile[TILE // 4 + round(5 * TILE / WIDTH), 40:255]
    yellow = (np.abs(line - np.array(sheets.BOX)).max(axis=-1) < 8).sum()
    dark = (line.max(axis=-1) < 40).sum()
    assert yellow > 60
    assert dark > 40


def test_an_image_that_cannot_be_read_leaves_a_tile_and_not_an_error():
    def gone(_hit):
        raise ImageError("gone")

    broken, whole = contact_sheet(result(hit()), gone), contact_sheet(result(hit()), grey)
    assert broken.size == whole.size
    assert not (np.abs(tile_of(broken) - np.array(MASK)).max(axis=-1) < 30).any()


def test_tiles_follow_the_ranks_and_the_grid_grows_downwards():
    shades = {f"image-{i}.png": i * 20 for i in range(1, 6)}

    def shaded(one):
        return np.full((HEIGHT, WIDTH, 3), shades[one.image_id], np.uint8)

    five = [hit(i, mask=None) for i in range(1, 6)]
    sheet = contact_sheet(result(*five), shaded, columns=4)
    middle = TILE // 2
    assert [tile_of(sheet, place)[middle, middle, 0] for place in range(4)] == [20, 40, 60, 80]
    taller = sheet.height - contact_sheet(result(*five[:4]), shaded, columns=4).height
    assert taller == TILE + sheets.CAPTION + sheets.GAP


def test_strange_words_and_names_are_drawn_and_an_empty_result_is_a_sheet():
    odd = hit(image_id="a\x1b[31m\u202e" + "x" * 500 + "日本.png", p_relevant=0.5)
    long_query = "striped " * 80
    sheet = contact_sheet(result(odd, query=long_query, notices=("n " * 200,)), grey)
    assert sheet.width == contact_sheet(result(hit()), grey).width
    assert contact_sheet(result(), grey).height > 0


def test_an_absurd_number_of_columns_is_refused():
    for columns in (0, 13):
        with pytest.raises(ConfigError, match=f"columns = {columns}"):
            contact_sheet(result(hit()), grey, columns=columns)
