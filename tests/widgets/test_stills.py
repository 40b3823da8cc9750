"""What a grid, an inspector and a flow leave where no kernel runs."""

import pytest
from stand_in import PRE, FakeSource, make_result

from matir_nb.home.settings import keep
from matir_nb.widgets import stills
from matir_nb.widgets.flow import StageFlow
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.inspector import Inspector

pytestmark = pytest.mark.usefixtures("mock_comm", "static")
VIEW = "application/vnd.jupyter.widget-view+json"
MAX_BYTES = 100_000


class Shell:
    """As much of a kernel's shell as is used; it publishes to itself."""

    def __init__(self):
        self.published = []
        self.display_pub = self

    def publish(self, data, metadata=None):
        self.published.append((data, metadata))


@pytest.fixture
def outputs(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(stills, "kernel_shell", lambda: shell)
    return shell.published


@pytest.mark.parametrize("kind", [Inspector, ResultGrid, StageFlow])
def test_first_a_picture_then_the_view(kind, outputs):
    view = kind(make_result(5, source=FakeSource()))
    view._ipython_display_()
    (picture, metadata), (live, _) = outputs
    assert b"matir preview" in picture["image/jpeg"], "the view finds and hides it by this"
    assert len(picture["image/jpeg"]) < MAX_BYTES
    assert picture["text/plain"] == metadata["image/jpeg"]["alt"]
    assert VIEW in live
    assert ("<table" if kind is ResultGrid else PRE) in live["text/html"]


def test_the_picture_is_of_the_hit_that_is_shown(outputs):
    result = make_result(5, source=FakeSource())
    for rank in (1, 3):
        Inspector(result, rank)._ipython_display_()
    first, third = (data for data, _ in outputs if "image/jpeg" in data)
    assert result.hits[2].image_id in third["text/plain"]
    assert first["image/jpeg"] != third["image/jpeg"]


@pytest.mark.parametrize("kind", [Inspector, ResultGrid, StageFlow])
@pytest.mark.parametrize("case", ["no kernel", "never", "no source", "no hits", "closed"])
def test_without_a_picture_ipython_shows_the_view_itself(kind, case, outputs, monkeypatch):
    if case == "no kernel":
        monkeypatch.setattr(stills, "kernel_shell", lambda: None)
    if case == "never":
        keep("preview", "never")
    source = None if case == "no source" else FakeSource()
    view = kind(make_result(0 if case == "no hits" else 3, source=source))
    if case == "closed":
        view.close()
    with pytest.raises(NotImplementedError):
        view._ipython_display_()
    assert outputs == []


def test_the_picture_of_a_grid_has_its_marks(outputs):
    grid = ResultGrid(make_result(5, source=FakeSource()))
    grid._ipython_display_()
    grid.marks = {grid.result.hits[0].image_id: "not relevant"}
    grid._ipython_display_()
    plain, marked = (data["image/jpeg"] for data, _ in outputs if "image/jpeg" in data)
    assert plain != marked


def test_an_image_that_cannot_be_read_leaves_the_view_alone(outputs):
    result = make_result(3)
    broken = FakeSource(broken=[hit.image_id for hit in result])
    with pytest.raises(NotImplementedError):
        Inspector(make_result(3, source=broken))._ipython_display_()
    StageFlow(make_result(3, source=broken))._ipython_display_()
    assert [VIEW in data for data, _ in outputs] == [False, True]
