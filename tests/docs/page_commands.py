"""The lines of a ``sh`` block: what each is, and whether it can be typed."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from page_blocks import Block, PageError, at

from matir_nb.commands.tree import build_parser
from matir_nb.errors import MatirError
from matir_nb.usage import HelpWanted

ROOT = Path(__file__).parents[2]
SHELL = ("cd", "export", "git", "jupyter", "source", ".", "mkdocs")
"""What is not ours: such lines are read and never run."""


def lines_of(block: Block) -> list[tuple[int, list[str]]]:
    """Return (line of the page, words) of each command of a block, without comments."""
    found, held, first = [], "", block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        held, first = (held + line, first) if held else (line, number)
        if held.endswith("\\"):
            held = held[:-1]
            continue
        try:
            words = shlex.split(held, comments=True)
        except ValueError as error:
            raise PageError(at(block.page, number), f"{error}: {held!r}") from error
        found += [(first, words)] if words else []
        held = ""
    if held:
        raise PageError(at(block.page, first), "the line goes on, and the block ends")
    return found


def check_words(place: str, words: list[str]) -> list[str]:
    """Return the words of a command of ours behind "matir"; empty = another program's, sound.

    Raises:
        PageError: the command, its option, its target, its extra or its file does not exist.
    """
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program = Path(words[0]).name if words else ""
    if program == "matir":
        check_matir(place, words[1:], "matir")
        return words[1:]
    if program == "make":
        _check_targets(place, words[1:])
    elif program in ("pip", "pip3"):
        _check_extras(place, words[1:])
    elif re.fullmatch(r"python[\d.]*", program):
        _check_python(place, words[1:])
    elif program not in SHELL:
        raise PageError(place, f"do not know the program {words[:1]}: mark the block, or drop it")
    return []


def check_matir(place: str, words: list[str], prog: str) -> None:
    """Raise unless our own parser understands the words."""
    try:
        args, extra = build_parser(prog).parse_known_args(words)
    except HelpWanted:
        return
    except MatirError as error:
        raise PageError(place, str(error)) from error
    if extra or not (args.version or callable(getattr(args, "run", None))):
        raise PageError(place, f"{prog} does not know {extra or words}")


def is_there(name: str) -> bool:
    """Return whether a program lies in the repository, or was saved by the page."""
    return (ROOT / name).is_file() or Path(name).is_file()


def _check_targets(place: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        known = re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE)
        variable = re.match(r"([A-Z_]+)=", word)
        if variable:
            known = re.search(rf"^{variable[1]} *\?=", makefile, re.MULTILINE)
        if not known:
            raise PageError(place, f"the Makefile has no {word!r}")


def _check_extras(place: str, words: list[str]) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for word in words:
        ours = re.match(r"(?:matir[_-]nb|\.|dist/\S+\.whl)(?:\[(.*)\])?", word)
        for extra in ours[1].split(",") if ours and ours[1] else ():
            if extra.strip() not in extras:
                raise PageError(place, f"there is no extra {extra!r}: {sorted(extras)}")
        if ours is None and "[" in word and not word.startswith("-"):
            Requirement(word)


def _check_python(place: str, words: list[str]) -> None:
    rest = [word for word in words if word == "-m" or not word.startswith("-")]
    if rest[:2] == ["-m", "pip"]:
        _check_extras(place, rest[2:])
    elif rest[:1] == ["-m"]:
        if importlib.util.find_spec(rest[1]) is None:
            raise PageError(place, f"there is no module {rest[1]!r}")
    elif rest and rest[0].endswith(".py") and not is_there(rest[0]):
        raise PageError(place, f"there is no file {rest[0]!r}")
