"""Answers: what a judge's words say."""

import math

import pytest

from matir_nb.models.answers import letter_answer, sigmoid


@pytest.mark.parametrize(
    ("words", "row"),
    [
        ("yes A", 0),
        ("Yes, region (D).", 3),
        ("  yes: c", 2),
        ("no", None),
        ("no A", None),
        ("yes", None),
        ("yesterday A", None),
        ("yes, all of them", None),
        ("", None),
    ],
)
def test_letter_answer(words: str, row: int | None) -> None:
    assert letter_answer(words) == row


def test_sigmoid() -> None:
    assert sigmoid(math.log(3)) == pytest.approx(0.75)
    assert sigmoid(800.0) == 1.0
    assert sigmoid(-800.0) == 0.0
