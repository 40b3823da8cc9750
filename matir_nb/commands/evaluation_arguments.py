"""The arguments of the commands that evaluate: one sub-command for each dataset.

This module calls nothing that a command does.
"""

from collections.abc import Callable
from pathlib import Path

from matir_nb.commands.arguments import models_are_loaded
from matir_nb.evaluation.datasets.readers import READERS, Reader
from matir_nb.evaluation.runs.arms import ARMS
from matir_nb.presets import PRESET_NAMES
from matir_nb.usage import Parser, completed, one_of, some_of

READERS_BY_NEED = sorted(READERS.values(), key=lambda reader: reader.needs_annotations)
"""Scenes stand first: they need nothing that is not here."""


def eval_arguments(parser: Parser) -> None:
    """Add those of `eval`."""
    kind = _datasets(parser)
    for reader in READERS_BY_NEED:
        sub = kind(reader.name, reader.about)
        _dataset_arguments(sub, reader)
        _run_arguments(sub)
        _answer_arguments(sub)
        _index_of_gallery(sub)
        _json_argument(sub)
    sub = kind("explain", "do explanations name the true cause? on generated scenes")
    sub.add_argument("--split", default="test", type=one_of("split", ("test", "validation")))
    sub.add_argument("--n-images", type=int, default=1000, metavar="N", help="gallery size")
    about = "of attributes (default 200)"
    sub.add_argument("--n-queries", type=int, default=200, metavar="N", help=about)
    sub.add_argument("--seed", type=int, default=0, metavar="N")
    _index_of_gallery(sub)
    _json_argument(sub)


def ablate_arguments(parser: Parser) -> None:
    """Add those of `ablate`."""
    kind = _datasets(parser)
    for reader in READERS_BY_NEED:
        sub = kind(reader.name, reader.about)
        about = (
            "values of judge, n_judged, align or an option such as retrieve.region_weight; may be "
            "repeated: all combinations are asked (default: one option after the other)"
        )
        sub.add_argument("--grid", action="append", metavar="NAME=VALUES", help=about)
        about = "by which arms are compared (default: AP, else the dataset's first)"
        sub.add_argument("--metric", metavar="NAME", help=about)
        _dataset_arguments(sub, reader)
        _answer_arguments(sub)
        _index_of_gallery(sub)


def _datasets(parser: Parser) -> Callable[[str, str], Parser]:
    """Return a function that adds the parser of a dataset: its name, and a line about it."""
    kinds = parser.add_subparsers(metavar="DATASET", title="datasets", required=True)

    def kind(name: str, about: str) -> Parser:
        sub: Parser = kinds.add_parser(name, help=about, description=about)
        sub.set_defaults(data=name)
        parser.commands[name] = sub
        return sub

    return kind


def _dataset_arguments(parser: Parser, reader: Reader) -> None:
    """Add those that say which dataset; options that all datasets have are left to them."""
    if reader.needs_annotations:
        about = "folder of the dataset's images, subfolders included"
        parser.add_argument("--images", type=Path, metavar="FOLDER", help=about)
        about = "the file or folder of annotations (see above)"
        parser.add_argument("--annotations", type=Path, required=True, metavar="PATH", help=about)
    default = reader.options.get("n_queries", (None,))[0]
    about = f"queries (default {default})" if default else "only so many, drawn with --seed"
    n = None if default is None else int(default)
    parser.add_argument("--n-queries", type=int, default=n, metavar="N", help=about)
    about = "of whatever is drawn (default 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=about)
    for option, values in reader.options.items():
        if option not in ("images", "n_queries", "seed"):
            _reader_option(parser, option, values)


def _reader_option(parser: Parser, option: str, values: tuple[str, ...]) -> None:
    name = f"--{option.replace('_', '-')}"
    listed = ", ".join((f"{values[0]} (default)", *values[1:]))
    if len(values) > 1:
        kind = one_of(option, values)
        parser.add_argument(name, default=values[0], type=kind, metavar="NAME", help=listed)
    else:
        about = f"default {values[0] or 'none'}"
        parser.add_argument(name, default=values[0], metavar="X", help=about)


def _run_arguments(parser: Parser) -> None:
    """Add those that say what answers, and how much of it is kept."""
    about = f"which of {', '.join(ARMS)}, with commas (default: all; of an oracle stage1)"
    parser.add_argument("--stages", type=some_of("stage", ARMS), metavar="LIST", help=about)
    parser.add_argument(
        "--arm", action="append", type=one_of("arm", ARMS), help="the same, one at a time"
    )
    parser.add_argument("--n-judged", type=int, metavar="N", help="candidates a judge sees")


def _answer_arguments(parser: Parser) -> None:
    """Add those that say how much of the answers is kept, and whether they are an oracle's."""
    about = "hits recorded for each query (default: as the dataset says)"
    parser.add_argument("-k", type=int, metavar="N", help=about)
    about = "masks and vectors made from the annotations: shows that files and metrics fit"
    parser.add_argument("--oracle", action="store_true", help=about)


def _index_of_gallery(parser: Parser) -> None:
    """Add those that say which models and index, and where all is written."""
    kind, about = one_of("preset", PRESET_NAMES), "the models (default embedded: tiny ones)"
    parser.add_argument("--preset", default="embedded", type=kind, metavar="NAME", help=about)
    option = parser.add_argument(
        "-i", "--index", metavar="NAME|PATH", help="an index of the images, used as it is"
    )
    completed(option, "index")
    about = "where all is written (default: a folder under build/eval)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=about)
    models_are_loaded(parser)


def _json_argument(parser: Parser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
