"""The manifest: the one file that says what an index is made of, replaced as a whole.

A reader sees the old manifest or the new one, never half of one: the new text is written beside
it, flushed to the disk and renamed over it. The same text is then kept as a backup, which is what
`matir verify --repair` takes when the manifest is damaged. This module knows no segment's inside
and no model.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matir_nb.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError
from matir_nb.index.disk import write_whole
from matir_nb.index.open_files import is_shortage, with_enough_files

FORMAT_VERSION = 2
"""Version 1 (no int8 codes, no facts, no tombstones) is read, and lifted by the next write."""
MANIFEST_NAME = "manifest.json"
BACKUP_NAME = "manifest.backup.json"
SEGMENTS = "segments"
"""The folder of segments within an index."""
FILE_NAME = re.compile(r"[a-z_]+\.(npy|arrow)")
LONGEST_NAME = 18
"""Digits of a segment's name."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a file must still be.

    Attributes:
        bytes: its size.
        sha256: hex digest.
        crc32: None = written by format version 1.
    """

    bytes: int
    sha256: str
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A batch of images on disk; its files never change once named in a manifest.

    Attributes:
        name: its folder under ``segments/``.
        n_images: rows of its image table.
        n_regions: rows of its region table.
        files: file name -> stamp.
        dropped: rows of its image table that are no longer in the index, ascending.
    """

    name: str
    n_images: int
    n_regions: int
    files: Mapping[str, FileStamp]
    dropped: tuple[int, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(stamp.bytes for stamp in self.files.values())

    @property
    def n_live(self) -> int:
        """Images that are in the index."""
        return self.n_images - len(self.dropped)

    def without(self, rows: Iterable[int]) -> "Segment":
        """Return the segment with more of its rows dropped."""
        return replace(self, dropped=tuple(sorted({*self.dropped, *rows})))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is made of, and by what.

    Attributes:
        made_by: model ids, vector length and options that decide the content; plain JSON values.
        preset: the preset it was built with, plain JSON values.
        image_root: folder of the images, relative to the index; empty where no relative path
            leads there.
        segments: in order; their images follow one another.
        skipped: (image id, reason) of every file that could not be indexed.
        version: format version that wrote it.
        next_segment: number of the next segment, more than any that ever was: names do not come
            back. Given too small, it becomes one more than the largest of `segments`.
    """

    made_by: Mapping[str, Any]
    preset: Mapping[str, Any]
    image_root: str
    segments: tuple[Segment, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    version: int = FORMAT_VERSION
    next_segment: int = 1

    def __post_init__(self) -> None:
        """Count the segments that are there."""
        largest = max((int(segment.name) for segment in self.segments), default=0)
        object.__setattr__(self, "next_segment", max(self.next_segment, largest + 1))

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


def read_manifest(index: Path, *, name: str = MANIFEST_NAME) -> Manifest:
    """Return the manifest of the index at `index`.

    Args:
        index: the index folder.
        name: of the file: the manifest, or its backup.

    Raises:
        IndexNotFoundError: there is none.
        IndexCorruptError: it cannot be read, or was altered.
        IndexMismatchError: a newer version wrote it.
        OSError: the system lacks open files or memory.
    """
    try:
        content = with_enough_files((index / name).read_bytes)
    except (FileNotFoundError, NotADirectoryError):
        where = repr(str(index))
        message = f"no index at {where}: make one with matir_nb.build(images, {where})"
        raise IndexNotFoundError(message) from None
    except OSError as error:
        if is_shortage(error):
            raise
        raise _altered(index, error) from error
    try:
        return parse_manifest(content, str(index))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, IndexMismatchError):
            raise
        raise _altered(index, error) from error


def write_manifest(index: Path, manifest: Manifest) -> None:
    """Replace the manifest of the index at `index` and its backup, durably and all at once."""
    content = manifest_text(manifest).encode()
    write_whole(index / MANIFEST_NAME, content)
    write_whole(index / BACKUP_NAME, content)


def manifest_text(manifest: Manifest) -> str:
    """Return the text of the file: JSON with its own checksum."""
    document = {
        "format_version": FORMAT_VERSION,
        "fingerprint": manifest.fingerprint,
        "made_by": manifest.made_by,
        "preset": manifest.preset,
        "image_root": manifest.image_root,
        "next_segment": manifest.next_segment,
        "segments": [_segment_json(segment) for segment in manifest.segments],
        "skipped": manifest.skipped,
    }
    text = {"checksum": fingerprint_of(document)} | document
    return json.dumps(text, ensure_ascii=False) + "\n"  # `indent` would take json's slow path


def _segment_json(segment: Segment) -> dict[str, Any]:
    files = {
        name: {"bytes": stamp.bytes, "sha256": stamp.sha256, "crc32": stamp.crc32}
        for name, stamp in segment.files.items()
    }
    return {
        "name": segment.name,
        "n_images": segment.n_images,
        "n_regions": segment.n_regions,
        "dropped": segment.dropped,
        "files": files,
    }


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Return what the bytes of a manifest say.

    Args:
        content: of the file.
        where: the index, for messages.

    Raises:
        IndexMismatchError: a newer version wrote it.
        ValueError: or another error of Python: it is damaged.
    """
    document = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    is_sealed = "checksum" in document  # in every version: a flipped digit is no newer one
    checksum = document.pop("checksum", None)
    _require(not is_sealed or fingerprint_of(document) == checksum, "its checksum is wrong")
    version = _whole(document["format_version"])
    if version > FORMAT_VERSION:
        message = (
            f"the index at {where!r} has format version {version}, this matir_nb reads up "
            f"to {FORMAT_VERSION}: update matir_nb, or build the index again"
        )
        raise IndexMismatchError(message)
    _require(version == 1 or (version > 1 and is_sealed), f"version {version} has no checksum")
    manifest = Manifest(
        made_by=_mapping(document["made_by"]),
        preset=_mapping(document["preset"]),
        image_root=_text(document["image_root"]),
        segments=tuple(_segment(item) for item in document["segments"]),
        skipped=tuple((_text(name), _text(reason)) for name, reason in document["skipped"]),
        version=version,
        next_segment=_whole(document.get("next_segment", 1)),
    )
    _whole(manifest.made_by["dim"])
    for role in ("segmenter", "encoder"):
        _text(manifest.made_by[role])
    names = [segment.name for segment in manifest.segments]
    _require(len(set(names)) == len(names), "two segments have one name")
    ours = manifest.fingerprint == document["fingerprint"]
    _require(ours, "the fingerprint does not match what the index says it was made by")
    return manifest


def _segment(item: Mapping[str, Any]) -> Segment:
    name, n_images = _text(item["name"]), _whole(item["n_images"])
    is_name = name.isascii() and name.isdigit() and len(name) <= LONGEST_NAME
    _require(is_name, f"{name[:80]!r} is no name of a segment")
    dropped = tuple(_whole(row) for row in item.get("dropped", ()))
    is_ordered = all(a < b for a, b in itertools.pairwise(dropped))
    _require(is_ordered and all(row < n_images for row in dropped[-1:]), "rows dropped wrongly")
    files = {_file_name(key): _stamp(stamp) for key, stamp in item["files"].items()}
    return Segment(name, n_images, _whole(item["n_regions"]), files, dropped)


def _file_name(name: str) -> str:
    _require(FILE_NAME.fullmatch(name) is not None, f"{name[:80]!r} is no name of a file")
    return name


def _stamp(stamp: Mapping[str, Any]) -> FileStamp:
    crc32 = stamp.get("crc32")
    checksum = None if crc32 is None else _whole(crc32)
    return FileStamp(_whole(stamp["bytes"]), _text(stamp["sha256"]), checksum)


def _whole(value: Any) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
    _require(is_whole, f"{value!r:.80} is no whole number")
    return int(value)


def _text(value: Any) -> str:
    _require(isinstance(value, str), f"{value!r:.80} is no text")
    return str(value)


def _mapping(value: Any) -> dict[str, Any]:
    _require(isinstance(value, dict), f"{value!r:.80} is no object")
    return dict(value)


def _require(condition: bool, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise ValueError(what)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")  # noqa: EM102


def _altered(index: Path, error: Exception) -> IndexCorruptError:
    message = (
        f"the manifest of the index at {str(index)!r} is damaged ({error}): "
        "matir verify --repair takes its backup"
    )
    return IndexCorruptError(message)
