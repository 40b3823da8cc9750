"""Start JupyterLab as Binder does, run every tutorial in it by a browser, and measure its memory.

The server and its kernels get one core and, where the system allows, no network. Chromium opens
the server's own address and then one tutorial after the other, runs all cells, closes the tab, and
sees that the kernel is gone. `check.py` calls this within its tools' environment.

    python binder/lab_run.py REPOSITORY ENVIRONMENT HOME OUTPUT [--namespace]
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT / "tests" / "browser")]

from lab import BROWSER_ARGS, OPEN, RUN_ALL, chromium_path  # noqa: E402
from memory import Memory, Peak  # noqa: E402
from no_network import loopback_up  # noqa: E402

PORT, START_S = 8899, 180
READY = "globalThis.jupyterapp?.shell.currentWidget?.sessionContext"
SHOWN = "() => globalThis.jupyterapp.shell.currentWidget.context.path"
N_WIDGETS = "() => document.querySelectorAll('.matir').length"
CLOSE = """async () => {
    const app = globalThis.jupyterapp;
    await app.shell.currentWidget.context.save();
    await app.commands.execute("application:close");
}"""


@dataclass
class Row:
    """One tutorial, run in the server."""

    notebook: str
    errors: list[str]
    n_widgets: int
    wall_s: float
    cpu_s: float
    peak: Peak
    is_kernel_gone: bool = True


@dataclass
class Report:
    """All that the browser saw."""

    network: str
    start_s: float = 0
    opened_first: str = ""
    server: Peak = field(default_factory=Peak)
    rows: list[Row] = field(default_factory=list)
    left_open: list[Row] = field(default_factory=list)


@contextmanager
def server(repository: Path, prefix: Path, home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `binder/start` with JupyterLab on one core; a browser may drive it."""
    command = [
        str(repository / "binder" / "start"), "jupyter", "lab", "--ip=127.0.0.1", f"--port={PORT}",
        "--ServerApp.port_retries=0", "--no-browser", "--allow-root", "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = kept | {"HOME": str(home), "PATH": path, "LC_ALL": "C.UTF-8"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=repository, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        psutil.Process(process.pid).cpu_affinity([min(os.sched_getaffinity(0))])
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def asked(path: str) -> Any:
    """Return what the server's REST interface says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{PORT}/{path}", timeout=30) as answer:
        return json.load(answer)


def wait_until(is_so: Any, seconds: float) -> bool:
    """Ask until it is so, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if is_so():
                return True
        time.sleep(0.2)
    return False


def open_notebook(page: Page, path: str) -> None:
    """Open a notebook alone on the page; its kernel has answered."""
    page.goto(f"http://127.0.0.1:{PORT}/{path}", timeout=120_000)
    page.wait_for_function(READY, timeout=120_000)
    page.evaluate(OPEN)


def run(page: Page, memory: Memory, name: str, *, picture: Path | None = None) -> Row:
    """Open a tutorial, run all its cells, and leave it open."""
    memory.restart()
    before, start = memory.cpu_s(), time.monotonic()
    open_notebook(page, f"lab/tree/notebooks/{name}?reset")
    errors = page.evaluate(RUN_ALL)
    wall_s, cpu_s = time.monotonic() - start, memory.cpu_s() - before
    if picture is not None:
        page.screenshot(path=picture)
    return Row(
        name, errors, page.evaluate(N_WIDGETS), round(wall_s, 1), round(cpu_s, 1), memory.peak
    )


def through(page: Page, memory: Memory, names: list[str], output: Path) -> list[Row]:
    """Run one tutorial after the other; each kernel ends with its tab."""
    rows = []
    for i, name in enumerate(names):
        row = run(page, memory, name, picture=None if i else output / "run.png")
        page.evaluate(CLOSE)
        row.is_kernel_gone = wait_until(lambda: asked("api/kernels") == [], 30)
        rows.append(row)
    return rows


def seen(repository: Path, prefix: Path, home: Path, output: Path, network: str) -> Report:
    """Start the server, go through all tutorials, and then through two without closing them."""
    names = sorted(path.name for path in (repository / "notebooks").glob("0*.ipynb"))
    report = Report(network)
    start = time.monotonic()
    with (
        server(repository, prefix, home) as process,
        Memory(process.pid) as memory,
        sync_playwright() as playwright,
    ):
        if not wait_until(lambda: asked("api/status"), START_S):
            raise SystemExit(
                "the server did not start:\n" + (home / "server.log").read_text()[-4000:]
            )
        report.start_s = round(time.monotonic() - start, 1)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*BROWSER_ARGS])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{PORT}/", timeout=120_000)
        page.wait_for_function(READY, timeout=120_000)
        page.evaluate(OPEN)
        report.opened_first = page.evaluate(SHOWN)
        page.screenshot(path=output / "opened.png")
        page.evaluate(CLOSE)
        wait_until(lambda: asked("api/kernels") == [], 30)
        memory.restart()
        time.sleep(1)
        report.server = memory.peak
        report.rows = through(page, memory, names, output)
        report.left_open = [
            run(page, memory, name) for name in dict.fromkeys([names[0], names[-1]])
        ]
        browser.close()
    return report


def main() -> None:
    """Write `lab.json` and two pictures into the output folder."""
    repository, prefix, home, output = (Path(name).resolve() for name in sys.argv[1:5])
    is_alone = "--namespace" in sys.argv[5:] and loopback_up()
    report = seen(repository, prefix, home, output, "none" if is_alone else "as it is here")
    (output / "lab.json").write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
