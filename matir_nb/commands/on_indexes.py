"""What the commands about indexes, settings and this machine do: call the library, say it.

Arguments are those of the tree in `matir_nb.commands.tree`; the commands about results are in
`matir_nb.commands.on_results`. Each action takes (arguments, session) and gives its result back.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matir_nb.catalogue import licence_notices
from matir_nb.commands import on_upkeep
from matir_nb.commands.session import Session
from matir_nb.config import EncodeConfig, Preset
from matir_nb.errors import ConfigError, MatirError
from matir_nb.home import registered, settings
from matir_nb.models.hardware import choose_preset
from matir_nb.printing import printable, table

if TYPE_CHECKING:
    from matir_nb.image_process import ImageLimits
    from matir_nb.index.build import BuildReport
    from matir_nb.index.store import Index

MAX_SKIPPED_SHOWN = 10
MADE_BY = ("preset", "view", "segmenter", "encoder", "fingerprint")
LIST_COLUMNS = ("name", "current", "images", "regions", "is_there", "path")


def index(args: argparse.Namespace, session: Session) -> Any:
    """Index a folder of images, and make the index the current one."""
    from matir_nb.index.build import build

    preset, why = choose_preset(args.preset, args.device)
    if why:
        session.note(why)
    preset, limits = _changed(preset, args), _limits(args.max_megapixels)
    out = args.out or default_index(args.folder)
    if args.name is not None:
        registered.check_name(args.name, out)
    with session.progress("index") as progress:
        report = build(
            args.folder,
            out,
            preset=preset,
            masks=args.masks,
            device=args.device,
            limits=limits,
            progress=progress,
            rehash=args.rehash,
        )
    name = session.use(report.path, args.name)
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in report.seconds.items())
    lines = [
        f"{report.n_images} images, {report.n_regions} regions in {printable(str(report.path))}",
        _changes(report),
        f"seconds{f' on {report.runtime}' if report.runtime else ''}: {stages}",
        *_skipped([(s.image_id, s.reason) for s in report.skipped], session, MAX_SKIPPED_SHOWN),
        f"current index: {printable(name)}",
    ]
    return session.told(report, "\n".join(lines), notice=preset.notice)


def _limits(megapixels: float) -> "ImageLimits":
    """Return what a picture may cost.

    Raises:
        ConfigError: no such number of pixels is possible.
    """
    from matir_nb.image_process import PILLOW_MAX_PIXELS, ImageLimits

    most = PILLOW_MAX_PIXELS / 1e6
    if not 0 < megapixels <= most:
        message = (
            f"--max-megapixels = {megapixels:g} is not allowed: give up to {int(most * 10) / 10}"
        )
        raise ConfigError(message)
    return ImageLimits(max_pixels=max(int(megapixels * 1e6), 1))


def _changes(report: "BuildReport") -> str:
    names = ("added", "changed", "moved", "unchanged", "dropped")
    counts = ", ".join(f"{getattr(report, f'n_{name}')} {name}" for name in names)
    if not report.n_copies:
        return counts
    one = "1 file is a copy of another"
    return f"{counts}; {one if report.n_copies == 1 else f'{report.n_copies} files are copies'}"


def _changed(preset: Preset, args: argparse.Namespace) -> Preset:
    """Return `preset` with the options that the arguments replace."""
    changes: dict[str, Any] = {}
    if args.view is not None:
        changes["encoding"] = EncodeConfig(args.view)
    if args.precision is not None:
        changes["compute"] = replace(preset.compute, precision=args.precision)
    return replace(preset, **changes)


def default_index(folder: Path) -> Path:
    """Return where the index of a folder of images is put: beside it.

    >>> default_index(Path("/data/photos/")).as_posix()
    '/data/photos.matir'
    """
    images = folder.expanduser().resolve()
    return images.with_name(f"{images.name or 'images'}{registered.ENDING}")


def _skipped(
    skipped: Sequence[tuple[str, str]], session: Session, limit: int | None
) -> Iterator[str]:
    if skipped:
        yield f"not indexed: {len(skipped)}"
    for name, reason in skipped[:limit]:
        yield f"  {printable(name)}: {printable(reason)}"
    if limit is not None and len(skipped) > limit:
        yield f"  and {len(skipped) - limit} more: {session.prog} status lists them all"


def open_(args: argparse.Namespace, session: Session) -> Any:
    """Make an index the current one."""
    path = registered.find(args.index)
    if args.name is not None:
        registered.check_name(args.name, path)
    opened = session.open_index(path, args.images)
    made = session.show_opened(opened, images=args.images, device=args.device)
    name = session.use(path, args.name)
    session.say(
        f"current index: {printable(name)}, {opened.n_images} images, {opened.n_regions} regions"
    )
    return made


def list_(args: argparse.Namespace, session: Session) -> Any:
    """List the indexes that are known by name."""
    import polars as pl

    if args.forget is not None:
        path = registered.forget(args.forget)
        session.note(f"forgot the name {args.forget!r}; the index stays at {str(path)!r}")
    known = registered.known()
    current = session.current_name(known)
    rows = [_listed(name, known.paths[name], current) for name in sorted(known.paths)]
    types = [pl.String, pl.Boolean, pl.Int64, pl.Int64, pl.Boolean, pl.String]
    frame = pl.DataFrame(rows, schema=dict(zip(LIST_COLUMNS, types, strict=True)), orient="row")
    if not rows:
        return session.show_frame(frame, registered.NONE_KNOWN)
    cells = [[_cell(value) for value in row] for row in rows]
    return session.show_frame(frame, table(LIST_COLUMNS, cells, left=("name", "path")))


def _listed(
    name: str, path: Path, current: str | None
) -> tuple[str, bool, int | None, int | None, bool, str]:
    from matir_nb.index.manifest import read_manifest

    try:
        segments = read_manifest(path).segments
    except MatirError:
        return (name, name == current, None, None, False, str(path))
    n_images = sum(segment.n_live for segment in segments)
    n_regions = sum(segment.n_regions for segment in segments)
    return (name, name == current, n_images, n_regions, True, str(path))


def _cell(value: str | int | bool | None) -> str:  # noqa: FBT001 - any cell
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


@dataclass(frozen=True, slots=True)
class Status:
    """What an index holds and what made it.

    Attributes:
        index: the index.
        facts: name -> value: text, numbers, whether the images are there and files are verified.
        skipped: (file, reason) of what is not in it.
    """

    index: "Index"
    facts: dict[str, str | int | bool]
    skipped: tuple[tuple[str, str], ...]


def status(args: argparse.Namespace, session: Session) -> Any:
    """Say what an index holds."""
    path = session.find_index(args.index)
    if args.verify:
        on_upkeep.require_sound(path, session)
    opened = session.open_index(path)
    made = Status(opened, _facts(opened, is_verified=args.verify), opened.manifest.skipped)
    if args.json:
        document = {**made.facts, "skipped": dict(made.skipped)}
        return session.told(made, json.dumps(document, indent=1, ensure_ascii=False))
    lines = [f"{name:12}{printable(value)}" for name, value in _in_words(made.facts).items()]
    lines += _skipped(made.skipped, session, None)
    licences = licence_notices(str(part) for part in opened.manifest.made_by.values())
    notices = dict.fromkeys((str(opened.manifest.preset.get("notice", "")), *licences))
    return session.told(made, "\n".join(lines), notice="; ".join(filter(None, notices)))


def _facts(index: "Index", *, is_verified: bool) -> dict[str, str | int | bool]:
    manifest = index.manifest
    return {
        "index": str(index.path),
        "n_images": index.n_images,
        "image_root": str(index.image_root),
        "images_are_there": index.image_root.is_dir(),
        "n_regions": index.n_regions,
        "dim": index.dim,
        "n_bytes": sum(segment.n_bytes for segment in manifest.segments),
        "n_segments": len(manifest.segments),
        "preset": str(manifest.preset.get("name")),
        "view": str(manifest.preset.get("encoding", {}).get("view", EncodeConfig().view)),
        "segmenter": str(manifest.made_by["segmenter"]),
        "encoder": str(manifest.made_by["encoder"]),
        "fingerprint": index.fingerprint,
        "is_verified": is_verified,
    }


def _in_words(facts: Mapping[str, str | int | bool]) -> dict[str, str]:
    there = "" if facts["images_are_there"] else " (not there: give --images when searching)"
    checked = "every digest is right" if facts["is_verified"] else "sizes are right"
    return {
        "index": str(facts["index"]),
        "images": f"{facts['n_images']} in {facts['image_root']}{there}",
        "regions": f"{facts['n_regions']}, vectors of length {facts['dim']}",
        "size": f"{int(facts['n_bytes']) / 1e6:.1f} MB in {facts['n_segments']} segments",
        **{name: str(facts[name]) for name in MADE_BY},
        "files": checked if facts["is_verified"] else f"{checked} (--verify reads all)",
    }


def config(args: argparse.Namespace, session: Session) -> Any:
    """Show the settings, or write one."""
    if args.key is not None and args.value is not None:
        settings.keep(args.key, args.value)
        session.configured(args.key)
    elif args.key is not None:
        settings.check_key(args.key)
    found = settings.load()
    names = [f.name for f in fields(found) if args.key in (None, f.name)]
    return session.told(found, "\n".join(f"{name:10}{getattr(found, name)}" for name in names))


def doctor(args: argparse.Namespace, session: Session) -> Any:
    """Say what can run here."""
    from matir_nb.doctor import examine

    diagnosis = examine(args.device)
    return session.told(diagnosis, str(diagnosis))


def demo(args: argparse.Namespace, session: Session) -> Any:
    """Run the demonstration, and make its index the current one."""
    from matir_nb.demo import run_demo

    report = run_demo(args.out, say=session.say, device=args.device)
    name = session.use(args.out / "scenes.matir")
    return session.told(report, f"\ncurrent index: {printable(name)}")
