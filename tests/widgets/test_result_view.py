import json
import subprocess
import sys
from dataclasses import replace
from threading import get_ident

import anywidget
import polars as pl
import pytest
import traitlets
from stand_in import PRE, FakeSource, Page, make_result, names

from matir_nb.errors import ConfigError
from matir_nb.exports.explain import flow_text, hit_text
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.widgets import built
from matir_nb.widgets.fallback import as_text
from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.search_box import SearchBox
from matir_nb.widgets.table import result_id

pytestmark = pytest.mark.usefixtures("mock_comm", "static")
HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "\"'><script>alert(2)</script>.jpg",
    "line\nbreak\u2028.jpg",
    "{{7*7}}\\.jpg",
    "\x1b[31mred.jpg",
]


@pytest.fixture
def source():
    return FakeSource()


@pytest.fixture
def result(source):
    return make_result(6, source=source)


def ids(result):
    return [hit.image_id for hit in result]


def told(page):
    """Return what the kernel sent of the traits but for the review's progress, which comes late."""
    return [state for state in page.updates() if "_review" not in state]


# ---- what Python reads ---------------------------------------------------------------------


def test_selection_gives_hits_in_the_order_of_picking(grid, result):
    chosen = [result.hits[3].image_id, result.hits[0].image_id]
    grid.selection = chosen
    assert grid.selection == tuple(chosen)
    assert grid.selected == (result.hits[3], result.hits[0])
    grid.selection = [*chosen, chosen[0]]
    assert grid.selection == tuple(chosen), "an id counts once"


def test_the_table_has_marks_and_selection(grid, result):
    first, second, third = ids(result)[:3]
    grid.marks = {first: "relevant", third: "not relevant"}
    grid.selection = [second]
    table = grid.to_polars()
    assert table.columns == [*HIT_SCHEMA, "mark", "is_selected"]
    assert table.schema["mark"] == pl.String
    assert table.schema["is_selected"] == pl.Boolean
    assert table["image_id"].to_list() == ids(result)
    assert table["mark"].to_list() == ["relevant", None, "not relevant", None, None, None]
    assert table["is_selected"].to_list() == [False, True, False, False, False, False]
    assert table.drop("mark", "is_selected").equals(result.to_polars())


def test_the_table_of_nothing_has_the_full_schema():
    table = ResultGrid(make_result(0)).to_polars()
    assert table.shape == (0, len(HIT_SCHEMA) + 2)
    assert table.schema["mark"] == pl.String


def test_marks_set_in_the_browser_reach_python(grid, page, result):
    first, second = ids(result)[:2]
    page.set(marks={first: "unsure"}, selection=[second, first], current=second)
    assert grid.marks == {first: "unsure"}
    assert grid.selection == (second, first)
    assert grid.current == second
    assert grid.to_polars()["mark"].to_list()[0] == "unsure"
    assert told(page) == [], "the browser is not told what it said"


def test_a_change_in_python_reaches_the_browser(grid, page, result):
    grid.marks = grid.marks | {ids(result)[0]: "relevant"}
    assert told(page) == [{"marks": {ids(result)[0]: "relevant"}}]


@pytest.mark.parametrize(
    "change",
    [
        lambda marks: marks.__setitem__("a", "relevant"),
        lambda marks: marks.update(a="relevant"),
        lambda marks: marks.clear(),
        lambda marks: marks.pop("a"),
        lambda marks: marks.__ior__({"a": "unsure"}),
    ],
)
def test_marks_cannot_be_changed_behind_the_browsers_back(grid, result, change):
    for _ in range(2):  # none yet; some
        with pytest.raises(ConfigError, match=r"assign new ones, marks = marks \|"):
            change(grid.marks)
        grid.marks = {ids(result)[0]: "relevant"}


# ---- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("tile_px", 95, "'tile_px' trait .* should not be less than 96"),
        ("tile_px", 481, "should not be greater than 480"),
        ("tile_px", "big", "expected an int, not the str 'big'"),
        ("mask_opacity", 1.1, "should not be greater than 1"),
        ("mask_opacity", -0.1, "should not be less than 0"),
        ("min_score", float("nan"), "min_score = nan is not allowed"),
        ("order", "random", "expected any of .*'final', 'stage1'"),
        ("mask_mode", "some", "expected any of .*'best', 'all', 'none'"),
        ("panel", "left", "expected any of"),
        ("boxes", "yes", "expected a boolean"),
        ("selection", ["nope.jpg"], "selection: 'nope.jpg' is no hit of this result: choose from"),
        ("current", "nope.jpg", "current: 'nope.jpg' is no hit"),
        ("marks", {"nope.jpg": "relevant"}, "marks: 'nope.jpg' is no hit"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(grid, result, option, value, message):
    before = getattr(grid, option)
    with pytest.raises(ConfigError, match=message):
        ResultGrid(result, **{option: value})
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(grid, option, value)
    assert getattr(grid, option) == before


def test_an_unknown_mark_and_a_misspelt_id_get_the_nearest_name(grid, result):
    first = ids(result)[0]
    with pytest.raises(ConfigError, match=r"mark 'relevnt' of .* did you mean 'relevant'"):
        grid.marks = {first: "relevnt"}
    with pytest.raises(ConfigError, match="is no hit of this result: did you mean"):
        grid.selection = [first[:-1]]


@pytest.mark.parametrize("view", [ResultGrid, Inspector, StageFlow])
def test_an_unknown_option_is_refused_with_the_nearest_name(view, result):
    with pytest.raises(ConfigError, match=f"unknown option 'tile_size' of {view.__name__}: did"):
        view(result, tile_size=200)
    with pytest.raises(ConfigError, match="unknown option '_table'"):
        view(result, _table=b"")


@pytest.mark.parametrize("view", [ResultGrid, Inspector, StageFlow])
@pytest.mark.parametrize(("value", "kind"), [([], "list"), (None, "None")])
def test_only_results_are_shown(view, value, kind):
    with pytest.raises(ConfigError, match=f"a view shows a SearchResult, got {kind}"):
        view(value)


def test_a_misspelt_attribute_is_refused_with_the_nearest_name(grid, result):
    with pytest.raises(ConfigError, match="ResultGrid has no 'mark': did you mean 'marks'"):
        grid.mark = {ids(result)[0]: "relevant"}
    with pytest.raises(ConfigError, match=r"'tile_px' trait .* should not be less than 96"):
        grid.tile_px = 3


def test_what_does_not_fit_from_the_browser_goes_back_corrected(grid, page, result):
    first = ids(result)[0]
    grid.marks = {first: "relevant"}
    page.set(marks={"gone.jpg": "relevant"}, boxes=False)
    assert grid.marks == {first: "relevant"}
    assert told(page)[-1]["marks"] == {first: "relevant"}
    page.set(tile_px=9999)
    assert grid.tile_px == 192
    assert told(page)[-1] == {"tile_px": 192}


def test_missing_built_files_say_what_to_run(result, static):
    (static / built.SCRIPT).unlink()
    with pytest.raises(ConfigError, match=r"'matir.js' has not been built: run `make static`"):
        ResultGrid(result)


# ---- requests ------------------------------------------------------------------------------


def test_tiles_come_as_jpeg_from_a_worker(grid, page, result, source):
    job = page.ask("tiles", result=result_id(result), rows=[0, 2], side=32, regions=True)
    reply = page.reply(job)
    assert reply.content["ok"]
    tiles = reply.content["body"]["tiles"]
    assert [tile["row"] for tile in tiles] == [0, 2]
    assert [tile["buffer"] for tile in tiles] == [0, 1]
    assert tiles[0]["regions"][0]["size"] == [24, 32]
    assert [bytes(buffer[:2]) for buffer in reply.buffers] == [b"\xff\xd8"] * 2
    assert get_ident() not in source.threads
    json.dumps(reply.content)


def test_thumbnails_are_made_once(page, result, source):
    for _ in range(2):
        page.reply(page.ask("tiles", result=result_id(result), rows=[0], side=32, regions=False))
    assert source.n_loaded == 1


def test_details_and_the_picture_of_a_hit(page, result):
    wire_id = result_id(result)
    details = page.reply(page.ask("inspect", result=wire_id, row=1, side=512)).content["body"]
    assert details["image_id"] == result.hits[1].image_id
    assert details["regions"][0]["score"] == pytest.approx(0.31)
    picture = page.reply(page.ask("image", result=wire_id, row=1, side=1024))
    assert picture.content["body"]["buffer"] == 0
    assert bytes(picture.buffers[0][:2]) == b"\xff\xd8"


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("tiles", {"result": "0ld", "rows": [0], "side": 32, "regions": False}, "not shown any"),
        ("tiles", {"rows": [0], "side": 32, "regions": False}, "needs 'result': text"),
        ("tiles", {"result": None, "rows": [99], "side": 32, "regions": False}, "row 99 is not"),
        ("tiles", {"result": None, "rows": [0], "side": 9999, "regions": False}, "side = 9999"),
        ("tiles", {"result": None, "rows": [0] * 61, "side": 32, "regions": False}, "61 tiles"),
        ("image", {"result": None, "row": "0", "side": 32}, "row = '0' is not allowed"),
        ("search", {"query": "a"}, "unknown kind of request 'search'"),
    ],
)
def test_a_wrong_request_is_answered_with_the_reason(grid, page, result, kind, fields, message):
    if "result" in fields and fields["result"] is None:
        fields = fields | {"result": result_id(result)}
    reply = page.reply(page.ask(kind, **fields))
    assert reply.content["ok"] is False
    assert message in reply.content["error"]
    assert grid.last_error is None


def test_an_unforeseen_error_is_shown_short_and_kept_long(grid, page, result, source, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(source, "load_image", fail)
    reply = page.reply(page.ask("image", result=result_id(result), row=0, side=64))
    assert reply.content["error"] == "internal error: RuntimeError: disk on fire"
    assert "in fail" in grid.last_error


def test_a_result_without_pictures_says_how_to_get_them():
    result = make_result(2)
    page = Page(ResultGrid(result))
    reply = page.reply(page.ask("image", result=result_id(result), row=0, side=64))
    assert "with_source" in reply.content["body"]["error"]


def test_closing_ends_the_view_and_can_be_repeated(grid, page, result):
    page.reply(page.ask("image", result=result_id(result), row=0, side=64))
    grid.close()
    grid.close()
    assert grid.comm is None
    assert len(grid.to_polars()) == 6


# ---- state and static view -----------------------------------------------------------------


def views(result):
    grid = ResultGrid(result)
    return [grid, Inspector(result, 2, grid=grid), StageFlow(result, grid)]


def test_no_trait_holds_an_absolute_path(tmp_path, static):
    index = tmp_path / "secret place" / "scenes.matir"
    result = make_result(4, source=FakeSource())
    shown = [*views(result), SearchBox(indexes={"scenes": index})]
    for view in shown:
        texts = json.dumps(view.get_state(), default=lambda raw: raw.decode("latin-1"))
        for secret in (str(tmp_path), "secret place", str(static)):
            assert secret not in texts


@pytest.mark.parametrize("view", [ResultGrid, Inspector, StageFlow, SearchBox])
def test_every_trait_is_explained(view):
    own = set(view.class_traits(sync=True)) - set(anywidget.AnyWidget.class_traits(sync=True))
    assert {"selection", "marks", "tile_px", "_table"} <= own
    for name in own:
        assert view.class_traits()[name].help, name


def test_the_state_is_plain_json_but_for_the_table(grid, result):
    grid.marks, grid.selection = {ids(result)[0]: "unsure"}, ids(result)[:2]
    state = grid.get_state()
    assert state["_kind"] == "grid"
    assert isinstance(state.pop("_table"), bytes)
    back = json.loads(json.dumps(state))
    assert back["marks"] == {ids(result)[0]: "unsure"}
    assert back["selection"] == ids(result)[:2]


@pytest.mark.parametrize(("make", "n_shown"), [(0, 6), (1, 1), (2, 6)])
def test_the_bundle_has_a_view_and_its_content_without_a_kernel(result, make, n_shown):
    view = views(result)[make]
    data, _ = view._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    for text in (data["text/html"], data["text/plain"]):
        assert [image_id in text for image_id in ids(result)].count(True) == n_shown
    assert "style" not in data["text/html"].replace(PRE, "")


def test_without_a_kernel_each_view_says_its_own(result):
    grid, inspector, flow = views(result)
    inspector.current = ids(result)[2]
    texts = [view._repr_mimebundle_()[0]["text/plain"] for view in (grid, inspector, flow)]
    assert texts[0] == as_text(result)
    assert texts[1] == hit_text(result, 3, with_regions=False)
    assert texts[2].endswith(flow_text(result))
    assert "regions:" not in texts[1]


def test_hostile_text_without_a_kernel_stays_text():
    result = make_result(2)
    second = replace(result.hits[1], image_id="<img src=x>\x1b[31m")
    for view in views(replace(result, hits=(result.hits[0], second))):
        html = view._repr_mimebundle_()[0]["text/html"]
        assert "<img" not in html
        assert "&lt;img src=x&gt;" in html


def test_a_long_table_says_how_much_is_left_out():
    result = make_result(1000)
    data, _ = ResultGrid(result)._repr_mimebundle_()
    for text in (data["text/html"], data["text/plain"]):
        assert result.hits[23].image_id in text
        assert result.hits[24].image_id not in text
        assert "and 976 more: result.to_polars()" in text
        assert len(text) < 12_000


def test_hostile_names_are_text():
    result = make_result(query="<b>bold</b>", image_ids=HOSTILE)
    grid = ResultGrid(result)
    grid.selection = HOSTILE
    grid.marks = dict.fromkeys(HOSTILE, "unsure")
    data, _ = grid._repr_mimebundle_()
    for bad in ("<img", "<script", "<b>"):
        assert bad not in data["text/html"]
    assert "\x1b" not in data["text/plain"]
    assert grid.to_polars()["image_id"].to_list() == HOSTILE


def test_the_repr_is_one_line(grid, result):
    grid.selection = ids(result)[:2]
    grid.marks = {ids(result)[0]: "unsure"}
    assert repr(grid) == "ResultGrid('a dog without a leash', 6 hits, 2 selected, 1 marked)"


# ---- loading -------------------------------------------------------------------------------


def test_importing_the_views_needs_neither_torch_nor_built_files(tmp_path):
    code = """
import sys
from pathlib import Path
is_file = Path.is_file
Path.is_file = lambda self: is_file(self) and "static" not in self.parts
import matir_nb.widgets
assert not {"anywidget", "torch"} & set(sys.modules)
import matir_nb.widgets.grid, matir_nb.widgets.inspector, matir_nb.widgets.flow
import matir_nb.widgets.search_box, matir_nb.widgets.display
print(sorted({"torch", "faiss", "transformers"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_no_file_is_watched_unless_asked_for(result, monkeypatch):
    monkeypatch.delenv("ANYWIDGET_HMR", raising=False)
    monkeypatch.setattr("anywidget._util.try_file_contents", None)
    ResultGrid(result)


def test_a_new_build_reaches_open_views_in_development(result, monkeypatch):
    made = []

    def remember(path):
        contents = VirtualFileContents(path.read_text(encoding="utf-8"))
        made.append(contents)
        return contents

    from anywidget._file_contents import VirtualFileContents

    monkeypatch.setenv("ANYWIDGET_HMR", "1")
    monkeypatch.setattr("anywidget._util.try_file_contents", remember)
    grid = ResultGrid(result)
    made[0].contents = "export default { render() { /* new */ } };"
    assert "new" in grid._esm
    assert Page(grid).updates() == [{"_esm": made[0].contents}]


def test_the_names_used_here_are_long_enough_to_be_realistic():
    assert {len(name) for name in names(1000)} == {24}
    assert len(set(names(1000))) == 1000
