import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.evaluation.metrics.ranking import average_precision_at_k, recall_at_k

LISTS = st.lists(st.booleans(), max_size=30)


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
    assert recall_at_k(relevance, n, k) == expected


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
    assert average_precision_at_k(relevance, n, k) == pytest.approx(expected)


@given(relevance=LISTS, k=st.integers(1, 40), missing=st.integers(0, 5))
def test_average_precision_is_a_share_and_moving_a_hit_up_never_hurts(relevance, k, missing):
    n = sum(relevance) + missing
    if n == 0:
        return
    score = average_precision_at_k(relevance, n, k)
    assert 0 <= score <= 1
    assert average_precision_at_k(sorted(relevance, reverse=True), n, k) >= score


@pytest.mark.parametrize("metric", [recall_at_k, average_precision_at_k])
def test_a_query_without_relevant_images_has_no_score(metric):
    with pytest.raises(ConfigError, match="n_relevant = 0"):
        metric([False], 0, 5)
    with pytest.raises(ConfigError, match="k = 0"):
        metric([True], 1, 0)
