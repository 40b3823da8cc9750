import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.abstention import (
    RISK_SCHEMA,
    answer_auc,
    aurc,
    risk_coverage,
)

INF = float("inf")
SCORES = st.lists(st.integers(0, 6).map(lambda n: n / 6), min_size=1, max_size=30)
ANSWERS = st.lists(
    st.tuples(st.integers(0, 6).map(lambda n: n / 6), st.booleans()), min_size=1, max_size=30
)


def test_risk_and_coverage_by_hand():
    table = risk_coverage([0.1, 0.9, 0.5, 0.5], [False, True, False, True])
    assert table.schema == RISK_SCHEMA
    assert table["threshold"].to_list() == [0.9, 0.5, 0.1]
    assert table["coverage"].to_list() == [0.25, 0.75, 1.0]
    assert table["risk"].to_list() == pytest.approx([0, 1 / 3, 1 / 2])


def test_what_is_not_answered_is_not_covered():
    table = risk_coverage([0.9, -INF], [True, False])
    assert table.rows() == [(0.5, 0.0, 0.9)]
    assert risk_coverage([-INF], [False]).rows() == []
    assert aurc([-INF], [False]) is None
    assert aurc([0.9, -INF], [True, False]) == 0.0


def test_aurc_by_hand():
    # risks at the four answers: 0, 0, 1/3, 1/2
    scores = [0.9, 0.8, 0.7, 0.6]
    assert aurc(scores, [True, True, False, False]) == pytest.approx((1 / 3 + 1 / 2) / 4)
    # the worst order: 1, 1, 2/3, 1/2
    assert aurc(scores, [False, False, True, True]) == pytest.approx((2 + 2 / 3 + 1 / 2) / 4)


def test_ties_are_one_group():
    # constant scores say nothing: the risk of answering everything, in any order
    assert aurc([0.5] * 4, [True, True, False, False]) == 0.5
    assert aurc([0.5] * 4, [False, False, True, True]) == 0.5
    # 0.9: risk 0; the tied pair answers both: 1/3 each
    assert aurc([0.9, 0.5, 0.5], [True, True, False]) == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)


def test_nothing_has_no_curve():
    assert risk_coverage([], []).schema == RISK_SCHEMA
    assert aurc([], []) is None
    assert answer_auc([], [0.5]) is None
    assert answer_auc([0.5], []) is None


def naive_risks(answers):
    """Return the risk at each answer's own threshold."""
    risks = []
    for score, _ in answers:
        given_out = [right for other, right in answers if other >= score]
        risks.append(given_out.count(False) / len(given_out))
    return risks


@given(answers=ANSWERS)
def test_aurc_against_the_definition_and_the_order_of_input_does_not_matter(answers):
    scores, right = [s for s, _ in answers], [r for _, r in answers]
    got = aurc(scores, right)
    assert got == pytest.approx(np.mean(naive_risks(answers)), abs=1e-9)
    assert aurc(scores[::-1], right[::-1]) == pytest.approx(got, abs=1e-12)
    table = risk_coverage(scores, right)
    assert table["coverage"].is_sorted()
    assert table["coverage"][-1] == 1.0
    assert table["risk"][-1] == pytest.approx(right.count(False) / len(right))


@settings(max_examples=40)
@given(present=SCORES, absent=SCORES)
def test_answer_auc_against_sklearn(present, absent):
    is_present = [1] * len(present) + [0] * len(absent)
    expected = roc_auc_score(is_present, present + absent)
    assert answer_auc(present, absent) == pytest.approx(expected, abs=1e-9)


def test_answer_auc_by_hand():
    # pairs: .9 > .4, .9 > .1, .4 = .4, .4 > .1
    assert answer_auc([0.9, 0.4], [0.4, 0.1]) == 3.5 / 4
    assert answer_auc([0.1], [0.9]) == 0.0
    assert answer_auc([0.5, 0.5], [0.5]) == 0.5
    assert answer_auc([-INF], [-INF]) == 0.5


def test_wrong_arguments_are_refused():
    with pytest.raises(ShapeError, match="right"):
        aurc([0.5, 0.4], [True])
    with pytest.raises(ShapeError, match="scores"):
        aurc([[0.5]], [[True]])
    with pytest.raises(ConfigError, match="scores: one is NaN"):
        risk_coverage([float("nan")], [True])
    with pytest.raises(ConfigError, match="absent_scores: one is NaN"):
        answer_auc([0.5], [float("nan")])
