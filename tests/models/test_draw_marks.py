import numpy as np
import pytest

from matir_nb.geometry.masks import decode, encode
from matir_nb.models.marks import COLOURS, DARK, draw_marks, pen_for


def region(height, width, x0, y0, x1, y1):
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def has(image, colour):
    return (image == np.array(colour)).all(axis=2)


@pytest.mark.parametrize("grey", [0, 255])
def test_outline_and_number_stand_out_on_light_and_dark(grey):
    image = np.full((200, 320, 3), grey, np.uint8)
    drawn = draw_marks(image, [region(200, 320, 100, 50, 220, 150)])
    line = has(drawn, COLOURS[0])
    assert line[49, 100:220].all()
    assert line[150, 100:220].all()
    assert line[50:150, 99].all()
    assert has(drawn, DARK)[48, 100:220].all()
    plate = np.argwhere(line[60:140, 110:210])
    assert 100 < len(plate) < 500
    assert np.abs(plate.mean(axis=0) - (40, 50)).max() < 6
    assert (image == grey).all()


def test_a_large_region_keeps_its_look_around_the_number():
    image = np.full((200, 320, 3), 90, np.uint8)
    drawn = draw_marks(image, [region(200, 320, 100, 50, 220, 150)])
    inside = drawn[50:150, 100:220]
    assert (inside == 90).all(axis=2).mean() > 0.95


def test_a_number_stands_inside_a_region_that_is_hollow():
    mask = np.zeros((300, 300), bool)
    mask[20:280, 20:280] = True
    mask[60:280, 60:240] = False
    drawn = draw_marks(np.zeros((300, 300, 3), np.uint8), [encode(mask)])
    rows, columns = np.nonzero(has(drawn, COLOURS[0]) & mask)
    assert len(rows) > 60
    assert mask[round(rows.mean()), round(columns.mean())]


def test_a_small_region_is_not_covered_by_its_number():
    image = np.full((200, 200, 3), 128, np.uint8)
    drawn = draw_marks(image, [region(200, 200, 90, 90, 98, 98)])
    assert (drawn[90:98, 90:98] == 128).all()
    assert has(drawn, COLOURS[0])[60:89, 80:110].sum() > 60


def test_numbers_of_nested_regions_do_not_cover_each_other():
    masks = [region(300, 300, i * 8, i * 8, 300 - i * 8, 300 - i * 8) for i in range(6)]
    drawn = draw_marks(np.zeros((300, 300, 3), np.uint8), masks)
    for colour in COLOURS[:6]:
        plate = has(drawn, colour)
        assert plate[20:280, 20:280].sum() > 90


def test_a_region_of_the_whole_picture_is_outlined_along_the_edge():
    drawn = draw_marks(np.zeros((60, 90, 3), np.uint8), [encode(np.ones((60, 90), bool))])
    assert has(drawn, COLOURS[0])[[0, -1]].all()
    assert has(drawn, COLOURS[0])[:, [0, -1]].all()


def test_masks_of_another_size_are_scaled_to_the_picture():
    small = region(100, 160, 50, 25, 110, 75)
    drawn = draw_marks(np.zeros((200, 320, 3), np.uint8), [small])
    assert (drawn == draw_marks(drawn * 0, [region(200, 320, 100, 50, 220, 150)])).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (9, 9)])
def test_pictures_smaller_than_a_number(size):
    masks = [encode(np.ones(size, bool)), encode(np.zeros(size, bool))]
    drawn = draw_marks(np.zeros((*size, 3), np.uint8), masks)
    assert drawn.shape == (*size, 3)
    assert decode(masks[1]).sum() == 0


def test_sizes_follow_the_picture():
    assert pen_for(2000, 2000).text == 48
    assert pen_for(100, 100).text == 12
    assert pen_for(2000, 1000).line == 4
