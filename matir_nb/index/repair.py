"""Make a damaged index sound: drop exactly what is broken, and index that again.

A manifest comes back from its backup, and codes from the vectors they were made of. Of any other
damage, the segment is dropped and its images are indexed again from their files. This module
knows no model's inside.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import polars as pl

from matir_nb.config import preset_from_json
from matir_nb.errors import ConfigError, IndexCorruptError, MatirError
from matir_nb.index import disk
from matir_nb.index.approximate.about import FOLDER
from matir_nb.index.build import BuildReport, build
from matir_nb.index.lock import write_lock
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    SEGMENTS,
    Manifest,
    Segment,
    write_manifest,
)
from matir_nb.index.migrate import lifted
from matir_nb.index.rows import Masks
from matir_nb.index.segments import IMAGES, KINDS, recode, vector_files
from matir_nb.index.verify import VerifyReport, usable_manifest, verify
from matir_nb.models.base import RegionEncoder
from matir_nb.models.record_masks import RecordGenerator
from matir_nb.printing import printable
from matir_nb.progress import Progress

Given: TypeAlias = str | Path | Masks | RecordGenerator | None
"""Masks as a build takes them."""
MAX_NAMED = 10
ASIDE = ".broken"
"""Goes before the ending of a file of the user's that cannot be read."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did.

    Attributes:
        found: what was broken.
        done: what was done about it, a sentence each.
        n_dropped: images of the segments that were dropped.
        dropped: their image ids, where the segment still said them.
        built: what indexing them again came to; None = it was not needed, or could not be done.
        missing: why what was dropped is not back, and how to bring it back; empty = all is there.
    """

    found: VerifyReport
    done: tuple[str, ...] = ()
    n_dropped: int = 0
    dropped: tuple[str, ...] = ()
    built: BuildReport | None = None
    missing: str = ""

    @property
    def exit_code(self) -> int:
        """1 = images are not back."""
        return int(bool(self.missing and self.n_dropped))

    def __str__(self) -> str:
        """Return what was found, and a line for each thing that was done."""
        lines = [str(self.found), *(f"repaired: {done}" for done in self.done)]
        if self.dropped and self.missing:
            named = [printable(name) for name in self.dropped[:MAX_NAMED]]
            more = len(self.dropped) - len(named)
            lines.append(f"dropped: {', '.join(named)}{f' and {more} more' if more else ''}")
        if self.built is not None:
            lines.append(f"indexed again: {self.built.n_added + self.built.n_changed} images")
        return "\n".join([*lines, self.missing] if self.missing else lines)


@dataclass(frozen=True, slots=True)
class _Mended:
    """A manifest that names only what is sound."""

    manifest: Manifest
    done: tuple[str, ...]
    n_dropped: int
    dropped: tuple[str, ...]


def repair(
    path: str | Path,
    *,
    images: str | Path | None = None,
    masks: Given = None,
    device: str = "auto",
    encoder: RegionEncoder | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Repair the index at `path`; what is sound is not touched.

    Args:
        path: the index folder.
        images: where the images are now; None = where they were.
        masks: those that the index was made with, if they were the user's (see `build`).
        device: "auto", "cpu", "cuda" or "mps".
        encoder: None = the one of the index's preset.
        progress: called with (files done, files) while images are indexed again.

    Raises:
        ConfigError: another process is writing to the index.
        IndexNotFoundError: there is no index.
        IndexMismatchError: a newer version wrote it.
        IndexCorruptError: the manifest and its backup are both damaged.
        OSError: the disk is full or fails.
    """
    path = Path(path)
    usable_manifest(path)  # nothing is written where there is no index
    with write_lock(path):
        found = verify(path)
        if found.is_sound:
            return RepairReport(found)
        mended = _mend(path, found)
    report = RepairReport(found, mended.done, mended.n_dropped, mended.dropped)
    lost_manifest = any(item.file == MANIFEST_NAME for item in found.broken)
    if not mended.n_dropped and not lost_manifest:
        return report
    try:
        built = build(
            _image_root(path, mended.manifest) if images is None else images,
            path,
            preset=preset_from_json(mended.manifest.preset),
            masks=_masks(mended.manifest, masks),
            device=device,
            encoder=encoder,
            progress=progress,
            keep_gone=True,
        )
    except MatirError as error:
        return replace(report, missing=_missing(report, str(error)))
    return replace(report, built=built)


def _mend(path: Path, found: VerifyReport) -> _Mended:
    """Let the manifest name only what is sound, and put away what is broken beside it."""
    manifest, _ = usable_manifest(path)
    if manifest is None:
        message = (
            f"{MANIFEST_NAME} and {BACKUP_NAME} of the index at {str(path)!r} are both damaged, "
            "and what the index was made by is lost: remove the folder and build the index again"
        )
        raise IndexCorruptError(message)
    done: list[str] = []
    broken = found.broken_segments
    kept: list[Segment] = []
    dropped: list[Segment] = []
    for segment in manifest.segments:
        kinds = _codes_only(broken.get(segment.name, set()))
        if kinds is None:
            dropped.append(segment)
            done.append(f"segment {segment.name} with {segment.n_live} images is dropped")
        else:
            kept.append(_recoded(path, segment, kinds))
            done += [f"segment {segment.name}: {k} codes are made again" for k in kinds]
    names = tuple(name for segment in dropped for name in _image_ids(path, segment, broken))
    mended = replace(manifest, segments=tuple(kept))
    if manifest.version == 1:
        mended = replace(mended, segments=lifted(path, mended))
    write_manifest(path, mended)
    done += _restored(found)
    done += _put_away(path, found)
    return _Mended(mended, tuple(done), sum(s.n_live for s in dropped), names)


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
        files |= recode(folder, segment, kind)
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


def _image_root(path: Path, manifest: Manifest) -> Path:
    """Return where the images were.

    Raises:
        ConfigError: the index does not know, or they are not there any more.
    """
    root = Path(os.path.normpath(path.resolve() / manifest.image_root))
    if not manifest.image_root or not root.is_dir():
        where = f" in {str(root)!r}" if manifest.image_root else " where the index could find them"
        message = f"the images are not{where} any more: say where, with --images FOLDER"
        raise ConfigError(message)
    return root


def _masks(manifest: Manifest, masks: Given) -> Given:
    """Return the masks that a build needs.

    Raises:
        ConfigError: the index was made with masks of its user's, and they are not given.
    """
    if manifest.made_by.get("masks") is None and masks is None:
        message = "the index was made with masks of your own: give them, with --masks FILE"
        raise ConfigError(message)
    return masks


def _missing(report: RepairReport, why: str) -> str:
    what = f"{report.n_dropped} images" if report.n_dropped else "what the backup may lack"
    return (
        f"not indexed again: {what}. {printable(why)}. Or run matir index with the folder and the "
        "options that made the index: it adds what is missing"
    )
