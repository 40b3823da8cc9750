"""The page that `SearchResult.to_html` writes: opened as a file, without a server or kernel."""

import csv
import io

import pytest
from conftest import OUTPUT, axe_violations, set_theme, watched_page
from playwright.sync_api import expect


@pytest.fixture
def open_file(chromium, static, request, tmp_path):
    """Return a function that writes a result's page and opens it from the disk."""
    with watched_page(chromium, request) as page:

        def show(result):
            path = result.to_html(tmp_path / "findings.html")
            page.goto(path.as_uri())
            expect(page.locator(".matir-loaded img").first).to_be_visible()
            return page

        yield show


def test_grid_inspector_and_flow_work_without_a_kernel(open_file, result):
    page = open_file(result)
    expect(page.locator(".matir-counts").first).to_contain_text(f"of {len(result)} hits")
    page.locator(".matir-tile").first.dblclick()
    inspector = page.locator(".matir-inspector")
    expect(inspector.get_by_role("heading", level=2)).to_contain_text(result.hits[0].image_id)
    expect(inspector.locator(".matir-answer")).to_have_text(result.hits[0].answer)
    expect(inspector.locator("table.matir-terms")).to_have_count(2)
    page.get_by_role("button", name="Flow").click()
    expect(page.locator(".matir-flow-base").first).to_be_attached()
    page.get_by_role("radiogroup", name="order").get_by_label("stage 1").check()
    expect(page.locator(".matir-grid")).to_have_attribute("data-order", "stage1")
    for theme in ("light", "dark"):
        set_theme(page, theme)
        page.screenshot(path=OUTPUT / f"page-{theme}.png", animations="disabled")


def test_explanations_work_without_a_kernel(open_file, result):
    page = open_file(result)
    page.locator(".matir-tile").first.dblclick()
    root = page.locator(".matir-inspector")
    first, second = result.hits[:2]
    expect(root.locator(".matir-ledger tfoot td").last).to_have_text(f"{first.final_score:.3f}")
    expect(root.locator(".matir-null")).to_contain_text("unrelated phrases in this picture")
    root.get_by_text("Why above #2?").click()
    gap = first.final_score - second.final_score
    expect(root.locator(".matir-why tfoot td").last).to_have_text(f"{gap:.3f}")
    root.get_by_text("Words × regions").click()
    words = root.locator(".matir-heat tbody").get_by_role("button")
    assert words.all_inner_texts() == list(result.words(1).words)
    root.locator(".matir-chosen-row").get_by_role("button").click()
    root.get_by_role("button", name="Without region").click()
    expect(root.locator(".matir-without")).to_contain_text("open the result in one")


def test_marks_leave_as_a_file(open_file, result, tmp_path):
    page = open_file(result)
    page.get_by_role("grid").focus()
    for key in ("Home", "r", "ArrowRight", "n"):
        page.keyboard.press(key)
    expect(page.locator(".matir-mark-count")).to_have_text("2 marks")
    with page.expect_download() as started:
        page.get_by_role("button", name="Save marks as CSV").click()
    started.value.save_as(tmp_path / "marks.csv")
    text = (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    found = {row["image_id"]: row["mark"] for row in rows}
    wanted = {result.hits[0].image_id: "relevant", result.hits[1].image_id: "not relevant"}
    assert {image: mark for image, mark in found.items() if mark} == wanted


def test_hostile_text_stays_text(open_file, hostile_engine, hostile_names):
    result = hostile_engine.search('red <img src=x onerror="globalThis.pwned=1">', k=12)
    page = open_file(result)
    for name in hostile_names:
        tile = page.locator(f'.matir-tile[title="{name.replace(chr(34), chr(92) + chr(34))}"]')
        expect(tile).to_have_count(1)
    page.locator(".matir-tile").first.dblclick()
    expect(page.locator(".matir-answer")).to_have_text(result.hits[0].answer)
    n_scripts = page.evaluate("document.querySelectorAll('script').length")
    assert n_scripts == 2
    assert page.locator("[onerror]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_against_wcag_a_and_aa(open_file, result, theme):
    page = open_file(result)
    set_theme(page, theme)
    page.locator(".matir-tile").first.dblclick()
    expect(page.locator("table.matir-terms")).to_have_count(2)
    assert axe_violations(page) == []
