"""The tutorial: it runs, and what is stored of it can be read without a kernel."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01_quickstart.ipynb"
MAX_OUTPUT = 150_000
MAX_S = 300
"""Seconds on a busy machine; on one free core it takes less than two minutes."""


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The tutorial run from top to bottom by a kernel of its own."""
    if not (NOTEBOOK.parents[1] / "matir_nb" / "static" / "matir.js").is_file():
        pytest.skip("the widgets' JavaScript is not built: run make static")
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copy(NOTEBOOK, folder)
    own = {"MATIR_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    command = [
        sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--inplace",
        "--execute", "--ExecutePreprocessor.store_widget_state=False", NOTEBOOK.name,
    ]  # fmt: skip
    run = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | own | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=MAX_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return nbformat.read(folder / NOTEBOOK.name, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def mime_types(cell):
    return [set(output.get("data", {})) for output in cell.outputs]


def test_it_runs(executed):
    errors = [o for c in code_cells(executed) for o in c.outputs if o.output_type == "error"]
    assert errors == []
    assert all(cell.execution_count for cell in code_cells(executed))


def test_it_is_stored_as_it_runs(stored, executed):
    assert [c.source for c in stored.cells] == [c.source for c in executed.cells]
    assert [c.execution_count for c in code_cells(stored)] == list(
        range(1, len(code_cells(stored)) + 1)
    )
    shown = [mime_types(cell) for cell in code_cells(stored)]
    assert shown == [mime_types(cell) for cell in code_cells(executed)]


def test_a_search_leaves_a_picture_and_a_table(stored):
    (cell,) = (c for c in code_cells(stored) if c.source.startswith("result = %matir search"))
    preview, view = cell.outputs
    assert "image/jpeg" in preview.data
    assert "test-0-" in preview.data["text/plain"]
    assert "<table" in view.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in view.data


def test_every_output_is_small_and_there_is_no_widget_state(stored):
    assert "widgets" not in stored.metadata
    for cell in code_cells(stored):
        assert len(json.dumps(cell.outputs)) <= MAX_OUTPUT, cell.source


def test_it_tells_nothing_of_the_machine(stored):
    text = json.dumps([[c.source, c.get("outputs", [])] for c in stored.cells])
    text = re.sub(r'"image/jpeg": "[^"]*"', "", text)
    assert re.findall(r"(?:/home|/root|/tmp|/work|/Users|[A-Z]:\\\\)[\w/.-]*", text) == []
