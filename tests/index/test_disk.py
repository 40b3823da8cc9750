import errno
import hashlib
import os

import numpy as np
import polars as pl
import pytest

from matir_nb.index import disk

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.fixture
def calls(monkeypatch):
    """Name every primitive that is called, in order."""
    seen = []

    def watched(name):
        real = getattr(disk, name)

        def call(*args):
            seen.append((name, *args))
            return real(*args)

        return call

    for name in ("write_some", "flush", "flush_folder", "close", "replace_file", "add_folder"):
        monkeypatch.setattr(disk, name, watched(name))
    return seen


def names(calls):
    return [name for name, *_ in calls]


def test_bytes_are_counted_digested_flushed_and_closed(tmp_path, calls):
    parts = [b"abc", bytearray(b"de"), np.arange(6, dtype=np.float16).reshape(2, 3)]
    with disk.writing(tmp_path / "a") as file:
        for part in parts:
            assert file.write(part) == memoryview(part).nbytes
    content = (tmp_path / "a").read_bytes()
    assert content == b"abcde" + parts[2].tobytes()
    assert (file.n_bytes, file.tell()) == (len(content), len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert names(calls) == ["write_some", "flush", "close"]


def test_nothing_is_a_file_too(tmp_path):
    with disk.writing(tmp_path / "a") as file:
        assert file.write(np.zeros((0, 4), np.float16)) == 0
    assert (tmp_path / "a").read_bytes() == b""
    assert file.sha256 == hashlib.sha256(b"").hexdigest()


def test_large_content_follows_what_waits(tmp_path, calls):
    large = os.urandom(disk.CHUNK + 7)
    with disk.writing(tmp_path / "a") as file:
        file.write(b"small")
        file.write(large)
        file.write(b"end")
    assert (tmp_path / "a").read_bytes() == b"small" + large + b"end"
    assert names(calls).count("write_some") == 3


def test_a_disk_that_takes_a_byte_at_a_time_gets_all(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write_some", lambda handle, content: os.write(handle, content[:1]))
    with disk.writing(tmp_path / "a") as file:
        file.write(b"one by one")
    assert (tmp_path / "a").read_bytes() == b"one by one"


def test_polars_and_numpy_write_into_it(tmp_path):
    table = pl.DataFrame({"n": range(10_000), "text": [f"row {n}" for n in range(10_000)]})
    with disk.writing(tmp_path / "a.arrow") as file:
        binary = disk.as_binary(file)
        table.write_ipc(binary, compression="uncompressed", record_batch_size=4096)
    assert pl.read_ipc(tmp_path / "a.arrow").equals(table)
    assert file.sha256 == hashlib.sha256((tmp_path / "a.arrow").read_bytes()).hexdigest()
    array = np.arange(12, dtype=np.float16).reshape(3, 4)
    with disk.writing(tmp_path / "a.npy") as file:
        np.lib.format.write_array(file, array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)


def test_a_full_disk_keeps_its_number_through_polars(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write_some", failing(NO_SPACE))
    monkeypatch.setattr(disk, "CHUNK", 64)
    table = pl.DataFrame({"n": range(1000)})
    with (
        pytest.raises(OSError, match="No space left") as caught,
        disk.writing(tmp_path / "a") as file,
    ):
        table.write_ipc(disk.as_binary(file), compression="uncompressed")
    assert caught.value is NO_SPACE
    assert file.closed


def test_after_one_failure_nothing_more_is_written_or_flushed(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(disk, "flush", failing(BROKEN))
    file = disk.FileWriter(tmp_path / "a")
    file.write(b"abc")
    with pytest.raises(OSError, match="Input/output"):
        file.finish()
    monkeypatch.setattr(disk, "flush", lambda _: None)  # the second flush would succeed
    with pytest.raises(OSError, match="Input/output"):
        file.finish()
    file.write(b"waits")
    with pytest.raises(OSError, match="Input/output"):
        file.finish()
    file.close()
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert names(calls) == ["write_some", "close"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_an_error_of_the_block_closes_unflushed(tmp_path, calls, error):
    def interrupted():
        with disk.writing(tmp_path / "a") as file:
            opened.append(file)
            file.write(b"part")
            raise error

    opened = []
    with pytest.raises(type(error)):
        interrupted()
    (file,) = opened
    assert names(calls) == ["close"]
    with pytest.raises(ValueError, match="the file is closed"):
        file.finish()


def test_an_error_of_closing_is_an_error(tmp_path, monkeypatch):
    real = disk.close
    monkeypatch.setattr(disk, "close", lambda handle: (real(handle), failing(BROKEN)()))
    with pytest.raises(OSError, match="Input/output"), disk.writing(tmp_path / "a"):
        pass
    with pytest.raises(ValueError, match="mine"), disk.writing(tmp_path / "a"):
        raise ValueError("mine")


def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(FileNotFoundError), disk.writing(tmp_path / "absent" / "a"):
        pass


def test_a_whole_file_is_flushed_renamed_and_its_folder_flushed(tmp_path, calls):
    disk.write_whole(tmp_path / "a", b"old")
    disk.write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(calls) == 2 * ["write_some", "flush", "close", "replace_file", "flush_folder"]
    assert calls[-1] == ("flush_folder", tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("step", ["write_some", "flush", "replace_file"])
def test_a_failed_replacement_leaves_the_old_file_alone(tmp_path, monkeypatch, step):
    disk.write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr(disk, step, failing(NO_SPACE))
    with pytest.raises(OSError, match="No space left"):
        disk.write_whole(tmp_path / "a", b"new")
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("a", b"old")]


def test_a_folder_that_cannot_be_flushed_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "flush_folder", failing(BROKEN))
    for act in (
        lambda: disk.write_whole(tmp_path / "a", b"new"),
        lambda: disk.make_folder(tmp_path / "b"),
        lambda: disk.sync_folder(tmp_path),
    ):
        with pytest.raises(OSError, match="Input/output"):
            act()


def test_a_file_system_without_flush_of_folders_is_good_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(OSError(errno.EINVAL, "Invalid argument")))
    disk.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(BROKEN))
    with pytest.raises(OSError, match="Input/output"):
        disk.sync_folder(tmp_path)


def test_every_new_folder_is_flushed_into_its_parent(tmp_path, calls):
    disk.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    flushed = [args[0] for name, *args in calls if name == "flush_folder"]
    assert flushed == [tmp_path.parent, tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    calls.clear()
    disk.make_folder(tmp_path / "a" / "b" / "c")  # perhaps made by one that was killed right then
    assert calls == [("flush_folder", tmp_path / "a" / "b")]


def test_a_parent_that_may_not_be_read_is_nobodys_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "flush_folder", failing(PermissionError(errno.EACCES, "denied")))
    disk.make_folder(tmp_path)


def test_a_file_in_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "a").touch()
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(FileExistsError):
            disk.make_folder(path)


def test_a_tree_is_removed_but_nothing_that_it_links_to(tmp_path):
    kept = tmp_path / "kept"
    (kept / "inside").mkdir(parents=True)
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").touch()
    (tree / "link").symlink_to(kept)
    (tree / "dangling").symlink_to(tmp_path / "nowhere")
    disk.remove_tree(tree)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["kept"]
    assert (kept / "inside").is_dir()
    disk.remove_tree(tree)
    disk.remove_file(tree)
    (tmp_path / "link").symlink_to(kept)
    disk.remove_tree(tmp_path / "link")
    assert (kept / "inside").is_dir()


def test_a_tree_that_cannot_be_removed_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    monkeypatch.setattr(disk, "drop_file", failing(BROKEN))
    with pytest.raises(OSError, match="Input/output"):
        disk.remove_tree(tmp_path / "a")
    assert (tmp_path / "a" / "file").exists()
