import io

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.exports.contact_sheet import PREVIEW
from matir_nb.exports.drawing import MARKED
from matir_nb.exports.preview import MAX_BYTES, SIDE, preview_jpeg, preview_of
from matir_nb.images import load_image
from tests.exports.examples import (
    MadeUpSource,
    gone,
    grey,
    hit,
    is_mask_coloured,
    result,
    results_of,
)

LIMIT = 100_000


def noise(one):
    return np.random.default_rng(one.rank).integers(0, 256, (400, 400, 3), np.uint8)


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "JPEG"
    return image


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


def test_too_few_bytes_are_refused():
    with pytest.raises(ConfigError, match="max_bytes = 9999 is not allowed: give at least 10000"):
        preview_jpeg(result(hit()), grey, max_bytes=9999)


def test_of_a_source_it_is_small_and_has_the_marks():
    source = MadeUpSource()
    shown = results_of(30, source=source)
    data = preview_of(shown, marks={"image-2.png": "relevant"})
    assert len(data) <= MAX_BYTES
    assert source.sides == [SIDE] * 12
    second = np.asarray(opened(data)).astype(int)[:, PREVIEW.margin + PREVIEW.tile :]
    assert (np.abs(second - MARKED["relevant"]).max(axis=-1) < 12).sum() > 200
    assert preview_of(results_of(3)) is None
    assert preview_of(results_of(0, source=source)) is None
