"""Make a damaged index sound: drop exactly what is broken, and index that again.

A manifest comes back from its backup, and codes from the vectors they were made of. Of any other
damage, the segment is dropped and its images are indexed again from their files: but only once
all that this needs is at hand. This module knows no model's inside.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matir_nb.config import preset_from_json
from matir_nb.errors import ConfigError, IndexMismatchError, MatirError
from matir_nb.index.build import BuildReport, Given, Prepared, freeing_memory, prepare, run
from matir_nb.index.changes import SeenFile
from matir_nb.index.lock import write_lock
from matir_nb.index.manifest import Manifest, differences
from matir_nb.index.mend import Damage, damage_of, mend
from matir_nb.index.verify import VerifyReport, usable_manifest, verify
from matir_nb.models.base import RegionEncoder
from matir_nb.printing import printable
from matir_nb.progress import Progress

MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did.

    Attributes:
        found: what was broken.
        done: what was done about it, a sentence each.
        n_kept: images of segments that stay broken: they could not be indexed again now.
        n_dropped: images of the segments that were dropped.
        dropped: their image ids, where the segment still said them.
        built: what indexing them again came to; None = it was not needed, or could not be done.
        missing: why not all is mended, and what to do; empty = all is.
    """

    found: VerifyReport
    done: tuple[str, ...] = ()
    n_kept: int = 0
    n_dropped: int = 0
    dropped: tuple[str, ...] = ()
    built: BuildReport | None = None
    missing: str = ""

    @property
    def exit_code(self) -> int:
        """1 = something is still broken, or images are not back."""
        return int(bool(self.missing and (self.n_kept or self.n_dropped)))

    def __str__(self) -> str:
        """Return what was found, and a line for each thing that was done."""
        lines = [str(self.found), *(f"repaired: {done}" for done in self.done)]
        if self.dropped and self.missing:
            lines.append(f"dropped: {_named(self.dropped)}")
        if self.built is not None:
            lines.append(f"indexed again: {self.built.n_added + self.built.n_changed} images")
        return "\n".join([*lines, self.missing] if self.missing else lines)


@freeing_memory()
def repair(
    path: str | Path,
    *,
    images: str | Path | None = None,
    masks: Given = None,
    device: str = "auto",
    encoder: RegionEncoder | None = None,
    progress: Progress | None = None,
    drop: bool = False,
) -> RepairReport:
    """Repair the index at `path`; what is sound is not touched.

    Nothing is dropped before the folder, the masks and the models to index it again are at hand.

    Args:
        path: the index folder.
        images: where the images are now; None = where they were.
        masks: those that the index was made with, if they were the user's (see `build`).
        device: "auto", "cpu", "cuda" or "mps".
        encoder: None = the one of the index's preset.
        progress: called with (files done, files) while images are indexed again.
        drop: give up images that cannot be indexed again, too.

    Raises:
        ConfigError: another process is writing to the index.
        IndexNotFoundError: there is no index.
        IndexMismatchError: a newer version wrote it.
        IndexCorruptError: the manifest and its backup are both damaged.
        OSError: the disk is full or fails.
    """
    path = Path(path)
    usable_manifest(path)  # nothing is written where there is no index
    prepared, why = None, ""
    with write_lock(path):
        found = verify(path)
        if found.is_sound:
            return RepairReport(found)
        damage = damage_of(path, found)
        if damage.lost or damage.is_manifest_lost:
            try:
                prepared = _prepared(path, damage, images, masks, device, encoder)
                _require_there(damage, () if drop else damage.image_ids, prepared)
            except MatirError as error:
                why = str(error)
        if damage.lost and why and not drop:
            return _with_lost(path, damage, why)
        report = RepairReport(
            found,
            mend(path, damage, dropping=damage.lost),
            n_dropped=damage.n_lost,
            dropped=damage.image_ids,
        )
    if why or prepared is None:
        return replace(report, missing=_missing(report, why) if why else "")
    return _built(path, report, prepared, progress)


def _prepared(
    path: Path,
    damage: Damage,
    images: str | Path | None,
    masks: Given,
    device: str,
    encoder: RegionEncoder | None,
) -> Prepared:
    """Return all that indexing again needs.

    Raises:
        MatirError: something is not there, or not what the index was made with.
    """
    manifest = damage.manifest
    prepared = prepare(
        _image_root(path, manifest) if images is None else images,
        preset=preset_from_json(manifest.preset),
        masks=_masks(manifest, masks),
        device=device,
        encoder=encoder,
    )
    changed = differences(manifest.made_by, prepared.made_by)
    if changed:
        message = f"the index was made otherwise ({'; '.join(changed)}): repair with the same"
        raise IndexMismatchError(message)
    return prepared


def _require_there(damage: Damage, image_ids: Sequence[str], prepared: Prepared) -> None:
    """Raise unless the folder has all images that are to be indexed again."""
    folder = prepared.folder
    absent = [i for i in image_ids if folder.files.get(i, SeenFile()).n_bytes is None]
    if absent:
        message = (
            f"{len(absent)} of the {damage.n_lost} images of the damaged segments are not in "
            f"{str(folder.root)!r} ({_named(absent)}): say where they are, with --images FOLDER"
        )
        raise ConfigError(message)


def _with_lost(path: Path, damage: Damage, why: str) -> RepairReport:
    """Repair what needs no image, and leave the segments that do as they are."""
    # what is lifted is written anew as a whole: format 1 waits until that can be done
    done = () if damage.manifest.version == 1 else mend(path, damage, dropping=())
    names = ", ".join(segment.name for segment in damage.lost)
    missing = (
        f"not repaired: segment {names} with {damage.n_lost} images, which stays as it is, for "
        f"they cannot be indexed again now. {printable(why)}. Then repair again; or give up what "
        "cannot be indexed again, with --drop, in Python drop=True"
    )
    return RepairReport(damage.found, done, n_kept=damage.n_lost, missing=missing)


def _built(
    path: Path, report: RepairReport, prepared: Prepared, progress: Progress | None
) -> RepairReport:
    """Index again what was dropped; whatever ends that, say what is not back."""
    try:
        built = run(prepared, path, progress=progress, keep_gone=True)
    except MatirError as error:
        return replace(report, missing=_missing(report, str(error)))
    except BaseException as error:
        if report.n_dropped:
            error.add_note(str(replace(report, missing=_missing(report, "it was broken off"))))
        raise
    reasons = {item.image_id: item.reason for item in built.skipped}
    there = prepared.folder.paths.keys() - reasons.keys()
    away = tuple(name for name in report.dropped if name not in there)
    why = reasons.get(away[0], "it is not in the folder") if away else ""
    missing = _missing(replace(report, n_dropped=len(away)), f"{away[0]}: {why}") if away else ""
    return replace(report, dropped=away or report.dropped, built=built, missing=missing)


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


def _named(image_ids: Sequence[str]) -> str:
    named = [printable(name) for name in image_ids[:MAX_NAMED]]
    more = len(image_ids) - len(named)
    return f"{', '.join(named)}{f' and {more} more' if more else ''}"
