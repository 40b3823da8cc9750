"""The judge goes on while views stand; what was seen and marked is kept with it."""

import json
import zlib
from threading import Event

import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index
from stand_in import PATIENCE_S, Page, make_result

from matir_nb.errors import ConfigError, MatirError
from matir_nb.opening import open_engine
from matir_nb.review.ledger import Review
from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.search_box import SearchBox
from matir_nb.widgets.table import result_id
from matir_nb.widgets.together import review_text

pytestmark = pytest.mark.usefixtures("mock_comm", "static")
N = 40
K = 12
QUERY = "green heart striped"


class SlowJudge(OracleJudge):
    """Knows the answers, and waits for `gate` before each chunk if there is one."""

    gate = None

    def __init__(self, model_id):
        super().__init__(model_id=model_id)
        self.begun = Event()

    def judge(self, query, inputs):
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        return super().judge(query, inputs)


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("judging"), N)


@pytest.fixture
def engine(scenes_and_path, tmp_path):
    scenes, path = scenes_and_path
    judge = SlowJudge(f"slow judge of {tmp_path.name}")
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge)


@pytest.fixture
def result(engine):
    return engine.search(QUERY, k=K, n_judged=2)


def table_of(view):
    return json.loads(zlib.decompress(view._table))


def leaving(before, after):
    """Return the image ids of the hits that are none any more."""
    kept = {hit.image_id for hit in after}
    return [hit.image_id for hit in before if hit.image_id not in kept]


# ---- judging more --------------------------------------------------------------------------


def test_python_judges_more_and_the_view_shows_it(grid, result):
    more = grid.judge_more(10)
    assert more.provenance.config["n_judged_done"] == 12
    assert grid.result is more
    assert table_of(grid)["id"] == result_id(more)
    assert table_of(grid)["n_judged"] == 12
    assert [hit.image_id for hit in more] == grid.to_polars()["image_id"].to_list()
    assert grid.judge_more().provenance.config["n_judged_done"] == N, "a step is 64"


def test_it_is_what_the_result_itself_gives(grid, result):
    expected = result.judge_more(10)
    assert grid.judge_more(10).hits == expected.hits


def test_the_page_asks_hears_how_far_it_is_and_gets_the_table_before_the_reply(grid, page, result):
    job = page.ask("judge_more", result=result_id(result), n=10)
    body = page.reply(job).content["body"]
    assert body == {"result": result_id(grid.result), "n_judged": 12, "cancelled": False}
    told = [(w.content["stage"], w.content["done"]) for w in page.words("progress", job)]
    assert told[0] == ("judge", 2)
    assert told[-1] == ("judge", 12)
    sent = [s.data for s in grid.comm.sent if s.data and "method" in s.data]
    kinds = [(data.get("content") or {}).get("kind", data["method"]) for data in sent]
    assert kinds.index("update") < kinds.index("reply")


def test_a_request_with_the_old_id_is_refused(grid, page, result):
    grid.judge_more(10)
    assert result_id(grid.result) != result_id(result)
    for kind, fields in {
        "judge_more": {"n": 10},
        "tiles": {"rows": [0], "side": 64, "regions": False},
    }.items():
        reply = page.reply(page.ask(kind, result=result_id(result), **fields)).content
        assert "is not shown any more" in reply["error"]


def test_cancelling_shows_the_part_that_was_judged(engine, page, grid, result):
    engine.judge.gate, engine.judge.begun = Event(), Event()
    chunk = result.provenance.config["judging"]["chunk_size"]
    job = page.ask("judge_more", result=result_id(result), n=chunk + 10)
    assert engine.judge.begun.wait(PATIENCE_S)
    page.send({"kind": "cancel", "id": job})
    engine.judge.gate.set()
    body = page.reply(job).content["body"]
    assert body == {"result": result_id(grid.result), "n_judged": 2 + chunk, "cancelled": True}
    said = f"cancelled: {2 + chunk} of {min(12 + chunk, N)} candidates were judged"
    assert said in grid.result.provenance.notices


def test_a_newer_request_takes_its_place_and_what_was_judged_is_remembered(engine, grid, page):
    first = page.ask("judge_more", result=result_id(grid.result), n=1)
    page.reply(first)
    engine.judge.gate, engine.judge.begun = Event(), Event()
    second = page.ask("judge_more", result=result_id(grid.result), n=20)
    assert engine.judge.begun.wait(PATIENCE_S)
    third = page.ask("judge_more", result=result_id(grid.result), n=5)
    engine.judge.gate.set()
    assert page.reply(second).content["error"] == "a newer judge_more took its place"
    assert page.reply(third).content["body"]["n_judged"] == 8


def test_an_observer_may_judge_more_while_the_page_has_asked(engine, grid, page):
    """The observer holds the views' lock and waits for the judge, which must not wait for it."""
    engine.judge.gate, engine.judge.begun = Event(), Event()
    asked = page.ask("judge_more", result=result_id(grid.result), n=3)
    assert engine.judge.begun.wait(PATIENCE_S)

    def observe(_change):
        engine.judge.gate.set()
        grid.judge_more(5)

    grid.observe(observe, "boxes")
    page.set(boxes=False)
    assert page.reply(asked).content["ok"] is False
    assert grid.result.provenance.config["n_judged_done"] == 7


def test_a_result_of_stage_1_is_judged_by_the_engines_judge(engine):
    grid = ResultGrid(engine.search(QUERY, k=K, judge=False))
    assert table_of(grid)["n_judged"] is None
    assert grid.judge_more(5).provenance.config["n_judged_done"] == 5
    assert table_of(grid)["n_judged"] == 5


def test_without_source_or_judge_the_error_says_what_to_do(scenes_and_path):
    with pytest.raises(ConfigError, match="the judge needs the index: give it"):
        ResultGrid(make_result(3)).judge_more(4)
    scenes, path = scenes_and_path
    plain = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    with pytest.raises(ConfigError, match="open the index with that judge"):
        ResultGrid(plain.search(QUERY)).judge_more(4)


@pytest.mark.parametrize(("n", "message"), [(0, "n = 0 is not"), ("4", "give a whole number")])
def test_a_number_that_is_none_is_refused(grid, result, n, message):
    with pytest.raises(ConfigError, match=message):
        grid.judge_more(n)
    assert grid.result is result


def test_a_closed_view_does_not_judge(grid):
    grid.close()
    with pytest.raises(ConfigError, match="the view is closed"):
        grid.judge_more(4)


# ---- what is kept --------------------------------------------------------------------------


def test_selection_marks_and_current_hit_stay(grid, result):
    kept = next(h.image_id for h in result.judge_more(N) if h.image_id in grid._shown.hits)
    grid.marks, grid.selection, grid.current = {kept: "relevant"}, [kept], kept
    grid.judge_more(N)
    assert grid.marks == {kept: "relevant"}
    assert grid.selection == (kept,)
    assert grid.current == kept
    (hit,) = grid.selected
    assert hit == next(h for h in grid.result if h.image_id == kept), "as it stands now"


def test_marks_and_selection_of_a_hit_that_left_are_not_lost(grid, result):
    left = leaving(result, result.judge_more(N))[0]
    before = next(hit for hit in result if hit.image_id == left)
    grid.marks, grid.selection, grid.current = {left: "relevant"}, [left], left
    grid.judge_more(N)
    assert left not in grid.to_polars()["image_id"].to_list()
    assert grid.marks == {left: "relevant"}
    assert grid.selected == (before,)
    assert grid.current == "", "there is nothing to show of it"
    first = grid.result.hits[0].image_id
    grid.marks = grid.marks | {first: "unsure"}
    grid.selection = [left, first]
    assert set(grid.marks) == {left, first}
    with pytest.raises(ConfigError, match="is no hit"):
        grid.current = left
    review = grid.review.to_polars()
    assert dict(review.select("image_id", "mark").iter_rows()) == grid.marks
    assert review.filter(image_id=left)["rank"].item() == before.rank


def test_a_hit_that_left_unmarked_can_be_marked_still(grid, result):
    left = leaving(result, result.judge_more(N))[0]
    grid.judge_more(N)
    grid.marks = {left: "not relevant"}
    assert grid.review.to_polars()["image_id"].to_list() == [left]


# ---- views that are joined -----------------------------------------------------------------


@pytest.mark.parametrize("asks", [0, 1, 2])
def test_joined_views_follow_whoever_asked(grid, result, asks):
    views = [grid, Inspector(result, 2, grid=grid), StageFlow(result, grid)]
    more = views[asks].judge_more(N)
    assert {table_of(view)["id"] for view in views} == {result_id(more)}
    assert [view.result for view in views] == [more] * 3
    new = next(h.image_id for h in more if h.image_id not in {h.image_id for h in result})
    views[2].current = new
    assert [view.current for view in views] == [new] * 3


def test_the_current_hit_of_an_inspector_is_let_go_when_it_leaves(grid, result):
    left = leaving(result, result.judge_more(N))[0]
    inspector = Inspector(result, grid=grid, current=left)
    grid.judge_more(N)
    assert inspector.current == ""
    assert inspector._repr_mimebundle_()[0]["text/plain"]


def test_a_closed_view_does_not_follow(grid, result):
    flow = StageFlow(result, grid)
    flow.close()
    grid.judge_more(N)
    assert table_of(flow)["id"] == result_id(result)


def test_a_view_of_the_old_result_is_not_joined_any_more(grid, result):
    grid.judge_more(N)
    with pytest.raises(ConfigError, match=r"shows another result than .* give grid\.result"):
        StageFlow(result, grid)
    StageFlow(grid.result, grid).close()


# ---- seen and marked -----------------------------------------------------------------------


def test_seen_rows_are_kept_in_the_review(grid, page, result):
    page.reply(page.ask("seen", result=result_id(result), rows=[0, 2]))
    page.reply(page.ask("seen", result=result_id(result), rows=[2]))
    seen = grid.review.to_polars()
    assert seen["image_id"].to_list() == [result.hits[row].image_id for row in (0, 2)]
    assert seen["mark"].to_list() == [None, None]


def test_rows_seen_just_before_the_judge_went_on_still_count(grid, page, result):
    grid.judge_more(N)
    assert page.reply(page.ask("seen", result=result_id(result), rows=[3])).content["ok"]
    assert grid.review.to_polars()["image_id"].to_list() == [result.hits[3].image_id]
    grid.judge_more(N)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"result": "other", "rows": [0]}, "result 'other' is not shown any more"),
        ({"rows": [K]}, f"row {K} is none of the {K} hits"),
        ({"rows": [-1]}, "row -1 is none"),
        ({"rows": "0"}, "give a list of whole numbers"),
    ],
)
def test_wrong_rows_are_refused(grid, page, result, fields, message):
    reply = page.reply(page.ask("seen", **({"result": result_id(result)} | fields))).content
    assert message in reply["error"]
    assert grid.review.to_polars().is_empty()


def test_changes_of_marks_are_kept_with_their_time(grid, page, result):
    first, second = (hit.image_id for hit in result.hits[:2])
    page.set(marks={first: "relevant"})
    grid.marks = {first: "unsure", second: "relevant"}
    grid.marks = {second: "relevant"}
    events = grid.review.events()
    changes = list(events.select("image_id", "before", "mark").iter_rows())
    assert sorted(changes[1:3]) == sorted(
        [(first, "relevant", "unsure"), (second, None, "relevant")]
    )
    assert changes[0] == (first, None, "relevant")
    assert changes[3] == (first, "unsure", None)
    assert events["at"].is_sorted()


def test_joined_views_share_the_review_and_a_mark_is_written_once(grid, result):
    inspector = Inspector(result, grid=grid)
    assert inspector.review is grid.review
    inspector.marks = {result.hits[0].image_id: "relevant"}
    assert grid.marks == inspector.marks
    assert len(grid.review.events()) == 1


def test_the_page_is_told_how_far_the_review_is(grid, page, result):
    page.reply(page.ask("seen", result=result_id(result), rows=list(range(8))))
    ids = [hit.image_id for hit in result]
    page.set(marks={ids[0]: "relevant", ids[3]: "not relevant"})
    assert page.wait(lambda: "relevant 1" in grid._review)
    line, reason = grid._review.split("\n")
    assert line.startswith("seen 8 · relevant 1 · precision 25 % [5\u201370] · about ")
    assert line.endswith("left · go on")
    assert "4 hits seen below the last mark (rank 4) do not count" in reason
    assert {"_review": grid._review} in page.updates()


def test_of_a_review_without_looks_nothing_is_said(result):
    assert review_text(Review(), None) == ""
    assert review_text(Review(), result) == ""
    review = Review()
    review.see(make_result(4), [1])
    assert review_text(review, result) == "", "it is of another query"
    assert review_text(review, make_result(4)).startswith("seen 1 · relevant 0 · go on\nnothing is")


def test_one_review_can_be_kept_over_many_views(result):
    review, image_id = Review(), result.hits[0].image_id
    ResultGrid(result, review=review).marks = {image_id: "relevant"}
    again = ResultGrid(result, review=review)
    assert again.marks == {image_id: "relevant"}
    assert again.review is review
    assert len(review.events()) == 1


def test_a_search_box_keeps_the_marks_of_every_query(engine):
    box = SearchBox(engine)
    first = box.search(QUERY, k=3).hits[0].image_id
    box.marks = {first: "relevant"}
    box.search("red circle")
    assert box.marks == {}
    assert box.review.events().height == 1, "leaving a query takes no mark away"
    box.search(QUERY)
    assert box.marks == {first: "relevant"}


# ---- a search box --------------------------------------------------------------------------


def test_a_search_box_judges_more(engine):
    box = SearchBox(engine, n_judged=2)
    with pytest.raises(ConfigError, match="there is no result yet: search first"):
        box.judge_more(4)
    box.search(QUERY, k=4)
    assert box.judge_more(4).provenance.config["n_judged_done"] == 6
    assert [entry["query"] for entry in box.history] == [QUERY], "it is the same search"


def test_a_new_search_ends_the_judging(engine):
    box = SearchBox(engine, n_judged=2)
    page = Page(box)
    box.search(QUERY, k=4)
    engine.judge.gate, engine.judge.begun = Event(), Event()
    asked = page.ask("judge_more", result=result_id(box.result), n=20)
    assert engine.judge.begun.wait(PATIENCE_S)
    other = page.ask("search", query="red circle", index=box.index, judge="none", k=4, n_judged=2)
    engine.judge.gate.set()
    assert page.reply(asked).content["error"] == "a newer search took its place"
    assert page.reply(other).content["ok"]
    assert box.result.query == "red circle"


def test_what_python_waited_for_may_be_gone(engine, monkeypatch):
    box = SearchBox(engine, n_judged=2)
    box.search(QUERY, k=4)
    monkeypatch.setattr(box._requests, "call", lambda *_args, **_kwargs: {"result": "gone"})
    with pytest.raises(MatirError, match="a newer search took its place"):
        box.judge_more(4)
