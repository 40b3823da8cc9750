"""Templates: what they mean, the whole grid of queries, and what is kept when it is cut off."""

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index

import matir_nb
from matir_nb.engine import Engine
from matir_nb.errors import ConfigError, QueryError
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.opening import open_engine
from matir_nb.review.gaps import Template
from matir_nb.review.templates import SUMMARY_SCHEMA, TemplateResult

COLOURS = ["red", "blue"]
SHAPES = ["ring", "star", "disc"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    scenes, index = oracle_index(tmp_path_factory.mktemp("templates"), 12)
    return open_engine(index, encoder=OracleEncoder(scenes), judge=OracleJudge())


@pytest.fixture(scope="module")
def found(engine):
    return engine.search_template("a {colour} {shape}", k=3, colour=COLOURS, shape=SHAPES)


# what a template means


@pytest.mark.parametrize(
    ("text", "names", "filled"),
    [
        ("{a} eating {b}", ("a", "b"), "A eating B"),
        ("{b}{a}{b}", ("b", "a"), "BAB"),
        ("{{a}} {a}", ("a",), "{a} A"),
        ("{{{a}}}", ("a",), "{A}"),
        ("plain words", (), "plain words"),
        ("", (), ""),
        ("größe {ä}", ("ä",), "größe Ä"),
    ],
)
def test_gaps_and_braces(text, names, filled):
    template = Template.parse(text)
    assert template.names == names
    assert template.filled({"a": "A", "b": "B", "ä": "Ä"}) == filled


def test_values_with_braces_are_no_gaps():
    assert Template.parse("{a}").filled({"a": "{b} }"}) == "{b} }"


@pytest.mark.parametrize("text", ["{a", "a}", "}{", "{{a}", "{a}}", "{a{b}}"])
def test_a_brace_alone(text):
    with pytest.raises(QueryError, match=r"a brace is alone in|hold no name"):
        Template.parse(text)


@pytest.mark.parametrize("text", ["{}", "{0}", "{a b}", "{a.b}", "{a!r}", "{a:5}", "{a[0]}"])
def test_braces_without_a_name(text):
    with pytest.raises(QueryError, match=r"hold no name: write \{name\}, or \{\{ and \}\}"):
        Template.parse(text)


# searching


def test_every_combination_is_searched_the_last_factor_fastest(engine, found):
    assert isinstance(found, TemplateResult)
    assert found.factors == ("colour", "shape")
    assert list(found.results) == [(c, s) for c in COLOURS for s in SHAPES]
    assert [result.query for result in found][:2] == ["a red ring", "a red star"]
    assert (len(found), found.n_fillings) == (6, 6)
    alone = engine.search("a blue star", k=3)
    assert found["blue", "star"].hits == alone.hits


def test_one_frame_for_all_queries(found):
    frame = found.to_polars()
    assert frame.schema == pl.Schema({"colour": pl.String, "shape": pl.String} | dict(HIT_SCHEMA))
    assert frame.height == 18
    part = frame.filter(colour="blue", shape="star").drop("colour", "shape")
    assert part.equals(found["blue", "star"].to_polars())


def test_the_summary_has_a_row_per_filling(found):
    frame = found.summary()
    assert frame.schema == pl.Schema(
        {"colour": pl.String, "shape": pl.String} | dict(SUMMARY_SCHEMA)
    )
    row = frame.row(4, named=True)
    result = found["blue", "star"]
    best = result.hits[0]
    assert (row["colour"], row["shape"], row["query"]) == ("blue", "star", "a blue star")
    assert (row["best_image_id"], row["best_score"]) == (best.image_id, best.final_score)
    assert row["best_p_relevant"] == best.p_relevant
    cuts = [hit.above_cut for hit in result if hit.above_cut is not None]
    assert row["n_above_cut"] == (sum(cuts) if cuts else None)
    assert row["n_hits"] == 3
    assert row["seconds"] == pytest.approx(sum(result.provenance.seconds.values()))


def test_fillings_are_found_by_their_values(found):
    red = found.where(colour="red")
    assert list(red.results) == [("red", s) for s in SHAPES]
    assert (len(red), red.n_fillings) == (3, 3)
    assert found.where(colour="blue", shape="disc").to_polars().height == 3
    with pytest.raises(ConfigError, match="colour is never 'rad': did you mean 'red'"):
        found["rad", "ring"]
    with pytest.raises(ConfigError, match="shape is never 'ringo': did you mean 'ring'"):
        found.where(shape="ringo")
    with pytest.raises(ConfigError, match="unknown factor 'color': did you mean 'colour'"):
        found.where(color="red")
    with pytest.raises(ConfigError, match=r"has 1 values, give 2: colour, shape"):
        found["red"]


def test_one_factor_is_found_by_one_word(engine):
    found = engine.search_template("{colour} ring", k=1, colour=["red"])
    assert found["red"].query == "red ring"


def test_the_same_query_is_searched_once(engine, monkeypatch):
    asked = []
    searches = Engine.searches

    def counting(self, queries, **options):
        asked.extend(queries)
        return searches(self, queries, **options)

    monkeypatch.setattr(Engine, "searches", counting)
    found = engine.search_template(
        "{a} {b}", k=1, a=["red", "red", "red ring"], b=["ring star", "star"]
    )
    assert list(found.results) == [
        ("red", "ring star"),
        ("red", "star"),
        ("red ring", "ring star"),
        ("red ring", "star"),
    ]
    assert asked == ["red ring star", "red star", "red ring ring star"]
    assert found["red", "ring star"] is found["red ring", "star"]


def test_options_reach_every_search(engine):
    told = []
    found = engine.search_template(
        "{c} ring", k=2, judge=False, progress=lambda *n: told.append(n), c=COLOURS
    )
    assert told == [(1, 2), (2, 2)]
    assert all(hit.judge_rank is None for result in found for hit in result)
    judged = engine.search_template("{c} ring", k=2, n_judged=1, c=COLOURS)
    assert [result.provenance.config["n_judged_done"] for result in judged] == [1, 1]


@pytest.mark.parametrize(
    ("template", "lists", "error", "message"),
    [
        ("a ring", {}, QueryError, r"'a ring' has no \{name\} to fill"),
        ("{c} ring", {}, ConfigError, r"no values for \{c\} of '\{c\} ring': give a list"),
        ("{c} ring", {"c": []}, ConfigError, "the list of 'c' is empty"),
        ("{c} ring", {"c": "red"}, ConfigError, r"c = 'red' is no list: give a list of texts"),
        ("{c} ring", {"c": 3}, ConfigError, "c = 3 is no list"),
        ("{c} ring", {"c": ["red", 3]}, ConfigError, "c holds 3: give texts that are not empty"),
        ("{c} ring", {"c": ["red", " "]}, ConfigError, "c holds ' '"),
        ("{c} ring", {"c": ["red"], "d": ["x"]}, ConfigError, "unknown gap 'd'"),
        ("{rank} ring", {"rank": ["red"]}, ConfigError, r"\{rank\} cannot be a gap"),
        ("{k} ring", {}, ConfigError, r"\{k\} cannot be a gap: 'k' is a column or an option"),
        (
            "{a} {b}",
            {"a": map(str, range(40)), "b": map(str, range(30))},
            ConfigError,
            r"40 a × 30 b = 1,200 queries, at most 1,000 are searched: shorten a list",
        ),
    ],
)
def test_what_cannot_be_filled_searches_nothing(
    engine, monkeypatch, template, lists, error, message
):
    monkeypatch.delattr(Engine, "searches")
    with pytest.raises(error, match=message):
        engine.search_template(template, **lists)


# cut off


def test_ctrl_c_keeps_what_is_done(engine, monkeypatch):
    searches = Engine.searches

    def interrupted(self, queries, **options):
        for query, found in zip(queries, searches(self, queries, **options), strict=True):
            if query == "blue ring":
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Engine, "searches", interrupted)
    found = engine.search_template("{c} ring", k=1, c=["red", "green", "blue", "black"])
    assert list(found.results) == [("red",), ("green",)]
    assert repr(found) == "TemplateResult('{c} ring', 2 of 4 queries (interrupted), 2 hits)"
    with pytest.raises(ConfigError, match="c is never 'blue'"):
        found["blue"]
    with pytest.raises(KeyboardInterrupt):
        engine.search_template("{c} ring", k=1, c=["blue"])


def test_a_search_that_was_cancelled_is_not_among_them(engine):
    done = []
    found = engine.search_template(
        "{c} ring",
        k=1,
        cancel=lambda: bool(done),
        progress=lambda *n: done.append(n),
        c=["red", "green", "blue"],
    )
    assert list(found.results) == [("red",)]
    assert done == [(1, 3)]


# the rest


def test_all_queries_can_be_reviewed_in_one_ledger(found):
    review = found.review("Ada")
    result = found["blue", "star"]
    review.mark(result, {result.hits[0].image_id: "relevant"})
    progress = review.progress()
    assert progress["query"].to_list() == [result.query for result in found]
    assert progress["n_relevant"].to_list() == [0, 0, 0, 0, 1, 0]


def test_it_is_written_as_a_table(found, tmp_path):
    assert pl.read_parquet(found.export(tmp_path / "t.parquet")).equals(found.to_polars())
    table = pl.read_csv(found.export(tmp_path / "t.csv"))
    assert table.columns[:3] == ["colour", "shape", "query"]
    assert {"box_x0", "box_y1", "judged_box_x0"} < set(table.columns)
    assert table["image_id"].to_list() == found.to_polars()["image_id"].to_list()


def test_its_display_is_escaped(engine):
    hostile = "<script>alert(1)</script>"
    found = engine.search_template("{c} ring", k=1, c=["red", hostile])
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "best_score" in shown
    assert "red ring" in shown
    assert "\x1b" not in found.where(c="red").text()
    assert found.text().startswith("c ")


def test_the_names_are_public():
    assert matir_nb.TemplateResult is TemplateResult
    assert matir_nb.Review.__module__ == "matir_nb.review.ledger"
