import numpy as np
import pytest

from matir_nb.evaluation.metrics.grounding import (
    best_iou,
    joint_average_precision_at_k,
    joint_relevance,
    mean_iou,
)
from matir_nb.geometry.masks import encode


def row(*columns):
    mask = np.zeros((2, 10), bool)
    mask[0, list(columns)] = True
    return encode(mask)


def test_any_true_instance_counts_not_their_union():
    # 2 of 4 pixels shared with the first (2/4), 1 of 4 with the second
    shown, truth = row(0, 1, 2), [row(1, 2, 3), row(2, 7)]
    assert best_iou(shown, truth) == pytest.approx(0.5)
    assert best_iou(row(2, 7), truth) == pytest.approx(1.0)


def test_no_mask_shown_scores_zero_and_no_true_mask_scores_nothing():
    assert best_iou(None, [row(1)]) == 0.0
    assert best_iou(row(1), []) is None
    assert best_iou(None, []) is None


def test_mean_iou_leaves_out_hits_without_a_target():
    assert mean_iou([1.0, None, 0.5, 0.0]) == pytest.approx(0.5)
    assert mean_iou([None]) is None
    assert mean_iou([]) is None


def test_joint_relevance_takes_the_threshold_itself_as_good_enough():
    assert joint_relevance([True, True, True], [0.5, 0.49, None], 0.5) == [True, False, True]
    assert joint_relevance([False], [1.0], 0.5) == [False]


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
    ],
)
def test_joint_average_precision_by_hand(relevance, ious, n, k, expected):
    got = joint_average_precision_at_k(relevance, ious, n, k=k, tau=0.5)
    assert got == pytest.approx(expected)
