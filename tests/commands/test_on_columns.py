"""`matir columns`, and `--where` of search and trace, on an index with folders, sizes and EXIF."""

import json
import os
import re
from pathlib import Path

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery
from PIL import Image

import matir_nb
from matir_nb import cli
from matir_nb.commands.on_columns import HEAD
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.index.build import build
from matir_nb.index.columns import FILE
from matir_nb.index.where import keep
from matir_nb.results import SearchResult

N = 12
REPOSITORY = Path(__file__).parents[2]
QUERY = "red circle"
FOLDERS = ("", "beach", "trips/2020")


def arranged(folder):
    """Put scenes into three folders, a third each, with a date and a camera in every other."""
    scenes = scene_gallery(folder, N)
    for number, scene in enumerate(scenes):
        file = folder / f"{scene.scene_id}.png"
        if number % 2:
            tags = Image.Exif()
            tags[0x010F], tags[0x0110] = "Canon", f"Canon EOS R{number}"
            tags.get_ifd(0x8769).update({0x9003: f"20{number + 10}:05:01 12:00:00"})
            with Image.open(file) as image:
                image.load()
            image.save(file, exif=tags.tobytes())
        target = folder / FOLDERS[number % 3] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return scenes


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("columns")
    scenes = arranged(root / "scenes")
    encoder = OracleEncoder(scenes)
    build(root / "scenes", root / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    return root / "i.matir", encoder


@pytest.fixture(autouse=True)
def opened(gallery, opening):
    opening(*gallery, OracleJudge())
    yield gallery[0]
    (gallery[0] / FILE).unlink(missing_ok=True)


@pytest.fixture
def ids(opened):
    return list(matir_nb.Index.open(opened).image_ids)


@pytest.fixture
def table(ids, tmp_path):
    file = tmp_path / "stars.csv"
    names = [os.path.basename(image_id) for image_id in ids[:4]]  # noqa: PTH119 - no path here
    frame = {"file": [*names, "gone.png"], "stars": [5, 4, 3, None, 1], "who": list("abcde")}
    pl.DataFrame(frame).write_csv(file)
    return file


def found(told, *words):
    """Return the image ids of a search, and its remarks."""
    code, out, err = told("search", QUERY, "-k", 12, "--no-judge", "--format", "json", *words)
    assert code == 0, err
    return [hit["image_id"] for hit in json.loads(out)["hits"]], err


def test_all_columns_are_listed_with_what_is_known(told):
    code, out, err = told("columns")
    assert (code, err) == (0, "")
    rows, examples = out.split("\n\n")
    lines = {line.split()[0]: line for line in rows.splitlines()[2:]}
    assert lines["image_id"].split()[1:3] == ["text", "100%"]
    taken = "date and time 50% 2011-05-01 12:00:00"
    assert lines["taken"].split()[1:] == taken.split()
    assert lines["camera"].split()[1:] == ["text", "50%", "Canon", "EOS", "R1"]
    assert lines["iso"].split()[1:] == ["whole", "number", "0%", "-"]
    assert lines["copies"].split()[1:] == ["list", "0%", "-"]
    assert all(line.startswith('  --where "') for line in examples.splitlines())


def test_the_page_about_filters_names_the_columns_and_its_filters_work(told, opened):
    page = (REPOSITORY / "docs" / "filter.md").read_text(encoding="utf-8")
    examples, _, rest = page.partition("## Columns\n")
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", rest, re.MULTILINE)
    listed = told("columns")[1].partition("\n\n")[0].splitlines()[2:]
    assert [" ".join(row) for row in rows] == [
        re.split(r" +\d+%", " ".join(line.split()))[0] for line in listed
    ]
    images = matir_nb.Index.open(opened).facts_table()
    images = images.with_columns(stars=1, who=pl.lit("Ada"), **{"from": 1})
    filters = re.findall(r"^\| `(.+?)` \|", examples, re.MULTILINE)
    assert len(filters) >= 8
    for where in filters:
        assert keep(images, where).shape == (N,)


def test_columns_of_the_user_are_added_listed_searched_and_dropped(told, table, ids):
    code, out, err = told("columns", table, "--key", "file")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "4 of 5 rows belong to an image: stars, who",
        "no image: gone.png",
        "not known of 8 of 12 images",
    ]
    lines = {line.split()[0]: line.split()[1:] for line in told("columns")[1].splitlines() if line}
    assert lines["stars"] == ["whole", "number", "25%", "5"]
    assert lines["who"] == ["text", "33%", "a"]
    assert set(found(told, "--where", "stars >= 4")[0]) == set(ids[:2])
    code, out, err = told("columns", "--drop", "stars")
    assert code == 0
    assert err == "note: dropped the column 'stars'\n"
    assert "stars" not in out
    assert "who" in out


def test_the_list_is_a_frame(opened):
    import io

    from matir_nb.commands.tree import run

    frame = run(["columns"], cli.Console(io.StringIO(), io.StringIO()))
    assert tuple(frame.columns) == HEAD
    assert frame.filter(pl.col("column") == "camera")["known"].to_list() == [0.5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["t.csv", "--drop", "stars"], "--drop stars takes no file: give one of them"),
        (["gone.csv"], "cannot read the table 'gone.csv'"),
        (["--drop", "width"], "unknown column of yours 'width': there is none"),
        (["{table}"], "no column 'image_id' that says which image a row is about"),
        (["{table}", "--key", "who"], "no row of the table belongs to an image: its keys are 'a'"),
    ],
)
def test_what_cannot_be_done_says_why(told, table, words, message):
    code, _, err = told("columns", *(word.format(table=table) for word in words))
    assert code == cli.WRONG_INPUT
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("folder = 'beach'", lambda image_id: image_id.startswith("beach/")),
        ("folder like 'trips/%'", lambda image_id: image_id.startswith("trips/")),
        ("folder = ''", lambda image_id: "/" not in image_id),
        ("name like '%.png'", lambda _: True),
    ],
)
def test_a_search_is_of_the_images_that_the_filter_keeps(told, ids, where, kept):
    everything = found(told)[0]
    some, err = found(told, "--where", where)
    assert some == [image_id for image_id in everything if kept(image_id)]
    assert f"note: where {where}: {len(some)} of 12 images" in err


def test_a_filter_by_camera_and_date(told):
    some, err = found(told, "--where", "camera like 'Canon%' and taken < '2015-01-01'")
    assert len(some) == 2
    assert ": 2 of 12 images" in err


def test_the_filter_comes_before_the_search(told):
    """The worst hits of all are the best where only they are searched."""
    last = found(told)[0][-2:]
    where = f"image_id in ({', '.join(map(repr, last))})"
    code, out, err = told(
        "search", QUERY, "-k", 1, "--no-judge", "--format", "json", "--where", where
    )
    assert code == 0, err
    assert [hit["image_id"] for hit in json.loads(out)["hits"]] == last[:1]


def test_a_filter_that_keeps_nothing_gives_an_empty_result(told, tmp_path):
    file = tmp_path / "r.parquet"
    code, out, err = told("search", QUERY, "--where", "width > 99999", "-o", file)
    assert (code, out) == (0, "")
    assert "note: where width > 99999: 0 of 12 images" in err
    result = SearchResult.load(file)
    assert (len(result), result.to_polars().schema) == (0, HIT_SCHEMA)
    kept = {"text": "width > 99999", "is_sql": True, "n_kept": 0}
    assert result.provenance.config["where"] == kept
    code, out, _ = told("search", QUERY, "--where", "width > 99999")
    assert (code, out) == (0, "no hits\n")


def test_a_wrong_filter_is_said_before_a_model_is_loaded(told, monkeypatch):
    def load(*_):
        raise AssertionError

    monkeypatch.setattr("matir_nb.opening.load_encoder", load)
    message = "names the unknown column 'widht': did you mean 'width'? The columns are image_id, "
    for words in (["search", "red"], ["trace", "red", "--image", "x"]):
        code, _, err = told(*words, "--where", "widht > 3")
        assert code == cli.WRONG_INPUT
        assert message in err
        assert len(err.splitlines()) == 1


def test_a_template_is_searched_with_the_filter(told):
    words = ("search", "{colour} circle", "--with", "colour=red,blue", "--no-judge", "--format")
    code, out, err = told(*words, "csv", "--where", "folder = 'beach'")
    assert code == 0, err
    assert out.count("beach/") == out.count(".png") >= 8


def test_a_trace_is_of_the_filtered_search(told, ids):
    inside = next(image_id for image_id in ids if image_id.startswith("beach/"))
    outside = next(image_id for image_id in ids if "/" not in image_id)
    words = ("trace", QUERY, "--no-judge", "--where", "folder = 'beach'", "--image")
    code, out, err = told(*words, inside)
    assert code == 0, err
    assert "of 4" in out
    code, _, err = told(*words, outside)
    assert code == cli.WRONG_INPUT
    assert "is not among the images that the filter keeps: folder = 'beach'" in err
