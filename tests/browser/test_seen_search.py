import threading

import pytest
from conftest import MovingJudge
from fakes import OracleEncoder
from playwright.sync_api import expect

from matir_nb.opening import open_engine
from matir_nb.widgets.search_box import SearchBox


class WaitingJudge(MovingJudge):
    """Judges a few candidates at a time and waits before each until it may go on."""

    def __init__(self):
        super().__init__(model_id="waiting-judge")
        self.may_go_on = threading.Event()
        self.has_begun = threading.Event()

    def judge(self, query, inputs):
        self.has_begun.set()
        assert self.may_go_on.wait(30)
        return super().judge(query, inputs)


@pytest.fixture
def box(bridge, engine):
    return SearchBox(engine, k=24)


def ask(root, query):
    root.get_by_role("textbox", name="Query").fill(query)
    root.get_by_role("button", name="Search", exact=True).click()


def test_a_query_gives_a_grid_and_python_has_the_result(show, box, eventually, picture):
    root = show(box)
    ask(root, "red circle")
    expect(root.get_by_role("grid")).to_be_visible()
    expect(root.locator(".matir-loaded img").first).to_be_visible()
    eventually(lambda: box.result is not None and box.result.query == "red circle")
    assert len(box.result) == 24
    expect(root.locator(".matir-search-status")).to_contain_text("24 hits")
    root.locator(".matir-tile").first.click()
    eventually(lambda: box.selection == (box.result.hits[0].image_id,))
    picture("search")


def test_enter_searches_and_typing_is_no_shortcut(page, show, box, eventually):
    root = show(box)
    field = root.get_by_role("textbox", name="Query")
    field.focus()
    page.keyboard.type("a blue star, number 1")
    page.keyboard.press("Enter")
    eventually(lambda: box.result is not None)
    assert box.result.query == "a blue star, number 1"
    expect(field).to_have_value("a blue star, number 1")


def test_options_are_asked_for(show, box, eventually):
    root = show(box)
    root.get_by_label("Judge").first.select_option("none")
    root.get_by_label("Hits (k)").fill("7")
    ask(root, "green square")
    eventually(lambda: box.result is not None)
    assert len(box.result) == 7
    assert all(hit.p_relevant is None for hit in box.result.hits)


def test_an_empty_query_and_a_refused_one_are_said(show, box):
    root = show(box)
    ask(root, "  ")
    expect(root.get_by_role("alert").last).to_contain_text("query is empty")
    ask(root, "red " * 40)
    expect(root.get_by_role("alert").last).to_contain_text("40 words")
    assert box.result is None


def test_history_asks_again(show, box, eventually):
    root = show(box)
    for query in ("red circle", "blue star"):
        ask(root, query)
        eventually(lambda wanted=query: box.result is not None and box.result.query == wanted)
    eventually(lambda: [entry["query"] for entry in box.history] == ["blue star", "red circle"])
    root.get_by_text("History (2)").click()
    root.get_by_role("button", name="red circle").click()
    eventually(lambda: box.result.query == "red circle")
    eventually(lambda: [entry["query"] for entry in box.history] == ["red circle", "blue star"])
    expect(root.get_by_role("grid", name="Hits for red circle")).to_be_visible()


def test_progress_is_shown_and_cancel_ends_the_search(page, gallery, bridge, show, eventually):
    scenes, path = gallery
    judge = WaitingJudge()
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
    box = SearchBox(engine, k=12)
    root = show(box)
    ask(root, "yellow heart tiny")
    eventually(judge.has_begun.is_set)
    bars = root.get_by_role("progressbar")
    expect(bars.first).to_be_visible()
    expect(root.locator('.matir-search-steps li[data-at-work="true"]')).to_contain_text("judge")
    page.screenshot(path="tests/output/search-progress.png")
    cancel = root.get_by_role("button", name="Cancel")
    cancel.click()
    judge.may_go_on.set()
    expect(bars).to_have_count(0)
    expect(cancel).to_be_disabled()
    eventually(lambda: any(d.get("content", {}).get("kind") == "cancel" for d in bridge.received))
    eventually(lambda: box.result is not None)
    assert any(notice.startswith("cancelled") for notice in box.result.provenance.notices)
    expect(root.locator(".matir-search-status")).to_contain_text("ancelled")
    ask(root, "red circle")
    eventually(lambda: box.result is not None and box.result.query == "red circle")
