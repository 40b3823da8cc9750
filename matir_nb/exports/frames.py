"""Any of our tables as a file: parquet exact, CSV and JSON flat and readable by everything.

In flat tables a box is four columns, bytes are text, and a moment is ISO 8601 in UTC; in CSV a list
is JSON. This module knows no result and no review.
"""

import json
from pathlib import Path

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.exports.atomic import whole_file

FORMATS = ("parquet", "csv", "json")
ENDINGS = tuple(f".{name}" for name in FORMATS)
CORNERS = ("x0", "y0", "x1", "y1")
ISO = "%Y-%m-%dT%H:%M:%S%.6fZ"


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with plain columns only; a box ``b_xyxy`` becomes b_x0, b_y0, b_x1, b_y1.

    >>> frame = pl.DataFrame({"b_xyxy": [[0, 1, 2, 3]]}, schema={"b_xyxy": pl.Array(pl.Int64, 4)})
    >>> flat(frame).columns
    ['b_x0', 'b_y0', 'b_x1', 'b_y1']
    """
    columns: list[pl.Expr] = []
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Array):
            box = name.removesuffix("_xyxy")
            columns += [pl.col(name).arr.get(i).alias(f"{box}_{c}") for i, c in enumerate(CORNERS)]
        elif kind == pl.Binary:
            columns.append(pl.col(name).cast(pl.String))
        elif isinstance(kind, pl.Datetime):
            columns.append(pl.col(name).dt.strftime(ISO))
        else:
            columns.append(pl.col(name))
    return frame.select(columns)


def frame_text(frame: pl.DataFrame, name: str) -> str:
    """Return a flat table as "csv", or as "json": a list of one object per row."""
    if name == "json":
        return flat(frame).write_json() + "\n"
    lists = [column for column, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return flat(frame).with_columns(map(list_text, lists)).write_csv()


def list_text(column: str) -> pl.Expr:
    """Return a column of lists as JSON text, for tables that hold no lists."""

    def text(values: pl.Series) -> str:
        return json.dumps(values.to_list(), ensure_ascii=False)

    return pl.col(column).map_elements(text, return_dtype=pl.String)


def check_ending(path: Path) -> None:
    """Raise unless the ending of `path` says how a table is written.

    Raises:
        ConfigError: it does not.
    """
    if path.suffix.lower() not in ENDINGS:
        message = f"{str(path)!r}: a table is written as {', '.join(ENDINGS)}: give one of these"
        raise ConfigError(message)


def write_frame(
    frame: pl.DataFrame,
    path: str | Path,
    *,
    format_name: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a table, whole or not at all.

    Args:
        frame: the table.
        path: of the file.
        format_name: one of `FORMATS`; None = the one that the ending of `path` names.
        overwrite: replace a file that is there.

    Raises:
        ConfigError: the ending is unknown, the file is there and `overwrite` is not set, or it
            cannot be written.
    """
    target = Path(path)
    if format_name is None:
        check_ending(target)
    name = format_name or target.suffix.lower().removeprefix(".")
    with whole_file(target, overwrite=overwrite) as part:
        if name == "parquet":
            frame.write_parquet(part)
        else:
            part.write_text(frame_text(frame, name), encoding="utf-8")
    return target
