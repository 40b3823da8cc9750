import csv
import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.exports import files, page
from matir_nb.exports.drawing import MARKED
from matir_nb.exports.files import write
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.results import SearchResult
from matir_nb.widgets import built
from tests.exports.examples import MadeUpSource, hit, result, results_of

LINES_OF_HITS = {".run", ".trec", ".qrels"}
"""Without hits they hold nothing."""

MARKS = {"image-2.png": "relevant"}


@pytest.fixture(autouse=True)
def static(tmp_path_factory, monkeypatch):
    """Stand in for the built files of the browser's part."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "page.js").write_text("start()")
    (folder / "matir.css").write_text(".matir{}")
    monkeypatch.setattr(built, "STATIC", folder)


def test_parquet_comes_back_exactly_with_or_without_marks(tmp_path):
    two = results_of(2)
    plain = write(two, tmp_path / "a.parquet")
    marked = write(two, tmp_path / "b.parquet", marks=MARKS)
    assert SearchResult.load(plain) == SearchResult.load(marked) == two
    assert pl.read_parquet_schema(plain) == HIT_SCHEMA
    assert pl.read_parquet(marked)["mark"].to_list() == [None, "relevant"]
    assert pl.read_parquet(marked).drop("mark").equals(pl.read_parquet(plain))


def test_csv_json_and_txt_hold_hits_and_marks(tmp_path):
    two = results_of(2, notices=("embedded models",))
    with write(two, tmp_path / "a.CSV", marks=MARKS).open(newline="", encoding="utf-8") as file:
        assert [row["mark"] for row in csv.DictReader(file)] == ["", "relevant"]
    document = json.loads(write(two, tmp_path / "a.json", marks=MARKS).read_text("utf-8"))
    assert [one["mark"] for one in document["hits"]] == [None, "relevant"]
    text = write(two, tmp_path / "a.txt", marks=MARKS).read_text("utf-8")
    assert text.startswith("a blue square\n")
    assert "image-2.png" in text
    assert "relevant" in text
    assert "note: embedded models" in text


@pytest.mark.parametrize("ending", [".html", ".htm"])
def test_html_is_the_page(tmp_path, ending):
    shown = results_of(2, source=MadeUpSource())
    path = write(shown, tmp_path / f"a{ending}", marks=MARKS)
    assert path.read_text("utf-8") == page.page_html(shown, marks=MARKS)


def test_png_is_the_contact_sheet(tmp_path):
    source = MadeUpSource()
    path = write(results_of(3, source=source), tmp_path / "a.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert (np.asarray(image) == (128, 128, 128)).all(axis=-1).sum() > 10_000
    assert set(source.sides) == {592}


def test_png_shows_the_marks(tmp_path):
    path = write(results_of(3, source=MadeUpSource()), tmp_path / "a.png", marks=MARKS)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    for mark in set(MARKS.values()):
        assert (pixels == MARKED[mark]).all(axis=-1).sum() > 200, mark


def test_a_picture_of_many_hits_is_of_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_PICTURED", 4)
    source = MadeUpSource()
    write(results_of(9, source=source), tmp_path / "a.png")
    assert source.n_loaded == 4


def test_a_picture_without_images_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ConfigError, match=r"a picture needs the images.*with_source"):
        write(results_of(1), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.parqet", "nothing is written as '.parqet': did you mean '.parquet'"),
        ("a.jsn", "did you mean '.json'"),
        ("a.HTLM", "did you mean '.html'"),
        ("a.docx", "nothing is written as '.docx': give one of .parquet, .csv"),
        ("findings", "has no ending that says what to write: add one of .parquet"),
        (".csv", "has no ending"),
    ],
)
def test_an_unknown_ending_is_refused_with_the_nearest(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        write(results_of(1), tmp_path / name)


def test_marks_of_other_images_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"marks: 'other.png' is no hit of this result"):
        write(results_of(1), tmp_path / "a.csv", marks={"other.png": "relevant"})


def test_nothing_is_overwritten_unless_told(tmp_path):
    path = write(results_of(1), tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="is there already"):
        write(results_of(2), path)
    assert write(results_of(2), path, overwrite=True) == path
    assert len(pl.read_csv(path)) == 2


@pytest.mark.parametrize("ending", sorted(files.WRITERS.keys() - LINES_OF_HITS))
@pytest.mark.parametrize("hits", [(), (hit(answer="</td>\u2028"),)])
def test_an_empty_result_and_odd_words_can_be_written(tmp_path, ending, hits):
    shown = result(*hits, query="\x00 </script> 日本", source=MadeUpSource())
    assert write(shown, tmp_path / f"a{ending}").stat().st_size > 0


@pytest.mark.parametrize("ending", [".json", ".html", ".txt", ".png"])
def test_words_that_are_no_unicode_can_be_written(tmp_path, ending):
    shown = result(hit(), query="caf\udce9", source=MadeUpSource())
    path = write(shown, tmp_path / f"a{ending}")
    if ending == ".json":
        assert json.loads(path.read_text("utf-8"))["query"] == "caf\udce9"
