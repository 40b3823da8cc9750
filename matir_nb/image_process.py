"""The parent's side of `matir_nb.image_worker`: ask for pictures, survive what they do.

A worker that overruns its time is killed, one that dies is replaced by a fresh one, and the
picture in question gets a reason instead of pixels. Several workers decode ahead of the caller,
so that whoever computes on pictures never waits for a decoder. This module knows no folder and no
format.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, TypeAlias

import numpy as np

from matir_nb.errors import ConfigError, ImageError
from matir_nb.image_worker import PATH_HEADER, PIXELS_HEADER, READY, REASON_HEADER
from matir_nb.photo_facts import MAX_FACTS_BYTES, from_json
from matir_nb.types import FileFacts, RGBImage

PILLOW_MAX_PIXELS = 178_956_970
"""Pillow refuses larger pictures by itself."""
MOST_WORKERS = 8
"""Unless more are asked for: they decode 50 photographs of 12 megapixels a second."""
AHEAD_PICTURES = 16
AHEAD_BYTES = 144_000_000
"""Decoded pictures that wait for the caller: at most so many, of so many bytes, and one more per
worker. A batch for the models is about as large."""
Answer: TypeAlias = tuple[str, RGBImage, FileFacts] | str
"""Fingerprint, pixels and facts of a picture, or the reason why not."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What reading pictures may cost.

    Attributes:
        max_pixels: larger pictures are refused before they are decoded.
        seconds: time for one picture.
        memory_bytes: resident memory of a decoding process; kept on Linux only.
        n_workers: processes that decode at once; None = half of the processors, at most 8.
    """

    max_pixels: int = 120_000_000
    seconds: float = 20.0
    memory_bytes: int = 1 << 30
    n_workers: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if not 1 <= self.max_pixels <= PILLOW_MAX_PIXELS:
            message = (
                f"max_pixels = {self.max_pixels} is not allowed: give 1 to {PILLOW_MAX_PIXELS}"
            )
            raise ConfigError(message)
        for name in ("seconds", "memory_bytes"):
            if getattr(self, name) <= 0:
                message = f"{name} = {getattr(self, name)} is not allowed: give a number > 0"
                raise ConfigError(message)
        if self.n_workers is not None and self.n_workers < 1:
            message = f"n_workers = {self.n_workers} is not allowed: give a whole number >= 1"
            raise ConfigError(message)


def decode_ahead(paths: Sequence[Path], limits: ImageLimits) -> Generator[Answer, None, None]:
    """Yield what became of each picture, in order, while workers decode those that follow.

    Raises:
        ImageError: no worker can be started.
    """
    queue = _DecodingQueue(paths, limits)
    try:
        for row in range(len(paths)):
            yield queue.wait_for(row)
    finally:
        queue.close()


def default_workers() -> int:
    """Return how many processes decode where nothing is said: models need processors too.

    >>> 1 <= default_workers() <= 8
    True
    """
    try:
        n_processors = len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone knows which of them this process may use
        n_processors = os.cpu_count() or 1
    return min(max(n_processors // 2, 1), MOST_WORKERS)


class _DecodingQueue:
    """Threads that each own a decoding process, and the pictures that wait for the caller."""

    def __init__(self, paths: Sequence[Path], limits: ImageLimits) -> None:
        self._paths = paths
        self._changed = threading.Condition()
        self._answers: dict[int, Answer | Exception] = {}
        self._n_bytes = 0
        self._n_begun = 0
        self._n_taken = 0
        self._is_closed = False
        n_workers = min(limits.n_workers or default_workers(), len(paths))
        self._processes = [DecodingProcess(limits) for _ in range(n_workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(process,), daemon=True, name="matir-decode")
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, row: int) -> Answer:
        """Return the answer for `row`, the one after the last that was asked for."""
        with self._changed:
            self._changed.wait_for(lambda: row in self._answers)
            answer = self._answers.pop(row)
            self._n_bytes -= _size(answer)
            self._n_taken = row + 1
            self._changed.notify_all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End all processes and threads, whatever they are doing."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for process in self._processes:
            process.stop()
        for thread in self._threads:
            thread.join()

    def _work(self, process: "DecodingProcess") -> None:
        try:
            while (row := self._next_row()) is not None:
                self._put(row, _answer_or_error(process, self._paths[row]))
        finally:
            process.close()

    def _next_row(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._may_begin())
            if self._is_closed or self._n_begun == len(self._paths):
                return None
            self._n_begun += 1
            return self._n_begun - 1

    def _may_begin(self) -> bool:
        """Tell whether the next picture fits among those that wait; the caller's next does."""
        if self._n_begun in (len(self._paths), self._n_taken):
            return True
        is_near = self._n_begun - self._n_taken < AHEAD_PICTURES + len(self._processes)
        return is_near and self._n_bytes < AHEAD_BYTES

    def _put(self, row: int, answer: Answer | Exception) -> None:
        with self._changed:
            self._answers[row] = answer
            self._n_bytes += _size(answer)
            self._changed.notify_all()


def _size(answer: Answer | Exception) -> int:
    return answer[1].nbytes if isinstance(answer, tuple) else 0


def _answer_or_error(process: "DecodingProcess", path: Path) -> Answer | Exception:
    try:
        return process.read(path)
    except Exception as error:  # noqa: BLE001 - raised where the caller is
        return error


class DecodingProcess:
    """Decodes one picture after the other; started when needed, replaced when it dies."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def read(self, path: Path) -> Answer:
        """Return (fingerprint, pixels, facts) of `path`, or the reason why not."""
        self._ask(path)
        return self._receive()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            # closes the pipes, a request that was never read in them, and waits
            with contextlib.suppress(BrokenPipeError), process:
                pass

    def stop(self) -> None:
        """Let whatever another thread waits for here end now, and nothing begin any more."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def _ask(self, path: Path) -> None:
        name = os.fsencode(path.absolute())
        request = PATH_HEADER.pack(len(name)) + name
        process = self._process or self._start()
        try:
            _pipe(process.stdin).write(request)
            _pipe(process.stdin).flush()
        except BrokenPipeError:
            self.close()
            fresh = self._start()
            _pipe(fresh.stdin).write(request)
            _pipe(fresh.stdin).flush()

    def _start(self) -> "subprocess.Popen[bytes]":
        limits = [str(self._limits.max_pixels), str(int(self._limits.memory_bytes))]
        package_parent = str(Path(__file__).parents[1])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([package_parent, *filter(None, sys.path)]),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = process = subprocess.Popen(  # noqa: S603 - this package's own module
            [sys.executable, "-P", "-m", "matir_nb.image_worker", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        if self._is_stopped:  # while it was being started
            process.kill()
        if _pipe(process.stdout).read(len(READY)) != READY:
            self.close()
            message = (
                f"cannot start the decoding process: {sys.executable} -m matir_nb.image_worker"
            )
            raise ImageError(message)
        return process

    def _receive(self) -> Answer:
        process, start = self._process, perf_counter()
        if process is None:
            return "the decoding process is gone"
        timer = threading.Timer(self._limits.seconds, process.kill)
        timer.start()
        try:
            answer = _read_answer(_pipe(process.stdout))
        finally:
            timer.cancel()
        if answer is not None:
            return answer
        self.close()
        if perf_counter() - start >= self._limits.seconds:
            return f"decoding takes longer than {self._limits.seconds:g} s (ImageLimits.seconds)"
        return f"the decoder crashed on it ({_death(process.returncode)})"


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the worker is started with pipes"
    return stream


def _read_answer(stream: IO[bytes]) -> Answer | None:
    """Return (fingerprint, pixels, facts), a reason, or None where the worker died or is mad."""
    header = stream.read(PIXELS_HEADER.size)
    if len(header) < PIXELS_HEADER.size:
        return None
    if header[:1] == b"R":
        _, length = REASON_HEADER.unpack(header)
        return stream.read(length).decode()
    _, width, height, n_said, digest = PIXELS_HEADER.unpack(header)
    if n_said > MAX_FACTS_BYTES:
        return None
    try:
        facts = from_json(stream.read(n_said))
    except (ValueError, TypeError, KeyError):
        return None
    image = np.empty((height, width, 3), dtype=np.uint8)
    if stream.readinto(image.data.cast("B")) < image.size:  # type: ignore[attr-defined]
        return None
    return digest.hex(), image, facts


def _death(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    return signal.Signals(-returncode).name
