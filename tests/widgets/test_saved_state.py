"""What a saved notebook holds, with the real built files, and a real kernel behind the views."""

import json
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from stand_in import make_result

from matir_nb.widgets.built import SCRIPT, built
from matir_nb.widgets.grid import ResultGrid
from matir_nb.widgets.table import result_id

MAX_STATE = 100_000
MAX_OUTPUTS = 150_000
N = 1000
VIEW = "application/vnd.jupyter.widget-view+json"
SET_UP = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from stand_in import FakeSource, make_result
import numpy as np

class Photos(FakeSource):
    def load_image(self, image_id, *, max_side=None):
        rng = np.random.default_rng(abs(hash(image_id)) % 2**32)
        blocks = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
        return np.kron(blocks, np.ones((10, 10, 1), np.uint8))
result = make_result({N}, source=Photos())
"""


@pytest.fixture
def quiet_kernel(monkeypatch, tmp_path):
    """Give kernels folders of their own."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))


def as_saved(state):
    """Return the state as a notebook stores it: bytes in base64."""
    return json.dumps(state, default=lambda raw: b64encode(raw).decode())


@pytest.mark.usefixtures("mock_comm")
def test_the_state_of_a_thousand_hits_is_small():
    result = make_result(N)
    grid = ResultGrid(result)
    grid.marks = {hit.image_id: "relevant" for hit in result.hits[:20]}
    grid.selection = [hit.image_id for hit in result.hits[:20]]
    state = grid.get_state()
    assert state["_esm"] == built(SCRIPT)
    sizes = {name: len(as_saved(value)) for name, value in state.items()}
    assert len(as_saved(state)) <= MAX_STATE, sizes


@pytest.mark.usefixtures("quiet_kernel")
def test_an_executed_notebook_has_a_static_view_and_stays_small(tmp_path):
    cells = [nbformat.v4.new_code_cell(SET_UP), nbformat.v4.new_code_cell("result")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120, store_widget_state=True)
    client.execute()
    outputs = notebook.cells[1].outputs
    assert [output.output_type for output in outputs] == ["display_data", "display_data"]
    picture, view = outputs
    assert picture.data["image/jpeg"].startswith("/9j/")
    assert "a dog without a leash" in picture.metadata["image/jpeg"]["alt"]
    assert set(view.data) == {VIEW, "text/html", "text/plain"}
    assert "<table>" in view.data["text/html"]
    assert len(json.dumps(outputs)) <= MAX_OUTPUTS
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    model = states[view.data[VIEW]["model_id"]]
    assert model["state"]["_kind"] == "grid"
    assert len(json.dumps(model)) <= MAX_STATE
    for path in (tmp_path, Path.home(), Path(__file__).parents[2]):
        assert f"{path}/" not in json.dumps(states)


class Kernel:
    """A kernel, and its messages in the order in which they came."""

    def __init__(self, client):
        self.client = client
        self.seen = []

    def next(self):
        self.seen.append(self.client.get_iopub_msg(timeout=30))
        return self.seen[-1]

    def run(self, code):
        """Run code, wait for its end, and return what it printed."""
        asked = self.client.execute(code)
        printed = ""
        while True:
            message = self.next()
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            assert message["msg_type"] != "error", content
            printed += content["text"] if message["msg_type"] == "stream" else ""
            if content.get("execution_state") == "idle":
                return printed

    def tell(self, model_id, content):
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": model_id, "data": data})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def words(self, request_id):
        """Wait for the reply to a request; return it and the words about it before."""
        while True:
            found = [m for m in self.seen if _about(m).get("id") == request_id]
            if found and _about(found[-1])["kind"] == "reply":
                return found
            self.next()


def _about(message):
    data = message["content"].get("data") if message["msg_type"] == "comm_msg" else None
    return (data or {}).get("content") or {}


@pytest.fixture
def kernel(quiet_kernel):
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_real_kernel_answers_with_buffers(kernel):
    kernel.run(f"{SET_UP}\nfrom matir_nb.widgets.grid import ResultGrid\ngrid = ResultGrid(result)")
    model_id = kernel.run("print(grid.model_id, end='')")
    tiles = {"kind": "tiles", "result": result_id(make_result(N)), "side": 128, "regions": True}
    kernel.tell(model_id, tiles | {"id": "r1", "rows": [0, 1]})
    (reply,) = kernel.words("r1")
    assert _about(reply)["ok"], reply
    assert [bytes(buffer[:2]) for buffer in reply["buffers"]] == [b"\xff\xd8"] * 2
    kernel.tell(model_id, tiles | {"id": "r2", "rows": [N]})
    (reply,) = kernel.words("r2")
    assert "row 1000 is not in the table" in _about(reply)["error"]


def test_progress_and_reply_of_a_search_name_the_message_that_they_answer(kernel):
    """A cell that runs meanwhile is no parent: ipykernel would let a cancel wait for its end."""
    kernel.run(
        f"{SET_UP}\nfrom stand_in import FakeEngine\nfrom threading import Event\n"
        "from matir_nb.widgets.search_box import SearchBox\n"
        "gate = Event()\nbox = SearchBox(FakeEngine(gate=gate))"
    )
    model_id = kernel.run("print(box.model_id, end='')")
    search = {"kind": "search", "query": "a", "index": "scenes", "judge": "none", "k": 3}
    asked = kernel.tell(model_id, search | {"id": "s1", "n_judged": None})
    kernel.run("assert box.result is None\ngate.set()")
    words = kernel.words("s1")
    assert len(words) >= 3
    assert {message["parent_header"]["msg_id"] for message in words} == {asked}
    assert _about(words[-1])["body"]["n_hits"] == 3
    assert kernel.run("print(len(box.result), end='')") == "3"


def test_cancelling_gets_through_while_the_kernel_searches(kernel):
    kernel.run(
        f"{SET_UP}\nfrom stand_in import FakeEngine\nfrom threading import Event\n"
        "from matir_nb.widgets.search_box import SearchBox\n"
        "box = SearchBox(FakeEngine(gate=Event()))"
    )
    model_id = kernel.run("print(box.model_id, end='')")
    search = {"kind": "search", "query": "a", "index": "scenes", "judge": "none", "k": 3}
    kernel.tell(model_id, search | {"id": "s1", "n_judged": None})
    while "judge" not in [_about(message).get("stage") for message in kernel.seen]:
        kernel.next()
    kernel.tell(model_id, {"kind": "cancel", "id": "s1"})
    assert _about(kernel.words("s1")[-1])["body"]["cancelled"] is True
