"""Run by check_wheel.py in an environment that has the wheel with [notebook]: one notebook."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks"))

from no_network import loopback_up

VIEW = "application/vnd.jupyter.widget-view+json"
CELLS = (
    "from pathlib import Path",
    "from matir_nb.evaluation.gallery import write_gallery",
    'made = write_gallery(Path("scenes"), 4, split="test")',
    "%load_ext matir_nb",
    "%matir index scenes",
    "%matir search the red circle -k 3",
)


def main():
    if "--namespace" in sys.argv[1:]:
        assert loopback_up(), "there are other networks than loopback"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [output.get("data", {}) for output in notebook.cells[-1].outputs]
    kinds = {kind for data in shown for kind in data}
    assert {VIEW, "image/jpeg", "text/html", "text/plain"} <= kinds, sorted(kinds)
    model = next(data[VIEW]["model_id"] for data in shown if VIEW in data)
    assert (
        model in notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    ), "the widget has no state"


if __name__ == "__main__":
    main()
