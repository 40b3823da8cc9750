import re
from dataclasses import replace
from itertools import pairwise
from threading import Event

import pytest
from playwright.sync_api import expect

from matir_nb.errors import ConfigError
from matir_nb.explain.entries import difference_entries, entries
from matir_nb.explain.null_band import quantiles
from matir_nb.explain.occlusion import occlude
from matir_nb.geometry.boxes import pairwise_iou
from matir_nb.terms import signed, stage1_terms
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


def test_it_names_other_files_of_the_same_bytes(bridge, show, result, hit):
    copies = ("b/<i>2</i>.png", "c/3.png")
    known = [replace(one, copies=copies) if one is hit else one for one in result.hits]
    root = show(Inspector(replace(result, hits=tuple(known)), hit.rank))
    line = root.locator(".matir-copies")
    expect(line).to_have_text("also as: b/<i>2</i>.png, c/3.png")
    root.get_by_role("button", name=re.compile("Next hit|Previous hit")).last.click()
    expect(line).to_be_hidden()


def test_it_names_the_hit_and_its_way_through_the_stages(root, hit):
    expect(root.get_by_role("heading", level=2)).to_have_text(f"#{hit.rank}{hit.image_id}")
    path = root.locator(".matir-path")
    expect(path).to_contain_text(f"stage 1 #{hit.stage1_rank} → judge #{hit.judge_rank}")
    expect(path).to_contain_text(f"final #{hit.rank}")
    assert number(path.inner_text()) == pytest.approx(hit.final_score, abs=6e-4)


def test_all_of_it_can_be_looked_at(page, root, why, words, without, picture):
    page.set_viewport_size({"width": 1280, "height": 1500})
    words.locator("tbody").get_by_role("button").first.click()
    settled(page, root)
    picture("inspector")
    without.get_by_role("button").click()
    expect(without.locator("q")).to_be_visible()
    picture("inspector-without")


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


def check_sum(table, wanted, total):
    """The table's lines are `wanted` (name -> contribution) and add up to `total`."""
    rows = table.locator("tbody tr:has(.matir-term-bar)")
    shown = {
        row.get_by_role("rowheader").inner_text(): number(row.locator("td").last.inner_text())
        for row in rows.all()
    }
    assert shown == pytest.approx(wanted, abs=6e-4)
    last = number(table.locator("tfoot td").last.inner_text())
    assert last == pytest.approx(total, abs=6e-4)
    assert sum(shown.values()) == pytest.approx(last, abs=1e-3 * len(shown))


def summands(ledger):
    return {e.name: e.contribution for e in ledger if abs(e.contribution) > 1e-6}


def test_the_ledger_is_pythons_and_adds_up(root, result, hit):
    ledger = entries(hit, result.provenance.config)
    table = root.locator(".matir-ledger table.matir-terms").first
    assert len(summands(ledger)) >= 4
    check_sum(table, summands(ledger), hit.final_score)
    heads = table.locator("[scope=rowgroup]").all_inner_texts()
    assert [head.split(":")[0] for head in heads] == ["stage 1", "stage 2", "align"]
    facts = [entry for entry in ledger if not entry.contribution]
    rows = table.locator(".matir-fact")
    expect(rows).to_have_count(len(facts))
    for row, fact in zip(rows.all(), facts, strict=True):
        expect(row.get_by_role("rowheader")).to_have_text(fact.name)
        expect(row).to_contain_text(fact.formula)
        expect(row).to_contain_text(f"{fact.value:.3f}")


def test_the_cosines_of_stage_1_are_folded_away_and_add_up(root, result, hit):
    table = root.locator("table.matir-terms").last
    expect(table).to_be_hidden()
    root.get_by_text("how it adds up").click()
    terms = {term.name: term.value for term in stage1_terms(hit, result.provenance.config)}
    check_sum(table, terms, hit.stage1_score)


def test_the_bars_of_the_terms_end_where_the_total_does(root):
    ends = root.locator("table.matir-terms").first.evaluate(
        """table => [...table.querySelectorAll(".matir-term-bar > div")].map(bar => {
            const {left, right} = bar.getBoundingClientRect();
            return [bar.className.endsWith("negative"), left, right];
        })"""
    )
    *terms, (_, start, end) = ends
    at = [(right, left) if is_negative else (left, right) for is_negative, left, right in terms]
    for (_, before), (after, _) in pairwise(at):
        assert after == pytest.approx(before, abs=1)
    assert at[0][0] == pytest.approx(start, abs=1)
    assert at[-1][1] == pytest.approx(end, abs=1)


@pytest.fixture
def why(root):
    """The opened comparison with another hit."""
    fold = root.locator("details.matir-why")
    fold.locator("summary").click()
    expect(fold.locator("tfoot")).to_be_visible()
    return fold


def test_why_above_the_next_hit_adds_up(why, result, hit):
    below = result.hits[hit.rank]
    gap = hit.final_score - below.final_score
    expect(why.locator("summary")).to_contain_text(f"Why above #{below.rank}?")
    assert number(why.locator("summary").inner_text()) == pytest.approx(gap, abs=6e-4)
    differences = difference_entries(hit, below, result.provenance.config)
    check_sum(why.locator("table"), summands(differences), gap)


def test_why_above_any_other_hit_by_rank_and_by_button(page, why, result, hit):
    rank = why.get_by_role("spinbutton", name="Rank of the other hit")
    rank.fill("40")
    page.keyboard.press("Enter")
    for place in (40, 41):
        other = result.hits[place - 1]
        expect(why.locator("summary")).to_contain_text(f"#{place}?")
        expect(why.locator("caption")).to_contain_text(f"#{hit.rank} minus #{place}")
        expect(why).to_contain_text(other.image_id)
        differences = difference_entries(hit, other, result.provenance.config)
        gap = hit.final_score - other.final_score
        check_sum(why.locator("table"), summands(differences), gap)
        rank.press("ArrowUp")


def test_a_hit_is_never_compared_with_itself(page, root, why, inspector, result):
    inspector.current = result.hits[4].image_id
    expect(root.get_by_role("heading", level=2)).to_contain_text("#5")
    rank = why.get_by_role("spinbutton")
    expect(rank).to_have_value("6")
    rank.press("ArrowDown")
    expect(rank).to_have_value("4")
    expect(why.locator("summary")).to_contain_text("Why below #4?")
    expect(why.locator("caption")).to_contain_text("#5 minus #4")


def test_the_null_band_in_words_and_as_a_strip(root, result, hit):
    band = root.locator(".matir-null")
    assert hit.null_percentile is not None
    scores = result.source.null_scores_of(hit.image_id, result.query)
    said = f"{hit.null_percentile:.0f}" if 1 <= hit.null_percentile <= 99 else ""
    expect(band).to_contain_text(f"{len(scores)} unrelated phrases")
    expect(band.get_by_role("img")).to_have_attribute("aria-label", re.compile(said))
    strip = band.locator("svg").bounding_box()
    middle = band.locator(".matir-null-median").bounding_box()["x"] - strip["x"]
    query = band.locator("line.matir-null-query").bounding_box()["x"] - strip["x"]
    low, *_, median, _, _, high = quantiles(scores)
    assert (query > middle) == (hit.stage1_score > median)
    expect(band).to_contain_text(f"{low:.3f} to {high:.3f}")
    word = "Above" if hit.above_cut else "Below"
    expect(root.get_by_text(f"{word} this query's cut")).to_be_visible()


def pixels(root):
    return root.locator(".matir-lens canvas").evaluate("canvas => canvas.toDataURL()")


def settled(page, root):
    """Return the canvas once it stands still."""
    before = None
    for _ in range(50):
        now = pixels(root)
        if now == before:
            return now
        before = now
        page.wait_for_timeout(50)
    raise AssertionError("the picture never came to rest")


@pytest.fixture
def words(root):
    """The opened table of words and regions."""
    fold = root.locator("details.matir-fold", has=root.page.get_by_text("Words × regions"))
    fold.locator("summary").click()
    expect(fold.locator("table")).to_be_visible()
    return fold


@pytest.mark.parametrize("way", ["alone", "left out"])
def test_words_by_regions_are_pythons(words, result, hit, way):
    matrix = result.words(hit.rank)
    if way == "left out":
        words.get_by_role("button", name="left out").click()
        expect(words.get_by_role("button", name="left out")).to_be_focused()
    shown = {"alone": matrix.word_alone, "left out": matrix.by_word}[way]
    contrast = shown - shown.mean(axis=1, keepdims=True)
    rows = words.locator("tbody tr")
    expect(rows).to_have_count(len(matrix.words))
    heads = words.locator("thead th").all_inner_texts()[1:]
    regions = [int(re.match(r"\d+", head)[0]) for head in heads]
    assert regions == sorted(range(len(matrix.base)), key=lambda r: (-matrix.base[r], r))[:12]
    for row, word, adds in zip(rows.all(), matrix.words, contrast, strict=True):
        expect(row.get_by_role("button")).to_have_text(word)
        cells = [number(text) / 100 for text in row.locator("td").all_inner_texts()]
        assert cells == pytest.approx([adds[r] for r in regions], abs=6e-4)
    limit = abs(contrast).max()
    expect(words.locator(".matir-legend")).to_contain_text(f"+{limit:.3f}")


def test_hovering_a_word_recolours_the_masks_and_leaving_restores_them(page, root, words):
    page.mouse.move(0, 0)
    before = settled(page, root)
    first, second = words.locator("tbody th").all()[:2]
    first.hover()
    expect(words.locator("tbody tr").first).to_have_class(re.compile("matir-hovered"))
    red = settled(page, root)
    second.hover()
    circle = settled(page, root)
    assert len({before, red, circle}) == 3
    expect(root.locator(".matir-readout .matir-legend")).to_contain_text("“circle”")
    page.mouse.move(0, 0)
    assert settled(page, root) == before


def test_a_click_keeps_a_word_and_escape_lets_it_go(page, root, words):
    before = settled(page, root)
    button = words.locator("tbody").get_by_role("button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.mouse.move(0, 0)
    root.locator(".matir-lens").focus()
    kept = settled(page, root)
    assert kept != before
    page.keyboard.press("Escape")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert settled(page, root) == before


def test_the_keyboard_walks_words_and_regions(page, root, words, result, hit):
    page.mouse.move(0, 0)
    before = settled(page, root)
    matrix = result.words(hit.rank)
    words.locator("summary").focus()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.closest('table') === null"):
        page.keyboard.press("Tab")
    red = settled(page, root)
    assert red != before
    page.keyboard.press("ArrowDown")
    expect(words.get_by_role("button", name=matrix.words[1], exact=True)).to_be_focused()
    assert settled(page, root) not in (before, red)
    told = words.locator("[aria-live]")
    page.keyboard.press("ArrowRight")
    best = int(matrix.base.argmax())
    cosine = matrix.word_alone[1][best]
    value = cosine - matrix.word_alone[1].mean()
    said = f"sets region {best} apart by {signed(value, 3)}: its cosine is {signed(cosine, 3)}"
    expect(told).to_contain_text(f"“{matrix.words[1]}” {said}")
    expect(root.locator(".matir-lens .matir-mark-hovered")).to_have_count(1)
    page.keyboard.press("Space")
    root.locator(".matir-lens").focus()
    assert settled(page, root) != before


def test_a_narrow_picture_stays_in_sight_beside_its_words(page, root, words):
    page.set_viewport_size({"width": 420, "height": 800})
    row = words.locator("tbody th").last
    row.scroll_into_view_if_needed()
    page.mouse.wheel(0, 250)
    row.hover()
    lens = root.locator(".matir-lens").bounding_box()
    assert lens["y"] >= -1
    assert lens["y"] + lens["height"] <= row.bounding_box()["y"] + 1


def test_phrases_in_place_of_words(words, result, hit):
    matrix = result.words(hit.rank)
    words.get_by_role("button", name="whole phrases").click()
    names = words.locator("tbody").get_by_role("button").all_inner_texts()
    assert names == [phrase.text for phrase in matrix.phrases]


def test_words_are_asked_for_once_a_hit_and_only_when_wanted(page, bridge, root, words, result):
    def asked():
        messages = [data.get("content", {}) for data in bridge.received]
        return [m["row"] for m in messages if m.get("kind") == "words"]

    expect(words.locator("table")).to_be_visible()
    row = asked()
    assert len(row) == 1
    root.locator(".matir-lens").focus()
    page.keyboard.press("]")
    expect(root.get_by_role("heading", level=2)).to_contain_text(result.hits[row[0] + 1].image_id)
    expect(words.locator("table")).to_be_visible()
    page.keyboard.press("[")
    expect(words.locator("table")).to_be_visible()
    assert len(asked()) == 2


@pytest.fixture
def without(root, hit):
    """The button that leaves the chosen region out, and what stands beside it."""
    row = root.locator(".matir-regions .matir-chosen-row")
    row.get_by_role("button").click()
    place = root.locator(".matir-without")
    expect(place.get_by_role("button", name=f"Without region {hit.region_id}")).to_be_visible()
    return place


def test_without_a_region_stage_1_and_the_judge_answer_again(root, without, result, hit):
    wanted = occlude(result, hit.rank, hit.region_id)
    without.get_by_role("button").click()
    numbers = without.locator("span")
    expect(numbers).to_have_count(4)
    shown = [number(text) for text in numbers.all_inner_texts()]
    again = [wanted.stage1_score, wanted.stage1_rank, wanted.p_relevant, wanted.logit]
    assert shown == pytest.approx(again, abs=6e-3)
    expect(numbers.first).to_contain_text(f"{hit.stage1_score:.3f} →")
    expect(numbers.nth(1)).to_contain_text(f"#{hit.stage1_rank} →")
    expect(without.locator("q")).to_have_text(wanted.answer)
    blank = root.locator(".matir-lens .matir-blanked")
    expect(blank).to_have_count(1)
    without.get_by_role("button", pressed=True).click()
    expect(blank).to_have_count(0)
    expect(without.locator("q")).to_have_count(0)


def test_escape_puts_the_region_back(page, root, without):
    without.get_by_role("button").click()
    expect(without.locator("q")).to_be_visible()
    page.keyboard.press("Escape")
    expect(without).to_be_hidden()
    expect(root.locator(".matir-lens .matir-blanked")).to_have_count(0)


def test_a_question_can_be_taken_back_and_an_error_is_said(root, bridge, without, monkeypatch):
    gate = Event()

    def fail(*_):
        assert gate.wait(10)
        raise ConfigError("the judge has gone home")

    monkeypatch.setattr("matir_nb.explain.occlusion.occlude", fail)
    without.get_by_role("button").click()
    cancel = without.get_by_role("button", name="Cancel")
    cancel.click()
    expect(without.get_by_role("button", name="Without region")).to_be_visible()
    without.get_by_role("button").click()
    gate.set()
    expect(without.locator(".matir-error")).to_contain_text("the judge has gone home")
    assert [m["content"]["kind"] for m in bridge.received].count("cancel") == 1


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
    expect(root.locator(".matir-section:has(.matir-regions)")).to_contain_text(
        f"{hit.align_iou:.2f}"
    )


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
