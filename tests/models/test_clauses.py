"""Clauses: hand-written sentences, and every sentence of the scenes' grammar."""

import numpy as np
import pytest

from matir_nb.models.clauses import Clauses, parse
from matir_nb.scenes.draw import draw_gallery
from matir_nb.scenes.meaning import KINDS
from matir_nb.scenes.phrases import say
from matir_nb.scenes.queries import sample_query
from matir_nb.scenes.vocabulary import SPLITS


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("a red circle", Clauses("red circle")),
        ("Find a picture of the DOG.", Clauses("dog")),
        (
            "the red circle left of the blue square",
            Clauses("red circle", relation="left", other="blue square"),
        ),
        (
            "to the left of the blue square, a red circle",
            Clauses("red circle", relation="left", other="blue square"),
        ),
        (
            "above a ring there is a star",
            Clauses("star", relation="above", other="ring"),
        ),
        ("a cup on top of the table", Clauses("cup", relation="above", other="table")),
        ("a dog that is inside the car", Clauses("dog", relation="inside", other="car")),
        ("two green stars", Clauses("green stars", count=2)),
        ("there are 3 dogs", Clauses("dogs", count=3)),
        ("no circle", Clauses("circle", is_none=True)),
        ("a picture without a circle", Clauses("circle", is_none=True)),
        ("a picture with no circle", Clauses("circle", is_none=True)),
        ("a cross without dots", Clauses("cross", without="cross with dots")),
        ("the dog without a leash", Clauses("dog", without="dog with leash")),
        ("a dog that is not brown", Clauses("dog", without="dog that is brown")),
        ("a moon, not yellow", Clauses("moon", without="moon that is yellow")),
        ("the leftmost triangle", Clauses("triangle", superlative="leftmost")),
        ("the furthest left red dog", Clauses("red dog", superlative="leftmost")),
        ("a ring that is the largest", Clauses("ring", superlative="largest")),
        ("there is a ring, the highest", Clauses("ring", superlative="topmost")),
        ("a notebook", Clauses("notebook")),
        ("leftover pizza", Clauses("leftover pizza")),
    ],
)
def test_hand_written(text: str, clauses: Clauses) -> None:
    assert parse(text) == clauses


def test_nothing_but_a_frame_stays_itself() -> None:
    assert parse("a picture").subject


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_of_the_grammar_keeps_its_kind(split: str) -> None:
    rng = np.random.default_rng(2)
    scenes = list(draw_gallery("train", 12))
    n_wrong, n_all = 0, 0
    while n_all < 600:
        query = sample_query(rng, scenes[int(rng.integers(12))], KINDS[n_all % len(KINDS)])
        if query is None:
            n_all += 1
            continue
        clauses = parse(say(query, rng, split))
        n_all += 1
        n_wrong += (
            (clauses.relation, clauses.count, clauses.is_none, clauses.superlative)
            != (query.relation, query.count, query.is_none, query.superlative)
        ) or (clauses.without is None) != (query.without is None)
    assert n_wrong <= 0.005 * n_all
