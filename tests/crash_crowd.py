"""One writer and four readers of one index, for a while: the children of `test_concurrency`."""

import hashlib
import os
import random
import threading
import time
import traceback
from pathlib import Path

from crash_scenario import Stage, answers, content, go_on
from crash_server import report

from matir_nb.errors import IndexNotFoundError
from matir_nb.index import writer as writer_module
from matir_nb.index.manifest import manifest_text
from matir_nb.index.store import Index

HELD = 4
"""Snapshots that a reader keeps open."""


def crowd(path, root, seconds):
    """Fork a writer and two processes of two reading threads each; raise if one fails."""
    end = time.monotonic() + float(seconds)
    jobs = [lambda: write(Path(path), Path(root), end)]
    jobs += [lambda at=at: read_by_two(Path(path), end, at) for at in range(2)]
    children = [fork(job) for job in jobs]
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ended == [0, 0, 0], ended


def fork(job):
    child = os.fork()
    if child:
        return child
    try:
        job()
    except BaseException:  # noqa: BLE001 - it must not come back from here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def seen_in(index):
    """Return which snapshot an index is, and a digest of all that it says."""
    snapshot = hashlib.sha256(manifest_text(index.manifest).encode()).hexdigest()
    return snapshot, hashlib.sha256(repr((content(index), answers(index))).encode()).hexdigest()


def write(path, root, end):
    """Add, change, drop and compact until the end; report what each snapshot says."""
    real, rng = writer_module.write_manifest, random.Random(0)

    def write_manifest(index, manifest):
        real(index, manifest)
        report("wrote", *seen_in(Index.open(path)))

    writer_module.write_manifest = write_manifest
    names, n_runs = [f"{number}.png" for number in range(12)], 0
    while time.monotonic() < end:
        chosen = rng.sample(names, rng.randrange(4, len(names)))
        pictures = tuple((name, rng.randrange(1, 4)) for name in sorted(chosen))
        go_on(path, root, Stage(pictures, rng.random() < 0.4, rng.random() < 0.7))
        n_runs += 1
    report("runs", n_runs)


def read_by_two(path, end, at):
    failed = []

    def read_until_end(number):
        try:
            read(path, end, random.Random(number))
        except BaseException:  # noqa: BLE001 - the process says it
            traceback.print_exc()
            failed.append(number)

    threads = [threading.Thread(target=read_until_end, args=(2 * at + n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def read(path, end, rng):
    """Open, hold and ask snapshots until the end; report each that was seen."""
    held, seen, n_asked = [], set(), 0
    while time.monotonic() < end:
        if len(held) < HELD or rng.random() < 0.4:
            try:
                held.append(Index.open(path))
            except IndexNotFoundError:  # before the writer's first commit
                assert not held
                continue
            held = held[-HELD:]
        seen.add(seen_in(rng.choice(held)))
        n_asked += 1
    for item in sorted(seen):
        report("saw", *item)
    report("asked", n_asked)
