"""A query taken apart, and what is left of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.explain.phrases import NEUTRAL, left_out, phrases_of, without, word_spans


def texts_of(query):
    return [query[start:end] for start, end in word_spans(query)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a medium-sized, red circle.", ["a", "medium-sized", "red", "circle"]),
        ("the dog's «big» dinner", ["the", "dog's", "big", "dinner"]),
        ("red,green — 1,000 stars", ["red", "green", "1,000", "stars"]),
        ("没有红色的圆", ["没有红色的圆"]),
        ("红色，圆。", ["红色", "圆"]),
        ("🐱 on C++", ["🐱", "on", "C++"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        (" ... ", []),
    ],
)
def test_words_are_as_typed(query, expected):
    assert texts_of(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "there is a red circle to the left of the blue square",
            ["there is", "a red circle", "to the left of the blue square"],
        ),
        (
            "to the left of the blue square, there is a red circle",
            ["to the left of the blue square", "there is", "a red circle"],
        ),
        ("a picture of two green stars", ["a picture", "of two green stars"]),
        ("two green stars and three hearts", ["two green stars", "and three hearts"]),
        ("a picture with no red circle", ["a picture", "with no red circle"]),
        ("a star that is not red", ["a star", "that is not red"]),
        ("a star, not red", ["a star", "not red"]),
        ("a circle that overlaps a star", ["a circle", "that overlaps a star"]),
        ("a dog in front of a car", ["a dog", "in front of a car"]),
        ("person holding a red umbrella", ["person", "holding a red umbrella"]),
        ("a tall building", ["a tall building"]),
        ("the leftmost red circle", ["the leftmost red circle"]),
        ("left of", ["left of"]),
        ("Rotes Haus mit grünem Dach", ["Rotes Haus mit grünem Dach"]),
        ("没有红色的圆", ["没有红色的圆"]),
    ],
)
def test_phrases(query, expected):
    assert [phrase.text for phrase in phrases_of(query)] == expected


@given(st.text(max_size=40) | st.lists(st.sampled_from("a red star, left of in . the".split())))
def test_any_text_is_taken_apart_and_nothing_empty_is_left(query):
    query = query if isinstance(query, str) else " ".join(query)
    spans = word_spans(query)
    phrases = phrases_of(query)
    assert [place for p in phrases for place in p.words] == list(range(len(spans)))
    for start, end in spans:
        assert query[start:end].strip() == query[start:end] != ""
        left = without(query, start, end)
        assert word_spans(left)
        if left != NEUTRAL:
            assert len(word_spans(left)) <= len(spans)
    for phrase in phrases:
        assert phrase.text in query
        assert word_spans(without(query, spans[phrase.words[0]][0], spans[phrase.words[-1]][1]))


@pytest.mark.parametrize(
    ("query", "piece", "expected"),
    [
        ("a red circle, left of a star", "circle", "a red, left of a star"),
        ("a man, riding, a horse", "riding", "a man, a horse"),
        ("(red) star", "red", "star"),
        ("a  red\tstar", "red", "a star"),
        ("red, green", "red", "green"),
        ("star.", "star", NEUTRAL),
    ],
)
def test_what_is_left_is_tidy(query, piece, expected):
    start = query.index(piece)
    assert without(query, start, start + len(piece)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a red circle", ["red circle", "a circle", "a red object"]),
        ("circle", ["a picture"]),
        ("left of", ["of", "left"]),
        (
            "there is a star.",
            ["is a star.", "there a star.", "there is star.", "there is a object."],
        ),
        ("没有红色的圆", ["a picture"]),
    ],
)
def test_a_phrase_keeps_a_noun(query, expected):
    assert left_out(query) == expected
