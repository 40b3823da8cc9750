"""Whatever ends a build, and whenever: the index opens, holds what was reported, and goes on.

After each accident the index is opened, every byte of it is compared with its checksum, what it
holds must be what was last reported or what the next report would have said, and the same
work, done again, must lead to the index, and the answers, of an uninterrupted run.
With MATIR_SLOW=1 nothing is left to samples.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest
from crash_disk import FAULTS, FaultyDisk, Ledger, fault, put
from crash_jobs import folders
from crash_scenario import STAGES, everything, go_on, state_in
from crash_server import Server

from matir_nb.index.manifest import BACKUP_NAME, MANIFEST_NAME, SEGMENTS, read_manifest

IS_SLOW = os.environ.get("MATIR_SLOW") == "1"
LEFT = ("flushed", "names", "mixed", "mixed", "killed")
N_RESUMED = 40
"""Of what power cuts leave, so many per stage are gone on with; all are opened."""
N_KILLED = 53
"""Of each kind, in each of two lanes."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL and no fork there")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Return, for each stage: the index before it, the notes of the disk, what is there then."""
    home = tmp_path_factory.mktemp("uninterrupted")
    stages = []
    for number, stage in enumerate(STAGES):
        before = home / str(number)
        (home / "work").mkdir(exist_ok=True)
        shutil.copytree(home / "work", before)
        disk = FaultyDisk()
        with disk.in_place():
            go_on(home / "work" / "i.matir", home, stage, disk.mark)
        stages.append((before, disk, everything(home / "work" / "i.matir")))
    return home, stages


def may_be(notes, number):
    """Return the states that an index may have after the notes of a stage."""
    last = coming = STAGES[number - 1].state if number else None
    for name, *args in notes:
        if name == "mark":
            event, state = args
            last, coming = (state, state) if event == "done" else (last, state)
    return [last, coming] if last is not None else [None, {}, coming]


def require_resumed(path, root, number, expected):
    """Go on with the index at `path` to the end of a stage, without accidents."""
    with FaultyDisk().in_place():
        go_on(path, root, STAGES[number])
    assert everything(path) == expected
    require_tidy(path)


def require_tidy(path):
    manifests = [read_manifest(path, name=name) for name in (MANIFEST_NAME, BACKUP_NAME)]
    named = {segment.name for manifest in manifests for segment in manifest.segments}
    assert {item.name for item in (path / SEGMENTS).iterdir()} <= named
    assert not list(path.glob("*.tmp"))


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_power_cuts(uninterrupted, tmp_path, number):
    home, stages = uninterrupted
    before, disk, expected = stages[number]
    ledger, rng, seen = Ledger(before, home / "work"), random.Random(number), {}
    for at in range(len(disk.notes) + 1):
        if at:
            ledger.note(*disk.notes[at - 1])
        for how in LEFT:
            left = ledger.left(how, rng)
            seen.setdefault(tuple(sorted(left.items())), may_be(disk.notes[:at], number))
    resumed = set(range(len(seen)) if IS_SLOW else rng.sample(range(len(seen)), N_RESUMED))
    assert len(seen) > 100
    for place, (left, states) in enumerate(seen.items()):
        work = tmp_path / str(place)
        put(dict(left), work)
        assert state_in(work / "i.matir") in states
        if place in resumed:
            require_resumed(work / "i.matir", home, number, expected)
        shutil.rmtree(work)


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_a_disk_that_fails_at_every_call(uninterrupted, tmp_path, number):
    home, stages = uninterrupted
    before, disk, expected = stages[number]
    n_calls, rng = len(disk.calls), random.Random(number)
    cases = [(at, kind) for at in range(n_calls) for kind in FAULTS]
    if not IS_SLOW:
        cases = [(at, FAULTS[(at + number) % len(FAULTS)]) for at in range(0, n_calls, 3)]
    for at, kind in cases:
        work = tmp_path / f"{at}-{kind}"
        shutil.copytree(before, work)
        failing = FaultyDisk(fault(kind, at), is_late=kind == "late")
        with failing.in_place():
            try:
                go_on(work / "i.matir", home, STAGES[number], failing.mark)
            except (OSError, KeyboardInterrupt):
                pass
            else:  # only tidying may fail unsaid
                assert state_in(work / "i.matir") == STAGES[number].state
        assert failing.n_failed or kind == "full"  # nothing that needs space came after
        states = may_be(failing.notes, number)
        assert state_in(work / "i.matir") in states
        ledger = Ledger(before, work)
        for note in failing.notes:
            ledger.note(*note)
        put(ledger.left("flushed", rng), tmp_path / "cut")
        assert state_in(tmp_path / "cut" / "i.matir") in states
        require_resumed((tmp_path / "cut" if at % 4 else work) / "i.matir", home, number, expected)
        shutil.rmtree(tmp_path / "cut")
        shutil.rmtree(work)


@pytest.fixture
def memory():
    """Return a folder in memory, if there is one: its flushes cost nothing."""
    here = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=here) as folder:
        yield Path(folder)


@pytest.mark.parametrize("job", ["index", "write"])
def test_kill_9(memory, job):
    folders(memory)
    expected, states, seconds = by_stage(memory, job)
    with ThreadPoolExecutor(2) as lanes:
        futures = [
            lanes.submit(killed, memory / f"lane{lane}", memory, job, seconds, states)
            for lane in range(2)
        ]
        found = [content for future in futures for content in future.result()]
    assert len(found) == 2 * N_KILLED
    assert all(content == expected for content in found)


def by_stage(home, job):
    """Return what an uninterrupted run leads to, the states on its way, and its seconds."""
    with Server() as server:
        for name in ("warm", "whole"):
            done = server.run(f"crash_jobs:{job}", home / name, home, 0)
            assert done[1] == 0
    states = [None, *(state for state, _ in groupby(report[-1] for report in done[0]))]
    return everything(home / "whole"), states, done[2]


def killed(home, root, job, seconds, states):
    """Kill children at random points of their `seconds`; return what each index led to."""
    found, rng = [], random.Random(f"{home.name} {job}")
    home.mkdir()
    with Server() as server:
        for number in range(4 * N_KILLED):
            if len(found) == N_KILLED:
                break
            path, delay = home / str(number), rng.uniform(0, seconds)
            reports, ended, _ = server.run(f"crash_jobs:{job}", path, root, 0, seconds=delay)
            assert ended in (0, -signal.SIGKILL)
            if ended == 0:  # it was done before: the next ones are given less time
                seconds = max(delay, seconds / 2)
                shutil.rmtree(path)
                continue
            done = [state for _, event, state in reports if event == "done"]
            last = len(list(groupby(done)))
            assert state_in(path) in states[last : last + 2] + [{}] * (last == 0)
            stage = reports[-1][0] if reports else 0
            _, status, _ = server.run(f"crash_jobs:{job}", path, root, stage)
            assert status == 0
            require_tidy(path)
            found.append(everything(path))
            shutil.rmtree(path)
    return found
