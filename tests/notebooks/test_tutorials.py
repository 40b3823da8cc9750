"""The tutorials run, and git holds what they show: static views, nothing of the machine.

They run one after the other in one folder, so that the gallery and its index are made once; that
each runs alone, from nothing, is what `make notebooks` shows.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
NAMES = [
    "01_quickstart",
    "02_why_this_rank",
    "03_curating_a_dataset",
    "04_evaluate_and_ablate",
    "05_your_photos_your_models",
]
MAX_OUTPUT = 150_000
MAX_S = 900
"""Seconds of one notebook on a busy machine."""

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PLACES = r"(?:/home|/root|/tmp|/work|/Users|/usr|/var|/srv|/opt|/mnt|[A-Z]:\\\\)/?[\w.-]+[\w/.-]*"
ADDRESSES = r" at 0x[0-9a-f]{6,}"

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    if not (REPOSITORY / "matir_nb" / "static" / "matir.js").is_file():
        pytest.skip("the widgets' JavaScript is not built: run make static")
    return tmp_path_factory.mktemp("tutorials")


@pytest.fixture(scope="session")
def executed(shared_folder):
    """What runs a tutorial, once a session: gives it back with its measurement."""
    runs = {}

    def run(path):
        if path not in runs:
            runs[path] = _run(path, shared_folder)
        return runs[path]

    return run


def _run(path, folder):
    report = folder / f"{path.stem}.json"
    runner = REPOSITORY / "notebooks" / "run.py"
    command = [sys.executable, runner, path.stem, "--check", "--folder", folder, "--json", report]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_S, check=False)
    assert report.is_file(), done.stderr[-3000:]
    (measured,) = json.loads(report.read_text())
    return nbformat.read(folder / "notebooks" / path.name, as_version=4), measured


@pytest.fixture
def stored(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def bundles(notebook):
    return [output.data for output in outputs(notebook) if "data" in output]


def mime_types(cell):
    return [sorted(output.get("data", {})) for output in cell.outputs]


def test_there_are_five():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@every_notebook
def test_it_runs(path, executed):
    _, measured = executed(path)
    assert measured["error"] is None, measured["error"]


@every_notebook
def test_it_is_stored_as_it_runs(path, stored, executed):
    ran, _ = executed(path)
    assert [cell.source for cell in stored.cells] == [cell.source for cell in ran.cells]
    counts = [cell.execution_count for cell in code_cells(stored)]
    assert counts == list(range(1, len(counts) + 1)), "run make notebooks"
    shown = {cell.id: mime_types(cell) for cell in code_cells(stored)}
    assert shown == {cell.id: mime_types(cell) for cell in code_cells(ran)}, "run make notebooks"


@every_notebook
def test_every_output_is_small_and_static(stored):
    assert sorted(stored.metadata) == ["kernelspec", "language_info"]
    for cell in code_cells(stored):
        assert len(json.dumps(cell.outputs)) <= MAX_OUTPUT, cell.source
        assert "execution" not in cell.metadata


@every_notebook
def test_every_output_reads_as_text_too(stored):
    assert all("text/plain" in data for data in bundles(stored))
    views = [data for data in bundles(stored) if WIDGET_VIEW in data]
    assert all("text/html" in data for data in views)


@every_notebook
def test_nothing_went_wrong(stored):
    wrong = [o for o in outputs(stored) if o.output_type == "error" or o.get("name") == "stderr"]
    assert wrong == []


@every_notebook
def test_searches_and_grids_leave_a_picture_and_a_table(stored):
    shown = [cell for cell in code_cells(stored) if shows_hits(cell)]
    assert shown, "a tutorial shows at least one search"
    for cell in shown:
        preview, view = cell.outputs[-2:]
        assert len(preview.data["image/jpeg"]) > 5_000, cell.source
        assert "<table" in view.data["text/html"], cell.source
        assert WIDGET_VIEW in view.data, cell.source


def shows_hits(cell):
    """Return whether the cell ends with a result's or a grid's view; inspectors have no table."""
    is_view = bool(cell.outputs) and WIDGET_VIEW in cell.outputs[-1].get("data", {})
    is_of_hits = "search" in cell.source or ".grid(" in cell.source
    return is_view and is_of_hits and ".inspector(" not in cell.source


@every_notebook
def test_it_tells_nothing_of_the_machine(stored):
    assert places_in(stored) == []


def places_in(notebook):
    """Return the absolute paths and memory addresses among sources and outputs."""
    text = json.dumps([[c.source, c.get("outputs", [])] for c in notebook.cells])
    text = re.sub(r'"image/(?:jpeg|png)": "[^"]*"', "", text)
    return re.findall(rf"(?<![\w./:]){PLACES}|{ADDRESSES}", text)


@pytest.mark.parametrize(
    "said", ["/home/x/photo.png", "in /root/index", "<object at 0x7f00aa11bb>"]
)
def test_a_place_is_noticed(said):
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text=said)])
    assert len(places_in(nbformat.v4.new_notebook(cells=[cell]))) == 1


@every_notebook
def test_it_is_made_as_a_tutorial(stored):
    first, last = stored.cells[0], stored.cells[-1]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert last.cell_type == "markdown"
    assert "where next" in last.source.lower()
