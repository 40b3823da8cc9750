import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import skew

from matir_nb.errors import ConfigError
from matir_nb.evaluation.metrics.hubness import hubness, never_found, occurrences


def test_occurrences_by_hand():
    top = np.array([[0, 2], [2, 1], [2, 0]])
    assert occurrences(top, 4).tolist() == [2, 1, 3, 0]
    assert occurrences(np.zeros((0, 5), int), 3).tolist() == [0, 0, 0]
    assert occurrences([], 2).tolist() == [0, 0]
    assert occurrences([[], [1]], 2).tolist() == [0, 1]


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_outside_of_the_gallery_is_refused(row):
    with pytest.raises(ConfigError, match=f"row {row} is outside of a gallery of 3"):
        occurrences([[0, row]], 3)


def test_skewness_by_hand():
    # mean 1, off (-1, -1, -1, 3): m3 = (27 - 3)/4 = 6, m2 = (9 + 3)/4 = 3
    assert hubness([0, 0, 0, 4]) == pytest.approx(6 / 3**1.5)
    # the mirror image: everything is found but one
    assert hubness([4, 4, 4, 0]) == pytest.approx(-6 / 3**1.5)
    assert hubness([1, 3]) == 0.0


def test_even_and_empty_galleries_have_no_skewness():
    assert hubness([5, 5, 5]) is None
    assert hubness([7]) is None
    assert hubness([]) is None


@given(counts=st.lists(st.integers(0, 1000), min_size=2, max_size=60))
def test_skewness_against_scipy(counts):
    assume(min(counts) < max(counts))
    assert hubness(counts) == pytest.approx(skew(counts, bias=True), rel=1e-9, abs=1e-9)


def test_a_hub_raises_the_skewness_of_random_lists():
    rng = np.random.default_rng(0)
    top = np.array([rng.permutation(200)[:10] for _ in range(300)])
    spread = hubness(occurrences(top, 200))
    top[:, 0] = 7
    assert hubness(occurrences(top, 200)) > 5 > spread


def test_the_share_that_is_never_found():
    assert never_found([0, 1, 0, 5]) == 0.5
    assert never_found([1, 2]) == 0.0
    assert never_found([]) is None
