"""Two results side by side in Chromium."""

import json
import re
from base64 import b64encode
from dataclasses import replace

import pytest
from conftest import axe_violations, set_theme
from playwright.sync_api import expect

from matir_nb.results import SearchResult

LOADED = ".matir-frame.matir-loaded img"
K = 24


@pytest.fixture
def results(bridge, engine):
    return engine.search("red circle", k=K), engine.search("blue circle", k=K)


@pytest.fixture
def view(results):
    a, b = results
    return a.compare(b).view(tile_px=128)


@pytest.fixture
def root(show, view):
    root = show(view)
    expect(side(root, "A").locator(LOADED).nth(2)).to_be_visible()
    expect(side(root, "B").locator(LOADED).nth(2)).to_be_visible()
    return root


def side(root, name):
    return root.get_by_role("region", name=f"Result {name}")


def tile_of(part, rank):
    return part.locator(f'.matir-tile[data-row="{rank - 1}"]')


def shown(part):
    """Return the ranks of the tiles in the document that are shown."""
    return part.locator(".matir-tile").evaluate_all(
        "tiles => tiles.filter(t => t.checkVisibility()).map(t => Number(t.dataset.row) + 1)"
    )


def ids_of(frame, column="image_id"):
    return frame[column].to_list()


def test_both_grids_show_their_own_hits(root, view, picture):
    kept = next(row for row in view.comparison.moved.iter_rows(named=True) if row["rank_a"] <= 6)
    view.current = kept["image_id"]
    for name, result in (("A", view.result), ("B", view.result_b)):
        part = side(root, name)
        hit = result.hits[0]
        expect(part.get_by_role("grid")).to_have_accessible_name(f"Hits for {result.query}")
        label = re.compile(f"^rank 1, score {hit.final_score:.3f}, {re.escape(hit.image_id)}, ")
        expect(tile_of(part, 1)).to_have_accessible_name(label)
        expect(part.locator(".matir-side-name")).to_contain_text("judge moving-judge")
    expect(root.locator(".matir-title").first).to_have_text("A: red circle → B: blue circle")
    summary = view.comparison.summary
    expect(root.locator(".matir-measures")).to_contain_text(f"RBO {summary['rbo']:.3f}")
    expect(root.locator(".matir-measures")).to_contain_text(
        f"{summary['rbo_least']:.2f}–{summary['rbo_highest']:.2f}"
    )
    overlap = f"overlap@10 {summary['overlap_at_10']:.3f}"
    expect(root.locator(".matir-measures")).to_contain_text(overlap)
    picture("compare")


def test_counts_are_pythons(root, view):
    summary = view.comparison.summary
    assert summary["n_entered"] > 0
    assert summary["n_kept"] > 1
    show = root.get_by_role("radiogroup", name="show")
    n_all = view.comparison.to_polars().height
    wanted = {"all": n_all} | {name: summary[f"n_{name}"] for name in ("kept", "entered", "left")}
    for name, n in (wanted | {"moved": summary["n_moved"]}).items():
        expect(show.get_by_text(f"{name} {n}", exact=True)).to_be_visible()
    frame = view.comparison.to_polars()
    n_up, n_down = ((frame["moved"] > 0).sum(), (frame["moved"] < 0).sum())
    label = root.locator(".matir-compare-ranks").get_attribute("aria-label")
    assert f"{n_up} up, {n_down} down" in label
    assert f"{summary['n_entered']} entered, {summary['n_left']} left" in label
    n_lines = root.locator(".matir-compare-ranks > svg .matir-flow-base").evaluate_all(
        "paths => paths.map(p => (p.getAttribute('d').match(/M/g) ?? []).length)"
    )
    assert sum(n_lines) == n_all


def test_an_image_picked_in_one_grid_is_picked_in_the_other(root, view, eventually):
    row = view.comparison.to_polars().filter(state="kept").row(0, named=True)
    image_id = row["image_id"]
    tile_of(side(root, "A"), row["rank_a"]).click()
    expect(tile_of(side(root, "B"), row["rank_b"])).to_have_attribute("aria-selected", "true")
    expect(tile_of(side(root, "B"), row["rank_b"])).to_have_class(re.compile("matir-current"))
    eventually(lambda: view.selection == (image_id,) and view.current == image_id)
    told = root.locator(".matir-compare-told")
    expect(told).to_contain_text(
        f"{image_id}: rank {row['rank_a']} in A, rank {row['rank_b']} in B"
    )
    if row["same_region"] is not None:
        expect(told).to_contain_text("the same region" if row["same_region"] else "another region")
    (hit,) = view.selected
    assert hit.rank == row["rank_a"]


def test_marks_by_keyboard_reach_both_and_python(page, root, view, eventually):
    entered = view.comparison.entered.row(0, named=True)
    tile_of(side(root, "B"), entered["rank_b"]).click()
    page.keyboard.press("r")
    eventually(lambda: dict(view.marks) == {entered["image_id"]: "relevant"})
    kept = view.comparison.to_polars().filter(state="kept").row(0, named=True)
    tile_of(side(root, "A"), kept["rank_a"]).click()
    page.keyboard.press("n")
    eventually(lambda: view.marks.get(kept["image_id"]) == "not relevant")
    expect(tile_of(side(root, "B"), kept["rank_b"]).locator(".matir-mark")).to_have_text(
        "✕ not relevant"
    )
    marks = dict(view.to_polars().select("image_id", "mark").drop_nulls().iter_rows())
    assert marks == dict(view.marks)


def test_tiles_say_where_the_image_stands_in_the_other(root, view):
    row = view.comparison.moved.sort("rank_b").row(0, named=True)
    sign = "▲" if row["moved"] > 0 else "▼"
    words = f"A #{row['rank_a']} {sign}{abs(row['moved'])}"
    expect(tile_of(side(root, "B"), row["rank_b"])).to_have_attribute("data-other", words)
    new = view.comparison.entered.row(0, named=True)
    expect(tile_of(side(root, "B"), new["rank_b"])).to_have_attribute("data-other", "not in A")


@pytest.mark.parametrize("name", ["entered", "left", "moved", "kept"])
def test_the_filter_shows_one_kind_in_both_grids(root, view, name, eventually, page):
    frame = view.comparison.to_polars()
    wanted = {
        "entered": view.comparison.entered,
        "left": view.comparison.left,
        "moved": view.comparison.moved,
        "kept": frame.filter(state="kept"),
    }[name]
    part = root.get_by_role("radiogroup", name="show")
    part.get_by_role("radio", name=re.compile(f"^{name} ")).check()
    for grid in ("A", "B"):
        ranks = sorted(wanted[f"rank_{grid.lower()}"].drop_nulls().to_list())
        here = side(root, grid)
        if not ranks:
            expect(here.locator(".matir-empty")).to_contain_text("The filters hide all")
            expect(here.get_by_role("button", name="Show all hits")).to_be_hidden()
            continue
        expect(here.locator(".matir-counts").nth(1)).to_contain_text(f"of {len(ranks)} hit")
        page.wait_for_timeout(500)
        seen = shown(here)
        assert set(seen) <= set(ranks)
        assert set(seen) >= set(ranks[:3])
    n_lines = root.locator(".matir-compare-ranks > svg .matir-flow-base").evaluate_all(
        "paths => paths.map(p => (p.getAttribute('d').match(/M/g) ?? []).length)"
    )
    assert sum(n_lines) == wanted.height
    part.get_by_role("radio", name=re.compile("^all ")).check()
    expect(side(root, "A").locator(".matir-counts").nth(1)).to_contain_text(f"of {K} hits")


def test_a_click_on_a_line_picks_its_image_on_both_sides(page, root, view, eventually):
    root.get_by_role("radio", name=re.compile("^kept ")).check()
    chart = root.locator(".matir-compare-ranks")
    chart.scroll_into_view_if_needed()
    box = chart.locator("> svg").bounding_box()
    first = view.comparison.to_polars().filter(state="kept").sort("rank_a").row(0, named=True)
    top, bottom = 32, 12
    down = (first["rank_a"] - 1) / (K - 1) * (box["height"] - top - bottom)
    page.mouse.move(box["x"] + 42, box["y"] + top + down)
    expect(root.locator(".matir-compare-told")).to_contain_text(f"{first['image_id']}: rank")
    page.mouse.down()
    page.mouse.up()
    eventually(lambda: view.selection == (first["image_id"],))
    for name in ("a", "b"):
        tile = tile_of(side(root, name.upper()), first[f"rank_{name}"])
        expect(tile).to_have_attribute("aria-selected", "true")


def test_the_controls_at_the_top_hold_for_both(root, view, eventually):
    assert root.get_by_role("toolbar").count() == 1
    root.get_by_role("radiogroup", name="masks").get_by_label("none").check()
    eventually(lambda: view.mask_mode == "none")
    expect(root.locator('.matir-side .matir-grid[data-masks="none"]')).to_have_count(2)
    root.get_by_role("button", name="Inspector").click()
    eventually(lambda: view.panel == "inspector")
    expect(root.locator(".matir-side .matir-panel:visible")).to_have_count(2)


def test_narrow_the_grids_stack(page, root):
    boxes = [side(root, name).bounding_box() for name in ("A", "B")]
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=1)
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    page.set_viewport_size({"width": 420, "height": 800})
    expect(root).not_to_have_class(re.compile("matir-side-by-side"))
    boxes = [side(root, name).bounding_box() for name in ("A", "B")]
    assert boxes[0]["y"] + boxes[0]["height"] < boxes[1]["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_judging_more_on_one_side_renews_the_comparison(bridge, show, engine, eventually):
    a = engine.search("red circle", k=K, n_judged=8)
    b = engine.search("blue circle", k=K, n_judged=8)
    view = a.compare(b).view()
    before = view.comparison
    root = show(view)
    expect(side(root, "B").locator(LOADED).nth(2)).to_be_visible()
    side(root, "B").get_by_role("button", name=re.compile("^Judge .* more$")).click()
    eventually(lambda: view.comparison is not before)
    assert view.comparison.a is before.a
    assert view.comparison.b.provenance.config["n_judged_done"] > 8
    expect(root.locator(".matir-measures")).to_contain_text(f"RBO {view.comparison.rbo():.3f}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page, root, view, theme):
    view.marks = {view.result_b.hits[0].image_id: "relevant"}
    view.current = view.result.hits[1].image_id
    set_theme(page, theme)
    assert axe_violations(page) == []
    root.get_by_role("radio", name=re.compile("^entered ")).check()
    expect(side(root, "A").locator(".matir-empty")).to_be_visible()
    assert axe_violations(page) == []


def test_names_are_never_markup(page, bridge, hostile_engine, show, hostile_names):
    a = hostile_engine.search(hostile_names[0], k=8)
    b = hostile_engine.search("circle", k=8)
    root = show(a.compare(b).view())
    expect(root.locator(LOADED).nth(3)).to_be_visible()
    expect(root.locator(".matir-title").first).to_contain_text(hostile_names[0])
    assert page.locator("img[src=x]").count() == 0


def test_loaded_results_are_compared_without_pictures(tmp_path, results, show):
    loaded = []
    for i, result in enumerate(results):
        result.save(tmp_path / f"{i}.parquet")
        loaded.append(SearchResult.load(tmp_path / f"{i}.parquet"))
    root = show(loaded[0].compare(loaded[1]).view())
    expect(tile_of(side(root, "B"), 1)).to_be_visible()
    expect(side(root, "B")).to_contain_text("came without its pictures")


def test_the_saved_state_stays_small(results):
    a, b = (one_of_a_thousand(result) for result in results)
    state = a.compare(b).view().get_state()
    size = len(json.dumps(state, default=lambda raw: b64encode(raw).decode()))
    assert size < 140_000


def one_of_a_thousand(result):
    hits = [
        replace(hit, rank=rank, image_id=f"batch_{rank % 7}/IMG_{rank * 7919 % 10**7:07}.jpg")
        for rank, hit in enumerate([*result.hits] * (1000 // K + 1), 1)
    ]
    return replace(result, hits=tuple(hits[:1000]))
