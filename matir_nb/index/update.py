"""Bring an index to what a folder holds now: the part of a build that knows no models by name.

Rows of pictures that are known are kept, or written again under other names, without any model;
the others are decoded and given to the models. Every batch is on the disk before the next begins.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TypeAlias

from matir_nb.errors import IndexCorruptError, ModelUnavailableError
from matir_nb.images import ImageLimits, SkippedImage, read_files
from matir_nb.index.changes import (
    Changes,
    Fresh,
    KnownFile,
    Rewrite,
    SeenFile,
    changes_of,
    files_to_hash,
)
from matir_nb.index.columns import rename_images
from matir_nb.index.folder import Folder
from matir_nb.index.rows import Picture, RowMaker
from matir_nb.index.tables import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.progress import Progress
from matir_nb.types import FileFacts, ImageRef

LOG = logging.getLogger(__name__)
SEGMENT_IMAGES = 64
"""Images per segment, at most."""
SEGMENT_SECONDS = 60.0
"""Finished images wait no longer than this, give or take one model batch, to be stored."""
REWRITTEN_IMAGES = 256
"""Rows written again at once, give or take those that change places."""
Read: TypeAlias = Picture | SkippedImage


class Update:
    """One pass over a folder: pictures wait for the models, rows wait for the store."""

    def __init__(
        self, writer: IndexWriter, folder: Folder, maker: RowMaker, progress: Progress
    ) -> None:
        """Start with nothing done."""
        self.writer = writer
        self.folder = folder
        self.maker = maker
        self.skipped: list[SkippedImage] = []
        self.made: set[str] = set()
        self._progress = progress
        self._n_done = 0
        self._copies: dict[str, tuple[str, ...]] = {}
        self._done: list[IndexedImage] = []
        self._stored_at = perf_counter()

    def run(self, limits: ImageLimits | None, *, rehash: bool, keep_gone: bool) -> Changes:
        """Do all that is to be done; when interrupted or out of memory, keep what is done.

        Args:
            limits: what a picture may cost.
            rehash: trust no file's size and time.
            keep_gone: leave rows alone whose file is not in the folder.

        Raises:
            ModelUnavailableError: the models do not fit into memory.
            OSError: the disk is full or fails.
        """
        changes = self._compare(rehash=rehash, keep_gone=keep_gone)
        try:
            self._keep(changes, limits)
            self._index(changes.fresh, limits)
        except (KeyboardInterrupt, ModelUnavailableError):
            self._store()
            raise
        except IndexCorruptError:
            raise
        except OSError as error:
            n, where = self.writer.n_images, str(self.writer.path)
            error.add_note(f"{where!r} can be opened with {n} images; build again to go on.")
            raise
        self.writer.finish([(item.image_id, item.reason) for item in self.skipped])
        return changes

    def _compare(self, *, rehash: bool, keep_gone: bool) -> Changes:
        """Return what changed; what is beneath a folder that cannot be listed stays as it is."""
        known, files = dict(self.writer.known), self.folder.files
        if keep_gone or self.folder.unlisted:
            kept = (i for i in known.keys() - files if keep_gone or self.folder.may_hold(i))
            for image_id in list(kept):
                del known[image_id]
        by_name = self.maker.models.go_by_name
        to_hash = files_to_hash(known, files, rehash=rehash, by_name=by_name)
        with self.maker.clock.stage("read"):
            digests = self._digests(known, to_hash)
        changes = changes_of(known, self.folder.files, digests, by_name=by_name)
        n_fresh = sum(len(picture.image_ids) for picture in changes.fresh)
        self._count(len(files) - n_fresh - self._n_done)
        return changes

    def _digests(
        self, known: Mapping[str, KnownFile], to_hash: Sequence[str]
    ) -> dict[str, str | None]:
        """Return image id -> digest of the bytes; None = they cannot be read.

        Of a file that is known and has its name still, but cannot be asked or read now, it is the
        known one, and the file counts as unchanged.
        """
        held = _files_of(known)
        kept: dict[str, SeenFile] = {}
        unasked = [i for i, file in self.folder.files.items() if file.n_bytes is None and i in held]
        digests: dict[str, str | None] = dict.fromkeys(unasked)
        for image_id in (*unasked, *to_hash):
            if image_id not in digests:
                digests[image_id] = self.folder.digest_of(image_id)
            why = ""
            if digests[image_id] is None and image_id in held:
                why = self.folder.trouble_with(image_id)
            if why:
                file = held[image_id]
                digests[image_id] = file.fingerprint
                kept[image_id] = SeenFile(file.n_bytes, file.modified)
                self.skipped.append(SkippedImage(image_id, f"{why}: kept as it was indexed"))
            if image_id in known and known[image_id].fingerprint == digests[image_id]:
                self._count(1)
        self.folder = replace(self.folder, files={**self.folder.files, **kept})
        return digests

    def _keep(self, changes: Changes, limits: ImageLimits | None) -> None:
        """Drop the rows that are gone, and write those again that have other names or times."""
        with self.maker.clock.stage("store"):
            self.writer.drop(changes.gone)
            waiting: list[Rewrite] = []
            for group in changes.rewrites:
                waiting += group
                if len(waiting) >= REWRITTEN_IMAGES:
                    self._rewrite(waiting, limits)
                    waiting = []
            self._rewrite(waiting, limits)

    def _rewrite(self, steps: Sequence[Rewrite], limits: ImageLimits | None) -> None:
        rows = [self.writer.stored(step.old) for step in steps]
        facts = self._facts_of(
            [step.new for step, row in zip(steps, rows, strict=True) if not row.ref.facts.format],
            limits,
        )
        renamed = []
        for step, row in zip(steps, rows, strict=True):
            known = replace(row.ref, facts=facts.get(step.new, row.ref.facts))
            ref = self._ref(known, step.new)
            renamed.append(replace(row, ref=ref, copies=step.file.copies))
        new_ids = {step.old: step.new for step in steps if step.old != step.new}
        try:  # before the names: done again after a crash, it finds nothing to do
            rename_images(self.writer.path, new_ids)
        except IndexCorruptError as error:
            LOG.warning("columns of moved images stay under their old names: %s", error)
        self.writer.add(renamed, dropping=[step.old for step in steps])

    def _facts_of(
        self, image_ids: Sequence[str], limits: ImageLimits | None
    ) -> dict[str, FileFacts]:
        """Return what files say of themselves: an index of format version 1 did not ask them."""
        paths = [self.folder.paths[image_id] for image_id in image_ids]
        found = read_files(paths, root=self.folder.root, limits=limits) if paths else ()
        return {item[0].image_id: item[0].facts for item in found if isinstance(item, tuple)}

    def _ref(self, ref: ImageRef, image_id: str) -> ImageRef:
        """Return `ref` under a name of the folder, its size and time as they were found there."""
        seen = self.folder.files[image_id]
        facts = replace(ref.facts, n_bytes=seen.n_bytes, modified=seen.kept_time)
        return replace(ref, image_id=image_id, path=self.folder.paths[image_id], facts=facts)

    def _index(self, pictures: Sequence[Fresh], limits: ImageLimits | None) -> None:
        """Index pictures; of files of the same bytes, the first that can be decoded."""
        while pictures:
            left: list[Fresh] = []
            paths = [self.folder.paths[picture.image_ids[0]] for picture in pictures]
            found = self._timed(read_files(paths, root=self.folder.root, limits=limits))
            for picture, item in zip(pictures, found, strict=True):
                left += self._take(picture, item)
            self._settle(self.maker.rest())
            pictures = left
        self._store()

    def _take(self, picture: Fresh, item: Read) -> Iterator[Fresh]:
        """Take what became of the first file of a picture; yield what is left to be tried."""
        main, copies = picture.image_ids[0], picture.image_ids[1:]
        fingerprint = None if isinstance(item, SkippedImage) else item[0].fingerprint
        if copies and fingerprint != picture.fingerprint:
            # it cannot be decoded, or changed meanwhile: the others must do without it
            yield Fresh(copies, picture.fingerprint)
            copies = ()
        if isinstance(item, SkippedImage):
            self._skip(item)
        else:
            self._copies[main] = copies
            self._settle(self.maker.take((self._ref(item[0], main), item[1])))
        is_late = perf_counter() - self._stored_at > SEGMENT_SECONDS
        if len(self._done) >= SEGMENT_IMAGES or is_late:
            self._store()

    def _settle(self, results: Iterable[IndexedImage | SkippedImage]) -> None:
        """Take what the models made of pictures; what they refuse, they refuse in every file."""
        for result in results:
            if isinstance(result, SkippedImage):
                self._skip(result)
                for image_id in self._copies[result.image_id]:
                    self._skip(SkippedImage(image_id, result.reason))
            else:
                copies = self._copies[result.ref.image_id]
                self._done.append(replace(result, copies=copies))
                self._count(1 + len(copies))

    def _skip(self, item: SkippedImage) -> None:
        self.skipped.append(item)
        self.writer.drop([item.image_id])
        self._count(1)

    def _store(self) -> None:
        # taken first: an interrupt within add must not store the same images twice
        rows, self._done = self._done, []
        with self.maker.clock.stage("store"):
            self.writer.add(rows, dropping=[name for row in rows for name in row.copies])
        self.made |= {row.ref.image_id for row in rows}
        self._stored_at = perf_counter()

    def _count(self, n: int) -> None:
        if n:
            self._n_done += n
            self._progress(self._n_done, len(self.folder.paths))

    def _timed(self, items: Iterator[Read]) -> Iterator[Read]:
        while True:
            with self.maker.clock.stage("read"):
                item = next(items, None)
            if item is None:
                return
            yield item


def _files_of(known: Mapping[str, KnownFile]) -> dict[str, KnownFile]:
    """Return image id -> file, of rows and of their copies, of which no time is known."""
    copies = {name: replace(file, modified=None) for file in known.values() for name in file.copies}
    return copies | dict(known)
