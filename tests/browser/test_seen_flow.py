import pytest
from playwright.sync_api import expect

from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid


@pytest.fixture
def grid(bridge, result):
    return ResultGrid(result)


@pytest.fixture
def flow(result, grid):
    return StageFlow(result, grid)


@pytest.fixture
def root(show, flow):
    root = show(flow)
    expect(root.locator(".matir-flow-base").first).to_be_attached()
    return root


def test_every_hit_has_a_line_and_every_stage_its_seconds(root, result, picture):
    n_lines = root.locator(".matir-flow-chart .matir-flow-base").evaluate_all(
        "paths => paths.map(p => (p.getAttribute('d').match(/M/g) ?? []).length)"
    )
    assert sum(n_lines) == len(result)
    ups = sum(h.stage1_rank > h.rank for h in result.hits)
    expect(root.locator(".matir-flow-legend").first).to_contain_text(f"moved up {ups}")
    text = root.inner_text()
    for stage in result.provenance.seconds:
        assert stage in text
    picture("flow")


def test_a_click_on_a_line_selects_it_in_the_linked_grid(page, root, result, flow, grid, show):
    tiles = show(grid)
    wanted = result.hits[4]
    label = root.locator(".matir-flow-label").filter(has_text=wanted.image_id)
    box = label.bounding_box()
    page.mouse.move(box["x"] - 6, box["y"] + box["height"] / 2)
    expect(root.get_by_role("option")).to_contain_text(wanted.image_id)
    page.mouse.down()
    page.mouse.up()
    expect(tiles.locator(f'.matir-tile[data-row="{wanted.rank - 1}"]')).to_have_attribute(
        "aria-selected", "true"
    )
    assert grid.selection == flow.selection == (wanted.image_id,)


def test_the_keyboard_walks_along_the_lines(page, root, result, flow, eventually):
    root.get_by_role("listbox").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(root.get_by_role("option")).to_contain_text(result.hits[2].image_id)
    page.keyboard.press("Enter")
    eventually(lambda: flow.selection == (result.hits[2].image_id,))
    assert flow.current == result.hits[2].image_id


def test_it_stands_beside_the_grid(page, grid, show, eventually, picture):
    root = show(grid)
    root.get_by_role("button", name="Flow").click()
    expect(root.locator(".matir-panel .matir-flow-base").first).to_be_attached()
    eventually(lambda: grid.panel == "flow")
    picture("grid-flow")
