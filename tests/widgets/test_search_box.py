import json
import threading
import zlib
from pathlib import Path
from threading import Event, get_ident

import pytest
from fakes import (
    OracleEncoder,
    OracleJudge,
    oracle_index,
    words_of,
)
from stand_in import PATIENCE_S, FakeEngine, Page

from matir_nb.errors import ConfigError, MatirError, QueryError
from matir_nb.home import registered
from matir_nb.home.settings import keep
from matir_nb.opening import open_engine
from matir_nb.widgets.search_box import MAX_HISTORY, SearchBox
from matir_nb.widgets.table import result_id

pytestmark = pytest.mark.usefixtures("mock_comm", "static")
ASK = {"index": "scenes", "judge": "default", "k": 4, "n_judged": None}


@pytest.fixture
def gate():
    opened = Event()
    yield opened
    opened.set()


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def slow_engine(gate):
    return FakeEngine(gate=gate)


def box_of(engine, **options):
    box = SearchBox(engine, **options)
    return box, Page(box)


def table_of(box):
    return json.loads(zlib.decompress(box._table))


def test_a_search_fills_the_box(engine):
    box, page = box_of(engine)
    assert box.result is None
    assert repr(box) == "SearchBox(no result yet)"
    reply = page.reply(page.ask("search", query="a red car", **ASK)).content
    assert reply["body"] == {"result": result_id(box.result), "n_hits": 4, "cancelled": False}
    assert engine.asked == [{"query": "a red car", "k": 4, "judge": None, "n_judged": None}]
    assert box.result.query == "a red car"
    assert table_of(box)["id"] == reply["body"]["result"]
    (entry,) = box.history
    assert (entry["query"], entry["n_hits"]) == ("a red car", 4)
    assert entry["seconds"] >= 0


def test_the_page_hears_how_far_the_search_is(engine):
    _, page = box_of(engine)
    job = page.ask("search", query="a", **ASK)
    page.reply(job)
    told = [word.content for word in page.words("progress", job)]
    assert [word["stage"] for word in told[:2]] == ["retrieve", "judge"]
    assert told[-1] == {"kind": "progress", "id": job, "stage": "judge", "done": 40, "total": 40}


def test_the_new_table_comes_in_one_message_before_the_reply(engine):
    box, page = box_of(engine)
    job = page.ask("search", query="a", **ASK)
    page.reply(job)
    sent = [s.data for s in box.comm.sent if s.data and "method" in s.data]
    kinds = [(data.get("content") or {}).get("kind", data["method"]) for data in sent]
    assert kinds.count("update") == 1
    update = sent[kinds.index("update")]
    assert update["buffer_paths"] == [["_table"]]
    assert "history" in update["state"]
    assert kinds.index("update") < kinds.index("reply")


def test_the_kernels_thread_is_free_while_a_search_runs(slow_engine, gate):
    box, page = box_of(slow_engine)
    job = page.ask("search", query="a", **ASK)
    assert slow_engine.begun.wait(PATIENCE_S)
    page.set(query="typing goes on")
    assert box.query == "typing goes on"
    gate.set()
    assert page.reply(job).thread != get_ident()


def test_cancelling_keeps_what_was_found(slow_engine):
    box, page = box_of(slow_engine)
    job = page.ask("search", query="a", **ASK)
    assert slow_engine.begun.wait(PATIENCE_S)
    page.send({"kind": "cancel", "id": job})
    body = page.reply(job).content["body"]
    assert body["cancelled"] is True
    assert body["result"] == result_id(box.result)
    assert "cancelled: 0 of 40" in box.result.provenance.notices[0]


def test_a_new_search_takes_the_place_of_the_one_under_way(slow_engine, gate):
    box, page = box_of(slow_engine)
    first = page.ask("search", query="first", **ASK)
    assert slow_engine.begun.wait(PATIENCE_S)
    second = page.ask("search", query="second", **ASK)
    gate.set()
    assert page.reply(second).content["ok"]
    refused = page.reply(first).content
    assert refused["ok"] is False
    assert refused["error"] == "a newer search took its place"
    assert box.result.query == "second"
    assert [entry["query"] for entry in box.history] == ["second"], "the first was never shown"


def test_selection_and_marks_belong_to_the_result_shown(engine):
    box, page = box_of(engine)
    first = box.search("one").hits[0].image_id
    page.set(selection=[first], marks={first: "relevant"}, current=first)
    assert box.to_polars()["mark"].to_list()[0] == "relevant"
    box.search("two")
    assert (box.selection, dict(box.marks), box.current) == ((), {}, "")
    assert box.to_polars()["query"].unique().to_list() == ["two"]


def test_pictures_of_the_result_before_are_refused(engine):
    box, page = box_of(engine)
    old = result_id(box.search("one"))
    new = result_id(box.search("two"))
    refused = page.reply(page.ask("image", result=old, row=0, side=64)).content
    assert "is not shown any more" in refused["error"]
    assert page.reply(page.ask("image", result=new, row=0, side=64)).content["ok"]


def test_pictures_before_the_first_search_are_refused(engine):
    _, page = box_of(engine)
    reply = page.reply(page.ask("image", result="", row=0, side=64)).content
    assert reply["error"] == "there is no result yet: search first"


@pytest.mark.parametrize(
    ("judge", "given"),
    [("default", None), ("none", False), ("structured", "structured"), ("trained", "trained")],
)
def test_the_judges_to_choose_from(engine, judge, given):
    box, page = box_of(engine)
    assert judge in box.judges
    page.reply(page.ask("search", query="a", **ASK | {"judge": judge, "n_judged": 7}))
    assert engine.asked[0]["judge"] == given
    assert engine.asked[0]["n_judged"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": "scnes"}, "unknown index 'scnes': did you mean 'scenes'?"),
        ({"judge": "trainde"}, "unknown judge 'trainde': did you mean 'trained'?"),
        ({"k": "4"}, "search: k = '4' is not allowed: give a whole number"),
        ({"n_judged": 1.5}, "n_judged = 1.5 is not allowed"),
    ],
)
def test_a_search_that_cannot_be_is_answered_with_the_reason(engine, change, message):
    box, page = box_of(engine)
    reply = page.reply(page.ask("search", query="a", **ASK | change)).content
    assert reply["ok"] is False
    assert message in reply["error"]
    assert engine.asked == []
    assert box.result is None


def test_errors_of_the_engine_are_replies():
    box, page = box_of(FakeEngine(error=QueryError("the query is empty (''): say in words")))
    reply = page.reply(page.ask("search", query="", **ASK)).content
    assert reply["error"] == "the query is empty (''): say in words"
    box, page = box_of(FakeEngine(error=RuntimeError("CUDA out of memory")))
    reply = page.reply(page.ask("search", query="a", **ASK)).content
    assert reply["error"] == "internal error: RuntimeError: CUDA out of memory"
    assert "CUDA" in box.last_error


def test_the_history_is_short_newest_first_and_without_repetition(engine):
    box, _ = box_of(engine)
    for i in range(MAX_HISTORY + 3):
        box.search(f"query {i}")
    box.search("query 10")
    asked = [entry["query"] for entry in box.history]
    assert len(asked) == MAX_HISTORY
    assert asked[:2] == ["query 10", f"query {MAX_HISTORY + 2}"]
    assert asked.count("query 10") == 1


# ---- from Python ---------------------------------------------------------------------------


def test_python_searches_as_the_button_does(engine):
    box, _ = box_of(engine, k=3)
    result = box.search("a red car", judge="none", n_judged=5)
    assert result is box.result
    assert len(result) == 3
    assert (box.query, box.judge, box.n_judged) == ("a red car", "none", 5)
    assert engine.asked == [{"query": "a red car", "k": 3, "judge": False, "n_judged": 5}]
    box.search()
    assert engine.asked[1]["query"] == "a red car"


def test_python_gets_the_errors_as_they_are():
    box, _ = box_of(FakeEngine(error=QueryError("too long")))
    with pytest.raises(QueryError, match="too long"):
        box.search("a")
    with pytest.raises(ConfigError, match="unknown option 'n_juged' of search: did you mean 'n_ju"):
        box.search("a", n_juged=3)
    with pytest.raises(ConfigError, match=r"'k' trait .* should not be less than 1"):
        box.search("a", k=0)
    with pytest.raises(ConfigError, match="unknown index 'x'"):
        box.search("a", index="x")
    box.close()
    with pytest.raises(ConfigError, match="the view is closed"):
        box.search("a")


def test_python_takes_the_place_of_a_search_of_the_page(slow_engine, gate):
    box, page = box_of(slow_engine)
    job = page.ask("search", query="page", **ASK)
    assert slow_engine.begun.wait(PATIENCE_S)
    opener = threading.Timer(0.1, gate.set)
    opener.start()
    assert box.search("python").query == "python"
    assert page.reply(job).content["error"] == "a newer search took its place"
    opener.join()


def test_the_page_takes_the_place_of_a_search_of_python(slow_engine, gate):
    box, page = box_of(slow_engine)
    caught = []

    def ask():
        try:
            box.search("python")
        except MatirError as error:
            caught.append(str(error))

    python = threading.Thread(target=ask)
    python.start()
    assert slow_engine.begun.wait(PATIENCE_S)
    job = page.ask("search", query="page", **ASK)
    python.join(PATIENCE_S)
    gate.set()
    assert page.reply(job).content["ok"]
    assert caught == ["a newer search took its place"]
    assert box.result.query == "page"


def test_an_observer_may_search_while_another_search_wants_to_show_its_hits(slow_engine, gate):
    """The page's change holds the traits' lock, for which the older search waits."""
    box, page = box_of(slow_engine)

    def ask_again(change):
        gate.set()
        assert not page.wait_for_reply(job, 0.3), "it waits for the lock that this thread holds"
        box.search(change["new"])

    job = page.ask("search", query="first", **ASK)
    assert slow_engine.begun.wait(PATIENCE_S)
    box.observe(ask_again, names=["query"])
    page.set(query="dogs")
    assert box.result.query == "dogs"
    assert page.reply(job).content["error"] == "a newer search took its place"


# ---- which indexes -------------------------------------------------------------------------


def test_an_engine_is_called_as_its_folder(engine):
    box = SearchBox(engine, indexes={"other": Path("other.matir")})
    assert box.indexes == ("scenes", "other")
    assert box.index == "scenes"


def test_indexes_known_by_name_are_offered(tmp_path):
    with pytest.raises(ConfigError, match="there is nothing to search: give an engine"):
        SearchBox()
    for name in ("one", "two"):
        (tmp_path / f"{name}.matir").mkdir()
        registered.add(tmp_path / f"{name}.matir", name)
    box = SearchBox()
    assert box.indexes == ("one", "two")
    assert box.index == "two"
    assert SearchBox(index="one").index == "one"


def test_the_users_settings_are_the_defaults(engine):
    keep("k", "30")
    keep("tile_px", "120")
    box = SearchBox(engine, tile_px=200)
    assert (box.k, box.tile_px) == (30, 200)


def test_an_option_that_does_not_fit_is_refused(engine):
    with pytest.raises(ConfigError, match="unknown option 'judg' of SearchBox: did you mean"):
        SearchBox(engine, judg="none")
    with pytest.raises(ConfigError, match="unknown index 'b': choose from scenes"):
        SearchBox(engine, index="b")
    with pytest.raises(ConfigError, match="there is nothing to search"):
        SearchBox(indexes={})


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Return an index of 6 scenes, its encoder, and words that are right for the first."""
    scenes, path = oracle_index(tmp_path_factory.mktemp("search_box"), 6)
    return path, OracleEncoder(scenes), " ".join(words_of(scenes[0].objects[0]))


def test_an_index_is_opened_when_first_searched_and_once(real, monkeypatch):
    path, encoder, query = real
    opened = []

    def open_it(folder, **_options):
        opened.append(folder)
        return open_engine(folder, encoder=encoder, judge=OracleJudge(answers_with="box"))

    monkeypatch.setattr("matir_nb.opening.open_engine", open_it)
    monkeypatch.setattr("matir_nb.engines.Engines._encoder", lambda *_args: encoder)
    box, page = box_of(None, indexes={"real": path})
    assert opened == []
    ask = {"index": "real", "judge": "default", "k": 3, "n_judged": None}
    job = page.ask("search", query=query, **ask)
    reply = page.reply(job).content
    assert reply["ok"], reply
    assert reply["body"]["n_hits"] == 3
    stages = [word.content["stage"] for word in page.words("progress", job)]
    assert list(dict.fromkeys(stages)) == ["open", "retrieve", "judge"]
    box.search("red")
    assert opened == [path]
    shown = result_id(box.result)
    tiles = page.reply(page.ask("tiles", result=shown, rows=[0, 1, 2], side=64, regions=True))
    assert len(tiles.buffers) == 3


def test_a_filter_of_the_box_holds_for_every_search(real):
    path, encoder, query = real
    box, page = box_of(open_engine(path, encoder=encoder, judge=OracleJudge()), k=6)
    everything = [hit.image_id for hit in box.search(query)]
    assert len(everything) == 6
    left_out = everything[0]
    result = box.search(query, where=f"image_id <> '{left_out}'")
    assert [hit.image_id for hit in result] == everything[1:]
    ask = {"index": box.index, "judge": "none", "k": 6, "n_judged": None}
    assert page.reply(page.ask("search", query=query, **ask)).content["body"]["n_hits"] == 5
    (notice,) = (words for words in table_of(box)["notices"] if words.startswith("where"))
    assert notice == f"where image_id <> '{left_out}': 5 of 6 images"
    box.where = "widht > 3"
    reply = page.reply(page.ask("search", query=query, **ask)).content
    assert "did you mean 'width'?" in reply["error"]
    box.where = ""
    assert len(box.search(query)) == 6


def test_a_missing_index_is_an_error_in_the_reply(tmp_path):
    _, page = box_of(None, indexes={"gone": tmp_path / "gone.matir"})
    reply = page.reply(page.ask("search", query="a", **ASK | {"index": "gone"})).content
    assert reply["ok"] is False
    assert "no index" in reply["error"]
