"""What `matir eval` does: read a dataset, index its images, ask, leave a run behind."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matir_nb.commands.session import Session, writable
from matir_nb.evaluation.datasets.readers import READERS, read_dataset
from matir_nb.evaluation.runs.arms import ARMS, STAGE1, standard_arms
from matir_nb.home import registered
from matir_nb.models.hardware import choose_preset
from matir_nb.printing import printable

if TYPE_CHECKING:
    from matir_nb.engine import Engine
    from matir_nb.evaluation.datasets.dataset import Dataset
    from matir_nb.evaluation.runs.folder import Run

WORK_FOLDER = Path("build", "eval")
SCENES, EXPLAIN = "scenes", "explain"
ORACLE_ARMS = (STAGE1,)
"""Arms of an oracle, unless told otherwise: it knows whole queries, and a judge asks for parts of
them, or looks at pixels."""


def evaluate(args: argparse.Namespace, session: Session) -> Any:
    """Evaluate every stage on a dataset, or the explanations."""
    from matir_nb.evaluation.runs.report_json import as_json

    target = None if args.json is None else writable(args.json)
    if args.data == EXPLAIN:
        document, text, notice = _explanations(args)
        made: Any = document
    else:
        made = _run(args, session)
        document, text, notice = as_json(made), _text(made), ""
    if target is not None:
        written = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        target.write_text(written, encoding="utf-8")
    return session.told(made, text, notice=notice)


def _run(args: argparse.Namespace, session: Session) -> "Run":
    from matir_nb.evaluation.runs.evaluate import evaluate as ask

    out = args.out or WORK_FOLDER / folder_name(args)
    engine, dataset = opened(args, session, out)
    arms = args.stages or tuple(args.arm or ()) or (ORACLE_ARMS if args.oracle else ARMS)
    return ask(
        engine,
        dataset,
        arms=standard_arms(arms, engine.preset, args.n_judged),
        out=out,
        n_queries=n_queries(args),
        k=args.k,
        seed=args.seed,
    )


def opened(args: argparse.Namespace, session: Session, out: Path) -> tuple["Engine", "Dataset"]:
    """Return the engine and the dataset that the arguments of a dataset mean.

    Args:
        args: of `arguments.dataset_arguments`.
        session: shows the progress of indexing.
        out: work folder: index and generated pictures are made there.
    """
    images = out / "images" if args.data == SCENES else args.images
    annotations = images if args.data == SCENES else args.annotations
    dataset = read_dataset(args.data, annotations, **_options(args))
    return _engine(args, session, dataset, images=images, out=out), dataset


def n_queries(args: argparse.Namespace) -> int | None:
    """Return how many queries are drawn from the dataset; scenes draw theirs themselves."""
    return None if args.data == SCENES else args.n_queries


def _engine(
    args: argparse.Namespace,
    session: Session,
    dataset: "Dataset",
    *,
    images: Path | None,
    out: Path,
) -> "Engine":
    from matir_nb.evaluation.runs.opened import Opening, open_for

    opening = Opening(
        out=out,
        images=images,
        index=None if args.index is None else registered.find(args.index),
        preset=args.preset,
        device=args.device,
        is_oracle=args.oracle,
        is_generated=args.data == SCENES,
    )
    with session.progress("index") as progress:
        return open_for(dataset, opening, progress=progress)


def _options(args: argparse.Namespace) -> dict[str, str]:
    """Return the reader's options that were given."""
    given = {name: getattr(args, name) for name in READERS[args.data].options}
    return {name: str(value) for name, value in given.items() if value is not None}


def folder_name(args: argparse.Namespace) -> str:
    """Return the work folder of an evaluation: each dataset, image folder and preset has its own.

    Generated scenes share theirs, so that the pictures are drawn once.
    """
    seed = f"-seed{args.seed}" if args.seed else ""
    oracle = "-oracle" if args.oracle else ""
    if args.data == SCENES:
        return f"{SCENES}-{args.split}-{args.n_images}{seed}{oracle}"
    where = Path(args.images or args.index or "images").resolve().name
    return f"{args.data}-{where}-{'oracle' if args.oracle else args.preset}"


def _text(run: "Run") -> str:
    files = sorted(path.name for path in run.folder.iterdir() if path.suffix in (".html", ".md"))
    there = printable(str(run.folder))
    return f"{run}\n\nwritten to {there}{': ' if files else ''}{', '.join(files)}"


def _explanations(args: argparse.Namespace) -> tuple[dict[str, Any], str, str]:
    from matir_nb.evaluation.explain_report import ExplainEvalConfig, evaluate_explanations
    from matir_nb.evaluation.explain_text import format_report

    names = ("split", "n_images", "n_queries", "seed", "out", "device")
    options = {name: getattr(args, name) for name in names}
    options["index"] = None if args.index is None else registered.find(args.index)
    preset, _ = choose_preset(args.preset, args.device)
    report = evaluate_explanations(ExplainEvalConfig(**options, preset=preset.name))
    return report, format_report(report), preset.notice
