"""The manifest: the one file that says what an index is made of, replaced as a whole.

A reader sees the old manifest or the new one, never half of one: the new text is written beside
it, flushed to the disk and renamed over it. This module knows no segment's inside and no model.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matir_nb.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
SEGMENTS = "segments"
"""The folder of segments within an index."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a file must still be."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A batch of images on disk; never changed once named in a manifest.

    Attributes:
        name: its folder under ``segments/``.
        n_images: rows of its image table.
        n_regions: rows of its region table.
        files: file name -> stamp.
    """

    name: str
    n_images: int
    n_regions: int
    files: Mapping[str, FileStamp]

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(stamp.bytes for stamp in self.files.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is made of, and by what.

    Attributes:
        made_by: model ids, vector length and options that decide the content; plain JSON values.
        preset: the preset it was built with, plain JSON values.
        image_root: folder of the images, relative to the index where that is possible.
        segments: in order; their images follow one another.
        skipped: (image id, reason) of every file that could not be indexed.
    """

    made_by: Mapping[str, Any]
    preset: Mapping[str, Any]
    image_root: str
    segments: tuple[Segment, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hex digest of `made_by`: equal exactly when vectors and masks are comparable."""
        return fingerprint_of(self.made_by)


def fingerprint_of(made_by: Mapping[str, Any]) -> str:
    """Return the hex sha256 of plain JSON values, whatever their order.

    >>> fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(made_by, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one "name: old → new" per value that differs, sorted by name.

    >>> differences({"dim": 8, "masks": {"n": 1}}, {"dim": 8, "masks": {"n": 2}})
    ['masks.n: 1 → 2']
    """
    found: list[str] = []
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += differences(was, now, f"{prefix}{key}.")
        elif was != now:
            found.append(f"{prefix}{key}: {was!r} → {now!r}")
    return found


def require_same(made_by: Mapping[str, Any], opened_with: Mapping[str, Any]) -> None:
    """Raise unless an index is opened with what made it.

    Raises:
        IndexMismatchError: something differs; the message says what.
    """
    changed = differences(made_by, opened_with)
    if changed:
        message = (
            f"the index was made by other models ({'; '.join(changed)}): "
            "open it with those, or build it again"
        )
        raise IndexMismatchError(message)


def require_same_encoder(manifest: Manifest, model_id: str, dim: int) -> None:
    """Raise unless the encoder is the one that made the index.

    Raises:
        IndexMismatchError: it is another.
    """
    made_by = {name: manifest.made_by[name] for name in ("encoder", "dim")}
    require_same(made_by, {"encoder": model_id, "dim": dim})


def read_manifest(index: Path) -> Manifest:
    """Return the manifest of the index at `index`.

    Raises:
        IndexNotFoundError: there is none.
        IndexCorruptError: it cannot be read, or was altered.
        IndexMismatchError: a newer version wrote it.
    """
    try:
        text = (index / MANIFEST_NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        where = repr(str(index))
        message = f"no index at {where}: make one with matir_nb.build(images, {where})"
        raise IndexNotFoundError(message) from None
    except UnicodeDecodeError as error:
        raise _altered(index, error) from error
    try:
        return _from_json(json.loads(text), index)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, IndexMismatchError):
            raise
        raise _altered(index, error) from error


def write_manifest(index: Path, manifest: Manifest) -> None:
    """Replace the manifest of the index at `index`, durably and all at once."""
    document = {"format_version": FORMAT_VERSION, "fingerprint": manifest.fingerprint}
    text = json.dumps(document | asdict(manifest), indent=1, ensure_ascii=False)
    beside = index / f"{MANIFEST_NAME}.tmp"
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(index / MANIFEST_NAME)
    sync_folder(index)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut, where the system offers that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stamp_of(path: Path) -> FileStamp:
    """Return size and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileStamp(bytes=path.stat().st_size, sha256=digest)


def _from_json(document: Any, index: Path) -> Manifest:
    version = int(document["format_version"])
    if version > FORMAT_VERSION:
        message = (
            f"the index at {str(index)!r} has format version {version}, this matir_nb reads up "
            f"to {FORMAT_VERSION}: update matir_nb, or build the index again"
        )
        raise IndexMismatchError(message)
    manifest = Manifest(
        made_by=dict(document["made_by"]),
        preset=dict(document["preset"]),
        image_root=str(document["image_root"]),
        segments=tuple(_segment(item) for item in document["segments"]),
        skipped=tuple((str(name), str(reason)) for name, reason in document["skipped"]),
    )
    if manifest.fingerprint != document["fingerprint"]:
        message = "the fingerprint does not match what the index says it was made by"
        raise ValueError(message)
    return manifest


def _segment(item: Mapping[str, Any]) -> Segment:
    files = {name: FileStamp(**stamp) for name, stamp in item["files"].items()}
    return Segment(str(item["name"]), int(item["n_images"]), int(item["n_regions"]), files)


def _altered(index: Path, error: Exception) -> IndexCorruptError:
    message = (
        f"the manifest of the index at {str(index)!r} is damaged ({error}): build the index again"
    )
    return IndexCorruptError(message)
