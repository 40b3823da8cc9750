"""One argparse tree for the console and the notebook: each command gives its result back.

What a command does is in `matir_nb.actions`. Text goes to a `Console`; wrong input raises a
`MatirError`; exit codes are the business of `matir_nb.cli`.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from matir_nb import actions
from matir_nb.actions import FORMATS, Console, K
from matir_nb.config import PRESETS
from matir_nb.evaluation.arms import ARMS
from matir_nb.usage import HelpWanted, Parser, UsageError, one_of
from matir_nb.version import __version__


def run(argv: Sequence[str], console: Console) -> object:
    """Run one command line and return what it made; None for help and version.

    Raises:
        MatirError: the command line, a file or a model cannot be used; one line that teaches.
    """
    try:
        args, extra = build_parser().parse_known_args(argv)
    except HelpWanted as help_text:
        console.say(str(help_text))
        return None
    if args.version:
        console.say(f"matir {__version__}")
        return None
    if extra:
        message = f"do not know what to do with {' '.join(extra)!r}: keep a query's words together"
        raise UsageError(message)
    command: Callable[[argparse.Namespace, Console], object] = args.run
    return command(args, console)


def build_parser() -> Parser:
    """Return the tree of commands."""
    parser = Parser(prog="matir", description="Find pictures by words, and see where and why.")
    parser.add_argument("--version", action="store_true", help="print the version")
    places = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, run: Callable[..., object], about: str) -> Parser:
        sub: Parser = places.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        parser.commands[name] = sub
        return sub

    _index_options(command("index", actions.index, "index a folder of images"))
    _search_options(command("search", actions.search, "rank the images of an index for a query"))
    _show_options(
        command("show", actions.show, "write a picture of a result: images, masks, scores")
    )
    _status_options(command("status", actions.status, "say what an index holds and what made it"))
    _eval_options(command("eval", actions.evaluate, "measure the quality of every stage"))
    _device_option(command("doctor", actions.doctor, "say what can run here, and why not"))
    _demo_options(command("demo", actions.demo, "index generated scenes and search them"))
    return parser


def _device_option(parser: Parser) -> None:
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or mps"
    )


def _index_options(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images, subfolders included")
    parser.add_argument("--out", type=Path, required=True, metavar="X.matir", help="the index")
    parser.add_argument(
        "--preset", default="embedded", metavar="NAME", help=f"models: {', '.join(PRESETS)}"
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FILE",
        help="use these masks: COCO instances or panoptic JSON, or SAM 2 generator records",
    )
    _device_option(parser)


def _query_options(parser: Parser) -> None:
    parser.add_argument("-k", type=int, metavar="N", help=f"hits (default {K})")
    judge = parser.add_mutually_exclusive_group()
    judge.add_argument("--no-judge", action="store_true", help="stage 1 only")
    judge.add_argument("--judge", metavar="NAME", help="structured, trained or a folder")
    parser.add_argument("--n-judged", type=int, metavar="N", help="candidates the judge sees")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the images are now")
    _device_option(parser)


def _search_options(parser: Parser) -> None:
    parser.add_argument("query", nargs="+", metavar="QUERY", help="words; quotes are not needed")
    parser.add_argument("--index", type=Path, required=True, metavar="X.matir", help="the index")
    _query_options(parser)
    parser.add_argument(
        "--format",
        type=one_of("format", FORMATS),
        metavar="NAME",
        help=f"{', '.join(FORMATS)}; default: by the ending of -o, else table",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: standard output"
    )


def _show_options(parser: Parser) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help="words; quotes are not needed")
    parser.add_argument(
        "--result", type=Path, metavar="FILE", help="show this saved .parquet result"
    )
    parser.add_argument("--index", type=Path, metavar="X.matir", help="the index")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--columns", type=int, default=4, metavar="N", help="tiles per row")
    _query_options(parser)


def _status_options(parser: Parser) -> None:
    parser.add_argument("index", type=Path, metavar="X.matir", help="the index")
    parser.add_argument("--verify", action="store_true", help="read every file, compare digests")


def _eval_options(parser: Parser) -> None:
    places = parser.add_subparsers(metavar="WHAT", title="what to evaluate on")
    about = "generated scenes with exact truth"
    scenes: Parser = places.add_parser("scenes", help=about, description=about)
    parser.commands["scenes"] = scenes
    scenes.add_argument("--split", default="test", type=one_of("split", ("test", "validation")))
    scenes.add_argument("--n-images", type=int, default=1000, metavar="N", help="gallery size")
    scenes.add_argument("--n-queries", type=int, default=500, metavar="N", help="of all kinds")
    scenes.add_argument("--seed", type=int, default=0, metavar="N")
    scenes.add_argument("--preset", default="embedded", metavar="NAME")
    scenes.add_argument("--arm", action="append", type=one_of("arm", ARMS), help="only this arm")
    scenes.add_argument("--n-judged", type=int, metavar="N", help="candidates a judge sees")
    scenes.add_argument("--index", type=Path, metavar="X.matir", help="an index of this gallery")
    scenes.add_argument("--out", type=Path, metavar="FOLDER", help="work folder")
    scenes.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    _device_option(scenes)


def _demo_options(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    _device_option(parser)
