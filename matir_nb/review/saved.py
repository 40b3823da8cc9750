"""The file of a review: parquet whose table is for people, and whose metadata holds the history.

``FILE_KEY`` is JSON {version, content}; content is deflated JSON in base64: every list that was
worked on, every event, every look. This module knows no result and no estimate.
"""

import base64
import binascii
import json
import zlib
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.exports.atomic import whole_file
from matir_nb.review.marked import Event, History, Listing, Look

FILE_KEY = "matir_nb.review"
FILE_VERSION = 1
LISTED = tuple(f.name for f in fields(Listing) if f.init)
"""What is kept of a `Listing`."""
WANTED = "give a file that Review.save wrote"


def write_history(history: History, table: pl.DataFrame, path: Path) -> Path:
    """Write a history, and the table that is made of it, to a parquet file; return its path.

    Raises:
        ConfigError: a file of another kind has that name, or it cannot be written.
    """
    if path.is_file() and not is_review(path):
        message = f"{str(path)!r} is there already and is no review: give another name"
        raise ConfigError(message)
    packed = zlib.compress(json.dumps(_document(history)).encode(), 9)
    head = {"version": FILE_VERSION, "content": base64.b64encode(packed).decode()}
    with whole_file(path, overwrite=True) as part:
        table.write_parquet(part, metadata={FILE_KEY: json.dumps(head)})
    return path


def is_review(path: Path) -> bool:
    """Tell whether a file is a saved review, of whatever version."""
    try:
        return path.is_file() and FILE_KEY in pl.read_parquet_metadata(path)
    except (OSError, pl.exceptions.PolarsError):
        return False


def read_history(path: Path) -> History:
    """Return the history in a file.

    Raises:
        ConfigError: there is no such file, it is no review, or a newer version wrote it.
    """
    if not path.is_file():
        message = f"no saved review at {str(path)!r}: {WANTED}"
        raise ConfigError(message)
    try:
        head = json.loads(pl.read_parquet_metadata(path)[FILE_KEY])
        version = int(head["version"])
        if version <= FILE_VERSION:
            return _history(json.loads(zlib.decompress(base64.b64decode(head["content"]))))
    except (KeyError, TypeError, ValueError, IndexError, zlib.error, binascii.Error) as error:
        message = f"{str(path)!r} is no saved review: {WANTED}"
        raise ConfigError(message) from error
    except (OSError, pl.exceptions.PolarsError) as error:
        message = f"{str(path)!r} cannot be read as a saved review: {WANTED}"
        raise ConfigError(message) from error
    message = (
        f"{str(path)!r} is a review of version {version}, this matir_nb reads up to "
        f"{FILE_VERSION}: update matir_nb"
    )
    raise ConfigError(message)


def _document(history: History) -> dict[str, Any]:
    """Return plain values; lists and images are named by number, to be short."""
    numbers = {name: number for number, name in enumerate(history.listings)}
    listings = history.listings

    def place(result_id: str, image_id: str) -> list[int]:
        return [numbers[result_id], listings[result_id].positions[image_id]]

    return {
        "listings": [_plain(listing) for listing in listings.values()],
        "events": [
            [event.at.isoformat(), event.who, *place(event.result_id, event.image_id), event.mark]
            for event in history.events
        ],
        "looks": [
            [who, *place(result_id, image_id), look.first.isoformat(), look.last.isoformat()]
            for (who, result_id, image_id), look in history.looks.items()
        ],
    }


def _plain(listing: Listing) -> dict[str, Any]:
    return {name: getattr(listing, name) for name in LISTED}


def _history(document: dict[str, Any]) -> History:
    lists = [Listing(**values) for values in document["listings"]]
    events = [
        Event(_moment(at), who, lists[number].result_id, lists[number].image_ids[place], mark)
        for at, who, number, place, mark in document["events"]
    ]
    looks = {
        (who, lists[number].result_id, lists[number].image_ids[place]): Look(
            _moment(first), _moment(last)
        )
        for who, number, place, first, last in document["looks"]
    }
    return History.of(lists, events, looks)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
