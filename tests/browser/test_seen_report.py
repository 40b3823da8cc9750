"""The page of `matir eval`, opened as a file: light and dark, wide and narrow, without scripts."""

import pytest
from conftest import NARROW, OUTPUT, WIDE, axe_violations, set_theme, watched_page

from matir_nb.evaluation.runs.page import write_pages
from tests.evaluation.runs.sample_run import ENGINE, HOSTILE, sample_run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a run whose second arm, and a query, are named to do harm."""
    run, dataset = sample_run(tmp_path_factory.mktemp("report"), second=HOSTILE)
    return write_pages(run, ENGINE, dataset)[0]


@pytest.fixture
def page(chromium, request, report):
    with watched_page(chromium, request) as page:
        page.goto(report.as_uri())
        yield page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_against_wcag_a_and_aa(page, theme):
    set_theme(page, theme)
    page.screenshot(path=OUTPUT / f"report-{theme}.png", full_page=True)
    assert axe_violations(page) == []


def test_plots_take_the_colours_of_the_theme(page):
    inks = {}
    for theme in ("light", "dark"):
        set_theme(page, theme)
        inks[theme] = page.locator("figure svg text").first.evaluate(
            "e => getComputedStyle(e).fill"
        )
    assert inks == {"light": "rgb(28, 32, 40)", "dark": "rgb(228, 230, 234)"}


def test_sheets_are_shown_and_nothing_is_wider_than_a_narrow_window(page):
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    widths = page.locator("figure img").evaluate_all("all => all.map(e => e.naturalWidth)")
    assert len(widths) == 8
    assert min(widths) > 500


def test_tables_scroll_by_keyboard_and_no_script_is_there(page):
    page.set_viewport_size(NARROW)
    regions = page.locator(".scroll")
    assert regions.count() == page.locator("table").count()
    assert {r.get_attribute("tabindex") for r in regions.all()} == {"0"}
    assert page.evaluate("document.querySelectorAll('script, [onerror], [onload]').length") == 0
