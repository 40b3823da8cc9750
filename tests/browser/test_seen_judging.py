"""The judge goes on in the grid; what is really seen reaches the review; the cut filters."""

import re
from dataclasses import replace
from threading import Semaphore

import pytest
from conftest import MovingJudge, axe_violations, set_theme
from fakes import OracleEncoder
from playwright.sync_api import expect

from matir_nb.opening import open_engine
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector

N_SCENES = 60
N_FIRST = 20
CHUNK = 4
LOADED = ".matir-frame.matir-loaded img"
ON_SCREEN = """root => {
    const view = root.querySelector(".matir-window").getBoundingClientRect();
    const part = (low, high, from, to) => Math.min(high, to) - Math.max(low, from);
    return [...root.querySelectorAll(".matir-tile:not(.matir-leaving)")].filter(tile => {
        const box = tile.getBoundingClientRect();
        const bottom = Math.min(view.bottom, innerHeight);
        return part(box.top, box.bottom, Math.max(view.top, 0), bottom) >= box.height / 2;
    }).map(tile => Number(tile.dataset.row)).sort((a, b) => a - b);
}"""

A_SHORT_LOOK = """(el, top) => {
    el.scrollTop = 10_000;
    setTimeout(() => { el.scrollTop = top; }, 100);
}"""


class StepJudge(MovingJudge):
    """Judges a chunk for each permit."""

    def __init__(self):
        super().__init__(model_id="step-judge")
        self.permits = Semaphore(1000)
        self.n_judged = 0

    def hold(self):
        self.permits = Semaphore(0)

    def judge(self, query, inputs):
        assert self.permits.acquire(timeout=30)
        self.n_judged += len(inputs)
        return super().judge(query, inputs)


@pytest.fixture
def judge():
    return StepJudge()


@pytest.fixture
def engine(gallery, judge, tmp_path):
    scenes, path = gallery
    judge.model_id = f"step-judge of {tmp_path.name}"
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
    judging = replace(engine.preset.judging, chunk_size=CHUNK)
    engine.preset = replace(engine.preset, judging=judging)
    return engine


@pytest.fixture
def result(engine):
    return engine.search("red circle", k=N_SCENES, n_judged=N_FIRST)


@pytest.fixture
def grid(bridge, result):
    return ResultGrid(result, judge_step=16)


@pytest.fixture
def root(show, grid):
    root = show(grid)
    expect(root.locator(LOADED).nth(5)).to_be_visible()
    return root


def foot(root):
    return root.locator(".matir-foot")


def rows_of(grid, image_ids):
    rows = {hit.image_id: row for row, hit in enumerate(grid.result.hits)}
    return sorted(rows[image_id] for image_id in image_ids)


def seen_rows(grid):
    return rows_of(grid, grid.review.to_polars().drop_nulls("first_seen_at")["image_id"])


def unjudged_rows(root):
    return root.evaluate(
        """root => [...root.querySelectorAll(".matir-tile:not(.matir-leaving)")]
            .filter(tile => tile.querySelector(".matir-bar[data-kind=judge] > em"))
            .map(tile => Number(tile.dataset.row)).sort((a, b) => a - b)"""
    )


def shown_unjudged(grid, root):
    """Return the rows of the tiles in the page whose hits are not judged, as Python has them."""
    there = root.evaluate(
        """root => [...root.querySelectorAll(".matir-tile:not(.matir-leaving)")]
            .map(tile => Number(tile.dataset.row))"""
    )
    return sorted(row for row in there if grid.result.hits[row].judge_rank is None)


def is_in_order(grid, root):
    names = root.evaluate(
        """root => Object.fromEntries([...root.querySelectorAll(".matir-tile:not(.matir-leaving)")]
            .map(tile => [tile.dataset.row, tile.title]))"""
    )
    return all(grid.result.hits[int(row)].image_id == name for row, name in names.items())


def settled(page):
    page.wait_for_function("() => !document.querySelector('.matir-gliding')")


# ---- judging more --------------------------------------------------------------------------


def test_hits_that_are_not_judged_say_so(root, grid):
    row = next(r for r, hit in enumerate(grid.result.hits) if hit.judge_rank is None)
    grid.current = grid.result.hits[row].image_id
    tile = root.locator(f'.matir-tile[data-row="{row}"]')
    expect(tile.locator(".matir-bar[data-kind=judge]")).to_have_text("pnot judged")
    expect(tile).to_have_accessible_name(re.compile(r"stage-1 rank \d+, (.*, )?not judged"))
    expect(tile.locator(".matir-badge.matir-quiet")).to_be_hidden()
    grid.labels = False
    expect(tile.locator(".matir-badge.matir-quiet")).to_have_text("not judged")
    expect(tile.locator(".matir-badge.matir-quiet")).to_be_visible()
    grid.labels = True
    assert unjudged_rows(root) == shown_unjudged(grid, root)


def test_judging_more_fills_in_and_keeps_what_the_reader_did(page, root, grid, judge, eventually):
    judge.hold()
    expect(foot(root)).to_contain_text("judged 20 of 60 images")
    chosen = grid.result.hits[3].image_id
    marked = next(hit for hit in grid.result.hits if hit.judge_rank is None).image_id
    grid.marks, grid.selection, grid.current = {marked: "relevant"}, [chosen], chosen
    expect(root.locator(".matir-current")).to_have_count(1)
    root.locator(".matir-window").evaluate("el => { el.scrollTop = 60; }")
    loaded = root.locator(LOADED).count()
    foot(root).get_by_role("button", name="Judge 16 more").click()
    expect(foot(root)).to_contain_text("judging: 20 of 36")
    expect(foot(root).get_by_role("button", name="Cancel")).to_be_focused()
    judge.permits.release(2)
    expect(foot(root)).to_contain_text("judging: 28 of 36")
    expect(foot(root).get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    assert root.locator(LOADED).count() >= loaded, "the grid stays in use meanwhile"
    judge.permits.release(2)
    expect(foot(root)).to_contain_text("judged 36 of 60 images")
    expect(foot(root).get_by_role("button", name="Judge 16 more")).to_be_focused()
    settled(page)
    assert grid.result.provenance.config["n_judged_done"] == 36
    eventually(lambda: unjudged_rows(root) == shown_unjudged(grid, root))
    assert is_in_order(grid, root)
    assert root.locator(".matir-window").evaluate("el => el.scrollTop") == 60
    assert dict(grid.marks) == {marked: "relevant"}
    assert (grid.selection, grid.current) == ((chosen,), chosen)
    (row,) = rows_of(grid, [chosen])
    tile = root.locator(f'.matir-tile[data-row="{row}"]')
    expect(tile).to_have_attribute("aria-selected", "true")
    expect(tile).to_have_class(re.compile("matir-current"))


def test_newly_judged_hits_get_their_boxes(page, root, grid, eventually):
    before = {h.image_id for h in grid.result.hits if h.judged_box_xyxy}
    grid.judge_more(40)
    expect(foot(root)).to_contain_text("all 60 images judged")
    expect(foot(root).get_by_role("button")).to_have_count(0)
    settled(page)
    hit = next(h for h in grid.result.hits if h.judged_box_xyxy and h.image_id not in before)
    grid.current = hit.image_id
    tile = root.locator(f'.matir-tile[data-row="{hit.rank - 1}"]')
    expect(tile.locator(".matir-judged-box")).to_be_visible()
    expect(tile.locator("img")).not_to_have_js_property("naturalWidth", 0)


def test_hits_that_rose_above_the_view_are_said_and_shown(page, root, grid, judge):
    first = grid.result.hits[0].image_id
    window = root.locator(".matir-window")
    window.evaluate("el => { el.scrollTop = el.scrollHeight; }")
    page.wait_for_timeout(200)
    grid.judge_more(40)
    button = foot(root).get_by_role("button", name=re.compile(r"↑ \d+ hits? rose above"))
    button.click()
    expect(button).to_be_hidden()
    assert window.evaluate("el => el.scrollTop") < window.evaluate("el => el.scrollHeight") / 2
    assert grid.current not in ("", first)


def test_cancelling_keeps_the_part_that_was_judged(page, root, grid, judge, eventually):
    judge.hold()
    root.get_by_role("grid").focus()
    page.keyboard.press("j")
    expect(foot(root)).to_contain_text("judging: 20 of 36")
    judge.permits.release(2)
    expect(foot(root)).to_contain_text("judging: 28 of 36")
    foot(root).get_by_role("button", name="Cancel").click()
    expect(foot(root).get_by_role("alert")).to_have_text("cancelled: what was judged stays")
    judge.permits.release(1)
    eventually(lambda: grid.result.provenance.config["n_judged_done"] == 32)
    expect(foot(root)).to_contain_text("judged 32 of 60 images")
    assert judge.n_judged == 32
    eventually(lambda: unjudged_rows(root) == shown_unjudged(grid, root))


def test_judging_while_scrolling_asks_when_unjudged_hits_are_looked_at(
    page, root, grid, judge, eventually
):
    n_judged = sum(hit.judge_rank is not None for hit in grid.result.hits)
    assert all(hit.judge_rank for hit in grid.result.hits[:3]), "the top is judged"
    grid.tile_px = 480
    root.get_by_label("judge as I scroll").check()
    eventually(lambda: grid.judge_as_i_scroll)
    page.wait_for_timeout(1200)
    looked = root.evaluate(ON_SCREEN)
    assert not [r for r in looked if grid.result.hits[r].judge_rank is None]
    assert judge.n_judged == n_judged == N_FIRST, "nothing unjudged was in view"
    row = next(r for r, hit in enumerate(grid.result.hits) if hit.judge_rank is None)
    grid.current = grid.result.hits[row].image_id
    eventually(lambda: judge.n_judged >= N_FIRST + 16)
    eventually(
        lambda: not [r for r in root.evaluate(ON_SCREEN) if not grid.result.hits[r].judge_rank]
    )
    page.wait_for_timeout(1200)
    assert judge.n_judged < N_SCENES, "what nobody looks at stays unjudged"
    assert grid.result.provenance.config["n_judged_done"] == judge.n_judged


def test_the_keys_and_errors_of_a_judge_that_is_not_there(page, gallery, show, bridge):
    scenes, path = gallery
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    grid = ResultGrid(engine.search("red circle", k=12), judge_as_i_scroll=True)
    root = show(grid)
    expect(foot(root)).to_contain_text("not judged")
    expect(foot(root).get_by_role("alert")).to_contain_text("open the index with that judge")
    expect(root.get_by_label("judge as I scroll")).not_to_be_checked()
    expect(foot(root).get_by_role("button", name="Judge 60 more")).to_be_visible()
    assert axe_violations(page) == []


def test_a_joined_inspector_follows(page, root, grid, result, show):
    inspector = Inspector(result, grid=grid)
    show(inspector)
    grid.judge_more(40)
    expect(foot(root)).to_contain_text("all 60 images judged")
    grid.current = grid.result.hits[0].image_id
    where = page.locator(f'[data-model="{inspector.model_id}"]')
    expect(where).to_contain_text(grid.current)
    expect(where).to_contain_text(f"1 of {N_SCENES}")


# ---- what is seen --------------------------------------------------------------------------


def test_what_was_really_on_the_screen_is_in_the_review(page, root, grid, eventually):
    looked = set(root.evaluate(ON_SCREEN))
    assert 0 < len(looked) < N_SCENES
    eventually(lambda: set(seen_rows(grid)) == looked)
    window = root.locator(".matir-window")
    height = window.evaluate("el => el.clientHeight")
    window.evaluate(A_SHORT_LOOK, height * 0.7)
    page.wait_for_timeout(900)
    looked |= set(root.evaluate(ON_SCREEN))
    eventually(lambda: set(seen_rows(grid)) == looked)
    assert N_SCENES - 1 not in looked
    page.wait_for_timeout(700)
    assert set(seen_rows(grid)) == looked


def test_tiles_below_the_edge_of_the_page_are_not_seen(page, bridge, result, show, eventually):
    page.set_viewport_size({"width": 1280, "height": 420})
    grid = ResultGrid(result)
    root = show(grid)
    page.wait_for_timeout(900)
    looked = root.evaluate(ON_SCREEN)
    assert 0 < len(looked) < 12
    eventually(lambda: seen_rows(grid) == looked)


def test_marks_and_looks_are_summed_up_below_the_hits(root, grid, page):
    ids = [hit.image_id for hit in grid.result.hits]
    grid.marks = {ids[0]: "relevant", ids[1]: "not relevant"}
    n_seen = len(root.evaluate(ON_SCREEN))
    review = root.locator(".matir-foot-review")
    expect(review).to_contain_text(f"seen {n_seen} · relevant 1 · precision 50 %")
    expect(review).to_have_attribute("title", re.compile("left among"))


# ---- the cut -------------------------------------------------------------------------------


@pytest.fixture
def cut_grid(bridge, result):
    hits = tuple(
        replace(hit, above_cut=(hit.p_relevant or 0) > 0.8, null_percentile=97.5)
        for hit in result.hits
    )
    return ResultGrid(replace(result, hits=hits), judge_step=16)


def test_the_cut_is_marked_counted_and_filters(show, cut_grid, eventually):
    root = show(cut_grid)
    above = [hit.rank for hit in cut_grid.result.hits if hit.above_cut]
    assert 0 < len(above) < N_FIRST
    head = root.locator(".matir-head")
    expect(head).to_contain_text(f"{len(above)} of 60 above the cut")
    first = root.locator(f'.matir-tile[data-row="{above[0] - 1}"]')
    expect(first).to_have_class(re.compile("matir-kept"))
    expect(first).to_have_accessible_name(re.compile("above the cut"))
    expect(first.locator(".matir-bar").first).to_have_attribute(
        "title", re.compile("higher than 97 % of unrelated phrases in this image")
    )
    root.get_by_label("only above the cut").check()
    eventually(lambda: cut_grid.only_above_cut)
    expect(head).to_contain_text(f"of {len(above)} hits · {60 - len(above)} hidden by filters")
    expect(root.locator(".matir-tile:not(.matir-kept, .matir-leaving)")).to_have_count(0)
    cut_grid.only_above_cut = False
    expect(head).to_contain_text("of 60 hits")


def test_without_a_cut_nothing_is_said_of_it(show, bridge, result):
    hits = tuple(replace(hit, above_cut=None, null_percentile=None) for hit in result.hits)
    root = show(ResultGrid(replace(result, hits=hits), only_above_cut=True))
    expect(root.locator(".matir-head .matir-counts").first).to_contain_text("of 60 hits")
    expect(root.get_by_text("the cut")).to_have_count(2)
    for words in root.get_by_text("the cut").all():
        expect(words).to_be_hidden()
    expect(root.locator(".matir-kept")).to_have_count(0)


# ---- looks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_while_judging_and_with_a_cut(page, show, cut_grid, judge, theme):
    root = show(cut_grid)
    expect(root.locator(LOADED).nth(5)).to_be_visible()
    set_theme(page, theme)
    judge.hold()
    foot(root).get_by_role("button", name="Judge 16 more").click()
    judge.permits.release(1)
    expect(foot(root)).to_contain_text("judging: 24 of 36")
    assert axe_violations(page) == []
    page.screenshot(path=f"tests/output/judging-{theme}.png", animations="disabled")
    foot(root).get_by_role("button", name="Cancel").click()
    judge.permits.release(10)
    expect(foot(root)).to_contain_text("judged 28 of 60")
    settled(page)
    assert axe_violations(page) == []


def test_pictures_of_a_review(page, show, cut_grid, picture):
    ids = [hit.image_id for hit in cut_grid.result.hits]
    cut_grid.marks = {ids[0]: "relevant", ids[1]: "not relevant", ids[4]: "relevant"}
    cut_grid.current = ids[4]
    root = show(cut_grid)
    expect(root.locator(LOADED).nth(5)).to_be_visible()
    expect(root.locator(".matir-foot-review")).to_contain_text(re.compile(r"seen \d\d"))
    picture("review")
