"""Completion of ``%matir`` lines: as a function, in IPython, and through a real kernel."""

import os
import sys
import tempfile
import time

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import KernelManager
from traitlets.config import Config

import matir_nb
from matir_nb.commands.tree import build_parser
from matir_nb.home import registered
from matir_nb.notebook.completion import complete

NAMES = {
    "index": lambda: ["photos", "scans"],
    "result": lambda: ["r", "LAST"],
    "setting": lambda: ["preview", "k"],
}
TREE = build_parser("%matir")


def texts(line):
    return list(complete(line, TREE, NAMES).texts)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%matir sea", ["search"]),
        ("%%matir sea", ["search"]),
        ("x = %matir sea", ["search"]),
        ("    a.b, c[0] = %matir sea", ["search"]),
        ("%matir s", ["status", "search", "show", "sensitivity"]),
        ("%matir help e", ["explain", "export", "eval"]),
        ("%matir open ", ["photos", "scans"]),
        ("%matir open s", ["scans"]),
        ("%matir status ", ["photos", "scans"]),
        ("%matir list --forget ", ["photos", "scans"]),
        ("%matir search a ring -i ", ["photos", "scans"]),
        ("%matir search a ring --index=s", ["--index=scans"]),
        ("%matir search a ring --st", ["--stage"]),
        ("%matir search a ring --stage ", ["1", "2"]),
        ("%matir search a ring --format j", ["json"]),
        ("%matir search -k 3 --n", ["--n-judged", "--no-judge"]),
        ("%matir search --no-judge --j", []),
        ("%matir search --no-judge --n", ["--n-judged"]),
        ("%matir search -- --n", []),
        ("%matir search -k ", []),
        ("%matir search a ri", []),
        ("%matir explain ", ["r", "LAST"]),
        ("%matir explain L", ["LAST"]),
        ("%matir explain r --r", ["--rank"]),
        ("%matir export r ", ["--help", "--images", "--index", "--overwrite", "-h", "-i"]),
        ("%matir config ", ["preview", "k"]),
        ("%matir config preview ", ["auto", "always", "never"]),
        ("%matir config k ", ["--help", "-h"]),
        ("%matir eval sc", ["scenes"]),
        ("%matir eval coco-c", ["coco-captions"]),
        ("%matir ablate ref", ["refcoco"]),
        ("%matir eval scenes --arm stage", ["stage1"]),
        ("%matir index photos/ --preset op", ["open-cpu", "open"]),
        ("%matir serach -", []),
        ("%matir search 'a", []),
        ("matir se", []),
        ("%matirse", []),
        ("%other se", []),
        ("print('%matir se", []),
        ("", []),
    ],
)
def test_what_can_follow(line, expected):
    assert texts(line) == expected


def test_a_free_word_offers_every_option_that_is_left():
    offered = texts("%matir search a ring --stage 1 ")
    assert "--index" in offered
    assert {"--stage", "--judge", "--no-judge"}.isdisjoint(offered)


def test_the_fragment_is_what_is_replaced():
    found = complete("r = %matir search red --index=ph", TREE, NAMES)
    assert (found.fragment, found.texts) == ("--index=ph", ("--index=photos",))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    registered.add(tmp_path / "holidays.matir")
    return tmp_path


@pytest.fixture
def shell(home):
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    matir_nb.load_ipython_extension(shell)
    yield shell
    matir_nb.unload_ipython_extension(shell)


def completions(shell, text, place=None):
    with provisionalcompleter():
        found = shell.Completer.completions(text, len(text) if place is None else place)
        return [(item.start, item.end, item.text) for item in found]


def test_ipython_takes_the_matches_and_no_others(shell):
    assert completions(shell, "x = %matir sea") == [(11, 14, "search")]
    assert completions(shell, "%matir open ho") == [(12, 14, "holidays")]
    cell = "%%matir search --no-\na ring"
    assert completions(shell, cell, place=20) == [(15, 20, "--no-judge")]


def test_in_the_body_of_a_cell_nothing_is_offered(shell):
    text = "%%matir search\n--no-j"
    assert "--no-judge" not in [item[2] for item in completions(shell, text)]


def test_variables_that_hold_results_are_offered(shell):
    from matir_nb.results import SearchResult
    from matir_nb.types import Provenance

    nothing = Provenance("x", models={}, config={}, versions={}, seconds={})
    shell.user_ns["found"] = SearchResult("red", (), nothing)
    shell.user_ns["_hidden"] = shell.user_ns["found"]
    shell.user_ns["number"] = 3
    offered = [item[2] for item in completions(shell, "%matir explain ")]
    assert offered == ["found", "LAST"]


def test_a_damaged_file_of_names_offers_nothing_and_raises_nothing(shell, home, capsys):
    (home / "indexes.json").write_text("{")
    assert "holidays" not in [item[2] for item in completions(shell, "%matir open ")]
    assert capsys.readouterr().err == ""


def test_unloaded_nothing_is_offered(shell):
    matir_nb.unload_ipython_extension(shell)
    assert completions(shell, "%matir sea") == []


@pytest.fixture
def kernel(home):
    # a folder with a short name: the path of a Unix socket has about 100 characters at most
    with tempfile.TemporaryDirectory() as folder:
        yield from started(f"{folder}/k")


def started(sockets):
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=sockets)
    env = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    manager.start_kernel(env=env, extra_arguments=["--HistoryManager.enabled=False"])
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.skipif(sys.platform == "win32", reason="kernels use Unix sockets here")
def test_a_kernel_answers_within_a_moment(kernel):
    reply = kernel.execute_interactive("%load_ext matir_nb", timeout=60)
    assert reply["content"]["status"] == "ok"

    def ask(code):
        return kernel.complete(code, len(code), reply=True, timeout=60)["content"]

    assert ask("%matir sea")["matches"] == ["search"]
    start = time.perf_counter()
    content = ask("r = %matir search a ring -i ho")
    assert time.perf_counter() - start < 1
    assert (content["matches"], content["cursor_start"]) == (["holidays"], 28)
    assert content["metadata"]["_jupyter_types_experimental"][0]["text"] == "holidays"
