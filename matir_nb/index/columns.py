"""The user's own columns of an index: what is known of its images besides what the files say.

``X.matir/columns.parquet`` holds one row per image that something is known of, joined by
``image_id``. It is written whole, in place of the one before, and sealed (`matir_nb.sealed`).
The index works without it.
This module knows no segments and no filter.
"""

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import polars as pl
from polars.exceptions import PanicException, PolarsError

from matir_nb.errors import ConfigError, IndexCorruptError, require_known
from matir_nb.index.disk import remove_file, sync_folder, write_whole
from matir_nb.index.lock import write_lock
from matir_nb.index.tables import IMAGE_SCHEMA
from matir_nb.printing import shorten
from matir_nb.sealed import DIGEST_KEY, NO_DIGEST, is_sound, sealed

FILE = "columns.parquet"
KEY = "image_id"
INDEX_COLUMNS = ("folder", "name", *IMAGE_SCHEMA)
"""Names that mean something else."""
MAX_EXAMPLES = 3
Table: TypeAlias = pl.DataFrame | str | Path

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda path: pl.read_csv(path, try_parse_dates=True, infer_schema_length=None),
    ".tsv": lambda path: pl.read_csv(
        path, separator="\t", try_parse_dates=True, infer_schema_length=None
    ),
    ".parquet": pl.read_parquet,
    ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".ndjson": lambda path: pl.read_ndjson(path, infer_schema_length=None),
}


@dataclass(frozen=True, slots=True)
class AddedColumns:
    """What adding columns came to.

    Attributes:
        names: of the columns.
        n_rows: of the table.
        n_matched: rows that belong to an image of the index.
        unmatched: keys of up to 3 rows that do not.
    """

    names: tuple[str, ...]
    n_rows: int
    n_matched: int
    unmatched: tuple[str, ...]


def read_columns(index_path: Path) -> pl.DataFrame:
    """Return the user's columns: ``image_id``, then theirs; no rows where there are none.

    Raises:
        IndexCorruptError: the file is damaged.
    """
    path = index_path / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return pl.DataFrame(schema={KEY: pl.String})
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if not is_sound(content):  # before it is parsed: what is damaged can be anything
        raise _damaged(path, "its bytes are not those that were written")
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (PolarsError, PanicException) as error:
        raise _damaged(path, "this version of polars cannot read it") from error


def add_columns(
    index_path: Path,
    table: Table,
    image_ids: Sequence[str],
    *,
    key: str = KEY,
    image_root: Path | None = None,
) -> AddedColumns:
    """Write columns of a table beside an index; one of the same name is replaced as a whole.

    A key is an image id, the path of an image, or a file name that one image alone has.

    Args:
        index_path: the index folder.
        table: a polars DataFrame, or a .csv, .tsv, .parquet, .jsonl or .ndjson file.
        image_ids: of the index.
        key: the column that says which image a row is about; the others are added.
        image_root: folder of the images, to which absolute paths lead; None = not known.

    Raises:
        ConfigError: the file or a column cannot be used, a key belongs to no image or two to
            the same, or another process writes to the index.
        IndexCorruptError: the columns that are there are damaged.
        OSError: the disk is full or fails.
    """
    rows = _read_table(table) if not isinstance(table, pl.DataFrame) else table
    _check_names(rows, key)
    keys = [None if value is None else str(value) for value in rows[key]]
    found = _images_of(keys, image_ids, image_root)
    _check_matches(keys, found, image_ids)
    ids = pl.Series(KEY, found, dtype=pl.String)
    added = rows.select(ids, pl.exclude(key)).filter(pl.col(KEY).is_not_null())
    with write_lock(index_path):
        before = read_columns(index_path).drop(added.columns[1:], strict=False)
        _write(index_path / FILE, before.join(added, on=KEY, how="full", coalesce=True))
    unmatched = [str(k) for k, image_id in zip(keys, found, strict=True) if image_id is None]
    return AddedColumns(
        tuple(added.columns[1:]), len(rows), len(added), tuple(unmatched[:MAX_EXAMPLES])
    )


def rename_images(index_path: Path, new_ids: Mapping[str, str]) -> None:
    """Give rows of the user's columns to images under their new ids; the writer calls it.

    Args:
        index_path: the index folder, whose lock the caller holds.
        new_ids: old image id -> new image id.

    Raises:
        IndexCorruptError: the columns are damaged.
        OSError: the disk is full or fails.
    """
    columns = read_columns(index_path)
    if columns[KEY].is_in(list(new_ids)).any():
        renamed = columns.with_columns(pl.col(KEY).replace(dict(new_ids)))
        _write(index_path / FILE, renamed.unique(KEY, keep="first", maintain_order=True))


def drop_columns(index_path: Path, names: Sequence[str]) -> None:
    """Take columns of the user away.

    Raises:
        ConfigError: there is none of that name, or another process writes to the index.
        IndexCorruptError: the columns that are there are damaged.
        OSError: the disk is full or fails.
    """
    with write_lock(index_path):
        before = read_columns(index_path)
        require_known("column of yours", names, before.columns[1:])
        after = before.drop(names)
        if after.width > 1:
            _write(index_path / FILE, after)
        else:
            remove_file(index_path / FILE)
            sync_folder(index_path)


def _read_table(path: str | Path) -> pl.DataFrame:
    path = Path(path).expanduser()
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        message = f"cannot read {str(path)!r}: give a file that ends in {', '.join(READERS)}"
        raise ConfigError(message)
    try:
        return reader(path)
    except (PolarsError, PanicException, OSError, ValueError) as error:
        why = shorten(" ".join(str(error).split()), 200)
        message = f"cannot read the table {str(path)!r}: {why or type(error).__name__}"
        raise ConfigError(message) from error


def _check_names(rows: pl.DataFrame, key: str) -> None:
    if key not in rows.columns:
        message = (
            f"the table has no column {key!r} that says which image a row is about; "
            f"name the one that does (--key): {', '.join(rows.columns)}"
        )
        raise ConfigError(message)
    names = [name for name in rows.columns if name != key]
    if not names:
        message = f"the table has no column besides {key!r}: there is nothing to add"
        raise ConfigError(message)
    taken = [name for name in names if name in INDEX_COLUMNS or not name.strip()]
    if taken:
        message = (
            f"the index has a column {taken[0]!r} of its own: rename or leave out that of the table"
        )
        raise ConfigError(message)


def _images_of(
    keys: Sequence[str | None], image_ids: Sequence[str], root: Path | None
) -> list[str | None]:
    """Return the image that each key means; None = none of the index."""
    known = frozenset(image_ids)
    n_named = Counter(image_id.rpartition("/")[2] for image_id in image_ids)
    by_name = {
        name: image_id
        for image_id in image_ids
        if n_named[name := image_id.rpartition("/")[2]] == 1
    }
    return [None if key is None else _image_of(key, known, by_name, root) for key in keys]


def _image_of(
    key: str, known: frozenset[str], by_name: Mapping[str, str], root: Path | None
) -> str | None:
    if key in known:
        return key
    path = PurePosixPath(key)
    if root is not None and path.is_relative_to(root.as_posix()):
        path = path.relative_to(root.as_posix())
    return str(path) if str(path) in known else by_name.get(key)


def _check_matches(
    keys: Sequence[str | None], found: Sequence[str | None], image_ids: Sequence[str]
) -> None:
    n_rows = Counter(image_id for image_id in found if image_id is not None)
    if not n_rows:
        message = (
            f"no row of the table belongs to an image: its keys are {_examples(keys)}, "
            f"the images {_examples(image_ids)}; name the right column (--key)"
        )
        raise ConfigError(message)
    image_id, n = n_rows.most_common(1)[0]
    if n > 1:
        message = f"{n} rows of the table are about the image {image_id!r}: give one for each"
        raise ConfigError(message)


def _examples(names: Sequence[str | None]) -> str:
    shown = [repr(name) for name in names[:MAX_EXAMPLES]]
    return ", ".join([*shown, "..."] if len(names) > MAX_EXAMPLES else shown) or "none"


def _write(path: Path, columns: pl.DataFrame) -> None:
    file = io.BytesIO()
    try:
        columns.sort(KEY).write_parquet(file, metadata={DIGEST_KEY: NO_DIGEST.decode()})
    except (PolarsError, PanicException) as error:
        message = f"a column cannot be kept as Parquet: {error}"
        raise ConfigError(message) from error
    write_whole(path, sealed(file.getvalue()))


def _damaged(path: Path, why: str) -> IndexCorruptError:
    message = (
        f"the file of your own columns, {str(path)!r}, cannot be used: {why}; remove it, the index "
        "works without, and add your columns again"
    )
    return IndexCorruptError(message)
