import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.geometry.components import components, drop_small_islands, fill_small_holes


def mask_of(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def flooded(mask):
    """Number the parts by filling from every pixel: slow and plain."""
    labels, n = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        n += 1
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and not labels[y, x]:
                labels[y, x] = n
                waiting += [(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1)]
    return labels


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_parts_are_those_of_a_flood_fill(height, width, random):
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    labels, areas = components(mask)
    expected = flooded(mask)
    assert np.array_equal(labels, expected)
    assert areas.tolist() == np.bincount(expected.ravel())[1:].tolist()


def test_a_spiral_is_one_part():
    spiral = mask_of("#######", "#.....#", "#.###.#", "#.#...#", "#.#####", "#......", "#######")
    labels, areas = components(spiral)
    assert labels.max() == 1
    assert areas.tolist() == [spiral.sum()]


def test_rows_do_not_run_into_each_other():
    assert components(mask_of("..#", "...", "#..", "..#"))[1].tolist() == [1, 1, 1]
    assert components(mask_of("..#", "#.."))[1].tolist() == [1, 1]


@pytest.mark.parametrize("value", [False, True])
def test_uniform_masks(value):
    labels, areas = components(np.full((3, 4), value))
    assert areas.tolist() == ([12] if value else [])
    assert (labels == value).all()


def test_holes_are_filled_below_the_limit_only():
    mask = mask_of("######", "#.#..#", "######", "######")
    assert np.array_equal(fill_small_holes(mask, 1), mask)
    assert np.array_equal(
        fill_small_holes(mask, 2), mask_of("######", "###..#", "######", "######")
    )
    assert fill_small_holes(mask, 3).all()


def test_the_surroundings_are_a_hole_when_small_enough():
    assert fill_small_holes(mask_of("##.", "##."), 3).all()


def test_islands_are_dropped_below_the_limit_and_the_largest_stays():
    mask = mask_of("#.##", "#...", "...#")
    assert np.array_equal(drop_small_islands(mask, 2), mask_of("#.##", "#...", "...."))
    # Of two equal parts the first is kept.
    assert np.array_equal(drop_small_islands(mask, 9), mask_of("#...", "#...", "...."))
    assert not drop_small_islands(np.zeros((2, 2), bool), 5).any()
