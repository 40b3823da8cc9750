"""What words on a line mean beyond results: lists for a template's gaps, and reviews.

This module knows no argument by name.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matir_nb.commands.session import RESULT_ENDING, Session
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.review.ledger import Review

FORM = "--with NAME=a,b,c or --with NAME=@FILE"
VARIABLE = re.compile(r"\$[A-Za-z_]\w*|\{\w+\}")
"""As IPython lets other magics name one."""


def given_lists(words: Sequence[str]) -> dict[str, list[str]]:
    """Return the lists of ``--with`` options: name -> values, without blanks around them.

    >>> given_lists(["species=cat, big dog"])
    {'species': ['cat', 'big dog']}

    Raises:
        UsageError: one is not NAME=VALUES or names a variable, a name comes twice, or a file
            cannot be read.
    """
    lists: dict[str, list[str]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            message = f"--with {word}: give {FORM}"
            raise UsageError(message)
        if name in lists:
            message = f"two lists for {name!r}: give it once, --with {name}=a,b,c"
            raise UsageError(message)
        if VARIABLE.fullmatch(text):
            message = (
                f"--with {word}: variables are not read there: call the list {name}, and leave "
                f"--with out, or give {FORM}"
            )
            raise UsageError(message)
        values = _lines(Path(text[1:])) if text.startswith("@") else text.split(",")
        lists[name] = [value.strip() for value in values if value.strip()]
        if not lists[name]:
            message = f"--with {word}: the list is empty: give {FORM}"
            raise UsageError(message)
    return lists


def _lines(path: Path) -> list[str]:
    try:
        # a byte order mark, as some editors write it, is no part of the first value
        return path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        message = f"cannot read the list {str(path)!r}: {error.strerror}"
        raise UsageError(message) from error
    except UnicodeDecodeError as error:
        message = f"the list {str(path)!r} is no UTF-8 text: save it as UTF-8"
        raise UsageError(message) from error


def held_list(value: Any, name: str) -> list[str]:
    """Return the texts in a variable; numbers are written out.

    Raises:
        UsageError: it is no list, or holds something else.
    """
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        message = (
            f"{name!r} holds a {type(value).__name__}: a gap takes a list of texts; write "
            f"{{{{{name}}}}} where braces are meant"
        )
        raise UsageError(message)
    found = list(value)
    for one in found:
        if isinstance(one, bool) or not isinstance(one, (str, int, float)):
            message = f"{name!r} holds {one!r:.60}: a gap takes texts or numbers"
            raise UsageError(message)
    return [str(one) for one in found]


def find_review(word: str, session: Session) -> "Review | None":
    """Return the review that a variable or a file holds; None = `word` names none.

    Raises:
        ConfigError: the file is a review that cannot be read.
    """
    from matir_nb.review.ledger import Review
    from matir_nb.review.saved import is_review

    held = session.held(word)
    if isinstance(held, Review):
        return held
    path = Path(word).expanduser()
    return Review.load(path) if held is None and is_review(path) else None


def review_of(word: str, session: Session) -> "Review":
    """Return the review that is called `word`: a variable, that of a view, or a file.

    Raises:
        ConfigError: there is none.
    """
    from matir_nb.review.ledger import Review

    if found := find_review(word, session):
        return found
    held = session.held(word)
    if held is None:
        return Review.load(_file(word))
    within = getattr(held, "review", None)
    within = within() if callable(within) else within
    if not isinstance(within, Review):
        message = f"{word!r} holds a {type(held).__name__}: give a view, a Review or its file"
        raise UsageError(message)
    return within


def _file(word: str) -> Path:
    if not word.lower().endswith(RESULT_ENDING):
        message = f"there is no review {word!r}: give a file {RESULT_ENDING}, or a variable"
        raise UsageError(message)
    return Path(word).expanduser()
