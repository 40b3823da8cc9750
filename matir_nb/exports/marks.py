"""Marks that people put on hits: checked, as a column of a table, and back from a saved file.

Marks are image id -> one of `MARKS`; a hit that bears none is left out.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import polars as pl

from matir_nb.errors import ConfigError, nearest
from matir_nb.types import MARKS

COLUMN = "mark"


def check_marks(marks: Mapping[str, str], hits: Collection[str]) -> None:
    """Raise unless every mark is known and on a hit.

    Args:
        marks: image id -> mark.
        hits: image ids of the result's hits.

    Raises:
        ConfigError: one is not; the message offers the nearest.
    """
    require_hits("marks", marks, hits)
    for image_id, mark in marks.items():
        if mark not in MARKS:
            message = f"mark {mark!r:.40} of {image_id!r:.80} is unknown: {nearest(mark, MARKS)}"
            raise ConfigError(message)


def require_hits(what: str, image_ids: Iterable[object], hits: Collection[str]) -> None:
    """Raise unless all `image_ids` are those of hits; `what` says whose they are.

    Raises:
        ConfigError: one is not; the message offers the nearest.
    """
    for image_id in image_ids:
        if image_id not in hits:
            hint = nearest(image_id, hits, n_listed=6)
            message = f"{what}: {image_id!r:.80} is no hit of this result: {hint}"
            raise ConfigError(message)


def with_marks(frame: pl.DataFrame, marks: Mapping[str, str] | None) -> pl.DataFrame:
    """Return `frame` with a column `mark`, null where an image bears none; as it is for None."""
    if marks is None:
        return frame
    found = [marks.get(image_id) for image_id in frame["image_id"].to_list()]
    return frame.with_columns(pl.Series(COLUMN, found, pl.String))


def saved_marks(path: Path) -> dict[str, str] | None:
    """Return the marks in the parquet file of a result; None = it was saved without any."""
    if COLUMN not in pl.read_parquet_schema(path):
        return None
    found = pl.read_parquet(path, columns=["image_id", COLUMN]).drop_nulls()
    return dict(found.iter_rows())
