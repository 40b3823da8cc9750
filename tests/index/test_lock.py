import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from matir_nb.errors import ConfigError
from matir_nb.index import lock
from matir_nb.index.lock import LOCK_NAME, OWNER_NAME, write_lock
from matir_nb.index.owner import MAX_OWNER_BYTES, Owner, duration, owner_from

CHILD = """
import sys, time
from pathlib import Path
from matir_nb.index.lock import write_lock
held = write_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""
GARBAGE = [b"", b"{", b"null", b"[]", b"\xff\xfe\x00", b'{"pid": 1}', b"[" * 5000, b'{"pid":' * 900]


@pytest.fixture
def held_by_a_child(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def no_flock(_):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=["flock", "owner file"])
def kind(request, monkeypatch):
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.01)
    if request.param == "owner file":
        monkeypatch.setattr(lock, "_flock", no_flock)
    return request.param


@pytest.fixture
def without_flock(monkeypatch):
    monkeypatch.setattr(lock, "_flock", no_flock)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.01)


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def long_ago(path):
    os.utime(path, (time.time() - lock.SILENT_SECONDS - 60,) * 2)


def test_one_writer_at_a_time_even_within_a_process(tmp_path, kind):
    with write_lock(tmp_path) as held:
        held.require_held()
        message = rf"process {os.getpid()} on '.+' has been writing for \d seconds? to .+: wait"
        with pytest.raises(ConfigError, match=message):
            write_lock(tmp_path)
        held.require_held()
    with write_lock(tmp_path):
        pass
    held.close()
    assert not (tmp_path / OWNER_NAME).exists()


def test_the_lock_says_who_has_it_since_when(tmp_path, kind):
    with write_lock(tmp_path):
        name = LOCK_NAME if kind == "flock" else OWNER_NAME
        content = json.loads((tmp_path / name).read_bytes())
    assert content["pid"] == os.getpid()
    assert content["program"].startswith("matir_nb ")
    started = datetime.fromisoformat(content["started"])
    assert timedelta(0) <= datetime.now(UTC) - started < timedelta(minutes=1)
    assert set(content) >= {"host", "machine", "pid_started"}


def test_the_owner_of_another_process_and_its_age_are_named(tmp_path, held_by_a_child):
    content = json.loads((tmp_path / LOCK_NAME).read_bytes())
    started = datetime.now(UTC) - timedelta(minutes=12, seconds=5)
    content |= {"host": "far\x1b[31m", "started": started.isoformat()}
    (tmp_path / LOCK_NAME).write_text(json.dumps(content))
    with pytest.raises(ConfigError) as caught:
        write_lock(tmp_path)
    assert str(caught.value) == (
        f"process {held_by_a_child.pid} on 'far\\\\x1b[31m' has been writing for 12 minutes "
        f"to {str(tmp_path)!r}: wait for it, or end it"
    )


def test_a_killed_owners_lock_is_free(tmp_path, held_by_a_child):
    with pytest.raises(ConfigError, match=f"process {held_by_a_child.pid} "):
        write_lock(tmp_path)
    held_by_a_child.kill()
    held_by_a_child.wait()
    with write_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_bytes())["pid"] == os.getpid()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_torn_words_are_an_unknown_owners(tmp_path, held_by_a_child, garbage):
    (tmp_path / LOCK_NAME).write_bytes(garbage)
    with pytest.raises(ConfigError, match=r"^another process has been writing to "):
        write_lock(tmp_path)
    held_by_a_child.kill()
    held_by_a_child.wait()
    with write_lock(tmp_path):
        pass


def test_words_of_one_that_has_ended_are_not_the_holders(tmp_path, held_by_a_child):
    owner = replace(Owner(), pid=dead_pid())
    (tmp_path / LOCK_NAME).write_bytes(owner.to_json())
    with pytest.raises(ConfigError, match=r"^another process has been writing to "):
        write_lock(tmp_path)


def test_a_lock_that_an_error_left_behind_is_freed(tmp_path, kind):
    def interrupted():
        held = write_lock(tmp_path)
        held.require_held()
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupted()


def test_a_read_only_folder_is_said(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with pytest.raises(
            ConfigError, match=r"cannot write to .* \(Read-only file system\): make"
        ):
            write_lock(tmp_path)
    with pytest.raises(FileNotFoundError):
        write_lock(tmp_path / "absent")


def test_a_full_disk_does_not_keep_from_locking(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        held = write_lock(tmp_path)
    with pytest.raises(ConfigError, match=r"^another process"):
        write_lock(tmp_path)
    held.close()


def test_other_errors_of_locking_are_not_swallowed(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(lock, "_flock", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_lock(tmp_path)


def test_a_dead_process_of_this_computer_is_replaced_at_once(tmp_path, without_flock):
    owner = replace(Owner(), pid=dead_pid())
    (tmp_path / OWNER_NAME).write_bytes(owner.to_json())
    with write_lock(tmp_path) as held:
        held.require_held()
        assert json.loads((tmp_path / OWNER_NAME).read_bytes())["pid"] == os.getpid()
    assert sorted(item.name for item in tmp_path.iterdir()) == [LOCK_NAME]


@pytest.mark.skipif(not Owner().pid_started, reason="the system does not say when a process began")
def test_a_later_process_of_the_same_number_is_not_the_owner(tmp_path, without_flock):
    owner = replace(Owner(), pid_started="1")
    (tmp_path / OWNER_NAME).write_bytes(owner.to_json())
    with write_lock(tmp_path):
        pass


@pytest.mark.parametrize("pid", [0, -1, 1 << 70])
def test_odd_numbers_of_processes_are_not_known_to_be_dead(pid):
    assert not replace(Owner(), pid=pid).is_dead


@pytest.mark.parametrize("owner", [replace(Owner(), machine="far", pid=1, host="far"), None])
def test_another_computer_is_replaced_after_long_silence_only(tmp_path, without_flock, owner):
    content = owner.to_json() if owner else b"{torn"
    (tmp_path / OWNER_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match="'far' has been" if owner else r"^another process"):
        write_lock(tmp_path)
    assert (tmp_path / OWNER_NAME).read_bytes() == content
    long_ago(tmp_path / OWNER_NAME)
    with write_lock(tmp_path) as held:
        held.require_held()


def test_a_living_process_of_this_computer_is_never_replaced(tmp_path, without_flock):
    with write_lock(tmp_path) as held:
        held.require_held()
        os.utime(tmp_path / OWNER_NAME)
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            write_lock(tmp_path)


def test_who_was_taken_for_dead_is_told(tmp_path, without_flock):
    held = write_lock(tmp_path)
    other = replace(Owner(), machine="far")
    (tmp_path / OWNER_NAME).write_bytes(other.to_json())
    with pytest.raises(ConfigError, match=r"silent for 10 minutes and was taken for dead; run"):
        held.require_held()
    held.close()
    assert owner_from((tmp_path / OWNER_NAME).read_bytes()) == other


def test_the_heart_beats_until_the_lock_is_closed(tmp_path, without_flock, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.01)
    before = threading.active_count()
    held = write_lock(tmp_path)
    long_ago(tmp_path / OWNER_NAME)
    end = time.monotonic() + 10
    while (tmp_path / OWNER_NAME).stat().st_mtime < time.time() - 60:
        assert time.monotonic() < end, "no heartbeat"
        time.sleep(0.01)
    held.close()
    while threading.active_count() > before:
        assert time.monotonic() < end, "the thread goes on"
        time.sleep(0.01)


def test_of_many_that_replace_a_dead_owner_one_wins(tmp_path, without_flock, monkeypatch):
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 1.0)
    (tmp_path / OWNER_NAME).write_bytes(replace(Owner(), pid=dead_pid()).to_json())
    start, won, lost = threading.Barrier(8), [], []

    def contend():
        start.wait()
        try:
            won.append(write_lock(tmp_path))
        except ConfigError as error:
            lost.append(error)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    won[0].require_held()
    won[0].close()


def test_an_owner_file_that_does_not_fit_is_taken_back(tmp_path, without_flock, monkeypatch):
    monkeypatch.setattr(Owner, "to_json", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OSError, match="No space"):
        write_lock(tmp_path)
    assert not (tmp_path / OWNER_NAME).exists()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_names_nobody_is_nobody(garbage):
    assert owner_from(garbage) is None


@pytest.mark.parametrize(
    "change", [{"pid": "1"}, {"pid": True}, {"host": 3}, {"token": None}, {"extra": 1}]
)
def test_words_of_other_types_name_nobody(change):
    content = json.loads(Owner().to_json())
    assert owner_from(json.dumps(content).encode()) is not None
    assert owner_from(json.dumps(content | change).encode()) is None


def test_an_owner_is_read_back():
    owner = Owner()
    assert owner_from(owner.to_json()) == owner
    assert len(owner.to_json()) < MAX_OWNER_BYTES
    assert not owner.is_dead


@pytest.mark.parametrize("started", ["", "yesterday", "2026-01-01T00:00:00", "9999-99-99"])
def test_an_odd_time_is_left_out(started):
    owner = replace(Owner(), started=started)
    assert str(owner).endswith(" has been writing")


def test_a_clock_that_went_back_counts_from_now():
    later = datetime.now(UTC) + timedelta(hours=1)
    assert replace(Owner(), started=later.isoformat()).seconds == 0
    assert duration(0) == "0 seconds"
