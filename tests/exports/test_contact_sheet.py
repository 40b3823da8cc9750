import numpy as np
import pytest

from matir_nb.errors import ConfigError
from matir_nb.exports import contact_sheet as sheets
from matir_nb.exports.contact_sheet import PREVIEW, SHEET, contact_sheet
from matir_nb.exports.drawing import MARKED
from tests.exports.examples import (
    HEIGHT,
    WIDTH,
    gone,
    grey,
    hit,
    is_mask_coloured,
    result,
    results_of,
)


def tile_of(sheet, place=0):
    """Return the pixels of a tile in the first row."""
    x = SHEET.margin + place * (SHEET.tile + SHEET.gap)
    y = sheets._layout(result(hit()), (hit(),), 4, SHEET).top
    return np.asarray(sheet)[y : y + SHEET.tile, x : x + SHEET.tile].astype(int)


def test_an_image_that_cannot_be_read_leaves_a_tile_and_not_an_error():
    broken, whole = contact_sheet(result(hit()), gone), contact_sheet(result(hit()), grey)
    assert broken.size == whole.size
    assert is_mask_coloured(tile_of(whole))
    assert not is_mask_coloured(tile_of(broken))


def test_each_marked_tile_says_its_mark():
    marks = {"image-1.png": "relevant", "image-2.png": "not relevant", "image-3.png": "unsure"}
    plain = contact_sheet(results_of(4), grey)
    sheet = contact_sheet(results_of(4), grey, marks=marks)
    shown = list(MARKED.values())
    for place in range(4):
        pixels = tile_of(sheet, place)
        found = [colour for colour in shown if (pixels == colour).all(axis=-1).sum() > 200]
        assert found == shown[place : place + 1]
    assert (tile_of(sheet, 3) == tile_of(plain, 3)).all()


def test_tiles_follow_the_ranks_and_the_grid_grows_downwards():
    shades = {f"image-{i}.png": i * 20 for i in range(1, 6)}

    def shaded(one):
        return np.full((HEIGHT, WIDTH, 3), shades[one.image_id], np.uint8)

    five = [hit(i, mask=None) for i in range(1, 6)]
    sheet = contact_sheet(result(*five), shaded, columns=4)
    middle = SHEET.tile // 2
    assert [tile_of(sheet, place)[middle, middle, 0] for place in range(4)] == [20, 40, 60, 80]
    taller = sheet.height - contact_sheet(result(*five[:4]), shaded, columns=4).height
    assert taller == SHEET.tile + SHEET.caption + SHEET.gap


def test_strange_words_and_names_are_drawn_and_an_empty_result_is_a_sheet():
    odd = hit(image_id="a\x1b[31m\u202e" + "x" * 500 + "日本.png", p_relevant=0.5)
    long_query = "striped " * 80
    sheet = contact_sheet(result(odd, query=long_query, notices=("n " * 200,)), grey)
    assert sheet.width == contact_sheet(result(hit()), grey).width
    assert contact_sheet(result(), grey).height > 0


def test_a_limit_of_hits_is_said_in_the_subtitle():
    seven = results_of(7)
    assert contact_sheet(seven, grey, max_hits=4).size == contact_sheet(results_of(4), grey).size
    assert sheets._subtitle(seven, 4) == "best 4 of 7 hits  ·  stage 1 only"
    assert sheets._subtitle(seven, 7) == "7 hits  ·  stage 1 only"
    assert sheets._subtitle(results_of(1), 1) == "1 hit  ·  stage 1 only"


def test_absurd_numbers_are_refused():
    for columns in (0, 13):
        with pytest.raises(ConfigError, match=f"columns = {columns}"):
            contact_sheet(result(hit()), grey, columns=columns)
    with pytest.raises(ConfigError, match="max_hits = 0"):
        contact_sheet(result(hit()), grey, max_hits=0)


@pytest.mark.parametrize(
    ("score", "p", "words"),
    [
        (1.5, None, "score 1.50"),
        (1.5, 0.25, "score 1.50   p 0.25"),
        (-123456.789, 0.25, "-123456.79   p 0.25"),
    ],
)
def test_a_caption_has_as_many_words_as_fit(score, p, words):
    assert sheets._scores(hit(final_score=score, p_relevant=p), 140, PREVIEW) == words


def test_a_name_loses_its_folders_before_its_letters():
    assert sheets._name(hit(image_id="a/b/cat.png"), 200, PREVIEW) == "a/b/cat.png"
    assert sheets._name(hit(image_id="a/long folder/cat.png"), 60, PREVIEW) == "cat.png"
    assert "…" in sheets._name(hit(image_id="a/" + "cat" * 30), 60, PREVIEW)
