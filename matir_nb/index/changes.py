"""What a build has to do: the files an index knows against those of the folder, purely.

A file whose size and time are as they were is taken to be unchanged; any other file is known by
the digest of its bytes. So a file that moved is no new picture, and files of the same bytes are
one row, under the first of their names. This module reads no file and knows no model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self, TypeAlias

from matir_nb.photo_facts import modified_of

RECENT_NS = 2_000_000_000
"""Within this time of being written a file may be written again and keep its time: some file
systems count in steps of two seconds."""
TICK = timedelta(microseconds=1)
Content: TypeAlias = tuple[str, str]
"""A digest, and the name where a picture is more than its bytes."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What an index knows of the file of an image.

    Attributes:
        fingerprint: hex digest of its bytes.
        n_bytes: its size; None = not known.
        modified: when it was last written, UTC; None = not known.
        copies: image ids of other files of the same bytes, sorted.
    """

    fingerprint: str
    n_bytes: int | None = None
    modified: datetime | None = None
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file of the folder, as it was found.

    Attributes:
        n_bytes: its size; None = it is no regular file, or cannot be asked.
        modified: when it was last written, UTC; None = not known, or a date beyond calendars.
        is_recent: it may still be written without its time changing.
    """

    n_bytes: int | None = None
    modified: datetime | None = None
    is_recent: bool = False

    @classmethod
    def at(cls, n_bytes: int, mtime_ns: int, *, now_ns: int) -> Self:
        """Return a file of `n_bytes`, written at `mtime_ns`, looked at after `now_ns`."""
        is_recent = mtime_ns > now_ns - RECENT_NS
        return cls(n_bytes, modified_of(mtime_ns), is_recent=is_recent)

    @property
    def kept_time(self) -> datetime | None:
        """What an index keeps as `modified`.

        Of a recent file it is a microsecond early: so the next build reads the file again.
        """
        return self.modified and self.modified - (TICK if self.is_recent else timedelta())

    def is_still(self, known: KnownFile) -> bool:
        """Tell whether the file need not be read to know that it is the one that is known."""
        is_same = (self.n_bytes, self.modified) == (known.n_bytes, known.modified)
        return is_same and self.modified is not None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A row to be written again as it is, but for its name and what is known of its file.

    Attributes:
        old: image id that it has.
        new: image id that it gets.
        file: what is known then.
    """

    old: str
    new: str
    file: KnownFile


@dataclass(frozen=True, slots=True)
class Fresh:
    """A picture that the models must see.

    Attributes:
        image_ids: files of it, sorted; the first that can be decoded gives the row its name.
        fingerprint: hex digest of them all; None = not known, there is one file.
    """

    image_ids: tuple[str, ...]
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What leads from the index to the folder, in this order.

    Attributes:
        gone: image ids of rows to drop at once.
        changed: image ids of rows to drop when it is known what becomes of the fresh picture
            that has their name now.
        rewrites: each group must be one commit; the groups follow one another.
        fresh: in the folder's order.
        n_unchanged: rows that keep name and picture.
    """

    gone: frozenset[str]
    changed: frozenset[str]
    rewrites: tuple[tuple[Rewrite, ...], ...]
    fresh: tuple[Fresh, ...]
    n_unchanged: int

    @property
    def n_moved(self) -> int:
        """Rows that get another name."""
        return len(self.moved)

    @property
    def moved(self) -> dict[str, str]:
        """Image id that a row had -> the one that it gets."""
        steps = (step for group in self.rewrites for step in group)
        return {step.old: step.new for step in steps if step.old != step.new}


def files_to_hash(
    known: Mapping[str, KnownFile],
    files: Mapping[str, SeenFile],
    *,
    rehash: bool = False,
    by_name: bool = False,
) -> list[str]:
    """Return the image ids whose bytes decide what they are, in the folder's order.

    A new file is among them only where another file, here or in the index, has its size: a
    folder without duplicates is read once, by the decoder. The copies of a row are read at every
    build: of them no time is known.

    Args:
        known: image id -> file, of every row.
        files: image id -> file, of the folder.
        rehash: trust no file's size and time.
        by_name: a picture is more than its bytes, so that new files cannot be known ones.
    """
    sizes = Counter(file.n_bytes for file in files.values())
    held = {file.n_bytes for file in known.values()}

    def must_be_read(image_id: str, file: SeenFile) -> bool:
        if image_id in known:
            return rehash or not file.is_still(known[image_id])
        if by_name:
            return False
        return sizes[file.n_bytes] > 1 or file.n_bytes in held or None in held

    return [i for i, f in files.items() if f.n_bytes is not None and must_be_read(i, f)]


def changes_of(
    known: Mapping[str, KnownFile],
    files: Mapping[str, SeenFile],
    fingerprints: Mapping[str, str | None],
    *,
    by_name: bool = False,
) -> Changes:
    """Return what leads from the rows of an index to the files of a folder.

    Args:
        known: image id -> file, of every row.
        files: image id -> file, of the folder.
        fingerprints: image id -> digest, of `files_to_hash`; None = it cannot be read.
        by_name: a picture is more than its bytes: nothing moves, and there are no copies.
    """
    groups = _by_content(known, files, fingerprints, by_name=by_name)
    rows = _rows_of(known, groups, by_name=by_name)
    rewrites: list[Rewrite] = []
    fresh: list[Fresh] = []
    for content, (main, *copies) in groups.items():
        if content not in rows:
            fresh.append(Fresh((main, *copies), content[0] or None))
            continue
        file = KnownFile(content[0], files[main].n_bytes, files[main].kept_time, tuple(copies))
        if (rows[content], known[rows[content]]) != (main, file):
            rewrites.append(Rewrite(rows[content], main, file))
    n_moved = sum(rewrite.old != rewrite.new for rewrite in rewrites)
    waiting = {image_id for picture in fresh for image_id in picture.image_ids}
    lost = known.keys() - set(rows.values())
    return Changes(
        gone=frozenset(lost - waiting),
        changed=frozenset(lost & waiting),
        rewrites=_in_order(rewrites),
        fresh=tuple(fresh),
        n_unchanged=len(rows) - n_moved,
    )


def _by_content(
    known: Mapping[str, KnownFile],
    files: Mapping[str, SeenFile],
    fingerprints: Mapping[str, str | None],
    *,
    by_name: bool,
) -> dict[Content, list[str]]:
    """Return content -> sorted image ids; a file of unknown content is one of its own."""
    groups: dict[Content, list[str]] = {}
    for image_id, file in files.items():
        digest = fingerprints.get(image_id)
        if image_id in known and image_id not in fingerprints and file.n_bytes is not None:
            digest = known[image_id].fingerprint
        groups.setdefault(_content(digest, image_id, by_name=by_name), []).append(image_id)
    return {content: sorted(ids) for content, ids in groups.items()}


def _rows_of(
    known: Mapping[str, KnownFile], contents: Mapping[Content, Sequence[str]], *, by_name: bool
) -> dict[Content, str]:
    """Return content -> the row that has it, by preference under the name that it shall have."""
    rows: dict[Content, str] = {}
    for image_id in sorted(known):
        content = _content(known[image_id].fingerprint, image_id, by_name=by_name)
        if content in contents and (content not in rows or contents[content][0] == image_id):
            rows[content] = image_id
    return rows


def _content(digest: str | None, image_id: str, *, by_name: bool) -> Content:
    return (digest or "", image_id if by_name or not digest else "")


def _in_order(rewrites: Iterable[Rewrite]) -> tuple[tuple[Rewrite, ...], ...]:
    """Return `rewrites` so that each finds its new name free; names in a circle go together."""
    by_old = {rewrite.old: rewrite for rewrite in rewrites}
    done: set[str] = set()
    ordered: list[tuple[Rewrite, ...]] = []
    for first in by_old.values():
        chain: list[Rewrite] = []
        at: Rewrite | None = first
        while at is not None and at.old not in done:
            done.add(at.old)
            chain.append(at)
            at = by_old.get(at.new)
        is_circle = len(chain) > 1 and at is first
        ordered += [tuple(chain)] if is_circle else [(step,) for step in reversed(chain)]
    return tuple(ordered)
