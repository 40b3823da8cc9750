"""The page cache and the memory of a process, as Linux counts them."""

import ctypes
import mmap
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

PAGE = mmap.PAGESIZE


def files_of(path: Path) -> list[Path]:
    """Return a file, or all files of a folder."""
    return [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())


def evict(files: Iterable[Path]) -> float:
    """Drop files from the page cache; return the share of their pages that stayed.

    Files that a process has mapped and used stay: nothing may have them open.
    """
    os.sync()
    chosen = list(files)
    for file in chosen:
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident_share(chosen)


def warm_up(files: Iterable[Path]) -> None:
    """Read files into the page cache."""
    block = bytearray(1 << 20)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(block):
                pass


def resident_share(files: Iterable[Path]) -> float:
    """Return the share of the files' pages that is in the page cache (``mincore``)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    n_in, n_pages = 0, 0
    for file in files:
        size = file.stat().st_size
        if size == 0:
            continue
        with file.open("rb") as opened:
            address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, opened.fileno(), 0)
        pages = ctypes.create_string_buffer(-(-size // PAGE))
        if libc.mincore(address, size, pages) != 0:
            raise OSError(ctypes.get_errno(), f"mincore of {file}")
        libc.munmap(address, size)
        n_in += sum(byte & 1 for byte in pages.raw[: -(-size // PAGE)])
        n_pages += -(-size // PAGE)
    return n_in / max(n_pages, 1)


def anonymous_mb() -> float:
    """Return the anonymous memory of this process, in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("no RssAnon in /proc/self/status")


def available_mb() -> float:
    """Return the memory that programs and the page cache can have, in MB."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("no MemAvailable in /proc/meminfo")


class PeakMemory:
    """Watches the anonymous memory of this process from another thread, every millisecond.

    Attributes:
        peak_mb: the most that was seen, in MB.
    """

    def __init__(self) -> None:
        """Begin with what there is now."""
        self.peak_mb = anonymous_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look once more, and end."""
        self._ended.set()
        self._thread.join()
        self.peak_mb = max(self.peak_mb, anonymous_mb())

    def _watch(self) -> None:
        while not self._ended.wait(0.001):
            self.peak_mb = max(self.peak_mb, anonymous_mb())
