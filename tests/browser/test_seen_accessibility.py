"""axe-core finds nothing against WCAG 2.2 A and AA; everything can be reached by keyboard."""

import pytest
from conftest import axe_violations, set_theme
from playwright.sync_api import expect

from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.search_box import SearchBox

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


@THEMES
def test_grid(page, result, show, theme):
    grid = ResultGrid(result, marks={result.hits[0].image_id: "relevant"})
    grid.selection = [result.hits[1].image_id]
    grid.current = result.hits[1].image_id
    root = show(grid)
    expect(root.locator(".matir-loaded img").first).to_be_visible()
    set_theme(page, theme)
    assert axe_violations(page) == []
    root.get_by_role("button", name="Keys").click()
    assert axe_violations(page) == []


@THEMES
@pytest.mark.parametrize("panel", ["inspector", "flow"])
def test_grid_with_a_panel(page, result, show, theme, panel):
    root = show(ResultGrid(result, panel=panel, current=result.hits[0].image_id))
    inside = "table.matir-terms" if panel == "inspector" else ".matir-flow-base"
    expect(root.locator(f".matir-panel {inside}").first).to_be_attached()
    set_theme(page, theme)
    assert axe_violations(page) == []


@THEMES
def test_inspector(page, result, show, theme):
    root = show(Inspector(result))
    expect(root.locator("table.matir-terms")).to_have_count(2)
    set_theme(page, theme)
    assert axe_violations(page) == []


@THEMES
def test_inspector_with_every_explanation(page, result, show, theme):
    root = show(Inspector(result))
    expect(root.locator("table.matir-terms")).to_have_count(2)
    for fold in root.locator("details.matir-fold summary").all():
        fold.click()
    expect(root.locator(".matir-heat table")).to_be_visible()
    expect(root.locator(".matir-why table")).to_be_visible()
    root.locator(".matir-heat tbody").get_by_role("button").first.click()
    root.locator(".matir-chosen-row").get_by_role("button").click()
    root.get_by_role("button", name="Without region").click()
    expect(root.locator(".matir-without q")).to_be_visible()
    set_theme(page, theme)
    assert axe_violations(page) == []


@THEMES
def test_flow(page, result, show, theme):
    root = show(StageFlow(result))
    expect(root.locator(".matir-flow-base").first).to_be_attached()
    set_theme(page, theme)
    assert axe_violations(page) == []


@THEMES
def test_search(page, engine, show, theme):
    box = SearchBox(engine)
    root = show(box)
    set_theme(page, theme)
    assert axe_violations(page) == []
    root.get_by_role("textbox", name="Query").fill("red circle")
    root.get_by_role("button", name="Search", exact=True).click()
    expect(root.locator(".matir-loaded img").first).to_be_visible()
    assert axe_violations(page) == []


def test_a_violation_would_be_found(page):
    page.evaluate(
        """() => {
            document.querySelector("main").innerHTML =
                '<img src="data:,"><p style="color: #ccc; background: #fff">too pale to read</p>';
        }"""
    )
    found = "\n".join(axe_violations(page))
    assert "image-alt" in found
    assert "color-contrast" in found


def test_the_tab_key_reaches_every_part_of_the_grid_and_leaves_it(page, result, show):
    root = show(ResultGrid(result, panel="inspector"))
    expect(root.locator("table.matir-terms")).to_have_count(2)
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        where = page.evaluate(
            """() => {
                const part = document.activeElement.closest(
                    ".matir-toolbar, .matir-window, .matir-lens, .matir-panel");
                return part === null ? "outside" : part.className.split(" ")[0];
            }"""
        )
        seen.add(where)
        if where == "outside" and len(seen) > 1:
            break
    assert seen >= {"matir-toolbar", "matir-window", "matir-lens", "matir-panel", "outside"}


def test_what_has_the_focus_can_be_seen(page, result, show):
    root = show(ResultGrid(result))
    grid = root.get_by_role("grid")
    grid.focus()
    page.keyboard.press("ArrowRight")
    style = """el => { const s = getComputedStyle(el);
        return `${s.outlineStyle} ${s.outlineWidth} ${s.boxShadow}`; }"""
    current = root.locator(".matir-current")
    assert {grid.evaluate(style), current.evaluate(style)} != {"none 0px none"}
