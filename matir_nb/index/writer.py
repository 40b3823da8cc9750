"""Write an index: one writer, one segment per batch, nothing half done.

A segment is complete on the disk before the manifest names it, so an index can be opened whenever
its writer stops, and holds every batch that was reported. This module knows no model.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from matir_nb.errors import ConfigError, IndexMismatchError, IndexNotFoundError
from matir_nb.index.manifest import (
    MANIFEST_NAME,
    SEGMENTS,
    Manifest,
    Segment,
    differences,
    read_manifest,
    write_manifest,
)
from matir_nb.index.segments import IndexedImage, join_segments, open_segment, write_segment

LOG = logging.getLogger(__name__)
LOCK_NAME = "write.lock"
JOIN_BYTES = 256 << 20
"""Segments are joined up to this size."""


class IndexWriter:
    """Adds images to an index, a batch at a time; one writer per index."""

    def __init__(self, path: Path, manifest: Manifest, root: Path) -> None:
        """Take over an index that `create_or_resume` has prepared.

        Raises:
            ConfigError: another process is writing to it.
        """
        self.path = path
        self._lock = _lock(path)
        self._manifest = manifest
        self._root = root
        self._known: dict[str, str] = {}
        self._read_known()

    @classmethod
    def create_or_resume(
        cls, path: Path, *, made_by: Mapping[str, Any], preset: Mapping[str, Any], root: Path
    ) -> Self:
        """Start an index at `path`, or go on with the one that is there.

        Args:
            path: the index folder; its parents are made.
            made_by: see `Manifest`.
            preset: see `Manifest`.
            root: folder of the images.

        Raises:
            ConfigError: `path` is something else than an index.
            IndexMismatchError: the index there was made by other models or options.
        """
        new = Manifest(made_by=made_by, preset=preset, image_root=_relative(root, path))
        try:
            old = read_manifest(path)
        except IndexNotFoundError:
            _require_free(path)
            (path / SEGMENTS).mkdir(parents=True, exist_ok=True)
            old = new
        changed = differences(old.made_by, new.made_by)
        if changed:
            message = (
                f"the index at {str(path)!r} was made otherwise ({'; '.join(changed)}): "
                "build with the same options, or into another folder"
            )
            raise IndexMismatchError(message)
        manifest = replace(new, segments=old.segments, skipped=old.skipped)
        writer = cls(path, manifest, root)
        write_manifest(path, manifest)
        writer.remove_leftovers()
        return writer

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what an interrupted batch left behind; let others write."""
        self.remove_leftovers()
        if self._lock is not None:
            self._lock.close()

    @property
    def known(self) -> Mapping[str, str]:
        """Image id -> fingerprint of every image in the index."""
        return self._known

    @property
    def n_regions(self) -> int:
        """Number of regions in the index."""
        return sum(segment.n_regions for segment in self._manifest.segments)

    def add(self, rows: Sequence[IndexedImage]) -> None:
        """Add a batch as one segment; when this returns, it is in the index for good."""
        if not rows:
            return
        dim = int(self._manifest.made_by["dim"])
        segment = write_segment(self._new_folder(), rows, root=self._root, dim=dim)
        self._commit((*self._manifest.segments, segment))
        self._known.update({row.ref.image_id: row.ref.fingerprint for row in rows})

    def drop(self, image_ids: Collection[str]) -> None:
        """Take images out, by writing the segments that hold them anew without them."""
        gone = set(image_ids)
        if not gone:
            return
        kept: list[Segment] = []
        for segment in self._manifest.segments:
            part = open_segment(self.path / SEGMENTS / segment.name, segment)
            found = gone.intersection(part.images["image_id"])
            if not found:
                kept.append(segment)
            elif len(found) < segment.n_images:
                kept.append(join_segments(self._new_folder(), [part], drop=found))
        self._commit(tuple(kept))
        self._known = {i: f for i, f in self._known.items() if i not in gone}

    def join(self) -> None:
        """Join neighbouring segments into larger ones of up to `JOIN_BYTES`."""
        joined: list[Segment] = []
        for group in _groups(self._manifest.segments):
            parts = [open_segment(self.path / SEGMENTS / s.name, s) for s in group]
            joined.append(group[0] if len(group) == 1 else join_segments(self._new_folder(), parts))
        if len(joined) < len(self._manifest.segments):
            self._commit(tuple(joined))

    def finish(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Record the skipped files and tidy up; the index is complete without the tidying."""
        self._manifest = replace(self._manifest, skipped=tuple(skipped))
        self._commit(self._manifest.segments)
        try:
            self.join()
        except OSError as error:
            LOG.warning("segments of %s stay apart: %s", self.path, error)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove every segment folder that no manifest names, neither on disk nor here."""
        segments = (*read_manifest(self.path).segments, *self._manifest.segments)
        named = {segment.name for segment in segments}
        for folder in (self.path / SEGMENTS).iterdir():
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)

    def _commit(self, segments: tuple[Segment, ...]) -> None:
        # set before it is written: interrupted in between, no segment may be taken for a leftover
        self._manifest = replace(self._manifest, segments=segments)
        write_manifest(self.path, self._manifest)

    def _new_folder(self) -> Path:
        taken = [int(f.name) for f in (self.path / SEGMENTS).iterdir() if f.name.isdigit()]
        return self.path / SEGMENTS / f"{max(taken, default=0) + 1:06d}"

    def _read_known(self) -> None:
        for segment in self._manifest.segments:
            images = open_segment(self.path / SEGMENTS / segment.name, segment).images
            self._known.update(zip(images["image_id"], images["fingerprint"], strict=True))


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield neighbours that together stay within `JOIN_BYTES`."""
    group: list[Segment] = []
    for segment in segments:
        if group and sum(s.n_bytes for s in group) + segment.n_bytes > JOIN_BYTES:
            yield group
            group = []
        group.append(segment)
    if group:
        yield group


def _lock(path: Path) -> IO[str] | None:
    """Return a file whose lock ends with it or with this process; None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    file = (path / LOCK_NAME).open("a", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        message = f"another process is writing to {str(path)!r}: wait for it to end"
        raise ConfigError(message) from None
    except OSError as error:
        LOG.warning("no lock on %s: %s", path, error)
    return file


def _relative(root: Path, index: Path) -> str:
    """Return `root` seen from the index, or as it is where no relative path leads there."""
    with contextlib.suppress(ValueError):
        return Path(os.path.relpath(root.resolve(), index.resolve())).as_posix()
    return root.resolve().as_posix()


def _require_free(path: Path) -> None:
    """Raise unless `path` is new, empty, or an index that was cut off at birth."""
    if path.is_dir():
        ours = {SEGMENTS, LOCK_NAME, f"{MANIFEST_NAME}.tmp"}
        if {item.name for item in path.iterdir()} <= ours:
            return
    elif not path.exists():
        return
    message = f"{str(path)!r} exists and is no index: give another path for the index"
    raise ConfigError(message)
