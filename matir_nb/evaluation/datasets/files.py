"""Annotation files: find them, read them, and say well what is wrong with them.

Knows JSON, CSV, TSV and Parquet, and no dataset's layout.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import polars as pl

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.dataset import Source

SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet")
PLACES = (".", "annotations")
"""Where a folder may hold its files: COCO's archives unpack into ``annotations``."""

T = TypeVar("T")


def missing_file(path: Path, source: Source, wanted: str) -> AnnotationError:
    """Return the error for a file that is not there: what it is, where to get it, its licence.

    Args:
        path: the file or folder that was looked for.
        source: the dataset's.
        wanted: what to download, in a few words ("annotations_trainval2017.zip").
    """
    return AnnotationError(
        f"there is no {str(path)!r}: download {wanted} of {source.title} from {source.url} "
        f"(licence: {source.licence}) and give its path"
    )


def find_file(path: Path, names: Sequence[str], source: Source, wanted: str) -> Path:
    """Return `path` if it is a file, else the first of `names` in that folder.

    The folder itself is looked through, then its subfolder ``annotations``.

    Args:
        path: a file or a folder.
        names: file names, the likeliest first; not empty.
        source: the dataset's.
        wanted: what to download, for the message.

    Raises:
        AnnotationError: there is no such file.
    """
    if path.is_file():
        return path
    for place in PLACES:
        for name in names:
            if (path / place / name).is_file():
                return path / place / name
    raise missing_file(path / names[0] if path.is_dir() else path, source, wanted)


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        AnnotationError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read {str(path)!r}: {error.strerror or error}"
        raise AnnotationError(message) from error


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        AnnotationError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        message = f"{str(path)!r} is no JSON: {error}"
        raise AnnotationError(message) from error


def read_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows of a CSV, TSV or Parquet file, each with its line number.

    The first line has the columns' names; values of CSV and TSV are text, stripped, an empty one
    is "". A Parquet file's rows count from 1, its nulls are "". Empty lines are passed over.

    Raises:
        AnnotationError: it cannot be read, has another suffix, two columns of one name, or a line
            has too many fields.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        message = (
            f"{str(path)!r} is no table that can be read: give a file with {', '.join(TABLES)}"
        )
        raise AnnotationError(message)
    content = read_bytes(path)
    return _parquet_rows(path, content) if suffix == ".parquet" else _text_rows(path, content)


def _parquet_rows(path: Path, content: bytes) -> list[tuple[int, dict[str, Any]]]:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"{str(path)!r} is no Parquet file: {error}"
        raise AnnotationError(message) from error
    return [
        (number, {name: "" if value is None else value for name, value in row.items()})
        for number, row in enumerate(frame.iter_rows(named=True), start=1)
    ]


def _text_rows(path: Path, content: bytes) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = content.decode("utf-8-sig")
        lines = csv.reader(
            io.StringIO(text, newline=""), delimiter=SEPARATORS[path.suffix.lower()], strict=True
        )
        header = [name.strip() for name in next(lines, [])]
        rows = [(lines.line_num, [value.strip() for value in line]) for line in lines if line]
    except UnicodeDecodeError as error:
        message = f"{str(path)!r} is no UTF-8 text ({error.reason}): save it as UTF-8"
        raise AnnotationError(message) from error
    except csv.Error as error:
        message = f"{str(path)!r}, line {lines.line_num}: {error}"
        raise AnnotationError(message) from error
    _require_different(path, header)
    for number, values in rows:
        if len(values) > len(header):
            message = (
                f"{str(path)!r}, line {number} has {len(values)} fields, but the first line names "
                f"{len(header)}: put quotes around a value that holds the separator"
            )
            raise AnnotationError(message)
    padding = [""] * len(header)
    return [(n, dict(zip(header, [*values, *padding], strict=False))) for n, values in rows]


def _require_different(path: Path, header: Sequence[str]) -> None:
    for name in header:
        if header.count(name) > 1:
            message = f"{str(path)!r}: two columns are called {name!r}: give each its own name"
            raise AnnotationError(message)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn the errors of a file with other fields than promised into an `AnnotationError`.

    Args:
        what: the file or the part of it, to begin the message with.

    Raises:
        AnnotationError: the block met a missing field, or a value of a wrong kind.
    """
    try:
        yield
    except AnnotationError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        wrong = f"lacks a field or has a wrong one: {type(error).__name__}: {error}"
        message = f"{what} {wrong}: is it the dataset's file of that kind?"
        raise AnnotationError(message) from error


def by_id(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[Any, Mapping[str, Any]]:
    """Return id -> row.

    Raises:
        AnnotationError: two rows have one id.
    """
    found = {row["id"]: row for row in rows}
    if len(found) < len(rows):
        message = f"{str(path)!r} has {len(rows)} entries, but only {len(found)} different ids"
        raise AnnotationError(message)
    return found


def grouped(rows: Sequence[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    """Return key -> rows with that key, in their order.

    >>> grouped([3, 1, 2], lambda n: n % 2)
    {1: [3, 1], 0: [2]}
    """
    found: dict[Any, list[T]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def image_name(image: Mapping[str, Any]) -> str:
    r"""Return an image's name as a path with slashes.

    >>> image_name({"file_name": ".\\val2017\\000000000139.jpg"})
    'val2017/000000000139.jpg'
    """
    name = str(image["file_name"]).replace("\\", "/")
    return PurePosixPath(name).as_posix()
