import json
import zlib
from base64 import b64encode
from dataclasses import replace

import pytest
from stand_in import FakeSource, Page, make_result, names

from matir_nb.errors import ConfigError
from matir_nb.explain.compare import comparison_text
from matir_nb.review.ledger import Review
from matir_nb.widgets import display
from matir_nb.widgets.compare import CompareView
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.table import result_id

pytestmark = pytest.mark.usefixtures("mock_comm", "static")

MAX_TABLES = 68_000


@pytest.fixture
def results():
    """The second finds the first's images 3, 2, 1 and two others."""
    ids = names(8)
    a = make_result(image_ids=ids[:4], source=FakeSource())
    b = make_result(
        image_ids=[ids[2], ids[1], ids[0], *ids[6:]], query="a cat", source=FakeSource()
    )
    return a, b


@pytest.fixture
def view(results):
    return CompareView(*results)


def table_of(raw):
    return json.loads(zlib.decompress(raw))


def test_the_tables_of_both_travel_and_the_comparison_with_the_second(view, results):
    a, b = results
    first, second = table_of(view._table), table_of(view._table_b)
    assert (first["id"], second["id"]) == (result_id(a), result_id(b))
    assert "comparison" not in first
    compared = second["comparison"]
    assert compared["n_kept"] == 3
    assert compared["n_entered"] == 2
    assert compared["rbo"] == round(view.comparison.rbo(), 4)
    assert compared["notes"] == list(view.comparison.notes)
    assert compared["same_region"] == [1, 1, 1, None, None]
    assert view._kind == "compare"
    assert view.result is a
    assert view.result_b is b


def test_selection_marks_and_current_name_hits_of_either(view, results):
    a, b = (result.hits for result in results)
    only_a, only_b = a[3], b[3]
    view.selection = [only_b.image_id, only_a.image_id, b[0].image_id]
    assert view.selected == (only_b, only_a, a[2])
    Page(view).set(current=only_b.image_id, marks={only_b.image_id: "relevant"})
    assert view.current == only_b.image_id
    frame = view.to_polars()
    assert dict(frame.select("image_id", "mark").drop_nulls().iter_rows()) == view.marks
    assert set(frame.filter("is_selected")["image_id"]) == set(view.selection)
    with pytest.raises(ConfigError, match="is no hit of this result"):
        view.selection = ["nowhere.png"]


def test_requests_are_answered_by_the_result_that_they_name(view, results):
    page = Page(view)
    for result in results:
        asked = page.ask("inspect", result=result_id(result), row=3, side=64)
        body = page.reply(asked).content["body"]
        assert body["image_id"] == result.hits[3].image_id
        tiles = page.ask("tiles", result=result_id(result), rows=[3], side=32, regions=False)
        assert page.reply(tiles).content["ok"]
    asked = page.ask("inspect", result="f" * 12, row=0, side=64)
    error = page.reply(asked).content["error"]
    assert "is not shown any more" in error
    assert all(result_id(result) in error for result in results)


def test_looks_are_kept_for_each_result(results):
    review = Review()
    view = CompareView(*results, review=review)
    page = Page(view)
    for result, rows in zip(results, ([0, 2], [4]), strict=True):
        assert page.reply(page.ask("seen", result=result_id(result), rows=rows)).content["ok"]
    seen = review.to_polars()
    assert set(seen["image_id"]) == {
        results[0].hits[0].image_id,
        results[0].hits[2].image_id,
        results[1].hits[4].image_id,
    }


def test_marks_of_two_queries_are_no_judgement_of_either(results):
    review = Review()
    view = CompareView(*results, review=review)
    view.marks = {results[0].hits[0].image_id: "relevant"}
    assert review.marks(results[0]) == review.marks(results[1]) == {}


def test_marks_of_one_query_are_kept_and_shown_again(results):
    a, b = results[0], replace(results[1], query=results[0].query)
    review = Review()
    view = CompareView(a, b, review=review)
    only_a, only_b, both = a.hits[3].image_id, b.hits[3].image_id, a.hits[0].image_id
    view.marks = {only_a: "relevant", only_b: "unsure", both: "not relevant"}
    assert review.marks(a) == {only_a: "relevant", both: "not relevant"}
    assert review.marks(b) == {only_b: "unsure", both: "not relevant"}
    assert CompareView(a, b, review=review).marks == view.marks
    view.marks = {only_a: "relevant"}
    assert review.marks(b) == {}


@pytest.mark.parametrize("side", [0, 1])
def test_judging_more_renews_that_side_and_the_comparison(results, side):
    pair = list(results)
    more = replace(pair[side], hits=tuple(reversed(renumbered(pair[side].hits))))

    class Source(FakeSource):
        def engine(self):
            return self

        def judge_more(self, _result, _n, **_others):
            return more

    pair[side] = replace(pair[side], source=Source())
    view = CompareView(*pair)
    view.current = pair[side].hits[-1].image_id
    old_id, n = result_id(pair[side]), len(view.comparison.moved)
    page = Page(view)
    body = page.reply(page.ask("judge_more", result=old_id, n=5)).content["body"]
    assert body["result"] == result_id(more)
    shown = (view.result, view.result_b)
    assert shown[side] is more
    assert shown[1 - side] is pair[1 - side]
    assert len(view.comparison.moved) != n
    tables = (view._table, view._table_b)
    assert table_of(tables[side])["id"] == result_id(more)
    assert table_of(view._table_b)["comparison"]["rbo"] == round(view.comparison.rbo(), 4)
    # words about the table before may come late
    assert page.reply(page.ask("seen", result=old_id, rows=[0])).content["ok"]


def renumbered(hits):
    return [replace(hit, rank=len(hits) - i) for i, hit in enumerate(hits)]


def test_options_are_those_of_a_grid(results):
    assert CompareView(*results, tile_px=100).tile_px == 100
    assert results[0].compare(results[1]).view(mask_mode="all").mask_mode == "all"
    with pytest.raises(ConfigError, match="unknown option 'tile' of CompareView"):
        CompareView(*results, tile=100)
    with pytest.raises(ConfigError, match="compare two SearchResults, got NoneType"):
        CompareView(results[0], None)


def test_views_of_one_result_are_not_joined_to_it(view, results):
    with pytest.raises(ConfigError, match="cannot be joined"):
        Inspector(results[0], grid=view)


def test_a_result_compared_with_itself(results):
    view = CompareView(results[0], results[0])
    page = Page(view)
    asked = page.ask("inspect", result=result_id(results[0]), row=0, side=64)
    assert page.reply(asked).content["ok"]
    assert view.comparison.rbo() == pytest.approx(1)


def test_without_a_kernel_it_is_a_table(view):
    data, _ = view._repr_mimebundle_()
    assert data["text/plain"] == comparison_text(view.comparison)
    assert data["text/html"] == view.comparison._repr_html_()
    assert repr(view).startswith("CompareView(Comparison('a dog without a leash' → 'a cat', ")


def test_in_a_kernel_the_view_is_displayed(results, monkeypatch):
    shown = []

    class Shell:
        kernel = object()

        class display_pub:  # noqa: N801 - IPython's name
            publish = staticmethod(lambda data, _metadata: shown.append(data))

    monkeypatch.setattr(display, "kernel_shell", Shell)
    results[0].compare(results[1])._ipython_display_()
    (data,) = shown
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("A: a dog without a leash (4 hits)")


def test_the_tables_of_two_thousand_hits_are_small():
    ids = names(1500)
    a = make_result(image_ids=ids[:1000])
    b = make_result(image_ids=ids[:499:-1], query="a cat")
    view = CompareView(a, b)
    state = {name: value for name, value in view.get_state().items() if name != "_esm"}
    size = len(json.dumps(state, default=lambda raw: b64encode(raw).decode()))
    grid = {n: v for n, v in ResultGrid(a).get_state().items() if n != "_esm"}
    assert size < MAX_TABLES, size
    assert size < 2.3 * len(json.dumps(grid, default=lambda raw: b64encode(raw).decode()))
