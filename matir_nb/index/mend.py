"""What is damaged in an index, and mending all of it that needs no image and no model.

A manifest comes back from its backup, and codes from the vectors they were made of. What the user
has beside the index is put aside, and segments are dropped where the caller says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from matir_nb.errors import IndexCorruptError
from matir_nb.index import disk
from matir_nb.index.approximate.about import FOLDER
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    SEGMENTS,
    Manifest,
    Segment,
    write_manifest,
)
from matir_nb.index.migrate import lifted
from matir_nb.index.segments import IMAGES, KINDS, recode, vector_files
from matir_nb.index.verify import VerifyReport, usable_manifest

ASIDE = ".broken"
"""Goes before the ending of a file of the user's that cannot be read."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What a repair has to do.

    Attributes:
        found: what is broken.
        manifest: the one that can be used.
        lost: segments whose images must be indexed again.
        image_ids: of them, where they still say them.
    """

    found: VerifyReport
    manifest: Manifest
    lost: tuple[Segment, ...]
    image_ids: tuple[str, ...]

    @property
    def is_manifest_lost(self) -> bool:
        """Whether there is only the backup, which may lack the latest images."""
        return any(item.file == MANIFEST_NAME for item in self.found.broken)

    @property
    def n_lost(self) -> int:
        """Number of images of the lost segments."""
        return sum(segment.n_live for segment in self.lost)


def damage_of(path: Path, found: VerifyReport) -> Damage:
    """Return what there is to do.

    Raises:
        IndexCorruptError: the manifest and its backup are both damaged.
    """
    manifest, _ = usable_manifest(path)
    if manifest is None:
        message = (
            f"{MANIFEST_NAME} and {BACKUP_NAME} of the index at {str(path)!r} are both damaged, "
            "and what the index was made by is lost: remove the folder and build the index again"
        )
        raise IndexCorruptError(message)
    broken = found.broken_segments
    lost = [s for s in manifest.segments if _codes_only(broken.get(s.name, set())) is None]
    names = tuple(name for segment in lost for name in _image_ids(path, segment, broken))
    return Damage(found, manifest, tuple(lost), names)


def mend(path: Path, damage: Damage, *, dropping: Sequence[Segment]) -> tuple[str, ...]:
    """Let the manifest name only what is sound, and put away what is broken beside it.

    Args:
        path: of the index.
        damage: what is broken in it.
        dropping: segments to leave out; other lost ones stay as they are.

    Returns:
        What was done, a sentence each.
    """
    done: list[str] = []
    broken = damage.found.broken_segments
    kept: list[Segment] = []
    for segment in damage.manifest.segments:
        if segment in dropping:
            done.append(f"segment {segment.name} with {segment.n_live} images is dropped")
        elif segment in damage.lost:
            kept.append(segment)
        else:
            kinds = _codes_only(broken.get(segment.name, set())) or []
            kept.append(_recoded(path, segment, kinds))
            done += [f"segment {segment.name}: {k} codes are made again" for k in kinds]
    mended = replace(damage.manifest, segments=tuple(kept))
    if mended.version == 1:
        mended = replace(mended, segments=lifted(path, mended))
    write_manifest(path, mended)
    done += _restored(damage.found)
    done += _put_away(path, damage.found)
    return tuple(done)


def _codes_only(broken: set[str]) -> list[str] | None:
    """Return the kinds whose codes alone are broken; None = more than codes is."""
    kinds = []
    for kind in KINDS:
        codes = broken & set(vector_files(kind)[1:])
        broken = broken - codes
        kinds += [kind] if codes else []
    return None if broken else kinds


def _recoded(path: Path, segment: Segment, kinds: Sequence[str]) -> Segment:
    folder = path / SEGMENTS / segment.name
    files = dict(segment.files)
    for kind in kinds:
        for name in vector_files(kind)[1:]:
            # a reader may have it mapped: the name goes, the bytes stay until it lets go
            disk.remove_file(folder / name)
        files |= recode(folder, kind)
    if kinds:
        disk.sync_folder(folder)
    return replace(segment, files=files)


def _image_ids(path: Path, segment: Segment, broken: dict[str, set[str]]) -> list[str]:
    """Return the images of a segment; none where its image table is broken."""
    if IMAGES in broken.get(segment.name, set()):
        return []
    images = pl.read_ipc((path / SEGMENTS / segment.name / IMAGES).read_bytes())
    gone = set(segment.dropped)
    return [name for row, name in enumerate(images["image_id"]) if row not in gone]


def _restored(found: VerifyReport) -> list[str]:
    names = {item.file for item in found.broken if item.segment is None}
    if MANIFEST_NAME in names:
        return [f"{MANIFEST_NAME} is written again from its backup"]
    return [f"{BACKUP_NAME} is written again"] if BACKUP_NAME in names else []


def _put_away(path: Path, found: VerifyReport) -> list[str]:
    """Remove a broken approximate index, and rename broken files of the user's."""
    done: list[str] = []
    for item in found.broken:
        if item.segment is not None or item.file in (MANIFEST_NAME, BACKUP_NAME):
            continue
        if item.file.startswith(f"{FOLDER}/"):
            disk.remove_tree(path / FOLDER)
            done.append("the approximate index is removed: matir accelerate builds it again")
        else:
            file = path / item.file
            aside = file.with_name(f"{file.stem}{ASIDE}{file.suffix}")
            file.replace(aside)
            done.append(f"{item.file} is put aside as {aside.name}, and does not count any more")
    disk.sync_folder(path)
    return done
