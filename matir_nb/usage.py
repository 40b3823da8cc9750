"""An argparse parser that raises instead of exiting, and offers the nearest name."""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from matir_nb.errors import ConfigError

NUMBER = re.compile(r"-\.?\d")


class UsageError(ConfigError):
    """The command line cannot be understood."""


class HelpWanted(Exception):  # noqa: N818 - no error: an answer
    """Somebody asked for help; the text is the message."""


class Parser(argparse.ArgumentParser):
    """Neither prints nor exits: raises `UsageError` or `HelpWanted`; abbreviates no option."""

    def __init__(self, **options: Any) -> None:
        """Take what `argparse.ArgumentParser` takes."""
        super().__init__(**{"allow_abbrev": False} | options)
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        where = self.prog.partition(" ")[2]
        text = f"{where}: {message}" if where else message
        text = f"{text} (see: {self.prog} --help)"
        raise UsageError(text)

    def print_help(self, file: Any = None) -> NoReturn:
        """Raise `HelpWanted` with the help text; `file` is not used."""
        del file
        raise HelpWanted(self.format_help().rstrip())

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse `args`, after a look for unknown commands and options."""
        words = list(args or ())
        if self.commands:
            self._check_command(words)
        else:
            self._check_options(words)
        return super().parse_known_args(words, namespace)

    def _check_command(self, words: Sequence[str]) -> None:
        if not words:
            self.error(f"give a command: {', '.join(self.commands)}")
        if words[0].startswith("-"):
            self._check_options(words[:1])
        elif words[0] not in self.commands:
            self.error(unknown("command", words[0], self.commands))

    def _check_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        short = tuple(name for name in known if not name.startswith("--"))
        for word in words:
            name = word.partition("=")[0]
            if word == "--":
                return
            if not name.startswith("-") or name == "-" or NUMBER.match(name) or name in known:
                continue
            if name.startswith("--") or not name.startswith(short):
                self.error(unknown("option", name, [o for o in known if o.startswith("--")]))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message that offers the nearest of the known names.

    >>> unknown("command", "serach", ["index", "search"])
    "unknown command 'serach': did you mean 'search'?"
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
    return f"unknown {what} {name!r}: {hint}"


def one_of(what: str, names: Sequence[str]) -> Callable[[str], str]:
    """Return an argparse type that takes one of `names`."""

    def check(value: str) -> str:
        if value not in names:
            raise argparse.ArgumentTypeError(unknown(what, value, names))
        return value

    return check
