"""The line behind ``%matir`` cut into words: quotes, apostrophes, comments, ``{expressions}``.

Unlike a shell, a quote counts only around whole words, so that ``the dog's ball`` and Windows
paths can be typed as they are. This module evaluates nothing and knows no command.
"""

from dataclasses import dataclass

from matir_nb.usage import UsageError

QUOTES = "'\""
LISTS = "--with"
"""The option whose value is NAME=VALUES."""
CELL_FORM = "write the query as it is into the body of a cell that starts with %%matir search"


class Expression(str):
    """A word in braces that means a Python expression when it is a query of its own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says.

    Attributes:
        words: in order; one in braces is an `Expression`.
        is_silent: a semicolon at the end asks for no display.
    """

    words: tuple[str, ...]
    is_silent: bool = False


def split_line(text: str) -> Line:
    """Return the words of a line without its comment.

    >>> split_line("search the dog's ball -o 'my hits.csv'  # a comment").words
    ('search', 'the', "dog's", 'ball', '-o', 'my hits.csv')

    Raises:
        UsageError: it cannot be said where a quotation ends.
    """
    words: list[str] = []
    quoted: set[str] = set()
    place = 0
    while True:
        place += len(text[place:]) - len(text[place:].lstrip())
        if _is_end(text, place):
            return Line(tuple(words))
        if text[place] == ";" and _is_end(text, place + 1):
            return Line(tuple(words), is_silent=True)
        word, place = _word(text, place, quoted, is_list=words[-1:] == [LISTS])
        words.append(word)


def split_cell(text: str) -> Line:
    r"""Return a cell's body as one word, every space and line break one blank.

    >>> split_cell("a dog\n  that can't sit;\n")
    Line(words=("a dog that can't sit",), is_silent=True)
    """
    query = " ".join(text.split())
    bare = query.removesuffix(";").rstrip()
    return Line((bare,), is_silent=bare != query)


def _word(text: str, start: int, quoted: set[str], *, is_list: bool) -> tuple[str, int]:
    """Return the word at `start` and the place behind it; its quotes are added to `quoted`.

    In NAME="a, b", which `is_list` expects, a quote counts behind the sign.
    """
    if text[start] == "{":
        end = _closing_brace(text, start)
        if end is not None and _stops(text, end + 1):
            return Expression(text[start : end + 1]), end + 1
    place = start
    while not _stops(text, place):
        head = text[start:place]
        is_place = place == start or _is_value(head) or (is_list and head.endswith("="))
        opens = text[place] in QUOTES and is_place
        if opens:
            end = _closing_quote(text, place)
            quoted.add(text[place])
            return text[start:place] + text[place + 1 : end], end + 1
        place += 1
    word = text[start:place]
    if word[-1] in quoted:
        raise _ambiguous(text)
    return word, place


def _is_value(head: str) -> bool:
    return head.startswith("--") and head.endswith("=")


def _stops(text: str, place: int) -> bool:
    """Return whether a word ends before `place`."""
    if place >= len(text) or text[place].isspace():
        return True
    return text[place] == ";" and _is_end(text, place + 1)


def _is_end(text: str, place: int) -> bool:
    """Return whether nothing but a comment follows; ``#1`` is none, ``# 1`` is."""
    rest = text[place:].lstrip()
    return not rest or rest == "#" or (rest[0] == "#" and rest[1].isspace())


def _closing_quote(text: str, start: int) -> int:
    for place in range(start + 1, len(text)):
        if text[place] == text[start] and _stops(text, place + 1):
            return place
    raise _ambiguous(text)


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None


def _ambiguous(text: str) -> UsageError:
    return UsageError(f"cannot tell where a quotation ends in {text.strip()!r}: {CELL_FORM}")
