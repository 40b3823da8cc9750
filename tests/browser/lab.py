"""JupyterLab on loopback with folders of its own, and what a test does in it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

CONFIG = """
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.disable_check_xsrf = True
c.ServerApp.password = ""
c.IdentityProvider.token = ""
c.LabApp.expose_app_in_browser = True
c.LabApp.news_url = None
c.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = {message_rate}
"""
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
START_S = 120
STOP_S = 30
BROWSER_ARGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")

OPEN = """async () => {
    const app = globalThis.jupyterapp;
    await app.restored;
    const panel = app.shell.currentWidget;
    await panel.revealed;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    globalThis.panel = panel;
}"""
RUN_ALL = """async () => {
    await globalThis.jupyterapp.commands.execute("notebook:run-all-cells");
    return [...globalThis.panel.model.cells].flatMap(cell =>
        [...(cell.toJSON().outputs ?? [])].filter(output => output.output_type === "error")
            .map(output => `${output.ename}: ${output.evalue}`));
}"""
ASK = """async code => {
    const kernel = globalThis.panel.sessionContext.session.kernel;
    const future = kernel.requestExecute({code, store_history: false});
    let text = "";
    future.onIOPub = message => {
        if (message.header.msg_type === "stream" && message.content.name === "stdout")
            text += message.content.text;
    };
    const reply = await future.done;
    const {status, ename, evalue} = reply.content;
    if (status !== "ok") throw new Error(`${ename}: ${evalue}`);
    return text;
}"""


def chromium_path() -> str | None:
    """Return the browser that chromium.sh finds, too; None = there is none."""
    named = os.environ.get("MATIR_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


@dataclass(frozen=True)
class Lab:
    """A running server."""

    url: str
    root: Path

    def open(self, page: Page, path: str) -> None:
        """Open a notebook that names its kernel, alone on the page; that kernel has answered."""
        page.goto(f"{self.url}lab/tree/{path}?reset")
        page.wait_for_function("globalThis.jupyterapp !== undefined", timeout=60_000)
        page.wait_for_function("globalThis.jupyterapp.shell.currentWidget?.sessionContext")
        page.evaluate(OPEN)


def run_all(page: Page) -> list[str]:
    """Run every cell; return the errors among the outputs."""
    errors: list[str] = page.evaluate(RUN_ALL)
    return errors


def ask(page: Page, expression: str) -> Any:
    """Return the value of a Python expression in the kernel (what JSON can say of it)."""
    return json.loads(page.evaluate(ASK, f"import json as _j; print(_j.dumps({expression}))"))


@contextmanager
def running_lab(root: Path, own: Path, *, message_rate: int = 1000) -> Iterator[Lab]:
    """Start JupyterLab on `root`; everything that it writes elsewhere goes below `own`.

    Args:
        root: the folder that it serves.
        own: gets settings, kernels' files and the server's log.
        message_rate: messages per second from the kernel before the server drops some.
    """
    (own / "settings").mkdir(parents=True)
    (own / "config.py").write_text(CONFIG.format(message_rate=message_rate))
    (own / "settings" / "overrides.json").write_text(json.dumps(OVERRIDES))
    port = _free_port()
    command = [
        sys.executable, "-m", "jupyterlab", f"--config={own / 'config.py'}", f"--port={port}",
        f"--ServerApp.root_dir={root}", f"--LabServerApp.app_settings_dir={own / 'settings'}",
    ]  # fmt: skip
    lab = Lab(f"http://127.0.0.1:{port}/", root)
    with (own / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=_environment(own), stdout=log, stderr=log)
        try:
            _wait_until_up(lab, server, own / "server.log")
            yield lab
        finally:
            _stop(server)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its kernels, at once where they take too long."""
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _environment(own: Path) -> dict[str, str]:
    folders = {
        f"JUPYTER_{kind.upper()}_DIR": str(own / kind) for kind in ("config", "data", "runtime")
    }
    return os.environ | folders | {
        "IPYTHONDIR": str(own / "ipython"),
        "MATIR_HOME": str(own / "matir"),
        "OMP_NUM_THREADS": "1",
        "no_proxy": "127.0.0.1",
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(lab: Lab, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with opener.open(f"{lab.url}api/status", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    message = f"JupyterLab did not start:\n{log.read_text()[-3000:]}"
    raise RuntimeError(message)
