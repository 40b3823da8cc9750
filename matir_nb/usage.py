"""An argparse parser that raises instead of exiting, and hints that offer the nearest name."""

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from matir_nb.errors import ConfigError, unknown

NUMBER = re.compile(r"-\.?\d")
WORDS_HINT = "; words of a query that start with '-' go last, after --"


class UsageError(ConfigError):
    """The command line cannot be understood."""


class HelpWanted(Exception):  # noqa: N818 - no error: an answer
    """Somebody asked for help; the text is the message."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the longest command beside its help."""

    def add_argument(self, action: argparse.Action) -> None:
        """Take notice of an argument, and of the commands below it with their indent."""
        super().add_argument(action)
        if action.help is argparse.SUPPRESS:
            return
        for command in self._iter_indented_subactions(action):
            length = len(self._format_action_invocation(command)) + self._current_indent
            self._action_max_length = max(self._action_max_length, length)


class Parser(argparse.ArgumentParser):
    """Neither prints nor exits: raises `UsageError` or `HelpWanted`; abbreviates no option."""

    def __init__(self, **options: Any) -> None:
        """Take what `argparse.ArgumentParser` takes."""
        mine: dict[str, Any] = {
            "allow_abbrev": False,
            "formatter_class": Formatter,
        }
        super().__init__(**mine | options)
        self.commands: dict[str, Parser] = {}
        self.takes_words = False
        self.helps_alone = False
        self.runs_alone = False

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
            if self.runs_alone:
                return
            if self.helps_alone:
                self.print_help()
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
                hint = WORDS_HINT if self.takes_words else ""
                long = [option for option in known if option.startswith("--")]
                self.error(unknown("option", name, long) + hint)


@dataclass(frozen=True, slots=True)
class OneOf:
    """An argparse type that takes one of `names`.

    Attributes:
        what: what a name is the name of.
        names: those allowed.
    """

    what: str
    names: tuple[str, ...]

    def __call__(self, value: str) -> str:
        """Return `value`, or raise an error that offers the nearest name."""
        if value not in self.names:
            raise argparse.ArgumentTypeError(unknown(self.what, value, self.names))
        return value


def one_of(what: str, names: Iterable[str]) -> OneOf:
    """Return an argparse type that takes one of `names`."""
    return OneOf(what, tuple(names))


@dataclass(frozen=True, slots=True)
class SomeOf:
    """An argparse type that takes one or several of `names`, separated by commas.

    Attributes:
        one: checks each.
    """

    one: OneOf

    def __call__(self, value: str) -> tuple[str, ...]:
        """Return the names, each once, or raise an error that offers the nearest name."""
        words = [word.strip() for word in value.split(",")]
        return tuple(dict.fromkeys(self.one(word) for word in words))


def some_of(what: str, names: Iterable[str]) -> SomeOf:
    """Return an argparse type that takes some of `names`, separated by commas."""
    return SomeOf(one_of(what, names))


def completed(action: argparse.Action, by: str) -> argparse.Action:
    """Say what completes an argument: "index", "result", "setting", "value" or "command"."""
    action.completed_by = by  # type: ignore[attr-defined]
    return action
