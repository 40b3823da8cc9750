import csv
import io
import json
import re
from dataclasses import fields

import polars as pl

from matir_nb.exports.text import to_csv, to_json, to_table, with_marks
from matir_nb.types import Hit
from tests.exports.examples import hit, result, results_of


def test_the_table_leaves_out_columns_that_are_empty():
    head, _, *lines = to_table(results_of(2)).splitlines()
    assert head.split() == ["rank", "image", "final", "stage1#", "stage1", "image_cos"]
    assert len(lines) == 2
    assert lines[0].split() == ["1", "image-1.png", "2.900", "1", "0.500", "0.500"]
    assert to_table(result()) == "no hits"


def test_marks_are_the_tables_last_column_when_there_are_any():
    table = to_table(results_of(2), marks={"image-2.png": "not relevant"})
    head, _, *lines = table.splitlines()
    assert head.split()[-1] == "mark"
    assert lines[0].endswith("-")
    assert lines[1].endswith("not relevant")
    assert "mark" not in to_table(results_of(2), marks={})


def test_files_of_the_same_bytes_stand_beside_their_image():
    several = result(hit(copies=("b/2.png", "c/3.png")), hit(2, copies=("\x1b.png",)), hit(3))
    _, _, *lines = to_table(several).splitlines()
    assert [re.split("  +", line.strip())[1] for line in lines] == [
        "image-1.png = b/2.png, ...",
        r"image-2.png = \x1b.png",
        "image-3.png",
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(several))))
    assert [json.loads(row["copies"]) for row in rows] == [["b/2.png", "c/3.png"], ["\x1b.png"], []]
    assert json.loads(to_json(several))["hits"][0]["copies"] == ["b/2.png", "c/3.png"]


def test_names_answers_and_marks_cannot_move_the_cursor():
    odd = hit(image_id="a\x1b[31m.png", answer="b\x1b[0m\u202e")
    table = to_table(result(odd), marks={"a\x1b[31m.png": "\x1b"})
    assert "\x1b" not in table
    assert "\u202e" not in table


def test_json_has_every_field_and_the_marks_when_they_are_asked_for():
    two = results_of(2)
    plain = json.loads(to_json(two))
    assert plain["hits"][0].keys() == {f.name for f in fields(Hit)}
    assert plain["hits"][0]["mask"]["size"] == [40, 80]
    marked = json.loads(to_json(two, marks={"image-2.png": "unsure"}))
    assert [one["mark"] for one in marked["hits"]] == [None, "unsure"]


def test_csv_has_the_marks_when_they_are_asked_for():
    two = results_of(2)
    assert "mark" not in next(csv.reader(io.StringIO(to_csv(two))))
    rows = list(csv.DictReader(io.StringIO(to_csv(two, marks={"image-2.png": "unsure"}))))
    assert [row["mark"] for row in rows] == ["", "unsure"]


def test_a_box_is_four_columns_of_the_csv():
    boxed = result(hit(box_xyxy=(1.0, 2.0, 3.5, 4.0)))
    row = next(csv.DictReader(io.StringIO(to_csv(boxed))))
    assert [float(row[f"box_{corner}"]) for corner in ("x0", "y0", "x1", "y1")] == [1, 2, 3.5, 4]


def test_marks_of_nothing_are_a_column_of_text():
    frame = with_marks(result().to_polars(), {})
    assert frame.schema["mark"] == pl.String
    assert with_marks(frame, None) is frame
