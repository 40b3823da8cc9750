"""Columns of an Arrow IPC file as numpy arrays over its memory map: nothing is read until used.

polars reads such files whole, and pyarrow would be one more dependency, for what is four numbers
per buffer: where the one record batch of a file of ours keeps it. The layout is that of
https://arrow.apache.org/docs/format/Columnar.html; the positions stand in two flatbuffers, the
footer's `Block` and the batch's `RecordBatch` (``format/File.fbs`` and ``format/Message.fbs`` of
apache/arrow). This module knows the types that `matir_nb.index.tables` uses, and no column's name.
"""

import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import IndexCorruptError
from matir_nb.index.open_files import is_shortage

Kind: TypeAlias = Literal["int", "float", "float32", "time", "utc", "text", "bytes", "box", "texts"]
"""int64, float64, float32; microseconds without and with a zone; large UTF-8, large binary; four
float32; large list of large UTF-8."""

MAGIC = b"ARROW1"
N_BUFFERS: dict[Kind, int] = {
    "int": 2,
    "float": 2,
    "float32": 2,
    "time": 2,
    "utc": 2,
    "text": 3,
    "bytes": 3,
    "box": 3,
    "texts": 5,
}
DTYPES: dict[Kind, str] = {
    "int": "<i8",
    "float": "<f8",
    "float32": "<f4",
    "time": "<i8",
    "utc": "<i8",
    "box": "<f4",
}
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive times stay naive


class _Handle:
    """A file that is open until nobody holds this.

    Attributes:
        number: of the open file.
    """

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@dataclass(frozen=True, slots=True)
class ArrowMap:
    """An open file of `n_rows` rows.

    Attributes:
        n_rows: of the table.
        kinds: column -> type, in the file's order.
    """

    n_rows: int
    kinds: Mapping[str, Kind]
    _file: "_Handle"
    _map: mmap.mmap
    _bytes: NDArray[np.uint8]
    _buffers: Mapping[str, tuple[tuple[int, int], ...]]
    _views: dict[tuple[str, int], NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, path: Path, kinds: Mapping[str, Kind], *, is_picked_from: bool = False
    ) -> "ArrowMap":
        """Map the file at `path`, whose columns have these types.

        Args:
            path: of the file.
            kinds: column -> type, in the file's order.
            is_picked_from: whether a few rows here and there will be read: of a file that is not
                in memory, the system then reads those and not the megabytes around them.

        Raises:
            IndexCorruptError: it is no such file.
            OSError: the system lacks open files or memory.
        """
        try:
            file = _Handle(path)
            mapped = mmap.mmap(file.number, 0, access=mmap.ACCESS_READ)
            # a plain array: slicing a `np.memmap` costs microseconds each time
            content = np.frombuffer(mapped, np.uint8)
            n_rows, buffers = _layout(content)
            found = _by_column(buffers, kinds)
            opened = cls(n_rows, kinds, file, mapped, content, found)
            opened._check_lengths()
            if is_picked_from and hasattr(mmap, "MADV_RANDOM"):
                mapped.madvise(mmap.MADV_RANDOM)
        except (OSError, ValueError, IndexError, struct.error) as error:
            if is_shortage(error):
                raise
            message = f"{str(path)!r} is no table of an index ({error}): matir verify --repair"
            raise IndexCorruptError(message) from error
        return opened

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of numbers: (n,), or (n, 4) of boxes; nulls are not marked.

        Args:
            name: of a column that is no text.
        """
        kind = self.kinds[name]
        values = self._array(name, -1, DTYPES[kind])
        width = 4 if kind == "box" else 1
        flat = values[: self.n_rows * width]
        return flat.reshape(-1, 4) if kind == "box" else flat

    def frame(self, crc32: int | None) -> pl.DataFrame:
        """Return the whole table; reads all of it, from the map that this snapshot holds.

        Args:
            crc32: of the file; None = not known.

        Raises:
            IndexCorruptError: it was altered.
        """
        content = self._map[:]
        if crc32 not in (None, zlib.crc32(content)):  # polars panics on some altered tables
            raise IndexCorruptError("a table of the index was altered: matir verify --repair")
        return pl.read_ipc(content)

    def slices(self, name: str, first: int, n: int) -> list[bytes]:
        """Return `n` values of a column of bytes or text, as bytes."""
        ends = self._array(name, 1, "<i8")[first : first + n + 1].tolist()
        return self._pieces(name, ends)

    def value(self, name: str, row: int) -> Any:
        """Return one value as a Python object; None = null.

        Raises:
            IndexCorruptError: it was altered.
        """
        if not self._is_valid(name, row):
            return None
        kind = self.kinds[name]
        if kind in ("text", "bytes"):
            piece = self.slices(name, row, 1)[0]
            return _text(name, piece) if kind == "text" else piece
        if kind == "texts":
            return self._texts(name, row)
        number = self.column(name)[row].item()
        if kind in ("time", "utc"):
            moment = EPOCH + timedelta(microseconds=number)
            return moment.replace(tzinfo=UTC) if kind == "utc" else moment
        return number

    def _texts(self, name: str, row: int) -> list[str]:
        first, end = self._array(name, 1, "<i8")[row : row + 2].tolist()
        ends = self._array(name, 3, "<i8")[first : end + 1].tolist()
        return [_text(name, piece) for piece in self._pieces(name, ends)] if end > first else []

    def _pieces(self, name: str, ends: list[int]) -> list[bytes]:
        """Return what lies between neighbouring `ends` in the last buffer of a column."""
        start, n_bytes = self._buffers[name][-1]
        if not ends:
            return []
        is_ordered = ends == sorted(ends)
        if ends[0] < 0 or ends[-1] > n_bytes or not is_ordered:
            raise _damaged(name)
        base = ends[0]
        whole = self._read(start + base, ends[-1] - base)
        return [whole[a - base : b - base] for a, b in itertools.pairwise(ends)]

    def _read(self, first: int, n_bytes: int) -> bytes:
        """Return bytes of the file; in one call, where touching a map would fault page by page."""
        if hasattr(os, "pread"):
            return os.pread(self._file.number, n_bytes, first)
        return self._map[first : first + n_bytes]

    def _is_valid(self, name: str, row: int) -> bool:
        bits = self._array(name, 0, "u1")
        return len(bits) == 0 or bool(bits[row >> 3] >> (row & 7) & 1)

    def _array(self, name: str, number: int, dtype: str) -> NDArray[Any]:
        found = self._views.get((name, number))
        if found is None:
            start, n_bytes = self._buffers[name][number]
            size = np.dtype(dtype).itemsize
            found = self._bytes[start : start + n_bytes - n_bytes % size].view(dtype)
            self._views[name, number] = found
        return found

    def _check_lengths(self) -> None:
        """Raise unless every buffer is long enough for the rows."""
        for name, kind in self.kinds.items():
            width = 4 if kind == "box" else 1
            values = DTYPES.get(kind)
            if values is None:
                enough = len(self._array(name, 1, "<i8")) > self.n_rows or self.n_rows == 0
            else:
                enough = len(self._array(name, -1, values)) >= self.n_rows * width
            bits = len(self._array(name, 0, "u1"))
            if not enough or 0 < bits * 8 < self.n_rows:
                message = f"column {name!r} is too short"
                raise ValueError(message)


def _text(name: str, piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError as error:
        raise _damaged(name) from error


def _damaged(name: str) -> IndexCorruptError:
    return IndexCorruptError(f"column {name!r} of the index is damaged: matir verify")


def _by_column(
    buffers: list[tuple[int, int]], kinds: Mapping[str, Kind]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the buffers of each column, which lie one after the other."""
    expected = sum(N_BUFFERS[kind] for kind in kinds.values())
    buffers = buffers or [(0, 0)] * expected
    if len(buffers) != expected:
        message = f"{len(buffers)} buffers instead of {expected}"
        raise ValueError(message)
    found, start = {}, 0
    for name, kind in kinds.items():
        found[name] = tuple(buffers[start : start + N_BUFFERS[kind]])
        start += N_BUFFERS[kind]
    return found


def _layout(content: NDArray[np.uint8]) -> tuple[int, list[tuple[int, int]]]:
    """Return the number of rows, and (first byte, length) of each buffer of the one batch.

    A table without rows has no batch, and no buffers.

    Raises:
        ValueError: or IndexError, struct.error: it is no file with one batch.
    """
    n = len(content)
    if n < 32 or content[:6].tobytes() != MAGIC or content[-6:].tobytes() != MAGIC:
        raise ValueError("no Arrow IPC file")
    footer_size = struct.unpack("<i", content[-10:-6].tobytes())[0]
    footer = content[n - 10 - footer_size : n - 10].tobytes()
    at, count = _vector(footer, _root(footer), 3)
    if count == 0:
        return 0, []
    if count != 1:
        message = f"{count} record batches instead of one"
        raise ValueError(message)
    offset, meta_size, _, body_size = struct.unpack_from("<qiiq", footer, at)
    meta = content[offset : offset + meta_size].tobytes()[8:]
    batch = _table(meta, _root(meta), 2)
    n_rows = struct.unpack_from("<q", meta, _field(meta, batch, 0))[0]
    at, count = _vector(meta, batch, 2)
    body = offset + meta_size
    pairs = [struct.unpack_from("<qq", meta, at + 16 * i) for i in range(count)]
    fits = all(min(first, size, body_size - first - size) >= 0 for first, size in pairs)
    if n_rows < 0 or not fits or body + body_size > n:
        raise ValueError("a buffer outside the file")
    return n_rows, [(body + first, size) for first, size in pairs]


# flatbuffers: a table begins with the distance back to its list of field positions


def _root(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 0)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a table is.

    Raises:
        ValueError: it is not there.
    """
    fields = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, fields)[0]
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", data, fields + place)[0] if place < size else 0
    if offset == 0 or fields < 0:
        raise ValueError("a field is missing")
    return int(table + offset)


def _table(data: bytes, table: int, number: int) -> int:
    at = _field(data, table, number)
    return int(at + struct.unpack_from("<I", data, at)[0])


def _vector(data: bytes, table: int, number: int) -> tuple[int, int]:
    """Return where the items of a vector begin, and how many there are."""
    at = _table(data, table, number)
    return at + 4, int(struct.unpack_from("<I", data, at)[0])
