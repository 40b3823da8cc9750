"""Samples how much memory a program and all that it started hold, as one sum."""

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psutil

SAMPLE_S = 0.1


@dataclass
class Peak:
    """The most memory held at one time, in MB.

    Attributes:
        rss_mb: resident; what processes share counts for each, as does all that a process which
            has just been forked shares with its parent.
        pss_mb: what they share counts once. Linux alone knows it; elsewhere the resident size.
    """

    rss_mb: float = 0
    pss_mb: float = 0


class Memory:
    """Samples a process and its children, and theirs, while it is entered."""

    def __init__(self, pid: int, *, has_root: bool = True) -> None:
        """Take the process; without `has_root` its children alone count."""
        self.root = psutil.Process(pid)
        self.peak = Peak()
        self._has_root = has_root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = Peak()

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes that still run, and of their ended children."""
        total = 0.0
        for process in self._tree():
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])
        return total

    def _tree(self) -> list[psutil.Process]:
        children: list[psutil.Process] = []
        with suppress(psutil.Error):  # the program has ended
            children = self.root.children(recursive=True)
        return [self.root, *children] if self._has_root else children

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            rss = pss = 0
            for process in self._tree():
                with suppress(psutil.Error):
                    memory = process.memory_full_info()
                    rss, pss = rss + memory.rss, pss + getattr(memory, "pss", memory.rss)
            self.peak.rss_mb = max(self.peak.rss_mb, round(rss / 2**20))
            self.peak.pss_mb = max(self.peak.pss_mb, round(pss / 2**20))
