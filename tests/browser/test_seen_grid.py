import re

import pytest
from playwright.sync_api import expect

from matir_nb.widgets.grid import ResultGrid

N_SCENES = 60
LOADED = ".matir-frame.matir-loaded img"
MASK_PIXELS = """tile => [...tile.querySelectorAll(".matir-frame canvas")].reduce((n, canvas) => {
    if (!canvas.checkVisibility({opacityProperty: true, visibilityProperty: true})) return n;
    if (canvas.width === 0 || canvas.height === 0) return n;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
    return n;
}, 0)"""


@pytest.fixture
def grid(bridge, result):
    return ResultGrid(result)


@pytest.fixture
def root(show, grid):
    root = show(grid)
    expect(root.locator(LOADED).nth(5)).to_be_visible()
    return root


def tile_of(root, grid, rank):
    """Return the tile of the hit at a rank."""
    return root.locator(f'.matir-tile[data-row="{rank - 1}"]')


def shown_order(root):
    """Return the ranks of the tiles in view, as they are read."""
    return root.evaluate(
        """root => {
            const frame = root.querySelector(".matir-window").getBoundingClientRect();
            return [...root.querySelectorAll(".matir-tile")]
                .filter(tile => tile.checkVisibility())
                .map(tile => [tile, tile.getBoundingClientRect()])
                .filter(([, box]) => box.bottom > frame.top && box.top < frame.bottom)
                .sort(([, a], [, b]) => a.top - b.top || a.left - b.left)
                .map(([tile]) => Number(tile.dataset.row) + 1);
        }"""
    )


def settled(page):
    """Wait until no tile moves any more."""
    page.wait_for_function(
        """() => document.getAnimations().every(a => a.playState !== "running")"""
    )


def test_tiles_show_pictures_masks_boxes_and_numbers(root, grid, picture, eventually):
    hit = grid.result.hits[0]
    tile = tile_of(root, grid, 1)
    expect(tile).to_have_class(re.compile("matir-painted"))
    expect(tile.locator("img")).not_to_have_js_property("naturalWidth", 0)
    size = tile.locator("img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size[0] / size[1] == pytest.approx(hit.width / hit.height, abs=0.02)
    assert hit.mask is not None
    eventually(lambda: tile.evaluate(MASK_PIXELS) > 50)
    expect(tile.locator(".matir-judged-box")).to_be_visible()
    label = f"rank 1, score {hit.final_score:.3f}, {hit.image_id}, stage-1 rank {hit.stage1_rank}"
    kept = ", above the cut" if hit.above_cut else ""
    expect(tile).to_have_accessible_name(label + kept)
    expect(tile.locator(".matir-bar").first).to_contain_text(f"{hit.stage1_score:.2f}")
    assert shown_order(root) == sorted(shown_order(root))
    picture("grid")


def test_a_hit_without_a_place_says_so(root, grid):
    rank = next(h.rank for h in grid.result.hits if h.judged_box_xyxy is None)
    grid.current = grid.result.hits[rank - 1].image_id
    tile = tile_of(root, grid, rank)
    expect(tile.locator(".matir-badge")).to_have_text("not here")
    expect(tile.locator(".matir-judged-box")).to_be_hidden()


def test_masks_best_all_none(page, root, grid, eventually):
    rank = next(
        h.rank for h in grid.result.hits if len(grid.result.source.regions_of(h.image_id)) > 1
    )
    tile = tile_of(root, grid, rank)
    masks = root.get_by_role("radiogroup", name="masks")
    expect(tile).to_have_class(re.compile("matir-painted"))
    eventually(lambda: tile.evaluate(MASK_PIXELS) > 0)
    best = tile.evaluate(MASK_PIXELS)
    masks.get_by_label("all").check()
    eventually(lambda: grid.mask_mode == "all")
    eventually(lambda: tile.evaluate(MASK_PIXELS) > best)
    masks.get_by_label("none").check()
    eventually(lambda: grid.mask_mode == "none")
    eventually(lambda: tile.evaluate(MASK_PIXELS) == 0)
    grid.mask_mode = "best"
    eventually(lambda: tile.evaluate(MASK_PIXELS) == best)


def test_boxes_and_labels_can_be_left_out(root, grid, eventually):
    tile = tile_of(root, grid, 1)
    root.get_by_label("boxes", exact=True).uncheck()
    expect(tile.locator(".matir-judged-box")).to_be_hidden()
    eventually(lambda: grid.boxes is False)
    height = tile.bounding_box()["height"]
    root.get_by_label("labels", exact=True).uncheck()
    eventually(lambda: grid.labels is False)
    expect(tile.locator(".matir-caption")).to_be_hidden()
    assert tile.bounding_box()["height"] < height


def test_opacity_and_size_follow_their_sliders(page, root, grid, eventually):
    root.get_by_label("opacity").fill("0.2")
    eventually(lambda: grid.mask_opacity == pytest.approx(0.2))
    fill = tile_of(root, grid, 1).locator(".matir-fill")
    eventually(lambda: float(fill.evaluate("c => getComputedStyle(c).opacity")) == 0.2)
    before = tile_of(root, grid, 1).bounding_box()["width"]
    root.get_by_label("size").fill("320")
    eventually(lambda: grid.tile_px == 320)
    assert tile_of(root, grid, 1).bounding_box()["width"] > 1.3 * before


def test_the_order_of_stage_1_moves_the_tiles(page, root, grid, eventually):
    by_stage1 = [h.rank for h in sorted(grid.result.hits, key=lambda h: h.stage1_rank)]
    assert by_stage1 != sorted(by_stage1)
    root.get_by_role("radiogroup", name="order").get_by_label("stage 1").check()
    eventually(lambda: grid.order == "stage1")
    settled(page)
    seen = shown_order(root)
    assert len(seen) >= 8
    assert seen == by_stage1[: len(seen)]
    grid.order = "final"
    settled(page)
    eventually(lambda: shown_order(root)[:8] == list(range(1, 9)))


def test_filters_say_how_many_they_hide(root, grid, eventually):
    counts = root.locator(".matir-head .matir-counts").first
    expect(counts).to_contain_text(f"of {N_SCENES} hits")
    n_abstained = sum(h.judged_box_xyxy is None for h in grid.result.hits)
    assert 0 < n_abstained < N_SCENES
    root.get_by_label('hide "not here"').check()
    expect(counts).to_contain_text(f"of {N_SCENES - n_abstained} hits · {n_abstained} hidden")
    eventually(lambda: grid.hide_abstained)
    grid.hide_abstained = False
    scores = [h.final_score for h in grid.result.hits]
    grid.min_score = (scores[4] + scores[5]) / 2
    expect(counts).to_contain_text(f"of 5 hits · {N_SCENES - 5} hidden")
    grid.min_score = 1000.0
    root.get_by_role("button", name="Show all hits").click()
    eventually(lambda: grid.min_score is None)
    expect(counts).to_contain_text(f"of {N_SCENES} hits")


def test_marks_by_keyboard_reach_python(page, root, grid, eventually):
    ids = [h.image_id for h in grid.result.hits]
    root.get_by_role("grid").focus()
    for key in ("ArrowRight", "r", "ArrowRight", "Shift+N", "u"):
        page.keyboard.press(key)
    wanted = {ids[0]: "relevant", ids[1]: "not relevant", ids[2]: "unsure"}
    eventually(lambda: dict(grid.marks) == wanted)
    expect(tile_of(root, grid, 1).locator(".matir-mark")).to_have_text("✓ relevant")
    page.keyboard.press("x")
    eventually(lambda: list(grid.marks) == ids[:2])
    frame = grid.to_polars()
    assert frame["mark"].to_list()[:3] == ["relevant", "not relevant", None]


def test_selection_by_mouse_and_keyboard_reaches_python(page, root, grid, eventually):
    ids = [h.image_id for h in grid.result.hits]
    tile_of(root, grid, 2).click()
    eventually(lambda: grid.selection == (ids[1],))
    tile_of(root, grid, 4).click(modifiers=["Shift"])
    eventually(lambda: set(grid.selection) == set(ids[1:4]))
    tile_of(root, grid, 3).click(modifiers=["Control"])
    eventually(lambda: set(grid.selection) == {ids[1], ids[3]})
    assert {hit.rank for hit in grid.selected} == {2, 4}
    page.keyboard.press("Control+a")
    eventually(lambda: set(grid.selection) == set(ids))
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    eventually(lambda: set(grid.selection) == set(ids[1:]))
    grid.selection = ()
    expect(root.locator('.matir-tile[aria-selected="true"]')).to_have_count(0)


def test_keys_toggle_what_the_toolbar_does(page, root, grid, eventually):
    root.get_by_role("grid").focus()
    page.keyboard.press("m")
    eventually(lambda: grid.mask_mode == "all")
    page.keyboard.press("b")
    eventually(lambda: grid.boxes is False)
    page.keyboard.press("1")
    eventually(lambda: grid.order == "stage1")
    page.keyboard.press("+")
    eventually(lambda: grid.tile_px > 192)
    page.keyboard.press("?")
    expect(root.locator(".matir-key-help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(root.locator(".matir-key-help")).to_be_hidden()


def test_only_what_is_near_the_view_is_fetched_and_in_the_page(bridge, result, show):
    grid = ResultGrid(result, tile_px=480)
    root = show(grid)
    expect(root.locator(LOADED).nth(2)).to_be_visible()
    asked = {
        row
        for data in bridge.received
        if data.get("content", {}).get("kind") == "tiles"
        for row in data["content"]["rows"]
    }
    assert 0 < len(asked) < N_SCENES
    assert root.locator(".matir-tile").count() < N_SCENES
    grid.current = grid.result.hits[-1].image_id
    last = tile_of(root, grid, N_SCENES)
    expect(last).to_be_in_viewport()
    expect(last.locator(LOADED)).to_be_visible()


def test_two_views_of_one_grid_stay_in_step(page, root, grid, show, eventually):
    page.evaluate("id => host.mount(id).then(() => null)", grid.model_id)
    views = page.locator(f'[data-model="{grid.model_id}"]')
    expect(views).to_have_count(2)
    views.nth(1).locator(".matir-tile").first.click()
    eventually(lambda: grid.selection == (grid.result.hits[0].image_id,))
    expect(views.nth(0).locator('.matir-tile[aria-selected="true"]')).to_have_count(1)


def test_a_dead_kernel_is_said_and_what_was_loaded_stays(page, bridge, result, show, eventually):
    page.clock.install()
    grid = ResultGrid(result)
    root = show(grid)
    expect(root.locator(LOADED).nth(5)).to_be_visible()
    n_loaded = root.locator(LOADED).count()
    bridge.is_silent = True
    root.get_by_role("radiogroup", name="masks").get_by_label("all").check()
    page.clock.run_for(25_000)
    expect(root.get_by_role("alert")).to_contain_text("kernel does not answer")
    assert root.locator(LOADED).count() >= n_loaded
    tile_of(root, grid, 3).click()
    expect(tile_of(root, grid, 3)).to_have_attribute("aria-selected", "true")
    page.screenshot(path="tests/output/dead-kernel.png")
    bridge.is_silent = False
    root.get_by_role("radiogroup", name="masks").get_by_label("best").check()
    tile_of(root, grid, 3).dblclick()
    expect(root.get_by_role("alert")).to_be_hidden()
