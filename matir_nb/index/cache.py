"""What is kept beside an index to save time: judgements, and small files of others.

All of it can be thrown away: whatever goes wrong on disk is logged and costs only time. This
module knows no judge.
"""

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from matir_nb.types import Judgement

LOG = logging.getLogger(__name__)
CACHE_FOLDER = "cache"
"""Of an index folder."""
MAX_REMEMBERED = 100_000
TIMEOUT_S = 5.0
Row = TypeVar("Row")
CREATE = "CREATE TABLE IF NOT EXISTS judgements (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"


class CacheFile:
    """An SQLite file that may be lost at any time: after a failure it is not used again."""

    def __init__(self, file: Path | None, what: str) -> None:
        """Use `file`, made when first written; None = keep nothing. `what` is said in the log."""
        self._file = file
        self._what = what

    def read(self, work: Callable[[sqlite3.Connection], list[Row]]) -> list[Row]:
        """Return what `work` finds; nothing where there is no file."""
        is_there = self._file is not None and self._file.is_file()
        return self.run(work) if is_there else []

    def run(self, work: Callable[[sqlite3.Connection], list[Row]]) -> list[Row]:
        """Return what `work` finds in the file, which is made; nothing after a failure."""
        if self._file is None:
            return []
        try:
            self._file.parent.mkdir(exist_ok=True)
            connect = sqlite3.connect(self._file, timeout=TIMEOUT_S)
            with contextlib.closing(connect) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=OFF")
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            LOG.warning("%s are not kept in %s: %s", self._what, self._file, error)
            if type(error) is sqlite3.DatabaseError:
                with contextlib.suppress(OSError):
                    self._file.unlink()
            self._file = None
            return []


class JudgementCache:
    """Judgements by key; the key is the caller's digest of all that decides the answer."""

    def __init__(self, file: Path | None = None) -> None:
        """Use the SQLite file `file`, made when first written; None = memory only."""
        self._file = CacheFile(file, "judgements")
        self._memory: dict[str, Judgement] = {}

    def get(self, keys: Sequence[str]) -> dict[str, Judgement]:
        """Return what is known of `keys`."""
        missing = [key for key in keys if key not in self._memory]
        if missing:
            self._remember(self._read(missing))
        return {key: self._memory[key] for key in keys if key in self._memory}

    def put(self, judgements: Mapping[str, Judgement]) -> None:
        """Remember `judgements` by key."""
        self._remember(judgements)
        rows = [(key, json.dumps(asdict(value))) for key, value in judgements.items()]

        def write(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            connection.execute(CREATE)
            connection.executemany("INSERT OR REPLACE INTO judgements VALUES (?, ?)", rows)
            connection.commit()
            return []

        self._file.run(write)

    def _read(self, keys: Sequence[str]) -> dict[str, Judgement]:
        query = "SELECT key, value FROM judgements WHERE key = ?"
        rows = self._file.read(lambda c: [row for key in keys for row in c.execute(query, (key,))])
        found: dict[str, Judgement] = {}
        for key, text in rows:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found[key] = _parse(text)
        return found

    def _remember(self, judgements: Mapping[str, Judgement]) -> None:
        self._memory.update(judgements)
        while len(self._memory) > MAX_REMEMBERED:
            del self._memory[next(iter(self._memory))]


def keep_file(file: Path, content: bytes) -> None:
    """Write a file as a whole, and its folder; where that fails there is no file."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_bytes(content)
        beside.replace(file)
    except OSError as error:
        LOG.warning("%s is not kept: %s", file, error)
        with contextlib.suppress(OSError):
            beside.unlink()


def _parse(text: str) -> Judgement:
    values = json.loads(text)
    box = values.pop("box_xyxy")
    if box is None:
        return Judgement(**values, box_xyxy=None)
    x0, y0, x1, y1 = (float(v) for v in box)
    return Judgement(**values, box_xyxy=(x0, y0, x1, y1))
