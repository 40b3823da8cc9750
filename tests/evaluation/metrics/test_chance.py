from itertools import combinations

import numpy as np
import pytest

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics import chance, ranking
from matir_nb.evaluation.metrics.chance import (
    expected_average_precision,
    expected_ndcg,
    expected_precision,
    expected_recall_at_k,
    expected_reciprocal_rank,
    expected_share_recall,
)

PAIRS = {
    "R@K": (ranking.recall_at_k, expected_recall_at_k),
    "recall@K": (ranking.share_recall_at_k, expected_share_recall),
    "P@K": (ranking.precision_at_k, expected_precision),
    "RR@K": (ranking.reciprocal_rank, expected_reciprocal_rank),
    "nDCG@K": (ranking.ndcg_at_k, expected_ndcg),
}
for z in ranking.NORMALISERS:
    PAIRS[f"AP@K, {z}"] = (
        lambda ranked, n, k, z=z: ranking.average_precision_at_k(ranked, n, k, normaliser=z),
        lambda n, size, k, z=z: expected_average_precision(n, size, k, normaliser=z),
    )


def orders(n_relevant, n_gallery):
    """Return every placing of the relevant images; each is of equally many permutations."""
    places = list(combinations(range(n_gallery), n_relevant))
    ranked = np.zeros((len(places), n_gallery), bool)
    for row, columns in zip(ranked, places, strict=True):
        row[list(columns)] = True
    return ranked


@pytest.mark.parametrize("name", PAIRS)
def test_the_mean_over_all_orders_is_exact(name):
    metric, expected = PAIRS[name]
    sizes = [(n, size) for size in range(1, 9) for n in range(1, size + 1)]
    for k in (1, 2, 3, 5, 8, 11):
        means = []
        for n, size in sizes:
            ranked = orders(n, size)
            means.append(metric(ranked, np.full(len(ranked), n), k).mean())
        got = expected(*np.transpose(sizes), k)
        np.testing.assert_allclose(got, means, rtol=0, atol=1e-12)


def test_the_reciprocal_rank_of_the_whole_gallery():
    ranked = orders(2, 7)
    mean = ranking.reciprocal_rank(ranked, np.full(len(ranked), 2)).mean()
    assert expected_reciprocal_rank([2], 7).item() == pytest.approx(mean, abs=1e-14)
    # N = 1: the harmonic number over n, here in many blocks
    harmonic = (1 / np.arange(1, 1_000_001)).sum()
    assert expected_reciprocal_rank([1], 1_000_000).item() == pytest.approx(harmonic / 1e6)


@pytest.mark.parametrize("name", PAIRS)
def test_blocks_change_nothing(name, monkeypatch):
    _, expected = PAIRS[name]
    n, size = [1, 3, 40, 0, 7], [100, 90, 41, 50, 7]
    whole = expected(n, size, 30)
    monkeypatch.setattr(chance, "_BLOCK", 12)
    np.testing.assert_allclose(expected(n, size, 30), whole, rtol=1e-13)


def test_random_orders_of_a_large_gallery_come_near():
    rng = np.random.default_rng(0)
    ranked = rng.permuted(np.arange(200) < np.full((4000, 1), 9), axis=1)
    n = np.full(4000, 9)
    for metric, expected in PAIRS.values():
        scores = metric(ranked, n, 20)
        error = scores.std() / np.sqrt(len(scores))
        assert abs(scores.mean() - expected([9], 200, 20).item()) < 4 * error + 1e-12


def test_a_huge_gallery_loses_no_digits():
    # one relevant image of 5 million: R@K = K/n
    assert expected_recall_at_k([1], 5_000_000, 50).item() == pytest.approx(1e-5, rel=1e-9)
    assert expected_recall_at_k([4_999_999], 5_000_000, 2).item() == 1


@pytest.mark.parametrize("name", PAIRS)
def test_certainty_and_nothing(name):
    _, expected = PAIRS[name]
    got = expected([0, 3, 0], [5, 3, 0], 3)
    assert np.isnan(got[[0, 2]]).all()
    assert got[1] == pytest.approx(1, abs=1e-15)  # all are relevant: every order is perfect
    assert expected([], 5, 3).shape == (0,)


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_impossible_is_refused(name):
    _, expected = PAIRS[name]
    with pytest.raises(ConfigError, match="query 1 has n_relevant = 4 in a gallery of 3"):
        expected([1, 4], 3, 2)
    with pytest.raises(ConfigError, match="k = 0"):
        expected([1], 3, 0)
    with pytest.raises(ShapeError, match="n_gallery: expected shape"):
        expected([1, 2], [3], 1)
    with pytest.raises(ShapeError, match="n_relevant: expected"):
        expected([[1]], 3, 1)


def test_an_unknown_normaliser_is_refused():
    with pytest.raises(ConfigError, match="unknown normaliser"):
        expected_average_precision([1], 2, 1, normaliser="all")
