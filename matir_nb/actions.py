"""What each command does with its arguments: call the library, say what came out.

Arguments are those of the tree in `matir_nb.commands`.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from matir_nb.config import preset_named
from matir_nb.errors import ConfigError, QueryError
from matir_nb.evaluation.arms import ARMS
from matir_nb.printing import printable
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.demo import DemoReport
    from matir_nb.doctor import Diagnosis
    from matir_nb.index.build import BuildReport
    from matir_nb.index.store import Index
    from matir_nb.results import SearchResult
    from matir_nb.types import Hit, RGBImage

FORMATS = ("table", "json", "csv", "parquet")
K = 12
MAX_SKIPPED_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Console:
    """Where text goes: results to `out`, remarks to `err`."""

    out: TextIO
    err: TextIO

    def say(self, text: str) -> None:
        """Write a line of result."""
        self.out.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write a line of remark."""
        self.err.write(f"{text}\n")


def index(args: argparse.Namespace, console: Console) -> "BuildReport":
    """Index a folder of images."""
    from matir_nb.index.build import build

    preset = preset_named(args.preset)
    report = build(args.folder, args.out, preset=preset, masks=args.masks, device=args.device)
    console.say(
        f"{report.n_images} images, {report.n_regions} regions in {printable(str(report.path))}"
    )
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in report.seconds.items())
    console.say(f"seconds: {stages}")
    _list_skipped([(s.image_id, s.reason) for s in report.skipped], console, MAX_SKIPPED_SHOWN)
    _notes([preset.notice], console)
    return report


def _list_skipped(skipped: Sequence[tuple[str, str]], console: Console, limit: int | None) -> None:
    if skipped:
        console.say(f"not indexed: {len(skipped)}")
    for name, reason in skipped[:limit]:
        console.say(f"  {printable(name)}: {printable(reason)}")
    if limit is not None and len(skipped) > limit:
        console.say(f"  and {len(skipped) - limit} more: matir status lists them all")


def _notes(notices: Sequence[str], console: Console) -> None:
    for notice in notices:
        if notice:
            console.note(f"note: {printable(notice)}")


def search(args: argparse.Namespace, console: Console) -> "SearchResult":
    """Search, and write the hits in the format asked for."""
    from matir_nb.exports import to_csv, to_json, to_table

    chosen = args.format or _format_of(args.output)
    if chosen == "parquet" and args.output is None:
        message = "a parquet file is not text: give its name with -o FILE.parquet"
        raise UsageError(message)
    target = _writable(args.output)
    result, _ = _ask(args)
    if chosen == "parquet":
        result.save(target or args.output)
    else:
        text = {"table": to_table, "json": to_json, "csv": to_csv}[chosen](result).rstrip("\n")
        if target is None:
            console.say(text)
        else:
            target.write_text(f"{text}\n", encoding="utf-8")
    _notes(result.provenance.notices, console)
    return result


def _format_of(output: Path | None) -> str:
    ending = output.suffix.lower().lstrip(".") if output else ""
    return ending if ending in FORMATS else "table"


def _writable(path: Path | None) -> Path | None:
    """Return `path`, or raise before work is done that could not be saved."""
    if path is not None and path.is_dir():
        message = f"{str(path)!r} is a folder: give the name of a file"
        raise ConfigError(message)
    if path is not None and not path.parent.is_dir():
        message = f"there is no folder {str(path.parent)!r}: make it, or write elsewhere"
        raise ConfigError(message)
    return path


def _ask(args: argparse.Namespace) -> tuple["SearchResult", "Index"]:
    """Return the result of the query that `args` hold, and the index it comes from."""
    from matir_nb.engine import open_engine

    query = " ".join(args.query)
    if not query.strip():
        message = "the query is empty: say in words what to look for"
        raise QueryError(message)
    wants_judge = not args.no_judge and args.n_judged != 0
    judge = (args.judge or "default") if wants_judge else None
    engine = open_engine(args.index, judge=judge, device=args.device, images=args.images)
    n_images = engine.index.n_images
    if args.k is not None and args.k > n_images:
        message = (
            f"k = {args.k} is more than the {n_images} images of the index: give 1 to {n_images}"
        )
        raise ConfigError(message)
    k = min(K, max(n_images, 1)) if args.k is None else args.k
    with _judge_bar() as progress:
        result = engine.search(query, k=k, n_judged=args.n_judged, progress=progress)
    return result, engine.index


@contextmanager
def _judge_bar() -> Iterator[Callable[[int, int], None]]:
    from tqdm.auto import tqdm

    with tqdm(desc="judge", unit="image", delay=1, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


def show(args: argparse.Namespace, console: Console) -> "SearchResult":
    """Write a contact sheet of a search or of a saved result."""
    from matir_nb.contact_sheet import contact_sheet

    if bool(args.query) == bool(args.result):
        message = "show: give either a QUERY with --index, or --result FILE"
        raise UsageError(message)
    _writable(args.output)
    if args.query and args.index is None:
        message = "show: a QUERY needs --index X.matir"
        raise UsageError(message)
    result, load_image = _asked(args) if args.query else _saved(args)
    contact_sheet(result, load_image, columns=args.columns).save(args.output, "PNG")
    console.say(f"{len(result)} hits: {printable(str(args.output))}")
    _notes(result.provenance.notices, console)
    return result


LoadImage = Callable[["Hit"], "RGBImage"]


def _asked(args: argparse.Namespace) -> tuple["SearchResult", LoadImage]:
    result, index = _ask(args)
    return result, lambda hit: index.load_image(hit.image_id)


def _saved(args: argparse.Namespace) -> tuple["SearchResult", LoadImage]:
    from matir_nb.images import load_image
    from matir_nb.index.store import Index
    from matir_nb.results import SearchResult

    result = SearchResult.load(args.result)
    if args.images is None and args.index is None:
        message = "show: a saved result needs its images: give --index X.matir or --images FOLDER"
        raise UsageError(message)
    root = args.images or Index.open(args.index).image_root
    return result, lambda hit: load_image(root / hit.path)


def status(args: argparse.Namespace, console: Console) -> "Index":
    """Say what an index holds."""
    from matir_nb.index.store import Index

    index = Index.open(args.index)
    if args.verify:
        index.verify()
    manifest = index.manifest
    n_bytes = sum(segment.n_bytes for segment in manifest.segments)
    there = "" if index.image_root.is_dir() else " (not there: give --images when searching)"
    lines = {
        "images": f"{index.n_images} in {index.image_root}{there}",
        "regions": f"{index.n_regions}, vectors of length {index.dim}",
        "size": f"{n_bytes / 1e6:.1f} MB in {len(manifest.segments)} segments",
        "preset": str(manifest.preset.get("name")),
        "segmenter": str(manifest.made_by["segmenter"]),
        "encoder": str(manifest.made_by["encoder"]),
        "fingerprint": index.fingerprint,
        "files": "every digest is right" if args.verify else "sizes are right (--verify reads all)",
    }
    for name, value in lines.items():
        console.say(f"{name:12}{printable(value)}")
    _list_skipped(manifest.skipped, console, None)
    _notes([str(manifest.preset.get("notice", ""))], console)
    return index


def evaluate(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Evaluate on generated scenes."""
    from matir_nb.evaluation.report_text import format_report
    from matir_nb.evaluation.scene_report import SceneEvalConfig, evaluate_scenes

    target = _writable(args.json)
    names = ("split", "n_images", "n_queries", "seed", "n_judged", "index", "out", "device")
    options = {name: getattr(args, name) for name in names}
    preset = preset_named(args.preset)
    arms = tuple(dict.fromkeys(args.arm or ARMS))
    report = evaluate_scenes(SceneEvalConfig(**options, preset=preset.name, arms=arms))
    if target is not None:
        target.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.say(format_report(report))
    _notes([preset.notice], console)
    return report


def doctor(args: argparse.Namespace, console: Console) -> "Diagnosis":
    """Say what can run here."""
    from matir_nb.doctor import examine

    diagnosis = examine(args.device)
    console.say(str(diagnosis))
    return diagnosis


def demo(args: argparse.Namespace, console: Console) -> "DemoReport":
    """Run the demonstration."""
    from matir_nb.demo import run_demo

    return run_demo(args.out, say=console.say, device=args.device)
