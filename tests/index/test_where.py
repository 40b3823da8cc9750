from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.index.where import EXAMPLES, keep, shown

IMAGES = pl.DataFrame(
    {
        "image_id": ["a.jpg", "trips/b.jpg", "trips/2020/c.jpg", "d.png"],
        "folder": ["", "trips", "trips/2020", ""],
        "width": [100, 2000, 4000, None],
        "taken": [
            datetime.fromisoformat("2024-05-01T12:00"),
            datetime.fromisoformat("2020-01-01T00:00"),
            datetime.fromisoformat("2024-12-31T23:59"),
            None,
        ],
        "modified": [datetime(2024, 5, 1, 12, tzinfo=UTC)] * 4,
        "camera": ["Canon EOS R5", "NIKON D70", "it's", None],
        "iso": [100, 400, 401, None],
        "latitude": [1.5, -2.0, None, None],
        "copies": [["x.jpg"], [], [], []],
        "shown": [True, False, None, True],
        "day": [date(2024, 5, 1)] * 4,
        "from": [1, 2, 3, 4],
    }
)


def rows(where, images=IMAGES):
    kept = keep(images, where)
    assert kept.dtype == np.bool_
    assert kept.shape == (len(images),)
    return np.flatnonzero(kept).tolist()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("width > 1000", [1, 2]),
        ("width > 1000 and folder = 'trips'", [1]),
        ("folder like 'trips/%'", [2]),
        ("folder = 'trips' or folder like 'trips/%'", [1, 2]),
        ("taken >= '2024-05-01'", [0, 2]),
        ("taken >= '2024-05-01 12:00:01'", [2]),
        ("taken between '2020-01-01' and '2020-12-31'", [1]),
        ("'2024-05-02' < taken", [2]),
        ("year(taken) = 2024", [0, 2]),
        ("modified < '2024-05-02'", [0, 1, 2, 3]),
        ("modified < '2024-05-01'", []),
        ("day = '2024-05-01'", [0, 1, 2, 3]),
        ("camera like 'Canon%'", [0]),
        ("camera ilike '%nikon%'", [1]),
        ("camera = 'it''s'", [2]),
        ("camera ~ '^[CN]'", [0, 1]),
        ("regexp_like(camera, '\\d{2}')", [1]),
        ("replace(camera, 'EOS ', '') = 'Canon R5'", [0]),
        ("iso between 100 and 400", [0, 1]),
        ("iso in (100, 401)", [0, 2]),
        ("not iso > 100", [0]),
        ("iso is null", [3]),
        ("latitude < 0", [1]),
        ("-latitude * 2 = 4", [1]),
        ("coalesce(iso, 0) < 200", [0, 3]),
        ("array_contains(copies, 'x.jpg')", [0]),
        ("shown", [0, 3]),
        ("not shown", [1]),
        ('"width" > 1000', [1, 2]),
        ('"from" > 2', [2, 3]),
        ("camera <> 'select * from x; -- $'", [0, 1, 2]),
        ("width > 1000\n  and\tiso < 401", [1]),
        ("true", [0, 1, 2, 3]),
        (pl.col("width") > 1000, [1, 2]),
        (pl.col("camera").str.starts_with("Canon") | pl.col("iso").is_null(), [0, 3]),
    ],
)
def test_images_are_kept_where_the_filter_is_true(where, expected):
    assert rows(where) == expected


@pytest.mark.parametrize("where", EXAMPLES)
def test_the_examples_can_be_computed_and_keep_what_they_say(where):
    assert rows(where, IMAGES.with_columns(folder=pl.lit("beach"))) != [0, 1, 2, 3]


def test_no_images_are_no_trouble():
    assert rows("width > 3", IMAGES.clear()) == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "is empty: give one such as width > 1000"),
        ("  \n", "is empty"),
        ("widht > 3", "unknown column 'widht': did you mean 'width'. The columns are image_id, "),
        ("qqqq > 3", "unknown column 'qqqq': The columns are image_id, folder, width"),
        (pl.col("widht") > 3, "unknown column 'widht': did you mean 'width'"),
        ("width", r"'width' is Int64 and not true or false: compare it with something"),
        (pl.col("width"), "is Int64 and not true or false"),
        ("max(width)", "is Int64 and not true or false"),
        ("max(width) > 3", "gives 1 values for 4 images: it must say something of each image"),
        ("count(*) > 1", "gives 1 values for 4 images"),
        (pl.col("width").max() > 3, "gives 1 values for 4 images"),
        (pl.col("width").drop_nulls() > 3, "gives 3 values for 4 images"),
        (pl.col("width", "iso") > 3, "is 2 columns: give one"),
        ("width > avg(width)", "cannot be computed: 'width' should participate"),
        ("width > 100 and", "cannot be parsed: expected an expression, found the end"),
        ("width > 100 iso = 3", "cannot be parsed: expected the end, found 'iso' at character 13"),
        ("width > 3, iso", "cannot be parsed: "),
        ("width > 3) or (iso > 3", "cannot be parsed"),
        ("width > 3 as x", "cannot be parsed: expected the end, found 'as' at character 11"),
        ("sqrd(width) > 3", "cannot be parsed: unsupported function 'sqrd'"),
        ("*", "cannot be parsed"),
        ("width > 'abc'", r"cannot be computed: cannot compare string with numeric type \(i64\)"),
        ("camera ~ '('", "cannot be computed: regex .* unclosed group"),
        ("(" * 2000 + "shown" + ")" * 2000, "cannot be parsed"),
        ("not " * 200 + "shown", "cannot be parsed"),
        ("shown or " * 150 + "shown", r"has 301 words and signs, above 300: write in \(...\), or"),
        ("width " + "+ 1" * 5000 + " > 3", r"has 5002 words and signs"),
        (5, "is int: give SQL or a polars expression"),
        (None, "is NoneType"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(where, message):
    with pytest.raises(ConfigError, match=f"^the filter .*{message}") as caught:
        keep(IMAGES, where)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_single_image_does_not_hide_an_aggregate():
    with pytest.raises(ConfigError, match="must say something of each image by itself"):
        keep(IMAGES.head(1), "max(width) > 3")


def test_long_filters_are_computed():
    assert rows(" or ".join(["iso = 100"] * 100)) == [0]
    assert rows(f"image_id in ('d.png', {', '.join([repr('no')] * 5000)})") == [3]
    assert rows(f"iso in (400, {', '.join(['7'] * 5000)})") == [1]


@pytest.mark.parametrize(
    "where",
    [
        "image_id in (select image_id from read_csv('{}'))",
        "image_id in (SeLeCt a from '{}')",
        "image_id in (\u017felect a \u017from read_csv('{}'))",
        "image_id in (from read_csv('{}'))",
        "image_id in (table read_csv)",
        "image_id in (with x as (select 1) select 1)",
        "image_id in (values ('a'))",
        "exists (select 1 from read_csv('{}'))",
        "(select 1 from read_csv('{}')) = 1",
        "width > 3/**/in(select/**/1)",
        "camera = E'\\' or image_id in (select a from read_csv(' {}'))",
        "camera = e'\\' or image_id in (select a from read_csv(' {}'))",
        "camera = U&'\\' or image_id in (select a from read_csv(' {}'))",
        "camera = $$'$$ or image_id in (select a from read_csv($${}$$)) or camera = $$'$$",
        "camera = `'` or image_id in (select a from read_csv(`{}`)) or camera = `'`",
        "camera = '' -- ' \n or image_id in (select a from read_csv(\"{}\")) --'",
        "shown) from images; select (a) from (read_csv('{}'))",
        "shown; drop table images",
        "shown # select",
    ],
)
def test_no_file_is_read_and_no_statement_run(tmp_path, monkeypatch, where):
    file = tmp_path / "secret.csv"
    file.write_text("image_id,a\na.jpg,a.jpg\n")
    parsed = []
    monkeypatch.setattr(pl, "sql_expr", parsed.append)
    with pytest.raises(ConfigError, match=r"which no filter needs|outside a text"):
        keep(IMAGES, where.replace("{}", str(file)))
    assert parsed == []  # polars reads files while it parses


@pytest.mark.parametrize("function", ["read_csv", "read_parquet", "read_ipc", "read_json"])
def test_reading_is_no_function_of_an_expression(function):
    with pytest.raises(ConfigError, match="unsupported function"):
        keep(IMAGES, f"{function}('/etc/passwd') = 'a'")


def test_python_is_not_evaluated(tmp_path):
    for where in ("__import__('os').mkdir('x') > 3", "pl.col('width') > 3", "1 if shown else 0"):
        with pytest.raises(ConfigError):
            keep(IMAGES, where)


PIECES = (
    "width iso shown ( ) ' \" select from > = and not or 5 'a' /* -- ; $$ E' , case when then end "
    "like \\ null between in :: [ { \0 é 🦊 _ % interval *"
).split(" ")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_filter_or_a_config_error(where):
    try:
        assert keep(IMAGES, where).shape == (4,)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it need not be raised


def test_a_filter_is_shown_in_one_line():
    assert shown(" width > 3\n and  iso < 5 ") == "width > 3 and iso < 5"
    assert "width" in shown(pl.col("width") > 3)


def test_what_is_shown_means_the_same():
    images = pl.DataFrame({"camera": ["a b", "a  b", 'a "  b']})
    for camera in images["camera"]:
        where = f"camera  =  '{camera}'"
        assert keep(images, shown(where)).tolist() == keep(images, where).tolist()
        assert shown(shown(where)) == shown(where) == f"camera = '{camera}'"
