"""Tables as files: what is flat, what is exact."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from matir_nb.errors import ConfigError
from matir_nb.exports.frames import flat, frame_text, write_frame

FRAME = pl.DataFrame(
    {
        "name": ['a, "b"', None],
        "box_xyxy": [[0.0, 1.5, 2.0, 3.0], None],
        "counts": [b"abc", None],
        "at": [datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=UTC), None],
        "is_it": [True, None],
    },
    schema={
        "name": pl.String,
        "box_xyxy": pl.Array(pl.Float64, 4),
        "counts": pl.Binary,
        "at": pl.Datetime("us", "UTC"),
        "is_it": pl.Boolean,
    },
)
COLUMNS = ["name", "box_x0", "box_y0", "box_x1", "box_y1", "counts", "at", "is_it"]


def test_flat_columns_stand_where_theirs_stood():
    made = flat(FRAME)
    assert made.columns == COLUMNS
    assert made.row(0) == ('a, "b"', 0.0, 1.5, 2.0, 3.0, "abc", "2026-03-01T09:00:00.000005Z", True)
    assert made.row(1) == (None,) * 8


def test_an_empty_table_keeps_its_columns():
    assert frame_text(FRAME.clear(), "csv").strip().split(",") == COLUMNS
    assert json.loads(frame_text(FRAME.clear(), "json")) == []


def test_a_list_is_json_in_csv_and_a_list_elsewhere():
    frame = pl.DataFrame({"copies": [["a, b", 'c"'], [], None]})
    lines = frame_text(frame, "csv").splitlines()
    assert lines == ["copies", r'"[""a, b"", ""c\""""]"', "[]", ""]
    assert json.loads(frame_text(frame, "json"))[0] == {"copies": ["a, b", 'c"']}


def test_every_ending(tmp_path):
    assert pl.read_parquet(write_frame(FRAME, tmp_path / "t.parquet")).equals(FRAME)
    assert pl.read_csv(write_frame(FRAME, tmp_path / "t.CSV")).equals(flat(FRAME))
    rows = json.loads(write_frame(FRAME, tmp_path / "t.json").read_text(encoding="utf-8"))
    assert rows == flat(FRAME).to_dicts()
    written = write_frame(FRAME, tmp_path / "t.data", format_name="csv")
    assert written.read_text(encoding="utf-8") == frame_text(FRAME, "csv")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"a table is written as \.parquet, \.csv, \.json"):
        write_frame(FRAME, tmp_path / "t.xlsx")
    write_frame(FRAME, tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="is there already: give another name"):
        write_frame(FRAME, tmp_path / "t.csv")
    assert write_frame(FRAME.head(1), tmp_path / "t.csv", overwrite=True).exists()
    assert pl.read_csv(tmp_path / "t.csv").height == 1
