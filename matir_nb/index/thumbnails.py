"""Thumbnails kept beside an index: a cache that can be thrown away at any time.

A thumbnail is found by image id and size, and only while its file is the very one it was made of:
same size, same times, same place on the disk. The time of change among them is the system's own,
so a picture that was overwritten never shows its old thumbnail. Whatever goes wrong on disk costs
only time. This module decodes no picture.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

from matir_nb.index.cache import CacheFile

FILE_NAME = "thumbnails.sqlite"
MAX_KEPT = 5_000
"""The oldest go first."""
MAX_BYTES = 64_000
"""A larger one is not kept: the file stays below 0.35 GB, and is 50 to 100 MB as a rule."""
SETTLED_NS = 2_000_000_000
"""Above the coarsest clock of a file system."""
CREATE = (
    "CREATE TABLE IF NOT EXISTS thumbnails "
    "(key TEXT PRIMARY KEY, width INTEGER, height INTEGER, jpeg BLOB)"
)
PUT = "INSERT OR REPLACE INTO thumbnails (key, width, height, jpeg) VALUES (?, ?, ?, ?)"
GET = (
    "SELECT jpeg, width, height FROM thumbnails "
    "WHERE key = ? AND typeof(jpeg) = 'blob' AND width > 0 AND height > 0"
)
TRIM = "DELETE FROM thumbnails WHERE rowid <= (SELECT MAX(rowid) FROM thumbnails) - ?"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as it is shown.

    Attributes:
        jpeg: the file's bytes.
        width: pixels.
        height: pixels.
    """

    jpeg: bytes
    width: int
    height: int


class ThumbnailCache:
    """Thumbnails by key; may be used from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Use a file in `folder`, made when first written."""
        self._file = CacheFile(folder / FILE_NAME, "thumbnails")

    def get(self, key: str) -> Thumbnail | None:
        """Return the thumbnail of a key; None = it is not kept."""
        rows = self._file.read(lambda connection: _found(connection, key))
        return rows[0] if rows else None

    def put(self, key: str, thumbnail: Thumbnail) -> None:
        """Keep a thumbnail, in place of an older one of the key."""
        if len(thumbnail.jpeg) > MAX_BYTES:
            return
        row = (key, thumbnail.width, thumbnail.height, thumbnail.jpeg)

        def write(connection: sqlite3.Connection) -> list[Thumbnail]:
            connection.execute(CREATE)
            connection.execute(PUT, row)
            connection.execute(TRIM, (MAX_KEPT,))
            connection.commit()
            return []

        self._file.run(write)


def key_of(path: Path, image_id: str, side: int) -> str | None:
    """Return the key of a picture's thumbnail as its file is now.

    None = the file is not there, or changed just now: it could change again at the same time.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if time_ns() - status.st_ctime_ns < SETTLED_NS:
        return None
    is_now = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"{side} {' '.join(map(str, is_now))} {image_id}"


def _found(connection: sqlite3.Connection, key: str) -> list[Thumbnail]:
    rows = connection.execute(GET, (key,))
    return [Thumbnail(bytes(jpeg), int(width), int(height)) for jpeg, width, height in rows]
