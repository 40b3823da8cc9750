"""Without a network: the embedded preset does everything, the others say what they need.

The work is done in processes whose sockets, and those of every process they start, are blocked.
"""

import json
import os
import subprocess
import sys
import textwrap
from time import monotonic

import pytest

from matir_nb.presets import PRESETS, models_of

BLOCK = """
import errno, os, sys

def refuse(event, arguments):
    leaves = event in ("socket.getaddrinfo", "socket.gethostbyname") or (
        event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple)
    )
    if leaves:
        with open(os.environ["MATIR_TEST_ATTEMPTS"], "a", encoding="utf-8") as file:
            file.write(f"{event} {arguments[1:]}\\n")
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

sys.addaudithook(refuse)
"""
PRELUDE = """
import json, sys
from pathlib import Path
import matir_nb
from matir_nb import cli
from matir_nb.errors import ModelUnavailableError
here = Path(sys.argv[1])
"""
EVERYTHING = """
from matir_nb.scenes.draw import draw_scene
from PIL import Image
(here / "scenes").mkdir()
for i in range(3):
    scene = draw_scene("test", i, seed=0)
    Image.fromarray(scene.image).save(here / "scenes" / f"{scene.scene_id}.png")
index = here / "scenes.matir"
report = matir_nb.build(here / "scenes", index, device="cpu")
result = matir_nb.open(index, device="cpu").search("a red circle", k=3)
trained = matir_nb.open(index, judge="trained", device="cpu").search("a red circle", k=3)
result.save(here / "hits.parquet")
trained.export(here / "hits.csv")
again = matir_nb.SearchResult.load(here / "hits.parquet")
trace = result.source.engine().trace("a red circle", again.hits[-1].image_id)
out = {
    "n_regions": report.n_regions,
    "n_hits": [len(result), len(trained), len(again)],
    "judged": [all(h.p_relevant is not None for h in r) for r in (result, trained)],
    "ledger": result.ledger(1).height,
    "inspector": type(result.inspector(1)).__name__,
    "trace": bool(str(trace)),
    "models": cli.main(["models"]),
    "doctor": cli.main(["doctor", "--device", "cpu"]),
}
"""
OTHERS = """
from time import monotonic
(here / "photos").mkdir()
from PIL import Image
Image.new("RGB", (64, 48), "red").save(here / "photos" / "a.png")
out = {}
for preset in ("open-cpu", "open", "paper"):
    start = monotonic()
    try:
        matir_nb.build(here / "photos", here / f"{preset}.matir", preset=preset, device="cpu")
    except ModelUnavailableError as error:
        out[preset] = [str(error), monotonic() - start]
out["fetch"] = cli.main(["models", "fetch", "open"])
out["offline"] = cli.main(["index", str(here / "photos"), "--preset", "open", "--offline"])
"""


@pytest.fixture
def without_network(tmp_path):
    """Return a function that runs a program there: what it leaves in `out`, errors, attempts."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    attempts = tmp_path / "attempts.txt"
    drop = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MATIR_OFFLINE", "HF_HUB_CACHE"}
    own = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "block"), os.environ.get("PYTHONPATH", "")]),
        "MATIR_TEST_ATTEMPTS": str(attempts),
        "HF_HOME": str(tmp_path / "hf"),
        "MATIR_HOME": str(tmp_path / "home"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    kept = {name: value for name, value in os.environ.items() if name not in drop}

    def run(program):
        source = f"{PRELUDE}\n{textwrap.dedent(program)}\nprint(json.dumps(out))"
        done = subprocess.run(
            [sys.executable, "-c", source, str(tmp_path)],
            env={**kept, **own},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        asked = attempts.read_text(encoding="utf-8").splitlines() if attempts.exists() else []
        return json.loads(done.stdout.splitlines()[-1]), done.stderr, asked

    return run


def test_sockets_are_really_blocked(without_network):
    program = """
    import socket, subprocess
    out = []
    for source in ("socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('a.b', 1)"):
        code = f"import socket\\n{source}"
        out.append(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode)
    """
    out, _, asked = without_network(program)
    assert out == [1, 1]
    assert [line.split()[0] for line in asked] == ["socket.getaddrinfo"] * 2


def test_the_embedded_preset_does_everything_and_asks_for_nothing(without_network):
    out, _, asked = without_network(EVERYTHING)
    assert asked == []
    assert out["n_regions"] > 3
    assert out["n_hits"] == [3, 3, 3]
    assert out["judged"] == [True, True]
    assert out["ledger"] > 2
    assert out["inspector"] == "Inspector"
    assert out["trace"]
    assert out["models"] == 0
    assert out["doctor"] in (0, 1)


def test_the_other_presets_say_at_once_what_fetches_them(without_network):
    start = monotonic()
    out, errors, asked = without_network(OTHERS)
    assert monotonic() - start < 120
    for name in ("open-cpu", "open", "paper"):
        text, seconds = out[name]
        first = models_of(PRESETS[name])[1].name
        assert f"the model {first!r} cannot be fetched (ConnectError: " in text
        assert f"`matir models fetch {first}`" in text
        assert seconds < 30
    assert (out["fetch"], out["offline"]) == (2, 2)
    fetch, offline = errors.splitlines()[-2:]
    all_of = "(all of preset open: `matir models fetch open`)"
    assert (
        f"when the network is back, `matir models fetch sam2.1-hiera-base-plus` {all_of}" in fetch
    )
    assert "--offline or HF_HUB_OFFLINE=1 forbids the network" in offline
    assert f"`matir models fetch siglip2-so400m-512` {all_of}" in offline
    assert len(asked) <= 12
