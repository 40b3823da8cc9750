import pytest
from stand_in import MockComm, Page

from matir_nb.widgets import built
from matir_nb.widgets.grid import ResultGrid


@pytest.fixture
def mock_comm(monkeypatch):
    """Let every new widget talk to a `MockComm`."""
    monkeypatch.setattr("comm.create_comm", MockComm)


@pytest.fixture
def static(tmp_path, monkeypatch):
    """Put small files in place of the built ones."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / built.SCRIPT).write_text("export default { render() {} };", encoding="utf-8")
    monkeypatch.setattr(built, "STATIC", folder)
    return folder


@pytest.fixture
def grid(result):
    """A grid of the module's `result`."""
    view = ResultGrid(result)
    yield view
    view.close()


@pytest.fixture
def page(grid):
    """The browser's end of that grid."""
    return Page(grid)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Keep the user's own settings and indexes out of the tests."""
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
