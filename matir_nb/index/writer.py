"""Write an index: one writer, one segment per batch, nothing half done.

A segment is complete on the disk before the manifest names it, so an index can be opened whenever
its writer stops, and holds every batch that was reported. An image that goes is marked as dropped
in the manifest; its bytes go when segments are joined. Segments are joined while they are written,
too, so that there are never many of them. This module knows no model.
"""

import contextlib
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from matir_nb.errors import ConfigError, IndexMismatchError, IndexNotFoundError, MatirError
from matir_nb.index import disk
from matir_nb.index.changes import KnownFile
from matir_nb.index.joining import DROPPED_SHARE, ripe, waiting
from matir_nb.index.lock import LOCK_NAME, OWNER_NAME, write_lock
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    SEGMENTS,
    Manifest,
    Segment,
    differences,
    read_manifest,
    write_manifest,
)
from matir_nb.index.migrate import lifted
from matir_nb.index.places import Place, place_of, places_in
from matir_nb.index.segments import (
    OpenSegment,
    check_content,
    join_segments,
    open_segment,
    write_segment,
)
from matir_nb.index.tables import IndexedImage, image_ref, regions_between

LOG = logging.getLogger(__name__)


class IndexWriter:
    """Adds images to an index, a batch at a time; one writer per index."""

    def __init__(self, path: Path, manifest: Manifest, root: Path) -> None:
        """Take over an index that `create_or_resume` has prepared.

        Raises:
            ConfigError: another process is writing to it.
        """
        self.path = path
        self._lock = write_lock(path)
        self._manifest = manifest
        self._root = root
        self._places: dict[str, Place] = {}
        self._checked: set[str] = set()
        self._last: OpenSegment | None = None  # that a stored image was read of
        self._is_joining = True

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
            ConfigError: `path` is something else than an index, or another is writing to it.
            IndexMismatchError: the index there was made by other models or options.
        """
        new = Manifest(made_by=made_by, preset=preset, image_root=_relative(root, path))
        try:
            _require_made_by(path, read_manifest(path), made_by)
        except IndexNotFoundError:
            _require_free(path)
            disk.make_folder(path / SEGMENTS)
        return cls._on(path, root, new)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Go on with the index at `path` as it is.

        Raises:
            ConfigError: another is writing to it.
            IndexNotFoundError: there is none.
            IndexCorruptError: it is damaged.
        """
        manifest = read_manifest(path)
        return cls._on(path, Path(os.path.normpath(path.resolve() / manifest.image_root)), manifest)

    @classmethod
    def _on(cls, path: Path, root: Path, wanted: Manifest) -> Self:
        """Lock the index at `path` and give it the models and options of `wanted`."""
        writer = cls(path, wanted, root)
        try:
            with contextlib.suppress(IndexNotFoundError):
                # read again: another may have written until the lock was ours
                old = read_manifest(path)
                _require_made_by(path, old, wanted.made_by)
                kept = lifted(path, old) if old.version == 1 else old.segments
                writer._manifest = replace(
                    wanted, segments=kept, skipped=old.skipped, next_segment=old.next_segment
                )
            write_manifest(path, writer._manifest)
            writer.remove_leftovers()
            for segment in writer._manifest.segments:
                writer._places.update(places_in(writer._opened(segment)))
        except BaseException:
            writer._lock.close()
            raise
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
        self._last = None
        try:
            self.remove_leftovers()
        except (OSError, MatirError) as problem:
            LOG.warning("leftovers stay in %s: %s", self.path, problem)
        finally:
            self._lock.close()

    @property
    def known(self) -> Mapping[str, KnownFile]:
        """Image id -> what is known of the file, of every image in the index."""
        return {image_id: place.file for image_id, place in self._places.items()}

    @property
    def n_images(self) -> int:
        """Number of images in the index."""
        return len(self._places)

    @property
    def n_regions(self) -> int:
        """Number of regions in the index."""
        return sum(place.n_regions for place in self._places.values())

    def add(self, rows: Sequence[IndexedImage], *, dropping: Collection[str] = ()) -> None:
        """Add a batch as one segment; when this returns, it is in the index for good.

        Args:
            rows: images; those of the same ids are replaced.
            dropping: other image ids that leave the index in the same step.
        """
        gone = {*dropping, *(row.ref.image_id for row in rows)} & self._places.keys()
        if not rows:
            self.drop(gone)
            return
        dim = int(self._manifest.made_by["dim"])
        segment = write_segment(self._new_folder(), rows, root=self._root, dim=dim)
        self._commit((*self._without(gone), segment))
        self._forget(gone)
        for number, row in enumerate(rows):
            self._places[row.ref.image_id] = place_of(segment.name, number, row)
        self._join_ripe()

    def drop(self, image_ids: Collection[str]) -> None:
        """Take images out; ids that are not in the index are passed over."""
        gone = self._places.keys() & set(image_ids)
        if gone:
            self._commit(self._without(gone))
            self._forget(gone)

    def stored(self, image_id: str) -> IndexedImage:
        """Return an image as it is in the index, to be added again under other names or facts.

        Raises:
            KeyError: it is not there.
            IndexCorruptError: its segment was altered.
        """
        place = self._places[image_id]
        part = self._holding(place.segment)
        ref = image_ref(part.images, place.row, self._root)
        first, end = part.offsets[place.row : place.row + 2].tolist()
        return IndexedImage(
            ref,
            regions_between(part.region_table, first, end - first, (ref.height, ref.width)),
            part.regions.exact[first:end].astype("float32"),
            part.wholes.exact[place.row].astype("float32"),
            place.file.copies,
        )

    def compact(self) -> None:
        """Join segments up to `joining.JOIN_BYTES`, and write those anew that hold dropped images.

        Raises:
            IndexCorruptError: a segment was altered.
        """
        self._join(dropped_share=0.0)
        self.remove_leftovers()

    def finish(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Record the skipped files and tidy up; the index is complete without the tidying."""
        self._manifest = replace(self._manifest, skipped=tuple(skipped))
        self._commit(self._manifest.segments)
        try:
            self._join(dropped_share=DROPPED_SHARE)
        except OSError as error:
            LOG.warning("segments of %s stay apart: %s", self.path, error)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove every segment folder that no manifest names, neither on disk nor here."""
        named = {segment.name for segment in self._manifest.segments}
        for name in (MANIFEST_NAME, BACKUP_NAME):
            with contextlib.suppress(MatirError):
                named |= {segment.name for segment in read_manifest(self.path, name=name).segments}
        for folder in (self.path / SEGMENTS).iterdir():
            if folder.name not in named:
                with contextlib.suppress(OSError):
                    disk.remove_tree(folder)

    def _join_ripe(self) -> None:
        """Keep the number of segments small; the index is complete without it."""
        try:
            while self._is_joining and (groups := ripe(self._manifest.segments)):
                for group in groups:
                    self._join_group(group)
                self.remove_leftovers()
        except OSError as error:
            self._is_joining = False
            LOG.warning("segments of %s stay apart: %s", self.path, error)

    def _join(self, *, dropped_share: float) -> None:
        """Write groups of segments as one each, and those with a larger share of dropped images."""
        while groups := waiting(self._manifest.segments, dropped_share=dropped_share):
            for group in groups:
                self._join_group(group)

    def _join_group(self, group: Sequence[Segment]) -> None:
        parts = [self._sound(segment) for segment in group if segment.n_live]
        joined = [join_segments(self._new_folder(), parts)] if parts else []
        segments = list(self._manifest.segments)
        first = segments.index(group[0])
        segments[first : first + len(group)] = joined
        # before the commit, like its segments: if the disk refuses it, the next one has both
        for segment in joined:
            self._places.update(dict(places_in(self._opened(segment))))
        self._commit(tuple(segments))

    def _without(self, gone: Collection[str]) -> tuple[Segment, ...]:
        """Return the segments with images dropped; those that hold nothing else are left out."""
        rows: dict[str, list[int]] = {}
        for image_id in gone:
            place = self._places[image_id]
            rows.setdefault(place.segment, []).append(place.row)
        left = [segment.without(rows.get(segment.name, ())) for segment in self._manifest.segments]
        return tuple(segment for segment in left if segment.n_live)

    def _forget(self, gone: Collection[str]) -> None:
        for image_id in gone:
            del self._places[image_id]

    def _commit(self, segments: tuple[Segment, ...]) -> None:
        self._lock.require_held()
        self._last = None
        # set before it is written: interrupted in between, no segment may be taken for a leftover
        self._manifest = replace(self._manifest, segments=segments)
        write_manifest(self.path, self._manifest)

    def _new_folder(self) -> Path:
        taken = [int(f.name) for f in (self.path / SEGMENTS).iterdir() if f.name.isdigit()]
        # a name never comes back: what was made of an old segment must not fit a new one
        number = max(self._manifest.next_segment, max(taken, default=0) + 1)
        return self.path / SEGMENTS / f"{number:06d}"

    def _opened(self, segment: Segment) -> OpenSegment:
        return open_segment(self.path / SEGMENTS / segment.name, segment)

    def _holding(self, name: str) -> OpenSegment:
        """Return a segment, opened; the last one stays open until segments change."""
        if self._last is None or self._last.name != name:
            self._last = self._sound(next(s for s in self._manifest.segments if s.name == name))
        return self._last

    def _sound(self, segment: Segment) -> OpenSegment:
        """Open a segment whose content is to be written anew: damage must not get a new checksum.

        Raises:
            IndexCorruptError: a file was altered.
        """
        if segment.name not in self._checked:
            for name, stamp in segment.files.items():
                check_content(self.path / SEGMENTS / segment.name / name, stamp)
            self._checked.add(segment.name)
        return self._opened(segment)


def _relative(root: Path, index: Path) -> str:
    """Return `root` seen from the index; empty where no relative path leads there."""
    with contextlib.suppress(ValueError):  # another drive of Windows
        return Path(os.path.relpath(root.resolve(), index.resolve())).as_posix()
    return ""


def _require_made_by(path: Path, manifest: Manifest, made_by: Mapping[str, Any]) -> None:
    """Raise unless the index was made by the same models and options."""
    changed = differences(manifest.made_by, made_by)
    if changed:
        message = (
            f"the index at {str(path)!r} was made otherwise ({'; '.join(changed)}): "
            "build with the same options, or into another folder"
        )
        raise IndexMismatchError(message)


def _require_free(path: Path) -> None:
    """Raise unless `path` is new, empty, or an index that was cut off at birth."""
    if path.is_dir():
        ours = {SEGMENTS, LOCK_NAME, OWNER_NAME, f"{MANIFEST_NAME}.tmp"}
        if {item.name for item in path.iterdir()} <= ours:
            return
    elif not path.exists():
        return
    message = f"{str(path)!r} exists and is no index: give another path for the index"
    raise ConfigError(message)
