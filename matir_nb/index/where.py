"""A filter, as SQL or a polars expression, and a table of images → which images to search.

SQL is one expression, as `polars.sql_expr` reads it: ``width > 1000 and folder = 'beach'``,
``taken >= '2024-05-01'``, ``camera like 'Canon%'``. Polars reads files while it parses a
sub-query, so every word that begins one is refused before anything is parsed. No Python
is ever evaluated. This module knows no index: a table comes in.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from matir_nb.errors import ConfigError
from matir_nb.printing import shorten

Where: TypeAlias = str | pl.Expr
"""SQL, or a polars expression."""

EXAMPLES = (
    "width > 1000 and folder = 'beach'",
    "folder like 'trips/%'",
    "taken >= '2024-05-01'",
    "year(taken) = 2024 and iso between 100 and 400",
    "camera ilike '%canon%'",
    "latitude is not null",
)
MAX_PARTS = 300
"""Words and signs: the time of polars grows with the cube of their number (300: half a second)."""
MAX_SHOWN = 200
STATEMENT_WORDS = frozenset(
    "DELETE FROM INSERT MERGE SELECT TABLE UNNEST UPDATE VALUES WITH".split()
)
"""What begins a sub-query or a table: an expression needs none of them."""
QUOTED = re.compile(r"(?<!\w)(?<!&)'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
"""A text or a quoted name. A letter before the quote (E'..') would give \\ another meaning."""
GAP = re.compile(rf"({QUOTED.pattern})|\s+")
PLAIN = re.compile(r"(?:[\w\s+*%()<>=!,.~|:]|-(?!-)|/(?![/*]))*")
"""What else an expression is made of: no comment, no other kind of quote, no second statement."""
PLACE = re.compile(r"Expected: (.*), found: (.*) at Line: (\d+), Column: (\d+)")
"""Of an error of the parser; the filter begins in line 2."""
WORD = re.compile(r"[^\W\d]\w*")
SIGN = re.compile(r"[-+*/%<>=!~|:]+")


def keep(images: pl.DataFrame, where: Where) -> NDArray[np.bool_]:
    """Return (n,) bool: for which rows of `images` the filter is true.

    Where it is unknown, for what it asks is not known of an image, the image is not kept.

    Args:
        images: n rows.
        where: SQL such as ``width > 1000``, or a polars expression such as
            ``pl.col("width") > 1000``.

    Raises:
        ConfigError: it cannot be parsed, names an unknown column, is no boolean, or says one
            thing of all images (an aggregate) in place of one of each.
    """
    _check_columns(where, images.columns)
    like = _column(images.clear(), where)  # an aggregate of no rows is one row all the same
    if like.dtype != pl.Boolean:
        wrong = f"is {like.dtype} and not true or false"
        raise _unusable(where, f"{wrong}: compare it with something, as in {EXAMPLES[0]}")
    column = _column(images, where)
    if len(like) or len(column) != len(images):
        wrong = f"gives {len(column)} values for {len(images)} images"
        raise _unusable(where, f"{wrong}: it must say something of each image by itself")
    return column.fill_null(value=False).to_numpy()


def shown(where: Where) -> str:
    r"""Return a filter as one line of text, which means the same; texts in it stay as they are.

    >>> shown("width > 1000\n and camera = 'a  b'")
    "width > 1000 and camera = 'a  b'"
    """
    if isinstance(where, str):
        return GAP.sub(lambda found: found[1] or " ", where).strip()
    return " ".join(str(where).split())


def _check_columns(where: Where, known: Sequence[str]) -> None:
    expression: object = _parsed(where) if isinstance(where, str) else where
    if not isinstance(expression, pl.Expr):
        wrong = f"is {type(where).__name__}"
        raise _unusable(where, f"{wrong}: give SQL or a polars expression")
    for name in expression.meta.root_names():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            wrong = f"names the unknown column {name!r}"
            raise _unusable(where, f"{wrong}: {hint}The columns are {', '.join(known)}")


def _parsed(where: str) -> pl.Expr:
    """Return SQL as an expression.

    Raises:
        ConfigError: it is none, or more than one.
    """
    _check_words(where)
    try:
        # within CASE nothing may stand after the expression, where polars would not look at it
        pl.sql_expr(f"CASE WHEN\n{where}\nTHEN TRUE END")
        return pl.sql_expr(f"(\n{where}\n)")
    except (PolarsError, PanicException) as error:
        raise _unusable(where, f"cannot be parsed: {_parser_says(where, error)}") from error


def _parser_says(where: str, error: BaseException) -> str:
    """Return what the parser says of a whole statement, for that names the place."""
    try:
        pl.SQLContext().execute(f"SELECT (\n{where}\n)")
    except (PolarsError, PanicException) as better:
        if found := PLACE.search(str(better)):
            expected, got, line, column = found.groups()
            wanted = "the end" if expected == ")" else expected
            is_end = int(line) > 1 + len(where.splitlines())
            where_found = "the end" if is_end else f"{got!r} at character {column}"
            return f"expected {wanted}, found {where_found}"
    return _one_line(error)


def _check_words(where: str) -> None:
    """Raise unless SQL can only be an expression on columns."""
    if not where.strip():
        raise _unusable(where, f"is empty: give one such as {EXAMPLES[0]}")
    bare = QUOTED.sub(" ", where)
    if PLAIN.fullmatch(bare) is None:
        rest = PLAIN.sub("", bare, count=1)
        raise _unusable(where, f"has {rest[0]!r} outside a text: texts stand in '...'")
    words, signs = WORD.findall(bare), SIGN.findall(bare)
    if len(words) + len(signs) > MAX_PARTS:
        wrong = f"has {len(words) + len(signs)} words and signs, above {MAX_PARTS}"
        raise _unusable(where, f"{wrong}: write in (...), or add a column of your own")
    for word in words:
        if word.upper() in STATEMENT_WORDS:
            how = f'a column of this name is "{word}", in double quotes'
            raise _unusable(where, f"has the word {word}, which no filter needs ({how})")


def _column(images: pl.DataFrame, where: Where) -> pl.Series:
    """Return what a filter gives, whatever it is.

    Raises:
        ConfigError: it cannot be computed.
    """
    try:
        if isinstance(where, pl.Expr):
            found = images.select(where)
        else:
            # with the types of the columns at hand, texts are compared with dates as dates
            query = f"SELECT (\n{where}\n) AS found FROM images"  # noqa: S608 - an expression alone
            found = pl.SQLContext(images=images).execute(query, eager=True)
    except (PolarsError, PanicException) as error:
        raise _unusable(where, f"cannot be computed: {_one_line(error)}") from error
    if found.width != 1:
        raise _unusable(where, f"is {found.width} columns: give one")
    return found.to_series()


def _one_line(error: BaseException) -> str:
    paragraph = str(error).partition("\n\n")[0]
    return shorten(" ".join(paragraph.split()), MAX_SHOWN) or type(error).__name__


def _unusable(where: object, wrong: str) -> ConfigError:
    return ConfigError(f"the filter {shorten(' '.join(str(where).split()), MAX_SHOWN)!r} {wrong}")
