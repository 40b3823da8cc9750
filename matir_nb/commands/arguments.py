"""The arguments of each command: one function adds those of one command to its parser.

This module calls nothing that a command does.
"""

from pathlib import Path

from matir_nb.catalogue import CATALOGUE
from matir_nb.commands.on_results import ENDINGS, FORMATS
from matir_nb.commands.session import LAST
from matir_nb.config import PRECISIONS, VIEWS
from matir_nb.home.settings import KEYS
from matir_nb.index.approximate.plan import KINDS
from matir_nb.presets import PRESET_NAMES
from matir_nb.usage import Parser, completed, one_of

JUDGE_HELP = (
    "structured, trained, one of matir models, or a folder; "
    ":box, :marks or :listed behind it says how it is asked"
)


def device_argument(parser: Parser) -> None:
    """Add those of `device`."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or mps"
    )


def models_are_loaded(parser: Parser) -> None:
    """Add those of a command that loads models."""
    device_argument(parser)
    parser.add_argument(
        "--offline", action="store_true", help="never fetch a model: use what is on this machine"
    )


def _which_index(parser: Parser, default: str = "the current one") -> None:
    about = f"the index (default: {default})"
    option = parser.add_argument("-i", "--index", metavar="NAME|PATH", help=about)
    completed(option, "index")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the images are now")


def _which_images(parser: Parser) -> None:
    about = "search only these: SQL, as in \"width > 1000 and folder = 'beach'\"; see columns"
    parser.add_argument("--where", metavar="SQL", help=about)


def columns_arguments(parser: Parser) -> None:
    """Add those of `columns`."""
    about = "add its columns: .csv, .tsv, .parquet, .jsonl (default: list all columns)"
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=about)
    about = "its column of image ids, paths or file names (default image_id)"
    parser.add_argument("--key", default="image_id", metavar="NAME", help=about)
    parser.add_argument("--drop", metavar="NAME", help="drop a column that was added")
    _which_index(parser)


def accelerate_arguments(parser: Parser) -> None:
    """Add those of `accelerate`."""
    about = f"{', '.join(KINDS)} (default: by size and memory)"
    parser.add_argument("--kind", type=one_of("kind", KINDS), metavar="NAME", help=about)
    about = "share of the exact best images to find (default 0.95)"
    parser.add_argument("--recall", type=float, default=0.95, metavar="SHARE", help=about)
    about = "GiB that it may take (default: half of this machine's memory)"
    parser.add_argument("--memory", type=float, metavar="GIB", help=about)
    about = "measure recall on these queries, too: a text file, one per line"
    parser.add_argument("--queries", type=Path, metavar="FILE", help=about)
    about = "remove it: every search is exact again"
    parser.add_argument("--drop", action="store_true", help=about)
    _which_index(parser)
    models_are_loaded(parser)


def index_arguments(parser: Parser) -> None:
    """Add those of `index`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images, subfolders included")
    parser.add_argument(
        "--out", type=Path, metavar="X.matir", help="the index (default: beside FOLDER)"
    )
    parser.add_argument("--name", metavar="NAME", help="what to call it (default: as the folder)")
    parser.add_argument(
        "--preset",
        default="embedded",
        type=one_of("preset", PRESET_NAMES),
        metavar="NAME",
        help=f"models: {', '.join(PRESET_NAMES)} (matir models lists them)",
    )
    parser.add_argument(
        "--view",
        type=one_of("view", VIEWS),
        metavar="NAME",
        help=f"what the encoder sees of a region: {', '.join(VIEWS)}",
    )
    parser.add_argument(
        "--precision",
        type=one_of("precision", PRECISIONS),
        metavar="NAME",
        help=f"what models compute in: {', '.join(PRECISIONS)}",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FILE",
        help="use these masks: COCO instances or panoptic JSON, or SAM 2 generator records",
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=120.0,
        metavar="N",
        help="larger pictures are reported, not decoded (default 120, at most 178.9)",
    )
    about = "read every known file, too, for changes that left its size and date as they were"
    parser.add_argument("--rehash", action="store_true", help=about)
    models_are_loaded(parser)


def _upkeep_arguments(parser: Parser) -> None:
    option = parser.add_argument(
        "-i", "--index", metavar="NAME|PATH", help="the index (default: the current one)"
    )
    completed(option, "index")


def compact_arguments(parser: Parser) -> None:
    """Add those of `compact`."""
    _upkeep_arguments(parser)


def verify_arguments(parser: Parser) -> None:
    """Add those of `verify`."""
    _upkeep_arguments(parser)
    about = "drop exactly what is broken, and index it again"
    parser.add_argument("--repair", action="store_true", help=about)
    about = "with --repair: give up what cannot be indexed again"
    parser.add_argument("--drop", action="store_true", help=about)
    about = "with --repair: where the images are now"
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=about)
    about = "with --repair: the masks that the index was made with, if they were your own"
    parser.add_argument("--masks", type=Path, metavar="FILE", help=about)
    models_are_loaded(parser)


def open_arguments(parser: Parser) -> None:
    """Add those of `open`."""
    completed(parser.add_argument("index", metavar="NAME|PATH", help="the index"), "index")
    parser.add_argument("--name", metavar="NAME", help="what to call it from now on")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the images are now")
    models_are_loaded(parser)


def list_arguments(parser: Parser) -> None:
    """Add those of `list`."""
    option = parser.add_argument("--forget", metavar="NAME", help="forget a name, keep the index")
    completed(option, "index")


def search_arguments(parser: Parser) -> None:
    """Add those of `search`."""
    parser.takes_words = True
    parser.add_argument("query", nargs="*", metavar="QUERY", help="words; quotes are not needed")
    parser.add_argument(
        "--with",
        dest="lists",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of {NAME} in the query: a,b,c or @FILE; all combinations are searched",
    )
    parser.add_argument("-k", type=int, metavar="N", help="hits (default: see config k)")
    _which_index(parser)
    _which_images(parser)
    parser.add_argument(
        "--approximate", action="store_true", help="let what matir accelerate built propose images"
    )
    judge = parser.add_mutually_exclusive_group()
    judge.add_argument(
        "--stage",
        type=one_of("stage", ("1", "2")),
        metavar="1|2",
        help="the last stage that runs (default 2; 1 = no judge)",
    )
    judge.add_argument("--no-judge", action="store_true", help="the same as --stage 1")
    judge.add_argument("--judge", metavar="NAME", help=JUDGE_HELP)
    parser.add_argument("--n-judged", type=int, metavar="N", help="candidates the judge sees")
    parser.add_argument(
        "--format",
        type=one_of("format", FORMATS),
        metavar="NAME",
        help=f"{', '.join(FORMATS)}; default: by the ending of -o, else table",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"write {', '.join(ENDINGS)}; in a notebook also a variable's name",
    )
    models_are_loaded(parser)


def result_arguments(parser: Parser) -> None:
    """Add those of `result`."""
    about = f"a saved .parquet, {LAST}, or in a notebook a variable"
    completed(parser.add_argument("result", metavar="RESULT", help=about), "result")
    _which_index(parser)


def show_arguments(parser: Parser) -> None:
    """Add those of `show`."""
    result_arguments(parser)
    parser.add_argument("--rank", type=int, metavar="N", help="look at the hit of this rank")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.png", help="a contact sheet")
    parser.add_argument(
        "--columns", type=int, default=4, metavar="N", help="tiles per row of that sheet"
    )


def explain_arguments(parser: Parser) -> None:
    """Add those of `explain`."""
    result_arguments(parser)
    parser.add_argument("--rank", type=int, default=1, metavar="N", help="which hit (default 1)")


def trace_arguments(parser: Parser) -> None:
    """Add those of `trace`."""
    parser.takes_words = True
    parser.add_argument("query", nargs="*", metavar="QUERY", help="words; quotes are not needed")
    about = "the image: its id, or its path under the image folder"
    parser.add_argument("--image", required=True, metavar="IMAGE", help=about)
    parser.add_argument("-k", type=int, metavar="N", help="hits (default: see config k)")
    parser.add_argument("--n-judged", type=int, metavar="N", help="candidates the judge sees")
    judge = parser.add_mutually_exclusive_group()
    judge.add_argument("--no-judge", action="store_true", help="stage 1 only")
    judge.add_argument("--judge", metavar="NAME", help=JUDGE_HELP)
    _which_index(parser)
    _which_images(parser)
    models_are_loaded(parser)


def why_arguments(parser: Parser) -> None:
    """Add those of `why`."""
    explain_arguments(parser)
    parser.add_argument("--other", type=int, metavar="N", help="the other (default: the next)")


def compare_arguments(parser: Parser) -> None:
    """Add those of `compare`."""
    about = f"a saved .parquet, {LAST}, a run's folder, or in a notebook a variable"
    completed(parser.add_argument("a", metavar="A", help=about), "result")
    about = "likewise (default, of one run: its two arms)"
    completed(parser.add_argument("b", nargs="?", metavar="B", help=about), "result")
    about = "arms of the runs; of one run, two of its own"
    parser.add_argument("--arms", nargs=2, metavar=("ARM_A", "ARM_B"), help=about)
    about = "compare runs by this metric alone; may be repeated"
    parser.add_argument("--metric", action="append", metavar="NAME", help=about)
    about = "where compare.html and compare.md are written (default: in the run's folder)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=about)
    _which_index(parser, "the current one; of runs, the one that B asked")


def sensitivity_arguments(parser: Parser) -> None:
    """Add those of `sensitivity`."""
    _which_index(parser)
    parser.add_argument("-n", type=int, default=32, metavar="N", help="images (default 32)")
    models_are_loaded(parser)


def review_arguments(parser: Parser) -> None:
    """Add those of `review`."""
    about = "a saved review, or in a notebook a variable: a view or a Review"
    parser.add_argument("review", metavar="REVIEW", help=about)
    parser.add_argument(
        "--merge", nargs="+", default=[], metavar="REVIEW", help="add these, e.g. of a colleague"
    )
    parser.add_argument(
        "--count-unmarked",
        action="store_true",
        help="hits seen below the last mark are not relevant (default: they do not count)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write .parquet, .csv or .json"
    )


def calibrate_arguments(parser: Parser) -> None:
    """Add those of `calibrate`."""
    about = "a saved review, or in a notebook a variable (default: say what is kept)"
    parser.add_argument("review", nargs="?", metavar="REVIEW", help=about)
    parser.add_argument("--judge", metavar="NAME", help=f"{JUDGE_HELP} (default: the preset's)")
    about = "let the judge's log-odds count as they are again"
    parser.add_argument("--forget", action="store_true", help=about)
    _which_index(parser)
    models_are_loaded(parser)


def export_arguments(parser: Parser) -> None:
    """Add those of `export`."""
    result_arguments(parser)
    about = f"ends in {', '.join(ENDINGS)}"
    parser.add_argument("file", type=Path, metavar="FILE", help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def status_arguments(parser: Parser) -> None:
    """Add those of `status`."""
    option = parser.add_argument(
        "index", nargs="?", metavar="NAME|PATH", help="the index (default: the current one)"
    )
    completed(option, "index")
    parser.add_argument("--verify", action="store_true", help="read every file, compare digests")
    parser.add_argument("--json", action="store_true", help="as JSON")


def config_arguments(parser: Parser) -> None:
    """Add those of `config`."""
    option = parser.add_argument("key", nargs="?", metavar="KEY", help=", ".join(KEYS))
    completed(option, "setting")
    completed(parser.add_argument("value", nargs="?", metavar="VALUE", help="new value"), "value")


def models_arguments(parser: Parser) -> None:
    """Add those of `models`."""
    parser.runs_alone = True
    parser.set_defaults(action="list")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")

    def action(name: str, about: str) -> Parser:
        sub: Parser = actions.add_parser(name, help=about, description=about)
        sub.set_defaults(action=name)
        parser.commands[name] = sub
        return sub

    fetch = action("fetch", "fetch models, or go on fetching; check those that are here")
    names = one_of("preset or model", (*PRESET_NAMES, *CATALOGUE))
    fetch.add_argument(
        "names", nargs="+", type=names, metavar="PRESET|MODEL", help="a preset: all its models"
    )
    convert = action("convert", "convert a checkpoint that was loaded by hand")
    converted = [name for name, entry in CATALOGUE.items() if entry.checkpoint is not None]
    convert.add_argument(
        "name", type=one_of("model", converted), metavar="NAME", help=", ".join(converted)
    )
    convert.add_argument("file", type=Path, metavar="FILE", help="the .pth file of its page")


def demo_arguments(parser: Parser) -> None:
    """Add those of `demo`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    device_argument(parser)
