"""Bytes to the disk so that they stay: the one place through which an index is written.

A file is there for good when its bytes were flushed (``fsync``) and its folder was flushed after
it gained the name; both are done here, in this order. A flush that failed is an error for good:
the system may have thrown the unwritten pages away, so a second flush that succeeds says nothing
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). What failed is
written anew under a new name, never flushed again. This module knows nothing of an index.
"""

import errno
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

CHUNK = 1 << 20
"""Small writes are gathered into one of this many bytes."""
NOT_OFFERED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What a file system answers that has no flush of folders."""

# The primitives: all that touches the disk is here, so that a test can put faults under it.


def open_new(path: Path) -> int:
    """Open a file for writing, empty; return its handle."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    extra: int = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | extra, 0o666)


def write_some(handle: int, content: memoryview) -> int:
    """Write at least one byte; return how many."""
    return os.write(handle, content)


def flush(handle: int) -> None:
    """Make the bytes of an open file survive a power cut."""
    try:
        from fcntl import F_FULLFSYNC, fcntl  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        os.fsync(handle)
        return
    try:  # macOS: fsync alone leaves the bytes in the drive's own memory
        fcntl(handle, F_FULLFSYNC)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise
        os.fsync(handle)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system offers that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise
    finally:
        os.close(handle)


def close(handle: int) -> None:
    """Close an open file."""
    os.close(handle)


def replace_file(source: Path, target: Path) -> None:
    """Give `source` the name `target`, in place of what has it."""
    source.replace(target)


def add_folder(path: Path) -> None:
    """Make one folder, which must not be there."""
    path.mkdir()


def drop_file(path: Path) -> None:
    """Take the name of a file away."""
    path.unlink()


def drop_folder(path: Path) -> None:
    """Take an empty folder away."""
    path.rmdir()


class FileWriter(io.RawIOBase):
    """A new file that is only written to; counts and digests its bytes as they come.

    Attributes:
        n_bytes: bytes given so far.
        crc32: checksum of the bytes given so far.
        error: the first error of the disk, which every later call repeats.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, empty.

        Raises:
            OSError: the disk says no.
        """
        super().__init__()
        self.n_bytes = 0
        self.crc32 = 0
        self.error: OSError | None = None
        self._handle: int | None = None
        self._handle = open_new(path)
        self._digest = hashlib.sha256()
        self._waiting = bytearray()

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes given so far."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes given so far."""
        return self.n_bytes

    def write(self, content: Any) -> int:
        """Take bytes, or any array of them; return how many.

        Raises:
            OSError: the disk is full or fails.
        """
        given = memoryview(content)
        if not given.nbytes:  # an empty array of several axes has no view as bytes
            return 0
        given = given.cast("B")
        self._digest.update(given)
        self.crc32 = zlib.crc32(given, self.crc32)
        self.n_bytes += len(given)
        if len(self._waiting) + len(given) < CHUNK:
            self._waiting += given
            return len(given)
        self._write_waiting()
        self._write_all(given)
        return len(given)

    def finish(self) -> None:
        """Write what waits and make it survive a power cut; the name needs `sync_folder`.

        Raises:
            OSError: the disk is full or fails.
        """
        self._write_waiting()
        with self._remembering() as handle:
            flush(handle)

    def close(self) -> None:
        """Close the file, whatever it holds; the second time, do nothing."""
        super().close()
        handle, self._handle = self._handle, None
        if handle is not None:
            close(handle)

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        self._write_all(memoryview(waiting))

    def _write_all(self, content: memoryview) -> None:
        with self._remembering() as handle:
            while content:
                content = content[write_some(handle, content) :]

    @contextmanager
    def _remembering(self) -> Iterator[int]:
        """Give the handle; remember an error of the disk, and refuse to go on after one."""
        if self.error is not None:
            raise self.error
        if self._handle is None:
            raise ValueError("the file is closed")
        try:
            yield self._handle
        except OSError as error:
            self.error = error
            raise


@contextmanager
def writing(path: Path) -> Iterator[FileWriter]:
    """Give a new file to write; on the disk for good after the block, but for its name.

    After an error the part that was written stays: it is in a folder that nothing names.

    Raises:
        OSError: the disk is full or fails.
    """
    file = FileWriter(path)
    try:
        yield file
        file.finish()
    except BaseException as error:
        with suppress(OSError):
            file.close()
        if isinstance(error, Exception) and file.error not in (None, error):
            # libraries that write into the file raise their own, which forgets the number
            raise file.error from error
        raise
    file.close()


def as_binary(file: FileWriter) -> IO[bytes]:
    """Return the same file under the type that libraries ask for."""
    return cast("IO[bytes]", file)


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` in place of a file, all at once: a reader sees the old bytes or the new.

    Raises:
        OSError: the disk is full or fails. The old file is there unless the last step failed, the
            flush of the folder: then the new one is, but a power cut may bring the old one back.
    """
    beside = path.with_name(f"{path.name}.tmp")
    try:
        with writing(beside) as file:
            file.write(content)
        replace_file(beside, path)
    except BaseException:
        with suppress(OSError):
            remove_file(beside)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each of them for good; one that is there stays as it is.

    Raises:
        OSError: the disk says no, or a file has the name.
    """
    if path.is_dir():
        # who made it may have been killed before the flush; who may not read its parent did not
        with suppress(PermissionError):
            sync_folder(path.parent)
        return
    make_folder(path.parent)
    try:
        add_folder(path)
    except FileExistsError:
        if not path.is_dir():
            raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut, where the system offers that.

    Raises:
        OSError: the disk fails.
    """
    flush_folder(path)


def remove_file(path: Path) -> None:
    """Remove a file; one that is not there is as good as removed.

    Raises:
        OSError: the disk says no.
    """
    with suppress(FileNotFoundError):
        drop_file(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it; a link is removed, not followed.

    Raises:
        OSError: the disk says no; the rest is still there.
    """
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
        return
    for item in path.iterdir():
        remove_tree(item)
    with suppress(FileNotFoundError):
        drop_folder(path)
