import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ShapeError
from matir_nb.index.vectors import best_per_image, scan, top_k


def test_scan_is_the_dot_product_whatever_the_block():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(37, 8)).astype(np.float16)
    queries = rng.normal(size=(3, 8)).astype(np.float32)
    expected = [[sum(q * v.astype(np.float64)) for v in vectors] for q in queries]
    for block_rows in (1, 5, 37, 100):
        scores = scan(queries, vectors, block_rows=block_rows)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_scan_of_nothing_is_empty():
    assert scan(np.ones((2, 4), np.float32), np.zeros((0, 4), np.float16)).shape == (2, 0)


def test_scan_refuses_other_lengths():
    with pytest.raises(ShapeError, match=r"expected shape \(q, 4\), got \(1, 3\)"):
        scan(np.ones((1, 3), np.float32), np.zeros((2, 4), np.float16))


@given(st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=8))
def test_best_per_image_is_the_maximum_of_each_images_own_regions(images):
    flat = np.array([score for image in images for score in image], np.float32)
    offsets = np.cumsum([0, *map(len, images)])
    best = best_per_image(flat[None], offsets)
    assert best[0].tolist() == [max(image, default=-np.inf) for image in images]


def test_best_per_image_keeps_queries_apart():
    scores = np.array([[1, 2, 3], [6, 5, 4]], np.float32)
    best = best_per_image(scores, np.array([0, 0, 2, 3, 3]))
    inf = np.inf
    assert best.tolist() == [[-inf, 2, 3, -inf], [-inf, 6, 4, -inf]]


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 35), st.randoms())
def test_top_k_is_a_full_sort_by_score_then_id(values, k, random):
    ranks = list(range(len(values)))
    random.shuffle(ranks)
    rows = top_k(np.array(values, np.float32), k, np.array(ranks, np.int64))
    everything = sorted(range(len(values)), key=lambda row: (-values[row], ranks[row]))
    assert rows.tolist() == everything[:k]
