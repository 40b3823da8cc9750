"""The folder of what is remembered between runs, and small JSON files in it.

A reader sees the old file or the new one, never half of one. This module knows no index and no
setting.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError

VARIABLE = "MATIR_HOME"


def home() -> Path:
    """Return the folder: `MATIR_HOME`, else the place for a user's data on this system."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "matir_nb"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "matir_nb"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "matir_nb"


def read_json(path: Path, *, holds: str) -> dict[str, Any]:
    """Return the object in a JSON file; empty when there is no file.

    Args:
        path: the file.
        holds: what the message says is in it, e.g. "the settings".

    Raises:
        ConfigError: it is damaged or cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(_unusable("read", path, error)) from error
    except ValueError as error:
        raise ConfigError(_damaged(path, holds, str(error))) from error
    if not isinstance(found, dict):
        raise ConfigError(_damaged(path, holds, "it holds no object"))
    return found


def _damaged(path: Path, holds: str, why: str) -> str:
    return f"{str(path)!r}, which keeps {holds}, is damaged ({why}): repair or delete it"


def _unusable(what: str, path: Path, error: OSError) -> str:
    return f"cannot {what} {str(path)!r} ({error.strerror}): set {VARIABLE} to a folder of yours"


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replace a JSON file as a whole; its folder is made.

    Raises:
        ConfigError: it cannot be written.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(_unusable("write", path, error)) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`, for a read and a write that belong together.

    Where the system has no such locks, the last writer wins.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(_unusable("write", path, error)) from error
    with file:
        # some network file systems have no locks
        with suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield
