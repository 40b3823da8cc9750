"""A disk that fails when told to, and that forgets what was not flushed when the power goes.

`FaultyDisk` stands in for the primitives of `matir_nb.index.disk`: it does what they do, notes
it, and fails at one call. `Ledger` replays the notes and knows what a power cut may leave of them:

* of the bytes of a file, those of its last flush; of later ones any part, or zeros in their place;
* of the names in a folder, those of its last flush; of later changes any subset;
* after a flush that failed, the bytes are lost, whatever a second flush says.
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from matir_nb.index import disk

BLOCK = 64
"""Bytes that reach the disk together."""
CALLS = (
    "open_new",
    "write_some",
    "flush",
    "flush_folder",
    "close",
    "replace_file",
    "add_folder",
    "drop_file",
    "drop_folder",
)
NEEDS_SPACE = ("open_new", "write_some", "flush", "add_folder")
FAULTS = ("once", "late", "full", "dead", "ctrl-c")
"""One call fails; one call is done and says that it failed; no more space from there on; every
call fails from there on; the user interrupts."""


def fault(kind: str, at: int) -> Callable[[int, str], BaseException | None]:
    """Return what goes wrong at each call (number, name), when it begins with number `at`."""

    def error_of(number: int, name: str) -> BaseException | None:
        if number < at or (number > at and kind not in ("full", "dead")):
            return None
        if kind == "full":
            full = OSError(errno.ENOSPC, "No space left on device")
            return full if name in NEEDS_SPACE else None
        return KeyboardInterrupt() if kind == "ctrl-c" else OSError(errno.EIO, "Input/output error")

    return error_of


class FaultyDisk:
    """The primitives over the real file system, without its flushes, which cost time."""

    def __init__(self, error_of=lambda _number, _name: None, *, is_late=False):
        self.notes: list[tuple] = []
        self.calls: list[str] = []
        self.n_failed = 0
        self._error_of = error_of
        self._is_late = is_late
        self._real = {name: getattr(disk, name) for name in CALLS}

    @contextmanager
    def in_place(self) -> Iterator["FaultyDisk"]:
        """Put the primitives under `matir_nb.index.disk` for the time of the block."""
        for name in CALLS:
            setattr(disk, name, getattr(self, name))
        try:
            yield self
        finally:
            for name, real in self._real.items():
                setattr(disk, name, real)

    def mark(self, event, state):
        self.notes.append(("mark", event, state))

    def open_new(self, path):
        handle = self._call("open_new", path)
        self.notes[-1] = ("open_new", path, handle)
        return handle

    def write_some(self, handle, content):
        return self._call("write_some", handle, content)

    def flush(self, handle):
        self._call("flush", handle)

    def flush_folder(self, folder):
        self._call("flush_folder", folder)

    def close(self, handle):
        self._call("close", handle)

    def replace_file(self, source, target):
        self._call("replace_file", source, target)

    def add_folder(self, path):
        self._call("add_folder", path)

    def drop_file(self, path):
        self._call("drop_file", path)

    def drop_folder(self, path):
        self._call("drop_folder", path)

    def _call(self, name, *args):
        number = len(self.calls)
        self.calls.append(name)
        error = self._error_of(number, name)
        if error is None:
            return self._do(name, *args)
        self.n_failed += 1
        if name == "write_some":  # torn: a part arrives
            handle, content = args
            self._do(name, handle, content[: len(content) // 2])
        elif name == "flush":
            self.notes.append(("lose", *args))
        elif name == "close" or (self._is_late and name not in ("open_new", "flush_folder")):
            self._do(name, *args)
        raise error

    def _do(self, name, *args):
        result = None
        if name == "write_some":
            handle, content = args
            os.write(handle, content)
            self.notes.append((name, handle, bytes(content)))
            return len(content)
        if name not in ("flush", "flush_folder"):
            result = self._real[name](*args)
        self.notes.append((name, *args))
        return result


@dataclass
class File:
    content: bytes = b""
    durable: bytes = b""
    is_lost: bool = False


@dataclass
class Folder:
    """Names as programs see them, as the disk has them, and the changes in between."""

    names: dict = field(default_factory=dict)
    durable: dict = field(default_factory=dict)
    pending: list = field(default_factory=list)

    def change(self, gone: str | None, name: str | None, item: "File | Folder | None") -> None:
        self.pending.append((gone, name, item))
        apply(self.names, self.pending[-1])

    def flush(self) -> None:
        self.durable, self.pending = dict(self.names), []


def apply(names: dict, change: tuple) -> None:
    gone, name, item = change
    names.pop(gone, None)
    if name is not None:
        names[name] = item


class Ledger:
    """What was done under `root`, which began as `before`, and what would be left of it."""

    def __init__(self, before: Path, root: Path):
        self.root = root
        self.top = _read(before)
        self._handles: dict[int, File] = {}

    def note(self, name, *args):
        getattr(self, f"_{name}")(*args)

    def left(self, how: str, rng: random.Random) -> dict:
        """Return path -> bytes (None = a folder) that a power cut leaves.

        Args:
            how: "flushed" = nothing but that; "names" = every name, but no byte that was not
                flushed; "mixed" = anything; "killed" = all, since the system goes on.
            rng: decides what is mixed.
        """
        found: dict = {}
        _leave(self.top, Path(), how, rng, found)
        return found

    def _mark(self, *_):
        pass

    def _folder(self, path: Path) -> Folder | None:
        if not path.is_relative_to(self.root):
            return None
        folder = self.top
        for part in path.relative_to(self.root).parts:
            folder = folder.names[part]
        return folder

    def _open_new(self, path, handle):
        folder = self._folder(path.parent)
        file = folder.names.get(path.name)
        if file is None:
            file = File()
            folder.change(None, path.name, file)
        file.content, file.is_lost = b"", False
        self._handles[handle] = file

    def _write_some(self, handle, content):
        self._handles[handle].content += content

    def _flush(self, handle):
        file = self._handles[handle]
        if not file.is_lost:
            file.durable = file.content

    def _lose(self, handle):
        self._handles[handle].is_lost = True

    def _close(self, handle):
        self._handles.pop(handle)

    def _flush_folder(self, path):
        folder = self._folder(path)
        if folder is not None:
            folder.flush()

    def _replace_file(self, source, target):
        folder = self._folder(source.parent)
        assert source.parent == target.parent
        folder.change(source.name, target.name, folder.names[source.name])

    def _add_folder(self, path):
        self._folder(path.parent).change(None, path.name, Folder())

    def _drop_file(self, path):
        self._folder(path.parent).change(path.name, None, None)

    _drop_folder = _drop_file


def _read(path: Path) -> Folder:
    folder = Folder()
    for item in path.iterdir():
        content = None if item.is_dir() else item.read_bytes()
        folder.names[item.name] = _read(item) if content is None else File(content, content)
    folder.flush()
    return folder


def _leave(folder: Folder, path: Path, how: str, rng: random.Random, found: dict) -> None:
    names = dict(folder.durable)
    for change in folder.pending:
        if how in ("names", "killed") or (how == "mixed" and rng.random() < 0.5):
            apply(names, change)
    for name, item in names.items():
        if isinstance(item, Folder):
            found[path / name] = None
            _leave(item, path / name, how, rng, found)
        else:
            found[path / name] = _bytes_left(item, how, rng)


def _bytes_left(file: File, how: str, rng: random.Random) -> bytes:
    if how == "killed":
        return file.content
    if how != "mixed" or file.content == file.durable:
        return file.durable
    kept = bytearray(file.content)
    for start in range(0, len(kept), BLOCK):
        if rng.random() < 0.3:
            end = min(start + BLOCK, len(kept))
            old = file.durable[start:end] if rng.random() < 0.5 else b""
            kept[start:end] = old.ljust(end - start, b"\0")
    cut = rng.choice([len(kept), rng.randrange(len(kept) + 1)])
    return rng.choice([file.durable, bytes(kept[:cut]), file.content[:cut]])


def put(left: dict, root: Path) -> None:
    """Write what was left into the new folder `root`."""
    root.mkdir()
    for path, content in left.items():
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
