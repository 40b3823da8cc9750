"""Reviews and templates, on the console and in a shell of IPython."""

import csv
import json

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index
from IPython.core.error import UsageError as MagicUsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import matir_nb
from matir_nb.commands.given import given_lists
from matir_nb.engine import Engine
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.home import settings
from matir_nb.results import SearchResult
from matir_nb.review.ledger import Review
from matir_nb.review.tables import REVIEW_SCHEMA
from matir_nb.review.templates import TemplateResult
from matir_nb.usage import UsageError

N = 12
TEMPLATE = "a {colour} {shape}"
WITH = ["--with", "colour=red,blue", "--with", "shape=ring, star"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    scenes, index = oracle_index(tmp_path_factory.mktemp("reviews"), N)
    return index, OracleEncoder(scenes)


@pytest.fixture(autouse=True)
def opened(gallery, opening, monkeypatch):
    opening(*gallery, OracleJudge())
    monkeypatch.setenv("MATIR_REVIEWER", "Ada")


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    matir_nb.load_ipython_extension(shell)
    yield shell
    matir_nb.unload_ipython_extension(shell)


@pytest.fixture
def matir(shell):
    return lambda line: shell.run_line_magic("matir", line)


def reviewed(gallery, query, n_relevant, who="Ada"):
    result = matir_nb.open(gallery[0], judge=None).search(query, k=N)
    review = Review(who)
    review.see(result, range(6))
    review.mark(result, {hit.image_id: "relevant" for hit in result.hits[:n_relevant]})
    return review


# templates on the console


def test_a_template_is_searched_for_every_filling(told):
    code, out, err = told("search", TEMPLATE, *WITH, "-k", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == [
        "colour",
        "shape",
        "n_hits",
        "n_above_cut",
        "best_image_id",
        "best_score",
        "best_p_relevant",
    ]
    assert [line.split()[:3] for line in lines[2:]] == [
        [c, s, "2"] for c in ("red", "blue") for s in ("ring", "star")
    ]


def read_rows(file):
    return pl.DataFrame(json.loads(file.read_text(encoding="utf-8")), infer_schema_length=None)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_the_frame_of_all_queries_is_written(told, tmp_path, ending):
    file = tmp_path / f"grid.{ending}"
    code, out, _ = told("search", TEMPLATE, *WITH, "-k", 3, "-o", file)
    assert (code, out.strip()) == (0, f"4 queries: {file}")
    read = {"csv": pl.read_csv, "json": read_rows, "parquet": pl.read_parquet}[ending]
    frame = read(file)
    assert frame.columns[:4] == ["colour", "shape", "query", "rank"]
    assert frame["query"].unique(maintain_order=True).to_list() == [
        "a red ring",
        "a red star",
        "a blue ring",
        "a blue star",
    ]
    if ending == "parquet":
        assert frame.columns[2:] == HIT_SCHEMA.names()


@pytest.mark.parametrize("name", ["csv", "json"])
def test_a_format_is_shown_as_text(told, name):
    code, out, _ = told("search", TEMPLATE, *WITH, "-k", 1, "--format", name)
    rows = list(csv.DictReader(out.splitlines())) if name == "csv" else json.loads(out)
    assert code == 0
    assert [row["shape"] for row in rows] == ["ring", "star", "ring", "star"]


def test_a_list_can_be_a_file(told, tmp_path):
    (tmp_path / "colours.txt").write_text("\ufeffred\n\n light blue \n", encoding="utf-8")
    code, out, _ = told(
        "search", "{c} ring", "--with", f"c=@{tmp_path}/colours.txt", "-k", 1, "--format", "csv"
    )
    assert code == 0
    assert [row["c"] for row in csv.DictReader(out.splitlines())] == ["red", "light blue"]


def test_doubled_braces_are_braces_and_no_braces_are_as_before(told):
    for typed, query in [("a {{red}} ring", "a {red} ring"), ("a red ring", "a red ring")]:
        code, out, _ = told("search", typed, "-k", 1, "--format", "json")
        assert code == 0
        assert json.loads(out)["query"] == query


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a {colour} ring"], "no values for {colour} of 'a {colour} ring': give a list"),
        (["a {colour ring"], "a brace is alone in 'a {colour ring': write {{ or }}"),
        (["a {} ring"], "braces in 'a {} ring' hold no name"),
        (["a ring", "--with", "c=red"], "'a ring' has no {name} to fill"),
        (["{c} ring", "--with", "c"], "--with c: give --with NAME=a,b,c"),
        (["{c} ring", "--with", "c=$reds"], "variables are not read there: call the list c, and"),
        (["{c} ring", "--with", "c={reds}"], "variables are not read there"),
        (["{c} ring", "--with", "c="], "--with c=: the list is empty"),
        (["{c} ring", "--with", "c=a", "--with", "c=b"], "two lists for 'c': give it once"),
        (["{c} ring", "--with", "d=a"], "no values for {c}"),
        (["{c} ring", "--with", "c=a", "--with", "d=b"], "unknown gap 'd'"),
        (["{c} ring", "--with", "c=@/nowhere.txt"], "cannot read the list '/nowhere.txt': No such"),
        (["{c} ring", "--with", "c=a", "-o", "grid.png"], "a table is written as .parquet, .csv"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_line(told, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(Engine, "search")
    code, out, err = told("search", *words)
    assert (code, out) == (2, "")
    assert err.startswith("matir: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_list_that_is_no_text_is_said(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is no UTF-8 text"):
        given_lists([f"c=@{tmp_path}/l.txt"])


def test_ctrl_c_keeps_and_says_what_is_done(told, monkeypatch, tmp_path):
    searches = Engine.searches

    def interrupted(self, queries, **options):
        for query, found in zip(queries, searches(self, queries, **options), strict=True):
            if "blue" in query:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Engine, "searches", interrupted)
    file = tmp_path / "grid.parquet"
    code, _, err = told("search", TEMPLATE, *WITH, "-k", 1, "-o", file)
    assert code == 0
    assert "interrupted: 2 of 4 queries were searched" in err
    assert pl.read_parquet(file).height == 2


# templates in a notebook


def test_lists_are_variables_of_the_same_name(matir, shell):
    shell.user_ns |= {"colour": ["red", "blue"], "shape": ("ring",), "year": [1990, 2000.5]}
    found = matir("search a {colour} {shape} -k 1")
    assert isinstance(found, TemplateResult)
    assert list(found.results) == [("red", "ring"), ("blue", "ring")]
    assert list(matir("search a '{year} ring' -k 1").results) == [("1990",), ("2000.5",)]
    assert list(matir("search {colour} -k 1").results) == [("red",), ("blue",)]
    wins = matir("search {colour} ring --with colour=green -k 1")
    assert list(wins.results) == [("green",)]


def test_a_name_alone_can_have_its_list_on_the_line(matir):
    assert list(matir("search {colour} --with colour=red,blue -k 1").results) == [
        ("red",),
        ("blue",),
    ]


@pytest.mark.parametrize(
    "typed", ["c='light red, blue'", 'c="light red, blue"', "'c=light red, blue'"]
)
def test_values_with_blanks_are_quoted(matir, typed):
    found = matir(f"search {{c}} ring --with {typed} -k 1")
    assert list(found.results) == [("light red",), ("blue",)]


def test_a_cell_can_hold_a_template_and_o_a_variable(shell):
    shell.user_ns["colour"] = ["red", "blue"]
    assert shell.run_cell("%%matir search -k 1 -o grid\na {colour}\nring").success
    assert shell.user_ns["grid"]["red"].query == "a red ring"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("red", "'colour' holds a str: a gap takes a list of texts; write {{colour}}"),
        (3, "'colour' holds a int"),
        ({"red": 1}, "'colour' holds a dict"),
        ([None], "'colour' holds None: a gap takes texts or numbers"),
    ],
)
def test_a_variable_that_is_no_list(matir, shell, value, message):
    shell.user_ns["colour"] = value
    with pytest.raises(MagicUsageError) as caught:
        matir("search a {colour} ring")
    assert message in str(caught.value)


# reviews


def test_the_progress_of_a_file_is_told(told, gallery, tmp_path):
    file = reviewed(gallery, "red ring", 2).save(tmp_path / "r.parquet")
    code, out, err = told("review", file)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == [
        "query",
        "hits",
        "seen",
        "relevant",
        "not",
        "unsure",
        "precision",
        "left",
        "advice",
    ]
    row = out.splitlines()[2]
    assert row.startswith("red ring")
    assert "1.00 (0.34–1.00)" in row
    assert "4 hits seen below the last mark (rank 2) do not count" in out
    code, out, _ = told("review", file, "--count-unmarked")
    assert "0.33 (0.10–0.70)" in out
    assert "do not count" not in out


def test_precision_at_a_depth_has_a_table_of_its_own(told, gallery, tmp_path):
    result = matir_nb.open(gallery[0], judge=None).search("red ring", k=N)
    review = Review("Ada")
    review.mark(result, {hit.image_id: "relevant" for hit in result.hits[9:]})
    review.see(result, range(N))
    _, out, _ = told("review", review.save(tmp_path / "r.parquet"))
    assert "precision at 10" in out
    assert "precision at 50" not in out
    assert "red ring: done: every hit of this list was looked at, 3 are relevant" in out


def test_reviews_are_merged_and_written(told, gallery, tmp_path):
    ada = reviewed(gallery, "red ring", 2, "Ada").save(tmp_path / "ada.parquet")
    bo = reviewed(gallery, "red ring", 0, "Bo")
    result = matir_nb.open(gallery[0], judge=None).search("red ring", k=N)
    bo.mark(result, {result.hits[0].image_id: "not relevant"})
    bo = bo.save(tmp_path / "bo.parquet")
    both = tmp_path / "both.parquet"
    code, out, _ = told("review", ada, "--merge", bo, "-o", both)
    assert code == 0
    assert "red ring: reviewers disagree on 1 hits" in out
    assert out.splitlines()[-1] == f"12 rows: {both}"
    assert Review.load(both).to_polars()["reviewer"].unique().sort().to_list() == ["Ada", "Bo"]
    for command in (
        ["review", both, "-o", tmp_path / "b.csv"],
        ["export", both, tmp_path / "c.csv"],
    ):
        assert told(*command)[0] == 0
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
    assert pl.read_csv(tmp_path / "b.csv").columns == REVIEW_SCHEMA.names()


def test_an_empty_review_says_so(told, tmp_path):
    assert (
        told("review", Review().save(tmp_path / "r.parquet"))[1] == "nothing was seen or marked\n"
    )


def test_what_is_no_review_is_one_line(told, gallery, tmp_path):
    matir_nb.open(gallery[0], judge=None).search("red ring", k=2).save(tmp_path / "hits.parquet")
    for words, message in [
        ([tmp_path / "none.parquet"], "no saved review at"),
        ([tmp_path / "hits.parquet"], "is no saved review"),
        (["oaks"], "there is no review 'oaks': give a file .parquet, or a variable"),
        ([tmp_path / "none.parquet", "-o", "x.png"], "a table is written as .parquet, .csv, .json"),
    ]:
        code, out, err = told("review", *words)
        assert (code, out) == (2, "")
        assert message in err


def test_a_hostile_query_cannot_move_the_cursor(told, gallery, tmp_path):
    review = reviewed(gallery, "red \x1b[2Jring", 1)
    _, out, _ = told("review", review.save(tmp_path / "r.parquet"))
    assert "\x1b" not in out
    assert "\\x1b[2Jring" in out


def test_a_review_or_what_holds_one_can_be_named(matir, shell, gallery, tmp_path):
    review = reviewed(gallery, "red ring", 2)
    shell.user_ns |= {"mine": review, "n": 3}
    told = matir("review mine")
    assert told.made is review
    assert repr(told).startswith("query")
    assert told.to_polars().equals(review.to_polars())
    shell.user_ns["grid"] = matir("search {c} ring --with c=red,blue -k 2")
    assert "blue ring" in repr(matir("review grid"))
    matir(f"review mine -o {tmp_path}/r.parquet")
    assert Review.load(tmp_path / "r.parquet").history() == review.history()
    assert matir(f"export mine {tmp_path}/r.json").exists()
    with pytest.raises(MagicUsageError, match="'n' holds a int: give a view, a Review or its file"):
        matir("review n")


def test_the_reviewer_is_a_setting_of_the_kernel(shell, matir, caplog):
    assert shell.run_cell('%config Matir.reviewer = "Bo"').success
    assert settings.load().reviewer == "Bo"
    matir("config reviewer ''")
    assert settings.load().reviewer == ""
    shell.run_cell("%config Matir.reviewer = 'B' * 81")
    assert "is not allowed: give a name of one line" in caplog.text
    assert settings.load().reviewer == ""


def test_a_view_gives_its_review(matir, shell):
    result = matir("search red ring -k 3")
    assert isinstance(result, SearchResult)
    view = result.grid()
    assert isinstance(view.review, Review)
    view.marks = {result.hits[0].image_id: "relevant"}
    shell.user_ns["view"] = view
    assert matir("review view").progress()["n_relevant"].to_list() == [1]
