"""Read every file of an index and say which are not what was written. Repairs nothing.

Digests are compared, so any flipped bit is found. What can be thrown away (``cache/``) is not
looked at.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matir_nb.errors import IndexCorruptError, IndexNotFoundError, MatirError
from matir_nb.index import calibrations, columns
from matir_nb.index.approximate.about import ABOUT, FOLDER, About
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    SEGMENTS,
    FileStamp,
    Manifest,
    Segment,
    read_manifest,
)
from matir_nb.printing import printable
from matir_nb.progress import Progress

TRIES = 5
"""While another process compacts the index, what it replaced looks as if it were missing."""
MISSING = "is missing"
ALTERED = "was altered"


@dataclass(frozen=True, slots=True)
class Broken:
    """A file of an index that is not what was written.

    Attributes:
        segment: name of its segment; None = it belongs to the index as a whole.
        file: name within the segment, or within the index.
        what: is wrong: "is missing", "was altered", ...
    """

    segment: str | None
    file: str
    what: str

    def __str__(self) -> str:
        """Return one line."""
        where = "" if self.segment is None else f"segment {self.segment}: "
        return f"{where}{self.file} {printable(self.what)}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What reading every file of an index found.

    Attributes:
        path: the index.
        n_segments: that its manifest, or else the backup of it, names.
        n_files: that were read.
        n_bytes: of them.
        broken: files that are not what was written.
    """

    path: Path
    n_segments: int
    n_files: int
    n_bytes: int
    broken: tuple[Broken, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken

    @property
    def exit_code(self) -> int:
        """1 = something is broken."""
        return int(not self.is_sound)

    @property
    def broken_segments(self) -> dict[str, set[str]]:
        """Segment -> its broken files."""
        found: dict[str, set[str]] = {}
        for item in self.broken:
            if item.segment is not None:
                found.setdefault(item.segment, set()).add(item.file)
        return found

    def __str__(self) -> str:
        """Return what was read, then a line for each broken file."""
        files = f"{self.n_files} files in {self.n_segments} segments, {self.n_bytes / 1e6:.1f} MB"
        if self.is_sound:
            return f"{files}: every digest is right"
        return "\n".join([f"{files}: {len(self.broken)} broken", *(f"  {b}" for b in self.broken)])


def verify(path: str | Path, *, progress: Progress | None = None) -> VerifyReport:
    """Read every file of the index at `path`, and say which are broken; raise for none of them.

    Args:
        path: the index folder.
        progress: called with (files read, files).

    Raises:
        IndexNotFoundError: there is no index.
        IndexMismatchError: a newer version wrote it.
    """
    path = Path(path)
    for _ in range(TRIES):
        manifest, broken = usable_manifest(path)
        report = _read(path, manifest, broken, progress)
        if report.is_sound or usable_manifest(path)[0] == manifest:
            break
    return report


def _read(
    path: Path, manifest: Manifest | None, broken: list[Broken], progress: Progress | None
) -> VerifyReport:
    """Read every file that `manifest` names, and those beside them; add them to `broken`."""
    segments = () if manifest is None else manifest.segments
    n_files = sum(len(segment.files) for segment in segments)
    for n_read, (segment, name, stamp) in enumerate(_files(segments), start=1):
        what = _state(path / SEGMENTS / segment.name / name, stamp)
        if what:
            broken.append(Broken(segment.name, name, what))
        if progress is not None:
            progress(n_read, n_files)
    broken += _beside(path)
    n_bytes = sum(segment.n_bytes for segment in segments)
    return VerifyReport(path, len(segments), n_files, n_bytes, tuple(broken))


def usable_manifest(path: Path) -> tuple[Manifest | None, list[Broken]]:
    """Return the manifest, or else its backup, or else None; and which of them are broken.

    A backup that is older than the manifest is sound: a crash may fall between the two.

    Raises:
        IndexNotFoundError: there is no index.
        IndexMismatchError: a newer version wrote it.
    """
    read: dict[str, Manifest] = {}
    broken: list[Broken] = []
    for name in (MANIFEST_NAME, BACKUP_NAME):
        try:
            read[name] = read_manifest(path, name=name)
        except IndexNotFoundError:
            broken.append(Broken(None, name, MISSING))
        except IndexCorruptError as error:
            broken.append(Broken(None, name, f"is damaged ({error.__cause__})"))
    is_begun = any((path / SEGMENTS).iterdir()) if (path / SEGMENTS).is_dir() else False
    if not read and not is_begun and all(item.what == MISSING for item in broken):
        read_manifest(path)  # raises what says how to make one
    if MANIFEST_NAME in read and read[MANIFEST_NAME].version == 1:
        broken = []  # which had no backup
    return read.get(MANIFEST_NAME, read.get(BACKUP_NAME)), broken


def _files(segments: tuple[Segment, ...]) -> Iterator[tuple[Segment, str, FileStamp]]:
    for segment in segments:
        for name, stamp in segment.files.items():
            yield segment, name, stamp


def _state(path: Path, stamp: FileStamp) -> str:
    """Return what is wrong with a file; empty where it is what was written."""
    try:
        with path.open("rb") as file:
            n_bytes = file.seek(0, 2)
            if n_bytes != stamp.bytes:
                return f"has {n_bytes} bytes instead of {stamp.bytes}"
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if digest == stamp.sha256 else ALTERED


def _beside(path: Path) -> Iterator[Broken]:
    """Yield what is broken beside the segments: an index works without any of it."""
    try:
        columns.read_columns(path)
    except MatirError as error:
        yield Broken(None, columns.FILE, f"is damaged ({error})")
    try:
        calibrations.Calibrations(path).all()
    except MatirError as error:
        yield Broken(None, calibrations.FILE_NAME, f"is damaged ({error})")
    folder = path / FOLDER
    if not folder.is_dir():
        return
    try:
        about = About.from_json((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield Broken(None, f"{FOLDER}/{ABOUT}", f"cannot be read ({error})")
        return
    what = _state(folder / about.file, FileStamp(about.n_bytes, about.sha256))
    if what:
        yield Broken(None, f"{FOLDER}/{about.file}", what)
