"""Run one notebook in a clean kernel, in a folder of its own, and measure it.

`run.py` starts this once for each notebook, where it can in a network namespace that has loopback
alone. What the kernel knows of the user and the machine is cut away: home, settings, indexes,
caches, start-up files. The kernel works in FOLDER/notebooks, where the executed notebook is written
with outputs as they are stored in git; FOLDER/home is its home, FOLDER/report.json the measurement.

    python notebooks/clean_kernel.py notebooks/01_quickstart.ipynb FOLDER
"""

import json
import os
import re
import resource
import sys
import uuid
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
from memory import Memory
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from no_network import GUARD, loopback_up

KERNEL = "python3"
CELL_TIMEOUT_S = 900
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PROGRESS = re.compile(r".+: \d+ of \d+ \w+, \d+ s")  # as matir_nb/progress.py writes it
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": KERNEL},
    "language_info": {"name": "python"},
}
DROPPED = (
    "CUDA HF IPYTHON JUPYTER LC LANG MATIR MPL PYTHON TORCH TRANSFORMERS XDG "
    "COLUMNS DISPLAY LINES NO_COLOR FORCE_COLOR"
).split()
FOLDERS = {
    "HOME": "home",
    "MATIR_HOME": "home/matir",
    "IPYTHONDIR": "home/ipython",
    "JUPYTER_CONFIG_DIR": "home/jupyter/config",
    "JUPYTER_DATA_DIR": "home/jupyter/data",
    "JUPYTER_RUNTIME_DIR": "home/jupyter/runtime",
}
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # as in binder/start
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "LC_ALL": "C.UTF-8",
}


def main() -> None:
    """Run the notebook named first in the folder named second."""
    source, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    own = folder / "notebooks"
    has_namespace = loopback_up() if "--namespace" in sys.argv[3:] else False
    own.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(source, as_version=4)
    report = {"notebook": source.name, "network": "none (namespace)" if has_namespace else "guard"}
    environment = clean_environment(folder, with_guard=not has_namespace)
    error = None
    start = perf_counter()
    with Memory(os.getpid(), has_root=False) as memory:
        try:
            execute(notebook, own, environment)
        except CellExecutionError as found:
            error = COLOURS.sub("", str(found))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    report |= {
        "error": error,
        "wall_s": round(perf_counter() - start, 1),
        "cpu_s": round(spent.ru_utime + spent.ru_stime, 1),
        "peak_mb": round(max(memory.peak.pss_mb, spent.ru_maxrss / 1024)),
    }
    normalise(notebook)
    nbformat.write(notebook, own / source.name)
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def clean_environment(folder: Path, *, with_guard: bool) -> dict[str, str]:
    """Return the kernel's environment: nothing of the user's, every folder below `folder`."""
    kept = {k: v for k, v in os.environ.items() if k.split("_")[0] not in DROPPED}
    own = {name: str(folder / part) for name, part in FOLDERS.items()}
    for path in own.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    if with_guard:
        guard = folder / "home" / "guard"
        guard.mkdir(exist_ok=True)
        (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        own["PYTHONPATH"] = str(guard)
    return kept | own | SETTINGS


def execute(notebook: Any, folder: Path, environment: dict[str, str]) -> None:
    """Fill in the outputs of every cell, from a kernel that ends with this call."""
    os.environ.clear()
    os.environ.update(environment)
    client = NotebookClient(
        notebook,
        kernel_name=KERNEL,
        timeout=CELL_TIMEOUT_S,
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)


def normalise(notebook: Any) -> None:
    """Take away what differs between two runs or two machines: ids, progress, widget state."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for i, cell in enumerate(notebook.cells):
        for name in ("execution", "ExecuteTime"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]
        for j, output in enumerate(cell.get("outputs", [])):
            view = output.get("data", {}).get(WIDGET_VIEW)
            if view is not None:
                view["model_id"] = uuid.UUID(int=i * 1000 + j).hex


def is_progress(output: Any) -> bool:
    """Return whether an output is the line of a progress, shown only where work takes long."""
    data = output.get("data", {})
    is_text = output.output_type == "display_data" and set(data) == {"text/plain"}
    return is_text and PROGRESS.fullmatch(data["text/plain"]) is not None


if __name__ == "__main__":
    main()
