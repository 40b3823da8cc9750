"""Answers: what a judge's words say."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.models.answers import LARGEST, boxes_in, letter_answer, number_answer, sigmoid

A, B = (1.0, 2.0, 30.0, 40.0), (5.0, 6.0, 7.0, 8.0)


@pytest.mark.parametrize(
    ("words", "boxes"),
    [
        ('yes\n```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cup"}]\n```', [A]),
        ('[{"bbox_2d": [1, 2, 30, 40]}, {"bbox_2d": [5, 6, 7, 8]}]', [A, B]),
        ('{"found": {"place": {"bbox": [1, 2, 30, 40]}}}', [A]),
        ('{"box_2d": [1, 2, 30, 40]}', [A]),
        ('{"box": [1, 2, 30, 40], "score": 0.5}', [A]),
        ('{"coordinates": [[1, 2], [30, 40]]}', [A]),
        ('{"bbox_2d": [[1, 2, 30, 40], [5, 6, 7, 8]]}', [A, B]),
        ('{"bbox_2d": ["1", "2", "30", "40"]}', [A]),
        ('{"bbox_2d": "1, 2, 30, 40"}', [A]),
        ('{"bbox": {"x1": 1, "y1": 2, "x2": 30, "y2": 40}}', [A]),
        ('{"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 40}', [A]),
        ("{'bbox_2d': [1, 2, 30, 40]}", [A]),
        ("bbox_2d = [1 2 30 40]", [A]),
        ('{{"bbox_2d": [1, 2, 30, 40]}, {"bbox_2d": [5, 6, 7, 8]}', [A, B]),
        ('{"name": "locate", "arguments": {"bbox_2d": [1, 2, 30, 40], "img_idx": 0}}', [A]),
        ("Yes, it is at [1, 2, 30, 40].", [A]),
        ("Yes: (1,2),(30,40)", [A]),
        ("<box>(1,2),(30,40)</box>", [A]),
        ("<|box_start|>(1,2),(30,40)<|box_end|>", [A]),
        ("<box>1 2 30 40</box>", [A]),
        ("rows [5, 6, 7, 8] of the table; bbox: [1, 2, 30, 40]", [A]),
        ('{"bbox_2d": [30, 40, 1, 2]}', [(30.0, 40.0, 1.0, 2.0)]),
        ('{"bbox_2d": [1.5, -2, 3e1, .5]}', [(1.5, -2.0, 30.0, 0.5)]),
    ],
)
def test_every_form_of_box_is_found(words, boxes):
    assert boxes_in(words) == boxes


@pytest.mark.parametrize(
    "words",
    [
        "",
        "no",
        '{"bbox_2d": [1, 2, 30, 4',
        '{"bbox_2d": [1, 2, 30',
        '{"bbox_2d": [1, 2, 30]}',
        '{"bbox_2d": [1, 2, 30, 40, 50]}',
        '{"bbox_2d": [NaN, 2, 30, 40]}',
        '{"bbox_2d": [1, 2, Infinity, 40]}',
        '{"bbox_2d": [1, 2, 1e999, 40]}',
        '{"bbox_2d": [1, 2, 30, 99999999]}',
        '{"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 4',
        '[{"point_2d": [925, 618], "label": "a"}]',
        '{"point_2d": [[1, 2], [3, 4]]}',
        '{"coordinates": [[1, 2], [3, 4], [5, 6], [7, 8]]}',
        "version [1.2.3.4.5]",
        "1, 2, 3, 4",
    ],
)
def test_what_is_no_box(words):
    assert boxes_in(words) == []


def test_a_truncated_answer_keeps_its_complete_boxes():
    words = '```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "a"},\n{"bbox_2d": [5, 6, 7'
    assert boxes_in(words) == [A]


def test_real_answers(matir_data):
    file = matir_data / "annotations" / "formats" / "mllm_raw_outputs.jsonl"
    raw = [json.loads(line)["raw_output"] for line in file.read_text("utf-8").splitlines()]
    found = [boxes_in(words) for words in raw]
    assert [len(boxes) for boxes in found] == [7, 0, 1, 1]
    assert found[0][0] == (0.0, 614.0, 224.0, 825.0)
    assert found[0][6] == (278.0, 584.0, 762.0, 939.0)
    assert found[2] == [(174.0, 450.0, 469.0, 658.0)]
    assert found[3] == [(231.0, 795.0, 284.0, 820.0)]


def test_a_doubled_brace_as_it_was_published_loses_no_box(matir_data):
    """Of 8 published answers one has a doubled brace; the rest of it is as the others are."""
    file = matir_data / "annotations" / "formats" / "mllm_raw_outputs.jsonl"
    words = json.loads(file.read_text("utf-8").splitlines()[0])["raw_output"]
    broken = words.replace('{"bbox_2d": [704', '{{"bbox_2d": [704')
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.strip().removeprefix("```json").removesuffix("```"))
    assert boxes_in(broken) == boxes_in(words)


SPELLED = "[ ] { ( ) , \" ' : 1 2.5 - e9 1e999 NaN ٣ x1 y2 yes region bbox_2d point_2d <box> </box>"
PIECES = st.sampled_from([*SPELLED.split(" "), " ", "\n", "9" * 400])


@given(
    st.one_of(
        st.text(),
        st.lists(PIECES, max_size=60).map("".join),
    )
)
def test_no_text_raises_and_every_box_is_finite(words):
    for box in boxes_in(words):
        assert len(box) == 4
        assert all(math.isfinite(value) and abs(value) <= LARGEST for value in box)
    number = number_answer(words)
    assert number is None or 0 <= number <= 9999
    letter_answer(words)


@given(
    st.lists(st.tuples(*[st.integers(0, 1000)] * 4), max_size=5),
    st.sampled_from(["bbox_2d", "bbox", "box_2d", "box", "coordinates"]),
    st.integers(0, 200),
)
def test_complete_boxes_survive_any_cut(boxes, key, kept):
    words = json.dumps([{key: list(box), "label": "a thing"} for box in boxes])[:kept]
    complete = [box for box in boxes if json.dumps(list(box)) in words]
    assert set(boxes_in(words)) >= set(complete)
    assert boxes_in(words) == [tuple(map(float, box)) for box in boxes[: len(boxes_in(words))]]


@pytest.mark.parametrize("words", ["[" * 50_000, "[1," * 20_000, '"1' * 30_000, "1" * 100_000])
def test_long_nonsense_is_read_in_linear_time(words):
    assert boxes_in(words) == []


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("yes 3", 3),
        ("Yes, region 3.", 3),
        ("yes\n12", 12),
        ("Yes, #2", 2),
        ("yes (4)", 4),
        ('{"answer": "yes", "region": 5}', 5),
        ("Yes, the region number is 7.", 7),
        ("Yes. Of 2 dogs, the one in region 9.", 9),
        ("3", 3),
        ("no", None),
        ("No, not even region 3.", None),
        ("yes", None),
        ("yes 3.5", None),
        ("yes 2nd", None),
        ("", None),
    ],
)
def test_number_answer(words, number):
    assert number_answer(words) == number


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
