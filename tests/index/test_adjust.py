"""What stage 1 can be adjusted by: formulas against their definitions, and what they do to hubs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.index.adjust import Hubs, References, soft_mean, spherical_centroids


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def adjusted(adjustment, queries, stored):
    added = adjustment.of_queries(queries) @ adjustment.of_stored(stored).T
    return queries @ stored.T + adjustment.weight * added


@given(st.integers(0, 1 << 30), st.sampled_from([1.0, 20.0, 60.0]))
def test_dehubbed_scores_rank_as_the_inverted_softmax_does(seed, beta):
    """Beside its definition: exp(beta s) over the sum of the bank's exp(beta s)."""
    rng = np.random.default_rng(seed)
    stored, bank, queries = (unit(rng.normal(size=(n, 12))) for n in (60, 30, 9))
    scores = adjusted(Hubs(bank, beta), queries, stored)
    wide, wide_bank, of = (a.astype(np.float64) for a in (queries, bank, stored))
    softmax = np.exp(beta * wide @ of.T) / np.exp(beta * wide_bank @ of.T).sum(axis=0)
    for mine, its in zip(scores, np.log(softmax) / beta, strict=True):
        order = np.argsort(-its, kind="stable")
        # in the order of the definition, scores never rise but for their last digits
        assert (np.diff(mine[order]) <= 1e-6).all()
        offset = mine - its
        assert np.ptp(offset) <= 1e-6
        assert offset[0] == pytest.approx(np.log(len(bank)) / beta, abs=1e-6)


def test_dehubbing_by_hand():
    """A region in the middle of two texts, and one that only the first means."""
    texts = np.eye(2, dtype=np.float32)
    stored = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    of = Hubs(texts, 1.0).of_stored(stored)
    assert of.shape == (2, 1)
    assert of[:, 0] == pytest.approx(
        [np.log((np.exp(0.6) + np.exp(0.8)) / 2), np.log((np.e + 1) / 2)]
    )
    assert soft_mean(np.array([[2.0, 2.0]]), 7.0).tolist() == [2.0]
    assert soft_mean(np.array([[-1000.0, 1000.0]]), 20.0) == pytest.approx(1000 - np.log(2) / 20)


def skew_of(scores, n):
    """Return the skewness of N_10, and the counts, by their definition."""
    top = np.argsort(-scores, axis=1)[:, :10]
    counts = np.bincount(top.ravel(), minlength=n).astype(float)
    off = counts - counts.mean()
    return (off**3).mean() / (off**2).mean() ** 1.5, counts


def test_an_injected_hub_is_no_hub_any_more():
    rng = np.random.default_rng(3)
    cone = rng.normal(size=16)
    texts = unit(cone + rng.normal(size=(600, 16)))
    stored = unit(0.2 * cone + rng.normal(size=(400, 16)))
    stored[7] = unit(texts.mean(axis=0))
    queries, bank = texts[:300], texts[300:]
    before, counts = skew_of(queries @ stored.T, len(stored))
    after, fairer = skew_of(adjusted(Hubs(bank, 20.0), queries, stored), len(stored))
    assert counts[7] > 200
    assert fairer[7] < 30
    assert after < before / 2


def test_references_by_hand():
    of = References(np.eye(2, dtype=np.float32), 0.5, 0.25)
    placed = of.of_stored(np.array([[1, 0], [0.6, 0.8]], np.float16))
    expected = np.exp(np.array([[1, 0], [0.6, 0.8]]) / 0.5)
    expected /= expected.sum(axis=1, keepdims=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert placed == pytest.approx(expected, abs=1e-3)
    assert (of.weight, of.width) == (0.25, 2)
    assert adjusted(of, np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))[0, 0] == 1.25


def test_references_stay_finite_at_any_temperature():
    rng = np.random.default_rng(0)
    of = References(unit(rng.normal(size=(5, 4))), 1e-6, 1.0)
    placed = of.of_stored(unit(rng.normal(size=(9, 4))))
    assert np.linalg.norm(placed, axis=1) == pytest.approx(np.ones(9))
    assert placed.max() == 1


@pytest.mark.parametrize("seed", range(3))
def test_centroids_are_those_of_planted_clusters_and_the_same_every_time(seed):
    rng = np.random.default_rng(seed)
    centres = np.eye(6, dtype=np.float32)[:4]
    vectors = unit(np.repeat(centres, 50, axis=0) + 0.05 * rng.normal(size=(200, 6)))
    found = spherical_centroids(vectors, 4)
    assert sorted((centres @ found.T).argmax(axis=1).tolist()) == [0, 1, 2, 3]
    assert (centres @ found.T).max(axis=1) == pytest.approx(np.ones(4), abs=1e-3)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4))
    np.testing.assert_array_equal(found, spherical_centroids(vectors, 4))


def test_there_are_no_more_centroids_than_different_vectors():
    same = np.ones((5, 1), np.float32) * unit(np.array([1.0, 2.0, 3.0]))
    assert spherical_centroids(same, 3) == pytest.approx(same[:1])
    assert spherical_centroids(same[:0], 3).shape == (0, 3)


def test_without_vectors_there_is_nothing():
    nothing = np.zeros((0, 2), np.float16)
    assert Hubs(np.eye(2, dtype=np.float32), 20.0).of_stored(nothing).shape == (0, 1)
    of = References(np.eye(2, dtype=np.float32), 0.1, 1.0)
    assert of.of_stored(nothing).shape == (0, 2)


def test_the_key_says_all_that_decides_the_numbers_and_not_the_weight():
    eye, other = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
    keys = [Hubs(eye, 20.0), Hubs(eye, 10.0), Hubs(other, 20.0)]
    keys += [References(eye, 0.1, 1.0), References(eye, 0.2, 1.0), References(other, 0.1, 1.0)]
    assert len({one.key for one in keys}) == len(keys)
    assert References(eye, 0.1, 1.0).key == References(eye, 0.1, 0.5).key
