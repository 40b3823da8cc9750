import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.terms import final_terms, stage1_terms
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector


def number(text):
    """Return the number at the end of a text; a minus may be the typographic one."""
    found = re.findall(r"[+−-]?\d+(?:\.\d+)?", text)
    return float(found[-1].replace("−", "-"))


@pytest.fixture
def hit(result):
    """A hit with a judged box and several regions."""
    return next(
        h for h in result.hits if h.align_iou and len(result.source.regions_of(h.image_id)) > 2
    )


@pytest.fixture
def inspector(bridge, result, hit):
    return Inspector(result, hit.rank)


@pytest.fixture
def root(show, inspector):
    root = show(inspector)
    expect(root.locator("table.matir-terms")).to_have_count(2)
    # without a source an image is complete, too
    expect(root.locator(".matir-lens img")).not_to_have_js_property("naturalWidth", 0)
    return root


def test_it_names_the_hit_and_its_way_through_the_stages(root, hit, picture):
    expect(root.get_by_role("heading", level=2)).to_have_text(f"#{hit.rank}{hit.image_id}")
    path = root.locator(".matir-path")
    expect(path).to_contain_text(f"stage 1 #{hit.stage1_rank} → judge #{hit.judge_rank}")
    expect(path).to_contain_text(f"final #{hit.rank}")
    assert number(path.inner_text()) == pytest.approx(hit.final_score, abs=6e-4)
    picture("inspector")


def test_the_picture_is_the_whole_image(root, hit):
    image = root.locator(".matir-lens img")
    size = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size == [hit.width, hit.height]


def test_the_judges_words_and_numbers_are_pythons(root, hit):
    expect(root.locator(".matir-answer")).to_have_text(hit.answer)
    verdict = root.locator(".matir-verdict")
    expect(verdict).to_contain_text(f"p {hit.p_relevant:.3f}")
    assert number(verdict.inner_text()) == pytest.approx(hit.logit, abs=6e-3)
    meter = root.get_by_role("meter")
    expect(meter).to_have_attribute("aria-valuenow", f"{hit.p_relevant:.4f}")


@pytest.mark.parametrize("stage", ["stage 1", "final"])
def test_terms_are_pythons_and_add_up(root, result, hit, stage):
    terms_of = stage1_terms if stage == "stage 1" else final_terms
    score = hit.stage1_score if stage == "stage 1" else hit.final_score
    terms = terms_of(hit, result.provenance.config)
    table = root.locator("table.matir-terms").nth(int(stage == "final"))
    rows = table.locator("tbody tr")
    assert rows.count() == len(terms) >= 2
    shown = []
    for row, term in zip(rows.all(), terms, strict=True):
        expect(row.get_by_role("rowheader")).to_have_text(term.name)
        shown.append(number(row.locator("td").last.inner_text()))
        assert shown[-1] == pytest.approx(term.value, abs=6e-4)
    total = number(table.locator("tfoot td").last.inner_text())
    assert total == pytest.approx(score, abs=6e-4)
    assert sum(shown) == pytest.approx(total, abs=1e-3 * len(shown))


def test_the_bars_of_the_terms_end_where_the_total_does(root):
    ends = root.locator("table.matir-terms").first.evaluate(
        """table => [...table.querySelectorAll(".matir-term-bar > div")].map(bar => {
            const {left, right} = bar.getBoundingClientRect();
            return [left, right];
        })"""
    )
    *terms, total = ends
    for (_, end), (start, _) in pairwise(terms):
        assert end == pytest.approx(start, abs=1)
    assert terms[-1][1] == pytest.approx(total[1], abs=1)


def test_the_iou_table_is_pythons_with_the_chosen_row(root, result, hit):
    boxes = result.source.regions_of(hit.image_id).boxes_xyxy
    ious = pairwise_iou([hit.judged_box_xyxy], boxes)[0]
    rows = root.locator(".matir-regions tbody tr")
    assert rows.count() == len(boxes)
    shown = {}
    for row in rows.all():
        region = int(re.search(r"\d+", row.get_by_role("rowheader").inner_text())[0])
        shown[region] = number(row.locator("td").first.inner_text())
    assert shown == pytest.approx(dict(enumerate(ious)), abs=6e-3)
    chosen = root.locator(".matir-chosen-row")
    expect(chosen).to_have_count(1)
    expect(chosen.get_by_role("rowheader")).to_contain_text(f"{hit.region_id}")
    assert hit.align_iou == pytest.approx(max(ious), abs=1e-6)
    expect(root.locator(".matir-section").nth(1)).to_contain_text(f"{hit.align_iou:.2f}")


def test_pointing_at_a_region_shows_its_numbers(page, root, result, hit):
    regions = result.source.regions_of(hit.image_id)
    scores = result.source.region_scores_of(result.query, hit.image_id)
    row = root.locator(".matir-regions tbody tr").filter(
        has=page.get_by_role("button", name=re.compile(rf"^{hit.region_id}\b"))
    )
    row.hover()
    expect(row).to_have_class(re.compile("matir-hovered"))
    expect(root.locator(".matir-lens .matir-mark-hovered")).to_have_count(1)
    readout = root.locator(".matir-readout")
    for value in (
        scores[hit.region_id],
        regions.predicted_ious[hit.region_id],
        regions.stability_scores[hit.region_id],
    ):
        expect(readout).to_contain_text(f"{value:.2f}")


def test_zoom_by_key_button_and_wheel(page, root):
    percent = root.locator(".matir-lens-bar output")

    def shown():
        return number(percent.inner_text())

    lens = root.locator(".matir-lens")
    expect(percent).to_contain_text("%")
    fit = shown()
    lens.focus()
    page.keyboard.press("+")
    expect(lens).to_have_class(re.compile("matir-zoomed"))
    assert shown() == pytest.approx(1.5 * fit, rel=0.02)
    root.get_by_role("button", name="Zoom in").click()
    page.wait_for_function("([el, before]) => parseFloat(el.value) > before", arg=[
        percent.element_handle(), 1.6 * fit
    ])  # fmt: skip
    left = root.locator(".matir-lens img").bounding_box()["x"]
    lens.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([el, before]) => el.getBoundingClientRect().x < before - 20",
        arg=[root.locator(".matir-lens img").element_handle(), left],
    )
    page.keyboard.press("0")
    expect(lens).not_to_have_class(re.compile("matir-zoomed"))
    assert shown() == pytest.approx(fit)


def test_next_hit_keeps_the_zoom_and_marks_reach_python(page, root, result, inspector, eventually):
    inspector.current = result.hits[0].image_id
    heading = root.get_by_role("heading", level=2)
    expect(heading).to_contain_text(result.hits[0].image_id)
    root.locator(".matir-lens").focus()
    page.keyboard.press("+")
    page.keyboard.press("]")
    expect(heading).to_contain_text(result.hits[1].image_id)
    eventually(lambda: inspector.current == result.hits[1].image_id)
    expect(root.locator(".matir-lens")).to_have_class(re.compile("matir-zoomed"))
    page.keyboard.press("n")
    eventually(lambda: dict(inspector.marks) == {result.hits[1].image_id: "not relevant"})
    marks = root.get_by_role("group", name="Mark")
    expect(marks.get_by_role("button", pressed=True)).to_have_text(re.compile("not relevant"))


def test_it_opens_beside_the_grid_and_closes(page, result, show, eventually, picture):
    grid = ResultGrid(result)
    root = show(grid)
    tile = root.locator('.matir-tile[data-row="1"]')
    tile.click()
    page.keyboard.press("Enter")
    panel = root.locator(".matir-panel")
    expect(panel.get_by_role("heading", level=2)).to_contain_text(result.hits[1].image_id)
    expect(panel.locator("table.matir-terms")).to_have_count(2)
    eventually(lambda: grid.panel == "inspector" and grid.current == result.hits[1].image_id)
    picture("grid-inspector")
    root.get_by_role("grid").focus()
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_role("heading", level=2)).to_contain_text(result.hits[2].image_id)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    eventually(lambda: grid.panel == "")
