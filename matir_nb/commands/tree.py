"""One argparse tree for the console and the notebook: each command gives its result back.

What a command does is in `matir_nb.commands.on_indexes` and its neighbours. Text goes to a
`Session`; wrong input raises a `MatirError`; exit codes are the business of `matir_nb.cli`.
"""

import argparse
import os
from collections.abc import Callable, Sequence

from matir_nb.commands import (
    arguments,
    evaluation_arguments,
    on_acceleration,
    on_calibration,
    on_columns,
    on_comparisons,
    on_evaluation,
    on_explanations,
    on_indexes,
    on_models,
    on_results,
    on_reviews,
    on_upkeep,
)
from matir_nb.commands.session import LAST, Session
from matir_nb.errors import unknown
from matir_nb.offline import kept_offline
from matir_nb.usage import HelpWanted, Parser, UsageError, completed
from matir_nb.version import __version__

ABOUT = "Find pictures by words, and see where and why."


def run(argv: Sequence[str], session: Session, *, body: str | None = None) -> object:
    """Run one command line and return what it made; None for help and version.

    Args:
        argv: the words after the program's name.
        session: the face towards the user.
        body: the query of a search that stands apart from the line; None = there is none.

    Raises:
        MatirError: the command line, a file or a model cannot be used; one line that teaches.
    """
    for word in (*argv, body or ""):
        _require_text(word)
    try:
        args, extra = build_parser(session.prog).parse_known_args(argv)
    except HelpWanted as help_text:
        session.say(str(help_text))
        return None
    if args.version:
        session.say(f"matir {__version__}")
        return None
    if not hasattr(args, "run"):  # argparse takes "-=" for an option without a name
        message = f"do not know what to do with {' '.join(extra)!r}: see {session.prog} --help"
        raise UsageError(message)
    if extra:
        has_query = args.run in (on_results.search, on_explanations.trace)
        hint = "keep a query's words together" if has_query else f"see {session.prog} --help"
        message = f"do not know what to do with {' '.join(extra)!r}: {hint}"
        raise UsageError(message)
    if body is not None:
        _take_body(args, body, session.prog)
    command: Callable[[argparse.Namespace, Session], object] = args.run
    with kept_offline(wanted=getattr(args, "offline", False)):
        return command(args, session)


def _require_text(word: str) -> None:
    """Raise unless a word can be written down: a notebook's line may hold anything."""
    try:
        is_text = b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        is_text = False
    if not is_text:
        message = (
            f"{word!r:.80} holds a character that neither a query nor a name has: type it anew"
        )
        raise UsageError(message)


def _take_body(args: argparse.Namespace, body: str, prog: str) -> None:
    if args.run is not on_results.search:
        message = f"only search takes a query from the cell's body: use {prog} on one line"
        raise UsageError(message)
    if args.query:
        line = " ".join(args.query)
        message = f"two queries, {line!r} on the line and the cell's body: give one of them"
        raise UsageError(message)
    args.query = [body]


def build_parser(prog: str = "matir") -> Parser:
    """Return the tree of commands, which calls itself `prog` in its messages."""
    parser = Parser(prog=prog, description=ABOUT, epilog=_examples(prog))
    parser.helps_alone = True
    parser.add_argument("--version", action="store_true", help="print the version")
    places = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, run: Callable[..., object], about: str, python: str) -> Parser:
        epilog = f"in Python:\n  {python}"
        sub: Parser = places.add_parser(name, help=about, description=about, epilog=epilog)
        sub.set_defaults(run=run)
        parser.commands[name] = sub
        return sub

    for name, (run, about, python, add_options) in COMMANDS.items():
        add_options(command(name, run, about, python))
    about, python = "show this help, or that of a command", "help(matir_nb)"
    asked = command("help", _help_of(parser), about, python)
    completed(asked.add_argument("topic", nargs="?", metavar="COMMAND"), "command")
    return parser


def _examples(prog: str) -> str:
    cell = "\n  %%matir search -k 24      the query is the body of the cell" if "%" in prog else ""
    return (
        f"examples:\n  {prog} index photos/\n  {prog} search a small striped ring -k 24{cell}\n"
        f"  {prog} explain {LAST} --rank 3\n  {prog} help search"
    )


def _help_of(parser: Parser) -> Callable[[argparse.Namespace, Session], None]:
    def show_help(args: argparse.Namespace, session: Session) -> None:
        if args.topic is not None and args.topic not in parser.commands:
            raise UsageError(unknown("command", args.topic, parser.commands))
        chosen = parser if args.topic is None else parser.commands[args.topic]
        session.say(chosen.format_help().rstrip())

    return show_help


COMMANDS: dict[str, tuple[Callable[..., object], str, str, Callable[[Parser], None]]] = {
    "index": (
        on_indexes.index,
        "index a folder of images",
        'report = matir_nb.build("photos/", "photos.matir")',
        arguments.index_arguments,
    ),
    "open": (
        on_indexes.open_,
        "make an index the current one",
        'engine = matir_nb.open("photos.matir")',
        arguments.open_arguments,
    ),
    "list": (
        on_indexes.list_,
        "list the indexes that are known by name",
        "matir_nb.home.registered.known()",
        arguments.list_arguments,
    ),
    "status": (
        on_indexes.status,
        "say what an index holds and what made it",
        'matir_nb.open("photos.matir").index.facts_table()',
        arguments.status_arguments,
    ),
    "accelerate": (
        on_acceleration.accelerate,
        "make searches of very large indexes faster, and measure what they miss",
        "matir_nb.index.approximate.build.build_approximate(path, parts)",
        arguments.accelerate_arguments,
    ),
    "columns": (
        on_columns.columns,
        "list what --where can ask for, or add columns of your own",
        'matir_nb.open("photos.matir").index.facts_table()',
        arguments.columns_arguments,
    ),
    "verify": (
        on_upkeep.verify,
        "read every file of an index, say what is broken, and repair it",
        'matir_nb.verify("photos.matir"); matir_nb.repair("photos.matir")',
        arguments.verify_arguments,
    ),
    "compact": (
        on_upkeep.compact,
        "write an index anew without what was dropped",
        'matir_nb.compact("photos.matir")',
        arguments.compact_arguments,
    ),
    "search": (
        on_results.search,
        "rank the images of an index for a query",
        'result = engine.search("a small striped ring", k=24)',
        arguments.search_arguments,
    ),
    "show": (
        on_results.show,
        "show a result again: images, masks, scores",
        "result.grid()",
        arguments.show_arguments,
    ),
    "explain": (
        on_results.explain,
        "say why a hit stands where it stands",
        "result.inspector(rank=3)",
        arguments.explain_arguments,
    ),
    "flow": (
        on_results.flow,
        "show how hits moved between the stages, and the seconds",
        "result.flow()",
        arguments.result_arguments,
    ),
    "trace": (
        on_explanations.trace,
        "say how an image fared, found or not, and what would keep it",
        'engine.trace("a small striped ring", "beach/0012.jpg")',
        arguments.trace_arguments,
    ),
    "why": (
        on_explanations.why,
        "say why one hit stands above another",
        "result.why(1, 2)",
        arguments.why_arguments,
    ),
    "words": (
        on_explanations.words,
        "say what each word adds to each region of a hit",
        "result.words(rank=3)",
        arguments.explain_arguments,
    ),
    "compare": (
        on_comparisons.compare,
        "compare two results, or two runs of eval with tests of their differences",
        "result.compare(other); matir_nb.evaluation.runs.compare.compare_runs(a, b)",
        arguments.compare_arguments,
    ),
    "sensitivity": (
        on_explanations.sensitivity,
        "measure how much an index's vectors depend on the masks",
        "engine.mask_sensitivity(n_images=32)",
        arguments.sensitivity_arguments,
    ),
    "review": (
        on_reviews.review,
        "say how far a review is, how much is left, and whether to stop",
        'review = matir_nb.Review.load("oaks.parquet")',
        arguments.review_arguments,
    ),
    "calibrate": (
        on_calibration.calibrate,
        "fit a judge's probabilities to the marks of a review",
        'engine.calibrate(matir_nb.Review.load("oaks.parquet"))',
        arguments.calibrate_arguments,
    ),
    "export": (
        on_results.export,
        "write a result to a file",
        'result.export("hits.csv")',
        arguments.export_arguments,
    ),
    "config": (
        on_indexes.config,
        "show the settings, or write one",
        'matir_nb.home.settings.keep("k", "24")',
        arguments.config_arguments,
    ),
    "eval": (
        on_evaluation.evaluate,
        "measure the quality of every stage on a dataset",
        'matir_nb.evaluate(engine, matir_nb.read_dataset("coco", "annotations"), out="run")',
        evaluation_arguments.eval_arguments,
    ),
    "ablate": (
        on_comparisons.ablate,
        "measure what every switch and weight contributes, in one run",
        'matir_nb.evaluation.runs.ablate.ablate(engine, dataset, out="run")',
        evaluation_arguments.ablate_arguments,
    ),
    "models": (
        on_models.models,
        "list the models that can be fetched, fetch and convert them",
        "matir_nb.models.hub_table.models_table()",
        arguments.models_arguments,
    ),
    "demo": (
        on_indexes.demo,
        "index generated scenes and search them",
        'matir_nb.demo.run_demo(Path("demo"), say=print)',
        arguments.demo_arguments,
    ),
    "doctor": (
        on_indexes.doctor,
        "say what can run here, and why not",
        "print(matir_nb.doctor.examine())",
        arguments.device_argument,
    ),
}
