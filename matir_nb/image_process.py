"""The parent's side of `matir_nb.image_worker`: ask for a picture, survive what it does.

A worker that overruns its time is killed, one that dies is replaced by a fresh one, and the
picture in question gets a reason instead of pixels. This module knows no folder and no format.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO

import numpy as np

from matir_nb.errors import ConfigError, ImageError
from matir_nb.image_worker import PATH_HEADER, PIXELS_HEADER, READY, REASON_HEADER
from matir_nb.types import RGBImage

PILLOW_MAX_PIXELS = 178_956_970
"""Pillow refuses larger pictures by itself."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture may cost.

    Attributes:
        max_pixels: larger pictures are refused before they are decoded.
        seconds: time for one picture.
        memory_bytes: resident memory of the decoding process; kept on Linux only.
    """

    max_pixels: int = 120_000_000
    seconds: float = 20.0
    memory_bytes: int = 1 << 30

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


class DecodingProcess:
    """Decodes one picture after the other; started when needed, replaced when it dies."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: Path | None = None

    def read(self, path: Path, *, upcoming: Path | None) -> tuple[str, RGBImage] | str:
        """Return (fingerprint, pixels) of `path`, or the reason why not; start on `upcoming`."""
        if self._asked != path:
            self._ask(path)
        answer = self._receive()
        if upcoming is not None:
            self._ask(upcoming)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            with process:  # closes the pipes and waits
                pass

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
        self._asked = path

    def _start(self) -> "subprocess.Popen[bytes]":
        limits = [str(self._limits.max_pixels), str(int(self._limits.memory_bytes))]
        package_parent = str(Path(__file__).parents[1])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([package_parent, *filter(None, sys.path)]),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(  # noqa: S603 - this package's own module
            [sys.executable, "-P", "-m", "matir_nb.image_worker", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        if _pipe(self._process.stdout).read(len(READY)) != READY:
            self.close()
            message = (
                f"cannot start the decoding process: {sys.executable} -m matir_nb.image_worker"
            )
            raise ImageError(message)
        return self._process

    def _receive(self) -> tuple[str, RGBImage] | str:
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


def _read_answer(stream: IO[bytes]) -> tuple[str, RGBImage] | str | None:
    """Return (fingerprint, pixels), a reason, or None where the worker died on the way."""
    header = stream.read(PIXELS_HEADER.size)
    if len(header) < PIXELS_HEADER.size:
        return None
    if header[:1] == b"R":
        _, length = REASON_HEADER.unpack(header)
        return stream.read(length).decode()
    _, width, height, digest = PIXELS_HEADER.unpack(header)
    image = np.empty((height, width, 3), dtype=np.uint8)
    if stream.readinto(image.data.cast("B")) < image.size:  # type: ignore[attr-defined]
        return None
    return digest.hex(), image


def _death(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    return signal.Signals(-returncode).name
