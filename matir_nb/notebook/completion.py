"""What can follow on a ``%matir`` line: commands, options, and the values that have names.

`complete` is a pure function of a line, the argparse tree and names; `matcher_for` makes it one of
IPython's matchers. Only the current line is looked at: some editors send no more.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from matir_nb.errors import MatirError
from matir_nb.home.settings import PREVIEWS
from matir_nb.usage import OneOf, Parser

MAGIC = re.compile(r"^\s*(?:[\w.,\s\[\]()*'\"]+=\s*)?%{1,2}matir\s+")
ID = "matir"

Names: TypeAlias = Mapping[str, Callable[[], Sequence[str]]]
"""What a value is ("index", "result", "setting") -> the names that there are."""


@dataclass(frozen=True, slots=True)
class Found:
    """What can stand in place of a fragment.

    Attributes:
        fragment: what has been typed of it.
        texts: all that it can become.
        kind: "command", "option" or "value".
    """

    fragment: str = ""
    texts: tuple[str, ...] = ()
    kind: str = "value"


@dataclass(slots=True)
class _Typed:
    """The words of one command that are complete.

    Attributes:
        parser: the command's.
        used: its options so far.
        waiting: the option whose value comes next.
        values: positional words.
        is_over: "--" has ended the options.
    """

    parser: Parser
    used: list[argparse.Action] = field(default_factory=list)
    waiting: argparse.Action | None = None
    values: list[str] = field(default_factory=list)
    is_over: bool = False


def complete(line: str, tree: Parser, names: Names) -> Found:
    """Return what can stand at the end of `line`.

    Args:
        line: the current line up to the cursor.
        tree: of all commands.
        names: of indexes, results and settings.
    """
    magic = MAGIC.match(line)
    if magic is None:
        return Found()
    words = line[magic.end() :].split()
    fragment = "" if line[-1].isspace() or not words else words.pop()
    if fragment[:1] in ("'", '"', "{"):
        return Found()
    parser = tree
    while parser.commands and words:
        below = parser.commands.get(words.pop(0))
        if below is None:
            return Found()
        parser = below
    if parser.commands and not fragment.startswith("-"):
        return _matching(fragment, tuple(parser.commands), "command")
    return _in_command(fragment, _typed(parser, words), names, tree)


def _typed(parser: Parser, words: Sequence[str]) -> _Typed:
    typed = _Typed(parser)
    known = parser._option_string_actions  # noqa: SLF001 - argparse has no public view of itself
    for word in words:
        name, equals, _ = word.partition("=")
        if typed.waiting is not None:
            typed.waiting = None
        elif word == "--":
            typed.is_over = True
        elif not typed.is_over and name in known:
            typed.used.append(known[name])
            takes_value = known[name].nargs != 0
            typed.waiting = known[name] if takes_value and not equals else None
        else:
            typed.values.append(word)
    return typed


def _in_command(fragment: str, typed: _Typed, names: Names, tree: Parser) -> Found:
    if typed.waiting is not None:
        return _matching(fragment, _values(typed.waiting, typed, names, tree))
    if fragment.startswith("-") and not typed.is_over:
        name = fragment.partition("=")[0]
        action = typed.parser._option_string_actions.get(name)  # noqa: SLF001
        if "=" in fragment and action is not None:
            joined = [f"{name}={text}" for text in _values(action, typed, names, tree)]
            return _matching(fragment, joined)
        return _matching(fragment, _options(typed), "option")
    texts = _positional(typed, names, tree)
    if not texts and not fragment and not typed.is_over:
        return Found("", _options(typed), "option")
    return _matching(fragment, texts)


def _matching(fragment: str, texts: Sequence[str], kind: str = "value") -> Found:
    return Found(fragment, tuple(text for text in texts if text.startswith(fragment)), kind)


def _options(typed: _Typed) -> tuple[str, ...]:
    """Return the options that can still be given, long names first."""
    excluded = {id(action) for action in typed.used}
    for group in typed.parser._mutually_exclusive_groups:  # noqa: SLF001
        members = {id(action) for action in group._group_actions}  # noqa: SLF001
        if members & excluded:
            excluded |= members
    free = [a for a in typed.parser._actions if a.option_strings and id(a) not in excluded]  # noqa: SLF001
    strings = [name for action in free for name in action.option_strings]
    return tuple(sorted(strings, key=lambda name: (not name.startswith("--"), name)))


def _positional(typed: _Typed, names: Names, tree: Parser) -> tuple[str, ...]:
    places = [action for action in typed.parser._actions if not action.option_strings]  # noqa: SLF001
    place = len(typed.values)
    if places and places[-1].nargs in ("*", "+"):
        place = min(place, len(places) - 1)
    return _values(places[place], typed, names, tree) if place < len(places) else ()


def _values(action: argparse.Action, typed: _Typed, names: Names, tree: Parser) -> tuple[str, ...]:
    if isinstance(action.type, OneOf):
        return action.type.names
    by = str(getattr(action, "completed_by", ""))
    if by == "command":
        return tuple(tree.commands)
    if by == "value":
        return PREVIEWS if typed.values[:1] == ["preview"] else ()
    return tuple(names[by]()) if by in names else ()


Matcher: TypeAlias = Callable[[CompletionContext], SimpleMatcherResult]


def matcher_for(tree: Callable[[], Parser], names: Names) -> Matcher:
    """Return a matcher for `IPCompleter.custom_matchers`."""

    @context_matcher(identifier=ID)  # type: ignore[untyped-decorator]
    def match(context: CompletionContext) -> SimpleMatcherResult:
        line = context.line_with_cursor[: context.cursor_position]
        try:
            found = complete(line, tree(), names) if MAGIC.match(line) else Found()
        except MatirError:
            # a damaged file of names: the command that needs it says so
            found = Found()
        completions = [SimpleCompletion(text, type=found.kind) for text in found.texts]
        return {
            "completions": completions,
            "suppress": bool(completions),
            "matched_fragment": found.fragment,
            "ordered": True,
        }

    matcher: Matcher = match
    return matcher
