"""What `matir compare` and `matir ablate` do: two results or runs side by side, a grid of arms.

Whatever can be refused is refused before a model is loaded.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matir_nb.commands import on_evaluation, on_explanations
from matir_nb.commands.session import Session
from matir_nb.errors import MatirError, require_known
from matir_nb.home import registered
from matir_nb.printing import printable
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.evaluation.runs.compare import RunComparison
    from matir_nb.evaluation.runs.folder import Run
    from matir_nb.evaluation.runs.worst import Album

COMPARED = "compared"
"""Folder in a run's own that holds its comparisons, unless told otherwise."""
ABLATION = "ablation"
"""Folder in a work folder that holds the ablation, beside the index that it shares with eval."""


def compare(args: argparse.Namespace, session: Session) -> Any:
    """Compare two results, two runs, or two arms of one run."""
    words = [word for word in (args.a, args.b) if word is not None]
    are_runs = [is_run(word, session) for word in words]
    if all(are_runs):
        return _compare_runs(args, session)
    if any(are_runs):
        run, result = sorted(words, key=lambda word: not is_run(word, session))
        if session.held(result) is None and not Path(result).expanduser().exists():
            message = f"there is no {result!r}: give the folder of another run, as {run!r} is one"
            raise UsageError(message)
        message = f"{run!r} is a run and {result!r} none: compare two runs, or two results"
        raise UsageError(message)
    if args.b is None:
        message = f"{args.a!r} is no run, so it has no arms: give two results, or a run's folder"
        raise UsageError(message)
    for name in ("arms", "metric", "out"):
        if getattr(args, name):
            message = f"--{name} is for runs of matir eval: {args.a!r} is a result"
            raise UsageError(message)
    return on_explanations.compare(args, session)


def ablate(args: argparse.Namespace, session: Session) -> Any:
    """Evaluate a grid of options in one run."""
    from matir_nb.evaluation.runs.ablate import ablate as ask
    from matir_nb.evaluation.runs.grid import parse_grid, points_of
    from matir_nb.evaluation.runs.measures import MEASURES
    from matir_nb.presets import PRESETS

    require_known("metric of single queries", [args.metric] if args.metric else [], MEASURES)
    grid = parse_grid(args.grid) if args.grid else None
    if args.preset in PRESETS:
        points_of(grid, PRESETS[args.preset])  # before pictures are drawn and indexed
    work = args.out or on_evaluation.WORK_FOLDER / on_evaluation.folder_name(args)
    engine, dataset = on_evaluation.opened(args, session, work)
    if args.oracle:  # it knows whole queries, a judge asks for parts of them
        engine = engine.with_preset(replace(engine.preset, judge="none"))
    out = work / ABLATION
    found = ask(
        engine,
        dataset,
        out=out,
        grid=grid,
        metric=args.metric,
        n_queries=on_evaluation.n_queries(args),
        k=args.k,
        seed=args.seed,
    )
    return session.show_made(found, f"{found}\n\nwritten to {printable(str(out))}: ablation.html")


def is_run(word: str, session: Session) -> bool:
    """Return whether a word names a run: a folder, or a variable."""
    held = _held(word, session)
    if held is None:
        return Path(word).expanduser().is_dir()
    return type(held).__name__ == "Run" and type(held).__module__.startswith("matir_nb.")


def _compare_runs(args: argparse.Namespace, session: Session) -> Any:
    from matir_nb.evaluation.runs.compare import compare_runs
    from matir_nb.evaluation.runs.compare_page import write_comparison

    a = _run(args.a, session)
    b = a if args.b is None else _run(args.b, session)
    arm_a, arm_b = args.arms or (None, None)
    comparison = compare_runs(a, b, arm_a=arm_a, arm_b=arm_b, metrics=args.metric)
    out = args.out or b.folder / COMPARED / _folder_name(comparison)
    album = _album(args, session, b)
    files = write_comparison(comparison, out, album=album)
    text = f"{comparison}\n\nwritten to {printable(str(out))}: {files[0].name}, {files[1].name}"
    return session.show_made(comparison, text)


def _held(word: str, session: Session) -> object | None:
    """Return what a variable holds; of what `eval` told, the run."""
    held = session.held(word)
    return getattr(held, "made", held)


def _run(word: str, session: Session) -> "Run":
    from matir_nb.evaluation.runs.folder import Run

    held = _held(word, session)
    return held if isinstance(held, Run) else Run.load(word)


def _folder_name(comparison: "RunComparison") -> str:
    """Return a folder name for a comparison: the same on every system."""
    a, b = comparison.a, comparison.b
    names = [a.arm, b.arm] if a.run is b.run else [a.run.folder.resolve().name, a.arm, b.arm]
    letters = "-".join(names)
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in letters)[:80]


def _album(args: argparse.Namespace, session: Session, run: "Run") -> "Album | None":
    """Return the pictures of the run's index; None, and a remark, where it is gone."""
    from matir_nb.evaluation.runs.worst import album_of

    place = (run.provenance.get("index") or {}).get("path", "")
    path = Path(place) if args.index is None else registered.find(args.index)
    try:
        return album_of(session.open_index(path, args.images), None)
    except MatirError as error:
        if args.index is not None:
            raise
        session.note(f"no pictures: {error}; give the index as -i NAME|PATH")
        return None
