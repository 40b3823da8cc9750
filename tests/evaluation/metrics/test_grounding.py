import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.grounding import (
    best_iou,
    joint_average_precision_at_k,
    joint_relevance,
    mean_iou,
    overall_iou,
    precision_at_iou,
    reaches,
    union_iou,
)
from matir_nb.evaluation.metrics.ranking import average_precision_at_k
from matir_nb.geometry.masks import encode

NAN = float("nan")
BITS = hnp.arrays(bool, (3, 5))


def row(*columns):
    mask = np.zeros((2, 10), bool)
    mask[0, list(columns)] = True
    return encode(mask)


def joint(relevance, ious, n, k, tau=0.5):
    return joint_average_precision_at_k([relevance], [ious], [n], k=k, tau=tau)[0]


def test_any_true_instance_counts_not_their_union():
    # 2 of 4 pixels shared with the first (2/4), 1 of 4 with the second
    shown, truth = row(0, 1, 2), [row(1, 2, 3), row(2, 7)]
    assert best_iou(shown, truth) == pytest.approx(0.5)
    assert best_iou(row(2, 7), truth) == pytest.approx(1.0)


def test_the_union_of_instances_is_one_target():
    # union {1, 2, 3, 7}, shown {0, 1, 2}: 2 shared, 5 together
    assert union_iou(row(0, 1, 2), [row(1, 2, 3), row(2, 7)]) == (2 / 5, 2, 5)
    # one of two equal instances: any-instance 1, union 1/2
    assert union_iou(row(4, 5), [row(4, 5), row(8, 9)]) == (0.5, 2, 4)
    assert best_iou(row(4, 5), [row(4, 5), row(8, 9)]) == 1.0


def test_no_mask_shown_scores_zero_and_no_true_mask_scores_nothing():
    assert best_iou(None, [row(1)]) == 0.0
    assert best_iou(row(1), []) is None
    assert best_iou(None, []) is None
    assert union_iou(None, [row(1), row(1, 2)]) == (0.0, 0, 2)
    assert union_iou(row(1), []) is None
    assert union_iou(row(), [row()]) == (0.0, 0, 0)


def test_masks_of_another_picture_are_refused():
    with pytest.raises(ShapeError, match="expected one"):
        union_iou(row(1), [encode(np.ones((3, 3), bool))])


@given(shown=BITS, first=BITS, second=BITS)
def test_union_iou_is_the_iou_of_pixels(shown, first, second):
    target = first | second
    both, either = int((shown & target).sum()), int((shown | target).sum())
    expected = (both / either if either else 0.0, both, either)
    assert union_iou(encode(shown), [encode(first), encode(second)]) == expected


def test_mean_iou_leaves_out_hits_without_a_target():
    assert mean_iou([1.0, None, 0.5, 0.0]) == pytest.approx(0.5)
    assert mean_iou(np.array([1.0, NAN, 0.5, 0.0])) == pytest.approx(0.5)
    assert mean_iou([None]) is None
    assert mean_iou([]) is None


def test_overall_iou_sums_pixels_so_that_large_objects_weigh_most():
    # 90 / 100 of a large object and 0 / 10 of a small one: mean 0.45, overall 90/110
    assert overall_iou([90, 0], [100, 10]) == pytest.approx(90 / 110)
    assert mean_iou([0.9, 0.0]) == pytest.approx(0.45)
    assert overall_iou([90, None], [100, None]) == pytest.approx(0.9)
    assert overall_iou([], []) is None
    assert overall_iou([None, 0], [None, 0]) is None
    with pytest.raises(ShapeError, match="unions"):
        overall_iou([1, 2], [3])


def test_precision_at_iou_by_hand():
    assert precision_at_iou([0.9, 0.7, 0.69, None], 0.7) == pytest.approx(2 / 3)
    assert precision_at_iou([None], 0.5) is None
    assert precision_at_iou([], 0.5) is None
    for tau in (0.0, -0.5, 1.1, NAN):
        with pytest.raises(ConfigError, match="tau"):
            precision_at_iou([0.5], tau)


@pytest.mark.parametrize("percent", range(5, 101, 5))
def test_a_threshold_is_reached_by_its_own_value_in_single_precision(percent):
    tau = percent / 100
    assert reaches(np.float32(tau), tau)
    assert not reaches(tau - 1e-6, tau)


def test_joint_relevance_takes_the_threshold_itself_as_good_enough():
    assert joint_relevance([True, True, True], [0.5, 0.49, NAN], 0.5).tolist() == [
        True,
        False,
        True,
    ]
    assert joint_relevance([False, False], [1.0, NAN], 0.5).tolist() == [False, False]
    with pytest.raises(ShapeError, match="ious: expected shape"):
        joint_relevance([[True, True]], [[0.5]], 0.5)


@pytest.mark.parametrize(
    ("relevance", "ious", "n", "k", "expected"),
    [
        # both right: (1/1 + 2/2) / 2
        ([True, True], [0.9, 0.8], 2, 50, 1.0),
        # a wrong mask at rank 1 stays in N: (0 + 1/2) / 2
        ([True, True], [0.3, 0.8], 2, 50, 0.25),
        # one good mask of four: strict, 1/4, where others report 1
        ([True] * 4, [0.9, 0.1, 0.1, 0.1], 4, 50, 0.25),
        # nothing to point at: relevance alone decides
        ([True, False, True], [None, None, None], 2, 50, 5 / 6),
        # the normaliser is min(N, K) = 1
        ([True, True], [0.9, 0.9], 8, 1, 1.0),
        # nothing was found, nothing is there to be found
        ([], [], 3, 50, 0.0),
        ([False], [None], 0, 50, NAN),
    ],
)
def test_joint_average_precision_by_hand(relevance, ious, n, k, expected):
    assert joint(relevance, ious, n, k) == pytest.approx(expected, nan_ok=True)


def test_rows_of_a_batch_are_queries_of_their_own():
    ranked = np.array([[True, False, True], [False, True, False], [False, False, False]])
    ious = np.array([[0.9, NAN, 0.2], [NAN, 0.6, NAN], [NAN, NAN, NAN]])
    got = joint_average_precision_at_k(ranked, ious, [2, 1, 0], k=50, tau=0.5)
    # 1/1 of 2; 1/2 of 1; nothing is right
    assert got == pytest.approx([0.5, 0.5, NAN], nan_ok=True)
    assert joint_average_precision_at_k(ranked[:0], ious[:0], [], k=50, tau=0.5).shape == (0,)


RANKINGS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=12)


@given(rows=RANKINGS, missing=st.integers(1, 3), k=st.integers(1, 15), tau=st.floats(0.01, 1))
def test_masks_can_only_cost(rows, missing, k, tau):
    ranked, ious = [r for r, _ in rows], [iou for _, iou in rows]
    n = sum(ranked) + missing
    got = joint(ranked, ious, n, k, tau)
    assert 0 <= got <= average_precision_at_k(np.array([ranked], bool), [n], k)[0] + 1e-12
    assert got <= joint(ranked, ious, n, k, tau / 2) + 1e-12
