"""JupyterLab itself: the tutorial is opened, run and used; then its kernel dies, then the page.

The tests use one page one after the other, as a reader would.
"""

import shutil

import pytest
from conftest import OUTPUT, REPOSITORY, WIDE, Watch
from lab import ask, run_all, running_lab
from playwright.sync_api import expect

TUTORIAL = "01_quickstart.ipynb"
FOUND = "result = %matir search a small striped ring"
GRID = "grid = result.grid("
BANNER = "kernel does not answer"


@pytest.fixture(scope="module")
def tutorial(chromium, static, tmp_path_factory):
    """A page with the tutorial, run from top to bottom."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    shutil.copy(REPOSITORY / "notebooks" / TUTORIAL, folder / "notebooks")
    context = chromium.new_context(viewport=WIDE)
    page = context.new_page()
    watch = Watch()
    watch.follow(page)
    with running_lab(folder / "notebooks", folder / "own") as lab:
        lab.open(page, TUTORIAL)
        errors = run_all(page)
        page.screenshot(path=OUTPUT / "lab-run.png")
        assert errors == []
        yield page
        context.close()
    assert watch.requests == []


def cell_with(page, source):
    """Return the code cell that begins with `source`, scrolled into view."""
    number = page.evaluate(
        """source => [...globalThis.panel.content.widgets]
            .findIndex(cell => cell.model.sharedModel.getSource().startsWith(source))""",
        source,
    )
    assert number >= 0, f"the tutorial has no cell {source!r}"
    found = page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')
    if found.count() == 0:
        found = page.locator(".jp-Notebook .jp-Cell").nth(number)
    found.scroll_into_view_if_needed()
    return found


def n_cells(page):
    return page.evaluate("globalThis.panel.model.cells.length")


def test_the_grid_is_there_and_hides_its_static_picture(tutorial):
    found = cell_with(tutorial, FOUND)
    expect(found.locator(".matir-loaded img").first).to_be_visible()
    expect(found.locator(".matir-painted").first).to_be_visible()
    preview = found.locator(".jp-RenderedImage img")
    expect(preview).to_have_count(1)
    expect(preview).to_be_hidden()
    tutorial.screenshot(path=OUTPUT / "lab-light.png")
    for theme, name in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        tutorial.evaluate(
            "theme => globalThis.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            theme,
        )
        is_light = str(name == "light").lower()
        body = tutorial.locator(f'body[data-jp-theme-light="{is_light}"]')
        expect(body).to_be_attached()
        expect(tutorial.locator("#jupyterlab-splash")).to_have_count(0)
        tutorial.screenshot(path=OUTPUT / f"lab-{name}.png")


def test_masks_and_selection_reach_the_kernel(tutorial):
    grid = cell_with(tutorial, GRID).locator(".matir-grid")
    expect(grid.locator(".matir-loaded img").first).to_be_visible()
    expect(cell_with(tutorial, GRID).locator(".jp-RenderedImage img")).to_be_hidden()
    grid.get_by_role("radiogroup", name="masks").get_by_label("none").check()
    assert ask(tutorial, "grid.mask_mode") == "none"
    grid.locator('.matir-tile[data-row="1"]').click()
    wanted = ask(tutorial, "result.hits[1].image_id")
    assert ask(tutorial, "list(grid.selection)") == [wanted]
    assert ask(tutorial, "grid.to_polars()['is_selected'].to_list()[:3]") == [False, True, False]
    tutorial.evaluate(
        """() => globalThis.panel.sessionContext.session.kernel.requestExecute(
            {code: "grid.mask_mode = 'all'", store_history: false}).done.then(() => null)"""
    )
    expect(grid).to_have_attribute("data-masks", "all")


def test_the_inspector_shows_the_kernels_numbers(tutorial):
    grid = cell_with(tutorial, GRID).locator(".matir-grid")
    grid.locator('.matir-tile[data-row="0"]').dblclick()
    panel = grid.locator(".matir-inspector")
    expect(panel.get_by_role("heading", level=2)).to_contain_text(
        ask(tutorial, "result.hits[0].image_id")
    )
    expect(panel.locator(".matir-answer")).to_have_text(ask(tutorial, "result.hits[0].answer"))
    score = f"{ask(tutorial, 'result.hits[0].final_score'):.3f}".replace("-", "−")
    expect(panel.locator(".matir-path")).to_contain_text(score)
    assert ask(tutorial, "[grid.panel, grid.current]") == [
        "inspector",
        ask(tutorial, "result.hits[0].image_id"),
    ]
    tutorial.screenshot(path=OUTPUT / "lab-inspector.png")
    tutorial.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_keys_in_a_widget_are_no_shortcuts_of_the_notebook(tutorial):
    before = n_cells(tutorial)
    output = cell_with(tutorial, GRID)
    window = output.locator(".matir-window")
    window.focus()
    for key in ("Home", "ArrowDown", "b", "a", "d", "d", "m", "x", "z", "c", "v", "1", "2", "r"):
        tutorial.keyboard.press(key)
    expect(window).to_be_focused()
    assert n_cells(tutorial) == before
    output.get_by_role("button", name="Keys").focus()
    for key in ("a", "b", "d", "d"):
        tutorial.keyboard.press(key)
    assert n_cells(tutorial) == before
    assert ask(tutorial, "list(grid.marks.values())[-1]") == "relevant"


def test_a_restarted_kernel_is_said_and_what_was_loaded_stays(tutorial):
    found = cell_with(tutorial, FOUND)
    grid = found.locator(".matir-grid")
    tutorial.evaluate(
        """async () => {
            const {session} = globalThis.panel.sessionContext;
            await session.kernel.restart();
            await session.kernel.info;
        }"""
    )
    assert ask(tutorial, "'result' in dir()") is False
    grid.locator('.matir-tile[data-row="2"]').dblclick()
    alert = found.get_by_role("alert").first
    expect(alert).to_contain_text(BANNER, timeout=20_000)
    n_tiles = grid.locator(".matir-tile").count()
    assert grid.locator(".matir-loaded img").count() == n_tiles > 4
    tile = grid.locator('.matir-tile[data-row="2"]')
    expect(tile).to_have_attribute("aria-selected", "true")
    tutorial.screenshot(path=OUTPUT / "lab-dead-kernel.png")


def test_a_reopened_notebook_shows_the_static_picture(tutorial):
    tutorial.evaluate("globalThis.jupyterapp.commands.execute('docmanager:save')")
    tutorial.reload()
    tutorial.wait_for_function("globalThis.jupyterapp?.shell.currentWidget?.sessionContext")
    tutorial.evaluate(
        """async () => {
            const app = globalThis.jupyterapp;
            await app.restored;
            globalThis.panel = app.shell.currentWidget;
            await globalThis.panel.revealed;
        }"""
    )
    preview = cell_with(tutorial, FOUND).locator(".jp-RenderedImage img")
    expect(preview).to_be_visible()
    expect(preview).not_to_have_js_property("naturalWidth", 0)
    size = preview.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert min(size) > 200
    tutorial.screenshot(path=OUTPUT / "lab-reopened.png")
