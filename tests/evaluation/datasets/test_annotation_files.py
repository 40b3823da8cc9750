import polars as pl
import pytest

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.dataset import Source
from matir_nb.evaluation.datasets.files import (
    by_id,
    find_file,
    image_name,
    missing_file,
    read_json,
    read_rows,
    readable,
)

SOURCE = Source("COCO 2017", "https://cocodataset.org", "CC BY 4.0")


def test_a_missing_file_says_what_to_download_where_and_under_which_licence(tmp_path):
    message = str(missing_file(tmp_path / "x.json", SOURCE, "annotations.zip"))
    for part in ("x.json'", "download annotations.zip of COCO 2017", SOURCE.url, "CC BY 4.0"):
        assert part in message


def test_a_file_is_found_by_itself_in_a_folder_and_in_its_annotations(tmp_path):
    inner = tmp_path / "annotations" / "b.json"
    inner.parent.mkdir()
    inner.write_text("{}")
    for path in (inner, inner.parent, tmp_path):
        assert find_file(path, ["a.json", "b.json"], SOURCE, "z.zip").samefile(inner)
    (tmp_path / "a.json").write_text("{}")
    assert find_file(tmp_path, ["a.json", "b.json"], SOURCE, "z.zip") == tmp_path / "a.json"


def test_what_is_looked_for_in_a_folder_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"a\.json': download z\.zip"):
        find_file(tmp_path, ["a.json", "b.json"], SOURCE, "z.zip")
    with pytest.raises(AnnotationError, match=r"there is no '.*gone'"):
        find_file(tmp_path / "gone", ["a.json"], SOURCE, "z.zip")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\xfa", b"[" * 100_000, b""])
def test_what_is_no_json_is_said(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(AnnotationError, match=r"a\.json' is no JSON"):
        read_json(tmp_path / "a.json")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(AnnotationError, match="cannot read"):
        read_json(tmp_path)


def test_rows_of_a_table_have_their_line_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffquery, image\n"a, ""b""\n c", x.jpg\n\nd\n'.encode())
    assert read_rows(path) == [
        (3, {"query": 'a, "b"\n c', "image": "x.jpg"}),
        (5, {"query": "d", "image": ""}),
    ]


def test_the_same_rows_from_tsv_and_parquet(tmp_path):
    (tmp_path / "a.tsv").write_text("query\timage\na,b\tx.jpg\nc\t\n")
    frame = pl.DataFrame({"query": ["a,b", "c"], "image": ["x.jpg", None]})
    frame.write_parquet(tmp_path / "a.parquet")
    expected = [{"query": "a,b", "image": "x.jpg"}, {"query": "c", "image": ""}]
    assert [row for _, row in read_rows(tmp_path / "a.tsv")] == expected
    assert read_rows(tmp_path / "a.parquet") == list(enumerate(expected, start=1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"", r"no table that can be read: give a file with \.csv, \.tsv, \.parquet"),
        ("a.csv", b"query,image\na,b,c\n", "line 2 has 3 fields, but the first line names 2"),
        ("a.csv", b"query\n\xe9\n", "is no UTF-8 text"),
        ("a.csv", b'query,image\n"a,b\n', "line 2: "),
        ("a.csv", b"query,query\na,b\n", "two columns are called 'query'"),
        ("a.parquet", b"query\n", "is no Parquet file"),
    ],
)
def test_a_broken_table_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        read_rows(tmp_path / name)


@pytest.mark.parametrize(
    "wrong",
    [KeyError("id"), IndexError(7), TypeError("t"), ValueError("v"), AttributeError("a")],
)
def test_another_layout_becomes_one_error(wrong):
    message = rf"^'a\.json' lacks a field or has a wrong one: {type(wrong).__name__}: .*kind\?$"
    with pytest.raises(AnnotationError, match=message), readable("'a.json'"):
        raise wrong


def test_an_annotation_error_passes_unchanged():
    with pytest.raises(AnnotationError, match=r"^mine$"), readable("'a.json'"):
        raise AnnotationError("mine")


def test_two_entries_of_one_id_are_refused(tmp_path):
    assert list(by_id(tmp_path, [{"id": 10**12}, {"id": "a"}])) == [10**12, "a"]
    with pytest.raises(AnnotationError, match="3 entries, but only 2 different ids"):
        by_id(tmp_path, [{"id": 1}, {"id": 2}, {"id": 1}])


def test_names_of_images_are_posix_paths():
    assert image_name({"file_name": "a\\b.jpg"}) == "a/b.jpg"
    assert image_name({"file_name": "./a//b.jpg"}) == "a/b.jpg"
