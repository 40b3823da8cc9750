import polars as pl
import pytest

from matir_nb.errors import ConfigError
from matir_nb.exports.files import write
from matir_nb.exports.marks import check_marks, saved_marks, with_marks
from tests.exports.examples import results_of

HITS = {"image-1.png": None, "image-2.png": None}


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"image-3.png": "relevant"}, "'image-3.png' is no hit of this result: did you mean"),
        ({"": "relevant"}, "'' is no hit of this result: choose from image-1.png, image-2.png"),
        ({"image-1.png": "relevent"}, "mark 'relevent' of 'image-1.png' is unknown: did you mean"),
        ({"image-1.png": 1}, "mark 1 of 'image-1.png' is unknown: choose from relevant, "),
    ],
)
def test_what_is_no_mark_or_on_no_hit_is_refused(marks, message):
    with pytest.raises(ConfigError, match=message):
        check_marks(marks, HITS)
    check_marks({"image-1.png": "not relevant", "image-2.png": "unsure"}, HITS)
    check_marks({}, HITS)


def test_a_table_has_a_column_only_where_there_are_marks_to_tell_of():
    frame = pl.DataFrame({"image_id": ["a", "b"]})
    assert with_marks(frame, None).columns == ["image_id"]
    assert with_marks(frame, {})["mark"].to_list() == [None, None]
    assert with_marks(frame, {"b": "unsure"})["mark"].to_list() == [None, "unsure"]


@pytest.mark.parametrize("marks", [None, {}, {"image-2.png": "unsure"}])
def test_marks_come_back_from_a_file(tmp_path, marks):
    assert saved_marks(write(results_of(3), tmp_path / "a.parquet", marks=marks)) == marks
