"""Whatever a judge says: no error, no box outside the picture, no region that was not listed."""

import json
import math
import string
from time import perf_counter
from types import SimpleNamespace

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.models.answers import LARGEST, boxes_in, letter_answer, number_answer, sigmoid
from matir_nb.models.florence import first_box
from matir_nb.models.prompts import VERSIONS, PromptConfig
from matir_nb.models.qwen_askers import CutoutAsker, PictureAsker
from matir_nb.models.qwen_model import Reply
from matir_nb.models.spaces import SPACES, to_pixels

SEEN = (56, 28)

KEYS = "bbox_2d bbox box_2d boxes box bounding_box coordinates point_2d x1 y1 x2 y2 xmin ymax label"
SPELLED = (
    "[ ] { } ( ) , ; : = \" ' ` - + . # ``` yes no region mark number No. <box> </box> "
    "<|box_start|> <|box_end|> <loc_0> <loc_999> <loc_ 1 2.5 -3 1e9 1e999 NaN Infinity 0x1F 1_000 "
    "٣ ١٢ ² Ⅷ \x00 \ud7ff İ ſ ﬁ"
)
pieces = st.one_of(
    st.sampled_from([*SPELLED.split(" "), *KEYS.split(" "), " ", "\n", "\t", "9" * 400]),
    st.integers(-5, 1200).map(str),
    st.floats().map(repr),
    st.characters(),
)
numbers = st.one_of(st.integers(-5, 1200), st.floats(), st.text(string.digits, max_size=5))
documents = st.recursive(
    st.one_of(
        numbers, st.none(), st.booleans(), st.text(max_size=5), st.lists(numbers, max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    ),
    max_leaves=12,
)
cut_documents = st.tuples(documents, st.integers(0, 400)).map(lambda p: json.dumps(p[0])[: p[1]])
answers = st.one_of(
    st.text(),
    st.lists(pieces, max_size=50).map("".join),
    cut_documents,
    st.tuples(cut_documents, st.lists(pieces, max_size=8).map("".join)).map("".join),
)
logits = st.one_of(st.floats(), st.just(2.0))


def item(width, height, region_ids=(4, 2, 7)):
    """Return what an asker reads of a candidate."""
    candidate = SimpleNamespace(region_ids=region_ids)
    return SimpleNamespace(width=width, height=height, candidate=candidate, regions=range(9))


def picture_asker(prompt, space="rel1000"):
    model = SimpleNamespace(
        space=space, seen_size=lambda *_: SEEN, limit_pixels=lambda *_: None, architecture=None
    )
    return PictureAsker(model, PromptConfig(prompt=prompt))


def assert_inside(box, width, height):
    x0, y0, x1, y1 = box
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


@fuzzed
@given(answers)
def test_no_words_raise(words):
    for box in boxes_in(words):
        assert len(box) == 4
        assert all(math.isfinite(value) and abs(value) <= LARGEST for value in box)
    number = number_answer(words)
    assert number is None or 0 <= number <= 9999
    row = letter_answer(words)
    assert row is None or 0 <= row < 26


@fuzzed
@given(answers, st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from(SPACES))
def test_a_place_is_inside_the_picture_or_nowhere(words, width, height, space):
    for box in boxes_in(words):
        size = {"image_size": (width, height), "resized_size": SEEN}
        if (placed := to_pixels(box, space, **size)) is not None:
            assert_inside(placed, width, height)
    if (found := first_box(words, width, height)) is not None:
        assert_inside(found, width, height)


@fuzzed
@given(
    answers,
    st.one_of(st.floats(), st.just(2.0)),
    st.sampled_from(sorted(VERSIONS)),
    st.integers(1, 900),
)
def test_whoever_reads_an_answer_gets_a_listed_region_a_box_or_nothing(words, logit, prompt, side):
    asked = item(side, 700)
    place = picture_asker(prompt).place(asked, Reply(logit, words))
    assert place.region_id in (None, *asked.candidate.region_ids)
    if place.box_xyxy is not None:
        assert_inside(place.box_xyxy, side, 700)
    cutouts = CutoutAsker(SimpleNamespace(), SimpleNamespace(n_listed=5))
    assert cutouts.place(asked, Reply(logit, words)).region_id in (None, *range(5))


@fuzzed
@given(st.floats(allow_nan=False))
def test_every_log_odds_is_a_probability(logit):
    assert 0 <= sigmoid(logit) <= 1


@pytest.mark.parametrize(
    "piece", [*SPELLED.split(" "), *KEYS.split(" "), "[1,", "(1,2),", '"x1":1,']
)
def test_a_long_answer_is_read_in_linear_time(piece):
    words = (piece + " ") * (60_000 // len(piece))
    start = perf_counter()
    boxes_in(words)
    number_answer(words)
    letter_answer(words)
    assert perf_counter() - start < 5
