import pytest
from stand_in import Page, make_result

from matir_nb.errors import ConfigError
from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector
from matir_nb.widgets.search_box import SearchBox

pytestmark = pytest.mark.usefixtures("mock_comm", "static")


@pytest.fixture
def result():
    return make_result(5)


def image_of(result, rank):
    return result.hits[rank - 1].image_id


def test_each_view_names_its_kind(result):
    kinds = [view(result)._kind for view in (ResultGrid, Inspector, StageFlow)]
    assert kinds == ["grid", "inspector", "flow"]


def test_the_inspector_shows_the_best_hit_or_the_one_asked_for(result):
    assert Inspector(result).current == image_of(result, 1)
    assert Inspector(result, 3).current == image_of(result, 3)
    assert Inspector(result, current=image_of(result, 4)).current == image_of(result, 4)
    assert Inspector(make_result(0)).current == ""
    assert Inspector(make_result(0), 1).current == ""


@pytest.mark.parametrize("rank", [0, 6, -1, True, "2", 1.0])
def test_a_rank_that_is_not_there_is_refused(result, rank):
    with pytest.raises(ConfigError, match="is not allowed: give 1 to 5"):
        Inspector(result, rank)


@pytest.mark.parametrize("view", [Inspector, StageFlow])
def test_selection_marks_and_current_hit_go_both_ways(result, view):
    grid = ResultGrid(result)
    grid.marks = {image_of(result, 2): "relevant"}
    grid.current = image_of(result, 2)
    other = view(result, grid=grid)
    assert other.marks == grid.marks
    assert other.current == image_of(result, 2)

    Page(other).set(selection=[image_of(result, 4)], current=image_of(result, 5))
    assert grid.selection == (image_of(result, 4),)
    assert grid.current == image_of(result, 5)
    assert {"selection": (image_of(result, 4),)} in Page(grid).updates()

    Page(grid).set(marks={image_of(result, 1): "unsure"})
    assert other.marks == {image_of(result, 1): "unsure"}


def test_a_rank_given_wins_over_the_grids_current_hit(result):
    grid = ResultGrid(result, current=image_of(result, 2))
    Inspector(result, 3, grid=grid)
    assert grid.current == image_of(result, 3)


def test_looks_are_not_shared(result):
    grid = ResultGrid(result)
    flow = StageFlow(result, grid)
    grid.tile_px = 300
    assert flow.tile_px == 192


def test_a_closed_view_is_no_longer_linked(result):
    grid = ResultGrid(result)
    flow = StageFlow(result, grid)
    flow.close()
    grid.selection = [image_of(result, 1)]
    assert flow.selection == ()


def test_two_results_are_not_linked(result):
    grid = ResultGrid(make_result(5, query="a cat"))
    with pytest.raises(ConfigError, match=r"'a cat'.* shows another result than .*'a dog"):
        StageFlow(result, grid)
    StageFlow(make_result(5), ResultGrid(result)).close()  # equal is the same


@pytest.mark.parametrize("other", ["grid", 7])
def test_only_views_are_linked(result, other):
    with pytest.raises(ConfigError, match="cannot be joined: give a ResultGrid"):
        Inspector(result, grid=other)


def test_a_search_box_changes_its_result_and_is_not_linked(result, tmp_path):
    with pytest.raises(ConfigError, match="cannot be joined"):
        StageFlow(result, SearchBox(indexes={"a": tmp_path}))


def test_the_result_opens_its_own_views(result):
    assert isinstance(result.grid(tile_px=100), ResultGrid)
    assert result.inspector(2).current == image_of(result, 2)
    assert isinstance(result.flow(), StageFlow)
