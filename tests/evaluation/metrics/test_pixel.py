import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.pixel import (
    THRESHOLDS,
    pixel_average_precision,
    released_pixel_average_precision,
    released_pixel_map,
    trapezoid_average_precision,
)
from matir_nb.evaluation.metrics.ranking import average_precision_at_k

NAN = float("nan")


def reference_ap(hit_places, n):
    """Return revisited Oxford's AP of hits at places from 0, from its definition."""
    total = 0.0
    for earlier, place in enumerate(hit_places):
        before = earlier / place if place else 1.0
        total += (before + (earlier + 1) / (place + 1)) / 2
    return total / n


def test_thresholds_are_those_of_the_paper():
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@pytest.mark.parametrize(
    ("ranked", "n", "expected"),
    [
        ([True, True], 2, 1.0),
        # at rank 2: before 0/1, after 1/2
        ([False, True], 1, 0.25),
        # (1 + 1)/2 and (1/2 + 2/3)/2, of three
        ([True, False, True], 3, (1 + 7 / 12) / 3),
        ([False], 2, 0.0),
        ([], 2, 0.0),
        ([False], 0, NAN),
    ],
)
def test_trapezoids_by_hand(ranked, n, expected):
    got = trapezoid_average_precision([ranked], [n])
    assert got == pytest.approx([expected], nan_ok=True)


@given(ranked=st.lists(st.booleans(), max_size=20), missing=st.integers(0, 4))
def test_trapezoids_against_the_definition_and_never_above_the_usual_ap(ranked, missing):
    n = sum(ranked) + missing
    got = trapezoid_average_precision([ranked], [n])[0]
    if n == 0:
        assert np.isnan(got)
        return
    places = [place for place, hit in enumerate(ranked) if hit]
    assert got == pytest.approx(reference_ap(places, n), abs=1e-12)
    usual = average_precision_at_k(
        np.array([ranked], bool), [n], max(len(ranked), 1), normaliser="relevant"
    )
    assert got <= usual[0] + 1e-12


def test_one_good_mask_of_four_is_a_quarter_strictly_and_one_as_released():
    ranked, ious = [[True] * 4], [[1.0, 0.1, 0.1, 0.1]]
    assert pixel_average_precision(ranked, ious, [4]).tolist() == [0.25]
    assert released_pixel_average_precision(ranked, ious).tolist() == [1.0]
    assert released_pixel_map(ranked, ious) == 1.0


def test_the_mean_over_thresholds_by_hand():
    # the mask of 0.72 passes .50 ... .70: 5 of 10 thresholds, with AP 1
    assert pixel_average_precision([[True]], [[0.72]], [1]) == pytest.approx([0.5])
    # released: those thresholds alone exist
    assert released_pixel_average_precision([[True]], [[0.72]]).tolist() == [1.0]


def test_a_threshold_itself_passes_strictly_and_fails_as_released():
    assert pixel_average_precision([[True]], [[0.5]], [1]) == pytest.approx([0.1])
    assert np.isnan(released_pixel_average_precision([[True]], [[0.5]])).all()


def test_a_mask_that_misses_still_takes_its_place_in_the_ranking():
    # released: positive only at rank 2: (0/1 + 1/2) / 2
    assert released_pixel_average_precision([[True, True]], [[0.1, 1.0]]).tolist() == [0.25]
    assert pixel_average_precision([[True, True]], [[0.1, 1.0]], [2]).tolist() == [0.125]


def test_without_a_target_relevance_decides_strictly_and_the_pair_is_skipped_as_released():
    assert pixel_average_precision([[True]], [[NAN]], [1]).tolist() == [1.0]
    assert np.isnan(released_pixel_average_precision([[True]], [[NAN]])).all()


def test_where_the_released_code_divides_by_zero_there_is_no_number():
    assert released_pixel_map([[True], [True]], [[0.6], [0.7]]) is None
    assert released_pixel_map(np.zeros((0, 3), bool), np.zeros((0, 3))) is None
    # a query that keeps nothing is left out of the mean
    assert released_pixel_map([[True], [True]], [[1.0], [0.1]]) == 1.0
    assert pixel_average_precision([[True], [True]], [[1.0], [0.1]], [1, 1]).mean() == 0.5


QUERIES = st.lists(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=6, max_size=6), max_size=4
)


@settings(max_examples=40)
@given(queries=QUERIES)
def test_released_against_the_definition(queries):
    ranked = np.array([[r for r, _ in q] for q in queries], bool).reshape(-1, 6)
    ious = np.array([[iou for _, iou in q] for q in queries]).reshape(-1, 6)
    means = []
    for tau in THRESHOLDS:
        places = [[i for i, (r, iou) in enumerate(q) if r and iou > tau] for q in queries]
        aps = [reference_ap(hits, len(hits)) for hits in places if hits]
        means.append(sum(aps) / len(aps) if aps else None)
    expected = None if None in means else sum(means) / len(means)
    assert released_pixel_map(ranked, ious) == pytest.approx(expected, abs=1e-12)
    strict = pixel_average_precision(ranked, ious, ranked.sum(axis=1))
    released = released_pixel_average_precision(ranked, ious)
    both = ~(np.isnan(strict) | np.isnan(released))
    # the released rule flatters: it forgives masks, and thresholds (IoU = τ is measure zero)
    assert (released[both] >= strict[both] - 1e-12).all() or np.isin(ious, THRESHOLDS).any()


def test_wrong_shapes_and_counts_are_refused():
    with pytest.raises(ShapeError, match="n_relevant"):
        trapezoid_average_precision([[True]], [1, 1])
    with pytest.raises(ShapeError, match="ranked, ious"):
        released_pixel_map([[True]], [[0.5, 0.5]])
    with pytest.raises(ConfigError, match="more hits"):
        pixel_average_precision([[True, True]], [[1.0, 1.0]], [1])
