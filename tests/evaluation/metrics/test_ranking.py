from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.ranking import (
    NORMALISERS,
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank,
    share_recall_at_k,
)

METRICS = [
    recall_at_k,
    share_recall_at_k,
    precision_at_k,
    reciprocal_rank,
    ndcg_at_k,
    *(
        lambda ranked, n, k, z=z: average_precision_at_k(ranked, n, k, normaliser=z)
        for z in NORMALISERS
    ),
]


def one(metric, relevance, n, *args, **options):
    ranked = np.array([relevance], bool).reshape(1, -1)
    return metric(ranked, [n], *args, **options).item()


@pytest.mark.parametrize(
    ("relevance", "n", "k", "expected"),
    [
        ([True, False], 1, 1, 1.0),
        ([False, True], 1, 1, 0.0),
        ([False, True], 9, 2, 1.0),
        ([False] * 10 + [True], 1, 10, 0.0),
        ([], 3, 5, 0.0),
    ],
)
def test_recall_is_one_when_any_relevant_image_is_in_the_top(relevance, n, k, expected):
    assert one(recall_at_k, relevance, n, k) == expected


@pytest.mark.parametrize(
    ("relevance", "n", "k", "share", "precision"),
    [
        ([True, False, True, True], 4, 3, 2 / 4, 2 / 3),
        # more relevant images than ranks: the share cannot reach 1
        ([True, True], 8, 2, 2 / 8, 1.0),
        # a list that is shorter than K: precision is still over K
        ([True, True], 2, 10, 1.0, 2 / 10),
        ([], 1, 1, 0.0, 0.0),
    ],
)
def test_shares_by_hand(relevance, n, k, share, precision):
    assert one(share_recall_at_k, relevance, n, k) == share
    assert one(precision_at_k, relevance, n, k) == pytest.approx(precision)


def test_the_reciprocal_rank_is_of_the_first_relevant_image_within_k():
    assert one(reciprocal_rank, [False, False, True, True], 2) == 1 / 3
    assert one(reciprocal_rank, [False, False, True], 1, 3) == 1 / 3
    assert one(reciprocal_rank, [False, False, True], 1, 2) == 0
    assert one(reciprocal_rank, [], 1) == one(reciprocal_rank, [False], 1) == 0


@pytest.mark.parametrize(
    ("relevance", "n", "k", "expected"),
    [
        ([True, True, False], 2, 3, 1.0),
        # DCG 1/log2(3) + 1/log2(4) over 1 + 1/log2(3): one of three relevant is not listed, K = 2
        ([False, True, True], 3, 3, (1 / log2(3) + 1 / 2) / (1 + 1 / log2(3) + 1 / 2)),
        ([False, True, True], 3, 2, (1 / log2(3)) / (1 + 1 / log2(3))),
        # the ideal has all N within K, though the list ends before
        ([True], 3, 10, 1 / (1 + 1 / log2(3) + 1 / 2)),
        ([], 2, 10, 0.0),
    ],
)
def test_ndcg_by_hand(relevance, n, k, expected):
    assert one(ndcg_at_k, relevance, n, k) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("relevance", "n", "k", "expected"),
    [
        # relevant at ranks 1 and 3 of N = 2: (1/1 + 2/3) / 2
        ([True, False, True, False], 2, 4, 5 / 6),
        # the third relevant image is not in the list: (1/2 + 2/3) / 3
        ([False, True, True], 3, 10, (1 / 2 + 2 / 3) / 3),
        # N = 5 > K = 2: a perfect list scores 1
        ([True, True], 5, 2, 1.0),
        # beyond K nothing counts: (1/1) / min(2, 2)
        ([True, False, True], 2, 2, 0.5),
        ([False, False], 1, 2, 0.0),
        ([], 4, 50, 0.0),
    ],
)
def test_average_precision_by_hand(relevance, n, k, expected):
    assert one(average_precision_at_k, relevance, n, k) == pytest.approx(expected)


def test_the_normalisers_of_average_precision_differ_by_factors():
    # 3 of 200 relevant images at the ranks 1, 3 and 6 of 50: 1/1 + 2/3 + 3/6 = 13/6, over
    # min(200, 50) as INQUIRE, over 200 as ObjEmbed, over the 3 found as scikit-learn
    relevance = np.isin(np.arange(1, 51), [1, 3, 6])
    by = {z: one(average_precision_at_k, relevance, 200, 50, normaliser=z) for z in NORMALISERS}
    assert by == pytest.approx({"min": 13 / 300, "relevant": 13 / 1200, "found": 13 / 18})
    assert [round(by[z], 4) for z in NORMALISERS] == [0.0433, 0.0108, 0.7222]
    assert one(average_precision_at_k, [False], 1, 1, normaliser="found") == 0


def test_all_queries_are_scored_at_once_as_one_by_one():
    rng = np.random.default_rng(0)
    ranked = rng.random((50, 20)) < 0.2
    n = ranked.sum(axis=1) + rng.integers(0, 5, 50)
    for metric in METRICS:
        rows = [metric(ranked[i : i + 1], n[i : i + 1], 7).item() for i in range(50)]
        np.testing.assert_array_equal(metric(ranked, n, 7), rows)


RANKED = st.lists(st.booleans(), max_size=30)


@settings(max_examples=60, deadline=None)
@given(relevance=RANKED, k=st.integers(1, 40), missing=st.integers(0, 5))
def test_every_metric_is_a_share_and_moving_a_hit_up_never_hurts(relevance, k, missing):
    n = sum(relevance) + missing
    if n == 0:
        return
    for metric in METRICS:
        score = one(metric, relevance, n, k)
        assert 0 <= score <= 1
        assert metric is METRICS[-1] or one(metric, sorted(relevance)[::-1], n, k) >= score
    perfect = [True] * n
    assert one(average_precision_at_k, perfect, n, k) == one(ndcg_at_k, perfect, n, k) == 1
    assert one(average_precision_at_k, perfect, n, k, normaliser="found") == 1


@settings(max_examples=60, deadline=None)
@given(relevance=RANKED, k=st.integers(1, 40), padding=st.integers(0, 12))
def test_padding_changes_nothing(relevance, k, padding):
    for metric in METRICS:
        longer = relevance + [False] * padding
        np.testing.assert_equal(one(metric, relevance, 30, k), one(metric, longer, 30, k))


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_without_relevant_images_has_no_score_and_harms_no_other(metric):
    scores = metric([[False, False], [True, False]], [0, 1], 2)
    assert np.isnan(scores[0])
    assert scores[1] > 0
    assert scores.dtype == np.float64


@pytest.mark.parametrize("metric", METRICS)
def test_no_queries_have_no_scores(metric):
    assert metric(np.zeros((0, 5), bool), [], 3).shape == (0,)
    assert metric(np.zeros((2, 0), bool), [0, 3], 3).tolist()[1] == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("ranked", "n", "k", "error", "message"),
    [
        (
            [True, False],
            [1],
            1,
            ShapeError,
            r"ranked: expected \(q, n\) booleans, got shape \(2,\)",
        ),
        ([[0.5, 0.1]], [1], 1, ShapeError, "ranked: expected .* of float64"),
        ([[True]], [1, 2], 1, ShapeError, "one count for each of 1 rows, got 2"),
        ([[True]], [1.0], 1, ShapeError, r"n_relevant: expected \(q,\) whole numbers"),
        ([[True]], 1, 1, ShapeError, r"n_relevant: .* got shape \(\)"),
        ([[True]], [-1], 1, ConfigError, "n_relevant = -1 is not allowed"),
        ([[False, False], [True, True]], [1, 1], 2, ConfigError, "row 1 has 2 hits, but .* = 1"),
        ([[True]], [0], 1, ConfigError, "row 0 has 1 hits, but n_relevant = 0"),
        ([[True]], [1], 0, ConfigError, "k = 0 is not allowed: give a whole number >= 1"),
        ([[True]], [1], 2.0, ConfigError, "k = 2.0 is not allowed"),
        ([[True]], [1], True, ConfigError, "k = True is not allowed"),
    ],
)
def test_what_cannot_be_scored_is_refused(metric, ranked, n, k, error, message):
    with pytest.raises(error, match=message):
        metric(ranked, n, k)


def test_an_unknown_normaliser_is_refused():
    with pytest.raises(ConfigError, match="unknown normaliser 'founds': did you mean 'found'"):
        average_precision_at_k([[True]], [1], 1, normaliser="founds")
