"""A large file from the network: what was loaded is kept, and the next attempt goes on from there.

This module knows HTTP and files, and no model.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from huggingface_hub import get_session
from huggingface_hub.errors import HfHubHTTPError

from matir_nb.errors import ModelUnavailableError

NETWORK_ERRORS: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
"""An error of the hub is one of its HTTP client and an `OSError`: all that can go wrong."""
PART_ENDING = ".incomplete"
"""Of a file that is not whole yet; the hub's own name for one."""
TIMEOUT_S = 10.0
CHUNK_BYTES = 1 << 20
N_RETRIES = 2
"""Attempts that may fail one after the other without a new byte."""
WAIT_S = 1.0
RESUMED = 206
NOTHING_LEFT = 416
PASSING = frozenset({408, 425, 429})
"""Client errors that may be gone at the next attempt."""
RESERVE = 1.02
"""Of the space that is needed: file systems take more than the files' bytes."""

Advance: TypeAlias = Callable[[int], None]


class DamagedError(OSError):
    """A file that came as a whole is not the one that was announced."""


def download(
    url: str,
    target: Path,
    *,
    announced: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    advance: Advance = lambda _: None,
    expect: Advance | None = None,
) -> None:
    """Load `url` into `target`, which appears when it is whole.

    Args:
        url: of a server that answers range requests; another one starts over each time.
        target: a file; its folder is made. Beside it, what is not whole yet.
        announced: (what the user calls the file, the SHA-256 it must have, hex); None = not known.
        headers: sent along.
        advance: is told of every number of bytes that came, also in an earlier attempt.
        expect: is told once of the size of the whole file, where the caller does not know it.

    Raises:
        DamagedError: the file is not the one that was announced; it is deleted.
        OSError: the network or the disk failed; what was loaded is kept. The HTTP client's own
            errors are in `NETWORK_ERRORS`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    advance(size_of(part))
    told: list[int] = []

    def tell_once(size: int) -> None:
        if expect is not None and not told:
            told.append(size)
            expect(size)

    failures = 0
    while True:
        before = size_of(part)
        try:
            _load_rest(url, part, headers or {}, advance, tell_once)
            break
        except NETWORK_ERRORS as error:
            failures = 0 if size_of(part) > before else failures + 1
            if failures > N_RETRIES or not _may_pass(error):
                raise
            time.sleep(WAIT_S)
    if announced is not None:
        _check(part, *announced)
    part.replace(target)


def _load_rest(
    url: str, part: Path, headers: Mapping[str, str], advance: Advance, expect: Advance
) -> None:
    """Append to `part` what it lacks of `url`; a server without ranges starts it over."""
    start = size_of(part)
    sent = {**headers, "Accept-Encoding": "identity"}
    if start:
        sent["Range"] = f"bytes={start}-"
    with get_session().stream("GET", url, headers=sent, timeout=TIMEOUT_S) as response:
        if start and response.status_code == NOTHING_LEFT:
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return
            advance(-start)
            part.unlink()
            message = f"the server holds another file than the {start} bytes that are here"
            raise OSError(message)
        response.raise_for_status()
        is_resumed = response.status_code == RESUMED
        goes_on = str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")
        if is_resumed and not goes_on:
            message = "the server sent another part of the file than was asked for"
            raise OSError(message)
        if start and not is_resumed:
            advance(-start)
            start = 0
        expect(start + int(response.headers.get("Content-Length") or 0))
        with part.open("ab" if is_resumed else "wb") as file:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                advance(len(chunk))
            file.flush()
            os.fsync(file.fileno())


def _may_pass(error: Exception) -> bool:
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code >= 500 or response.status_code in PASSING
    return not is_local(error)


def is_local(error: BaseException) -> bool:
    """Tell whether an error is of this machine (a full disk, no permission), not of the network."""
    # only the former have a number, but for a connection that was refused or broke
    return getattr(error, "errno", None) is not None and not isinstance(error, ConnectionError)


def _check(part: Path, name: str, sha256: str) -> None:
    """Raise unless a file hashes to `sha256`; one that does not is deleted."""
    found = hash_of(part)
    if found != sha256:
        part.unlink()
        message = (
            f"the SHA-256 of {name!r} is {found[:12]}…, {sha256[:12]}… was announced; it is deleted"
        )
        raise DamagedError(message)


def hash_of(file: Path) -> str:
    """Return a file's SHA-256, hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def part_of(target: Path) -> Path:
    """Return where a file grows until it is whole."""
    return target.with_name(target.name + PART_ENDING)


def size_of(file: Path) -> int:
    """Return a file's size, bytes; 0 where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def free_bytes(folder: Path) -> int:
    """Return the space that is free where `folder` is, or will be, bytes."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    return shutil.disk_usage(there).free


def require_space(folder: Path, n_bytes: int, remedy: str) -> None:
    """Raise unless `n_bytes` fit on the disk of `folder`.

    Raises:
        ModelUnavailableError: they do not; the message has both numbers and `remedy`.
    """
    needed, free = int(n_bytes * RESERVE), free_bytes(folder)
    if needed > free:
        message = (
            f"not enough space at {str(folder)!r}: {needed / 1e9:.2f} GB are needed, "
            f"{free / 1e9:.2f} GB are free: {remedy}"
        )
        raise ModelUnavailableError(message)
