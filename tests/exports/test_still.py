import io

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.exports import still
from matir_nb.exports.drawing import DOWN, MASK, UP
from matir_nb.exports.jpeg import PREVIEW_COMMENT, jpeg_of
from matir_nb.geometry.masks import encode, regions_from_masks
from tests.exports.examples import HEIGHT, SQUARE, WIDTH, hit, result, results_of

GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
REGIONS = regions_from_masks([encode(SQUARE), encode(~SQUARE)])


def has(picture, colour, *, within=60):
    return bool((np.abs(np.asarray(picture).astype(int) - colour).max(axis=-1) < within).any())


def inspected(one, regions=REGIONS, **options):
    return still.inspected(result(one, **options), 1, GREY, regions)


def test_the_shown_region_is_magenta_and_the_score_has_bars():
    shown = inspected(hit(region_id=0, final_score=0.5))
    left, right = (0, 0, 416, shown.height), (440, 0, shown.width, shown.height)
    assert has(shown.crop(left), MASK)
    assert has(shown.crop(right), UP, within=10)
    assert has(shown.crop(right), DOWN, within=10), "the encoder's bias is negative"
    assert not has(inspected(hit(mask=None, region_id=None)).crop(left), MASK)


def test_words_of_the_judge_are_there_and_make_room():
    quiet = inspected(hit())
    long = hit(judge_rank=1, p_relevant=0.9, logit=2.2, answer="yes: region 1 " + "x " * 500)
    assert inspected(long).height > quiet.height
    strange = hit(
        image_id="\x1b[31m\u202e日本.png",
        answer="region 99 " + "region " + "9" * 5000,
        p_relevant=0.1,
    )
    assert inspected(strange, query="y" * 400).width == quiet.width


def test_numbers_do_not_stand_on_each_other(monkeypatch):
    drawn = []
    monkeypatch.setattr(still, "_draw_number", lambda _pen, text, _at, **_more: drawn.append(text))
    masks = [encode(np.roll(SQUARE, step, 1)) for step in (0, 0, 30)]
    inspected(hit(region_id=1, answer="region 2 and region 77"), regions_from_masks(masks))
    assert drawn == ["1", "2"]


def test_an_image_without_regions_is_drawn():
    assert inspected(hit(mask=None), regions_from_masks([])).height


def test_large_masks_are_only_decoded_as_finely_as_they_are_drawn():
    large = encode(np.kron(SQUARE, np.ones((30, 30), bool)))
    assert still.grey_of(large, (WIDTH, HEIGHT)).size == (2 * WIDTH, 2 * HEIGHT)
    drawn = []
    for mask in (large, encode(SQUARE)):
        image = Image.new("RGB", (WIDTH, HEIGHT))
        still._outline(image, mask)
        drawn.append(np.asarray(image)[..., 0] > 0)
    assert drawn[1].any()
    assert (drawn[0] == drawn[1]).all()


def test_there_is_no_such_rank():
    with pytest.raises(ConfigError, match="rank = 2 is not allowed"):
        still.inspected(result(hit()), 2, GREY, REGIONS)


def test_the_flow_tells_who_rose_and_who_fell():
    first, second = hit(1, stage1_rank=9, p_relevant=0.8), hit(2, stage1_rank=1)
    crossed = still.flowed(result(first, second), lambda _: GREY)
    assert has(crossed, UP, within=10)
    assert has(crossed, DOWN, within=10)
    kept = still.flowed(result(hit(1), hit(2)), lambda _: GREY)
    assert not has(kept, UP, within=10)
    assert not has(kept, DOWN, within=10)


def test_the_flow_shows_the_best_ones_and_goes_without_pictures():
    many, some = results_of(40), results_of(still.MAX_FLOW)
    sheets = [still.flowed(one, lambda _: None) for one in (many, some)]
    assert sheets[0].size == sheets[1].size


def test_the_file_bears_the_comment_by_which_the_view_hides_it():
    data = jpeg_of(still.flowed(results_of(3), lambda _: GREY), comment=PREVIEW_COMMENT)
    assert PREVIEW_COMMENT in data
    assert Image.open(io.BytesIO(data)).format == "JPEG"
