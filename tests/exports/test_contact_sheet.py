import io

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import ConfigError, ImageError
from matir_nb.exports import contact_sheet as sheets
from matir_nb.exports.contact_sheet import PREVIEW, SHEET, contact_sheet, preview_jpeg
from matir_nb.exports.drawing import MASK
from matir_nb.images import load_image
from tests.exports.examples import HEIGHT, WIDTH, hit, result, results_of

LIMIT = 100_000


def grey(_hit):
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def noise(one):
    return np.random.default_rng(one.rank).integers(0, 256, (400, 400, 3), np.uint8)


def gone(_hit):
    raise ImageError("gone")


def tile_of(sheet, place=0):
    """Return the pixels of a tile in the first row."""
    x = SHEET.margin + place * (SHEET.tile + SHEET.gap)
    y = sheets._layout(result(hit()), (hit(),), 4, SHEET).top
    return np.asarray(sheet)[y : y + SHEET.tile, x : x + SHEET.tile].astype(int)


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "JPEG"
    return image


def is_mask_coloured(pixels):
    return (np.abs(np.asarray(pixels).astype(int) - MASK).max(axis=-1) < 60).any()


def test_an_image_that_cannot_be_read_leaves_a_tile_and_not_an_error():
    broken, whole = contact_sheet(result(hit()), gone), contact_sheet(result(hit()), grey)
    assert broken.size == whole.size
    assert is_mask_coloured(tile_of(whole))
    assert not is_mask_coloured(tile_of(broken))


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
    with pytest.raises(ConfigError, match="max_bytes = 9999 is not allowed: give at least 10000"):
        preview_jpeg(result(hit()), grey, max_bytes=9999)


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


def test_the_preview_is_six_tiles_wide_and_two_rows_high():
    picture = opened(preview_jpeg(results_of(30), grey))
    assert picture.width == 2 * PREVIEW.margin + 6 * PREVIEW.tile + 5 * PREVIEW.gap
    assert picture.size == opened(preview_jpeg(results_of(12), grey)).size
    assert picture.height < opened(preview_jpeg(results_of(30), grey, max_hits=18)).height
    assert picture.height > opened(preview_jpeg(results_of(6), grey)).height
    assert is_mask_coloured(picture)


def test_the_preview_shows_the_notices_and_not_all_of_a_long_one():
    plain, noted, endless = (
        opened(preview_jpeg(results_of(12, notices=notices), grey)).height
        for notices in ((), ("embedded models",), ("word " * 4000,))
    )
    assert noted - plain == PREVIEW.note + 6
    assert endless - plain == 3 * (PREVIEW.note + 6)


@pytest.mark.parametrize("limit", [100_000, 30_000, 10_000])
def test_even_noise_stays_below_the_limit(limit):
    data = preview_jpeg(results_of(12), noise, max_bytes=limit)
    assert limit / 2 < len(data) <= limit
    opened(data)


def test_quality_gives_way_before_size():
    full = opened(preview_jpeg(results_of(12), grey)).size
    noisy = preview_jpeg(results_of(12), noise, max_bytes=LIMIT)
    assert opened(noisy).size == full
    assert opened(preview_jpeg(results_of(12), noise, max_bytes=20_000)).width < full[0]


def test_photographs_stay_below_the_limit_at_full_size(matir_data):
    photos = sorted((matir_data / "photos" / "coco_open").glob("*.jpg"))[:12]
    hits = [hit(i + 1, mask=None, path=str(path)) for i, path in enumerate(photos)]
    assert len(hits) == 12
    data = preview_jpeg(result(*hits), lambda one: load_image(one.path))
    assert len(data) <= LIMIT
    assert opened(data).width == 2 * PREVIEW.margin + 6 * PREVIEW.tile + 5 * PREVIEW.gap


def test_a_preview_without_pictures_or_hits_is_a_picture():
    assert not is_mask_coloured(np.asarray(opened(preview_jpeg(result(hit()), gone)))[:200])
    assert opened(preview_jpeg(result(), grey)).height > 0
