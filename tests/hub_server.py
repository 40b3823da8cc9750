"""A real HTTP server on this machine that answers as the model hub does, and its faults."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".gguf", ".onnx", ".pth", "tokenizer.json")
"""Endings of the files that the hub keeps apart, under their SHA-256."""
COMMIT = hashlib.sha1(b"first").hexdigest()  # noqa: S324 - as git does
PRELUDE = """
import json
from pathlib import Path
from matir_nb.catalogue import Checkpoint, ModelEntry
from matir_nb.errors import MatirError
from matir_nb.models import hub, hub_download
hub_download.WAIT_S = 0.0
def entry(revision="main", **options):
    return ModelEntry("tiny", "encoder", "dense_pool", "tests/tiny", "MIT", 1, 1, revision,
                      **options)
def said(work):
    try:
        return str(work())
    except MatirError as error:
        return f"{type(error).__name__}: {error}"
"""


@dataclass
class Hub:
    """What the server holds, what it was asked, and what goes wrong.

    Attributes:
        files: of the only repository, tests/tiny.
        commit: that "main" is.
        url: of the server.
        asked: (method, path, value of Range or "").
        cut: file -> it breaks off so many bytes after the start of every answer.
        n_cuts: so many answers are cut; then the server is well.
        altered: files that are sent with other contents than announced.
        has_ranges: the server answers range requests.
        elsewhere: large files are sent from another host, to which their addresses lead.
        signed: path -> the Authorization that came with it.
        refused: the status with which the repository answers everything; 0 = it is open.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)
    n_cuts: int = 1000
    altered: set[str] = field(default_factory=set)
    has_ranges: bool = True
    elsewhere: bool = False
    signed: dict[str, str] = field(default_factory=dict)
    refused: int = 0

    def ranges(self, name: str) -> list[str]:
        """Return the ranges that were asked of a file, in order; "" = all of it."""
        return [r for method, path, r in self.asked if method == "GET" and path.endswith(name)]

    def loaded(self) -> set[str]:
        """Return the names of the files of which contents were sent."""
        paths = [path for method, path, _ in self.asked if method == "GET"]
        return {path.split(f"{self.commit}/")[-1] for path in paths if "/resolve/" in path}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - as git does


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(has_body=False)

    def do_GET(self):
        self.answer(has_body=True)

    def answer(self, *, has_body):
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if "Authorization" in self.headers:
            hub.signed[path] = self.headers["Authorization"]
        if hub.refused and not path.startswith("/outside/"):
            self.send_json({"error": "refused"}, status=hub.refused)
        elif path.startswith("/api/models/tests/tiny/revision/"):
            self.send_json(self.info(hub))
        elif path.startswith("/api/models/tests/tiny/tree/"):
            self.send_json([self.tree_entry(name, data) for name, data in hub.files.items()])
        elif path.startswith("/tests/tiny/resolve/"):
            self.send_file(hub, path.split("/", 5)[5], has_body=has_body)
        elif path.startswith("/outside/"):
            self.send_file(hub, path.removeprefix("/outside/"), has_body=has_body)
        else:
            self.send_json({"error": "not found"}, status=404)

    def info(self, hub):
        siblings = []
        for name, data in hub.files.items():
            about = {"rfilename": name, "size": len(data), "blobId": blob_id(data)}
            if name.endswith(LARGE):
                about["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            siblings.append(about)
        return {
            "id": "tests/tiny",
            "modelId": "tests/tiny",
            "sha": hub.commit,
            "siblings": siblings,
        }

    def tree_entry(self, name, data):
        about = {"type": "file", "path": name, "size": len(data), "oid": blob_id(data)}
        if name.endswith(LARGE):
            about["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
        return about

    def send_json(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def send_file(self, hub, name, *, has_body):
        if name not in hub.files:
            self.send_json({"error": "Entry not found"}, status=404)
            return
        data = hub.files[name]
        if hub.elsewhere and name.endswith(LARGE) and "/resolve/" in self.path:
            self.lead_elsewhere(hub, name, data)
            return
        sent = bytes(255 - byte for byte in data) if name in hub.altered else data
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.has_ranges else 0
        if start >= len(data) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("ETag", f'"{sha256(data) if name.endswith(LARGE) else blob_id(data)}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if has_body:
            self.send_body(hub, name, sent[start:])

    def lead_elsewhere(self, hub, name, data):
        self.send_response(302)
        other = hub.url.replace("127.0.0.1", "localhost")
        self.send_header("Location", f"{other}/outside/{name}")
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("X-Linked-Etag", f'"{sha256(data)}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_body(self, hub, name, body):
        if name in hub.cut and hub.n_cuts > 0:
            hub.n_cuts -= 1
            self.wfile.write(body[: hub.cut[name]])
            self.close_connection = True
            return
        self.wfile.write(body)


@contextmanager
def serving(files):
    """Give a hub with these files; it runs within the context."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub = Hub(files, url=f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def environment(hub, home: Path, **more):
    """Return the environment of a process whose hub is `hub` and whose folders are in `home`."""
    drop = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MATIR_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"}
    kept = {name: value for name, value in os.environ.items() if name not in drop}
    own = {"HF_HOME": str(home / "hf"), "MATIR_HOME": str(home / "matir"), "HF_ENDPOINT": hub.url}
    return {**kept, **own, "HF_HUB_DISABLE_TELEMETRY": "1", **more}


def outcome(hub, home: Path, program: str, **more):
    """Return what a program, run in a process of its own, leaves in `out`."""
    source = f"{PRELUDE}\n{textwrap.dedent(program)}\nprint(json.dumps(out))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env=environment(hub, home, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])
