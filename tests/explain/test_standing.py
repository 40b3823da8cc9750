"""Standings against a search that is done anew for every pair of limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.explain.standing import Standing

SCORES = st.integers(-3, 3).map(float)
"""Few values, so that there are ties."""


def searched(unjudged, judged, id_ranks, k, n):
    """Return the places of the k hits, as an engine finds them."""
    found = range(min(k + n, len(unjudged)))
    score = {i: judged[i] if i < n else unjudged[i] for i in found}
    return sorted(found, key=lambda i: (-score[i], id_ranks[i]))[:k]


@st.composite
def fields(draw):
    """Draw what all images have without and with a judgement, and their places by id."""
    n = draw(st.integers(1, 9))
    unjudged = np.array(draw(st.lists(SCORES, min_size=n, max_size=n)))
    judged = np.array(draw(st.lists(SCORES, min_size=n, max_size=n)))
    if draw(st.booleans()):
        unjudged = -np.sort(-unjudged)
    return unjudged, judged, np.array(draw(st.permutations(range(n))))


@given(field=fields(), place=st.integers(0, 8), k=st.integers(1, 10), n_judged=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_limits_are_those_of_a_search(field, place, k, n_judged):
    unjudged, judged, id_ranks = field
    n = len(unjudged)
    place, n_judged = place % n, min(n_judged, n)
    seen = np.where(np.arange(n) < n_judged, judged, np.nan)
    standing = Standing(place, unjudged, seen, id_ranks)

    def is_found(k, n_judged):
        return place in searched(unjudged, judged, id_ranks, k, n_judged)

    assert standing.is_kept(k, n_judged) == is_found(k, n_judged)
    by_k = [is_found(more, n_judged) for more in range(1, n + 1)]
    assert by_k == sorted(by_k)
    assert standing.smallest_k(n_judged) == 1 + by_k.index(True)
    order = searched(unjudged, judged, id_ranks, n, n_judged)
    assert standing.final_rank() == 1 + order.index(place)

    whole = Standing(place, unjudged, judged, id_ranks)
    for end in range(n_judged + 1, n + 1):
        by_n = [m for m in range(n_judged + 1, end + 1) if is_found(k, m)]
        assert whole.smallest_n_judged(k, n_judged, end) == (by_n[0] if by_n else None)
    if whole.is_hopeless(k, n_judged):
        assert not any(is_found(k, m) for m in range(n_judged + 1, n + 1))


def test_what_the_judge_has_not_seen_can_still_help():
    unjudged, id_ranks = np.array([3.0, 2.0, 1.0]), np.arange(3)
    two_seen = Standing(2, unjudged, np.array([4.0, 5.0, np.nan]), id_ranks)
    assert not two_seen.is_hopeless(1, 2)
    assert Standing(2, unjudged, np.array([4.0, 5.0, 4.5]), id_ranks).is_hopeless(1, 2)
    with_yes = Standing(2, unjudged, np.array([4.0, 5.0, 6.0]), id_ranks)
    assert with_yes.smallest_n_judged(1, 2, 3) == 3
    assert with_yes.final_rank() == 1


def test_an_image_that_the_judge_would_refuse_can_come_in_before_it_is_judged():
    """At n_judged = 2 the others have lost, and this one has not been asked about."""
    standing = Standing(2, np.array([3.0, 2.0, 1.0]), np.array([0.0, 0.0, -5.0]), np.arange(3))
    assert not standing.is_hopeless(1, 1)
    assert standing.smallest_n_judged(1, 1, 3) == 2
    assert standing.is_hopeless(1, 2)


@pytest.mark.parametrize(("ids", "rank"), [([0, 1], 2), ([1, 0], 1)])
def test_equal_scores_stand_by_id(ids, rank):
    standing = Standing(1, np.array([1.0, 1.0]), np.full(2, np.nan), np.array(ids))
    assert standing.final_rank() == rank
