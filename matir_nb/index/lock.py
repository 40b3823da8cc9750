"""One writer per index: a lock that names its owner and ends with it.

Where the file system has `flock`, the system itself frees the lock of a dead process. Where it
has not (some network file systems, Windows), a file that names the owner is the lock, and its
time of change, renewed every `BEAT_SECONDS`, is the owner's heartbeat. A dead process of this
computer is then replaced at once, a silent one of another computer after `SILENT_SECONDS`; a
process that was stopped for as long and goes on finds by `WriteLock.require_held` that it lost the
index. This module knows nothing else of an index.
"""

import contextlib
import errno
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from matir_nb.errors import ConfigError
from matir_nb.index.owner import MAX_OWNER_BYTES, Owner, duration, owner_from

LOCK_NAME = "write.lock"
OWNER_NAME = "write.owner"
"""The lock itself, where there is no `flock`."""
BEAT_SECONDS = 20.0
SILENT_SECONDS = 600.0
"""A heartbeat older than this, 10 minutes, is a dead owner's."""
SETTLE_SECONDS = 0.5
"""Of two that replace a dead owner, the later wins; both look after this time."""
NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def write_lock(folder: Path) -> "WriteLock":
    """Return the lock of the index at `folder`, held until it is closed or the process ends.

    Raises:
        ConfigError: another holds it; the message names its owner. Or the folder is read-only.
        OSError: the disk fails.
    """
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        message = f"cannot write to {str(folder)!r} ({error.strerror}): make it writable"
        raise ConfigError(message) from error
    try:
        return _locked(folder, handle)
    except BaseException:
        os.close(handle)
        raise


class WriteLock:
    """A lock that is held; see `write_lock`."""

    def __init__(self, handle: int, owner: Owner, owner_file: Path | None = None) -> None:
        """Keep `handle` open; where an owner file is the lock, keep it fresh as well."""
        self._handle: int | None = handle
        self._owner = owner
        self._owner_file = owner_file
        self._ended = threading.Event()
        if owner_file is not None:
            args = (owner_file, owner, self._ended)
            threading.Thread(target=_beat, args=args, name="matir-lock", daemon=True).start()

    def __del__(self) -> None:
        """Close a lock that an error left behind."""
        self.close()

    def __enter__(self) -> Self:
        """Return the lock."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def require_held(self) -> None:
        """Raise unless nobody took the index over; to be asked before each change of it.

        Raises:
            ConfigError: another process took this one for dead.
        """
        if self._owner_file is not None and _owner_of(self._owner_file) != self._owner:
            message = (
                f"another process writes to {str(self._owner_file.parent)!r}: this one had been "
                f"silent for {duration(SILENT_SECONDS)} and was taken for dead; run it again"
            )
            raise ConfigError(message)

    def close(self) -> None:
        """Let others write; the second time, do nothing."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        self._ended.set()
        with contextlib.suppress(OSError):
            if self._owner_file is not None and _owner_of(self._owner_file) == self._owner:
                self._owner_file.unlink()
            os.ftruncate(handle, 0)
        os.close(handle)


def _beat(owner_file: Path, owner: Owner, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            if _owner_of(owner_file) == owner:
                os.utime(owner_file)


def _locked(folder: Path, handle: int) -> WriteLock:
    owner = Owner()
    try:
        _flock(handle)
    except BlockingIOError:
        holder = owner_from(os.pread(handle, MAX_OWNER_BYTES, 0))
        # who ended cannot hold it: the holder has yet to write its own words
        raise _refusal(folder, None if holder and holder.is_dead else holder) from None
    except OSError as error:
        if error.errno not in NO_FLOCK:
            raise
        _take_owner_file(folder, owner)
        return WriteLock(handle, owner, folder / OWNER_NAME)
    with contextlib.suppress(OSError):  # the lock is held, whether or not there is room for words
        os.ftruncate(handle, 0)
        os.write(handle, owner.to_json())
    return WriteLock(handle, owner)


def _flock(handle: int) -> None:
    """Lock an open file; its lock ends with the last process that has it open.

    Raises:
        BlockingIOError: another has it.
        OSError: there are no locks here.
    """
    try:
        import fcntl
    except ImportError:
        raise OSError(errno.ENOSYS, "no flock") from None
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _take_owner_file(folder: Path, owner: Owner) -> None:
    """Make the owner file, or put `owner` in place of a dead one.

    Raises:
        ConfigError: the owner is not known to be dead.
    """
    path = folder / OWNER_NAME
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        _require_dead(folder)
        beside = path.with_name(f"{OWNER_NAME}.{owner.token}")
        beside.write_bytes(owner.to_json())
        beside.replace(path)
        time.sleep(SETTLE_SECONDS)
    else:
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(owner.to_json())
        except OSError:
            path.unlink()
            raise
    holder = _owner_of(path)
    if holder != owner:
        raise _refusal(folder, holder)


def _require_dead(folder: Path) -> None:
    path = folder / OWNER_NAME
    holder = _owner_of(path)
    if holder is not None and holder.is_dead:
        return
    # both times are the file system's own: clocks of two computers differ
    os.utime(folder / LOCK_NAME)
    now = (folder / LOCK_NAME).stat().st_mtime
    try:
        silent = now - path.stat().st_mtime
    except FileNotFoundError:
        return
    if silent <= SILENT_SECONDS:
        raise _refusal(folder, holder)


def _owner_of(path: Path) -> Owner | None:
    try:
        with path.open("rb") as file:
            return owner_from(file.read(MAX_OWNER_BYTES))
    except FileNotFoundError:
        return None


def _refusal(folder: Path, holder: Owner | None) -> ConfigError:
    who = str(holder or "another process has been writing")
    return ConfigError(f"{who} to {str(folder)!r}: wait for it, or end it")
