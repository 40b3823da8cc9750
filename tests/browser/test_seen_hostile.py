"""File names, queries and answers are text wherever they are shown, never markup."""

import pytest
from conftest import HOSTILE, SCRIPT
from playwright.sync_api import expect

from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.search_box import SearchBox

QUERY = f"red {HOSTILE} {SCRIPT}"


@pytest.fixture
def hostile(bridge, hostile_engine):
    return hostile_engine.search(QUERY, k=12)


def hit_named(result, name):
    return next(hit for hit in result.hits if hit.image_id == name)


def has_no_foreign_nodes(root):
    """Return whether the view made only nodes of its own."""
    return root.evaluate(
        """root => root.querySelector("script, [onerror], img[src='x'], iframe") === null
            && [...root.querySelectorAll("b")].every(b => b.textContent !== "c.png")"""
    )


def test_in_the_grid(hostile, hostile_names, show):
    grid = ResultGrid(hostile, tile_px=240)
    root = show(grid)
    expect(root.locator(".matir-title")).to_have_text(QUERY)
    for name in hostile_names:
        hit = hit_named(hostile, name)
        tile = root.locator(f'.matir-tile[data-row="{hit.rank - 1}"]')
        expect(tile.locator(".matir-name")).to_have_text(name.rpartition("/")[2])
        expect(tile).to_have_attribute("title", name)
        expect(tile.locator("img")).not_to_have_js_property("naturalWidth", 0)
    assert has_no_foreign_nodes(root)


def test_in_the_inspector(hostile, hostile_names, show):
    for name in hostile_names:
        hit = hit_named(hostile, name)
        root = show(Inspector(hostile, hit.rank))
        expect(root.get_by_role("heading", level=2)).to_have_text(f"#{hit.rank}{name}")
        expect(root.locator(".matir-query q")).to_have_text(QUERY)
        expect(root.locator(".matir-answer")).to_have_text(hit.answer)
        assert HOSTILE in hit.answer
        assert has_no_foreign_nodes(root)


def test_in_the_flow(page, hostile, hostile_names, show):
    flow = StageFlow(hostile)
    root = show(flow)
    for name in hostile_names:
        flow.current = name
        root.get_by_role("listbox").focus()
        expect(root.get_by_role("option")).to_contain_text(name[:8])
    assert has_no_foreign_nodes(root)


def test_in_the_search_box_and_its_history(hostile_engine, bridge, show, eventually):
    box = SearchBox(hostile_engine)
    root = show(box)
    root.get_by_role("textbox", name="Query").fill(QUERY)
    root.get_by_role("button", name="Search", exact=True).click()
    eventually(lambda: box.result is not None)
    root.get_by_text("History (1)").click()
    expect(root.locator(".matir-search-history bdi")).to_have_text(QUERY)
    expect(root.locator(".matir-title")).to_have_text(QUERY)
    assert has_no_foreign_nodes(root)


def test_a_name_from_right_to_left_cannot_turn_what_stands_beside_it(hostile, show):
    root = show(ResultGrid(hostile, tile_px=240))
    name = root.locator(".matir-name", has_text="gpj").first
    isolation = name.evaluate("el => getComputedStyle(el).unicodeBidi")
    assert isolation in ("isolate", "plaintext", "isolate-override")
