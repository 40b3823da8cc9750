"""Every error the library raises on purpose.

::

    MatirError
    ├── ConfigError (ValueError)            an option, preset or argument is wrong
    ├── QueryError (ValueError)             a query is empty, or longer than the text encoder reads
    ├── ImageError (OSError)                a picture cannot be read, or exceeds the limits
    ├── ShapeError (ValueError)             an array has another shape or dtype than promised
    ├── IndexNotFoundError (FileNotFoundError)   no index at that path
    ├── IndexCorruptError (OSError)         an index file is truncated or altered
    ├── IndexMismatchError (ValueError)     the index was made by other models or a newer version
    ├── ModelUnavailableError (RuntimeError)     weights or a package are missing
    ├── AnnotationError (ValueError)        a mask or annotation file cannot be used
    └── AnswerParseError (ValueError)       a model's words hold no answer

A message says what is wrong, the value got, and what to do; `unknown` words the commonest.
This module knows nothing else.
"""

import os
import traceback
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from matir_nb.printing import printable

DEBUG = "MATIR_DEBUG"
"""Variable of the environment: 1 = a notebook shows whole tracebacks."""


class MatirError(Exception):
    """Base of every error that matir_nb raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: one line, or with `MATIR_DEBUG` everything."""
        if os.environ.get(DEBUG) == "1":
            return "".join(traceback.format_exception(self)).splitlines()
        text = " ".join(" ".join([str(self), *getattr(self, "__notes__", ())]).split())
        return [f"{type(self).__name__}: {printable(text)}"]


class ConfigError(MatirError, ValueError):
    """An option, preset or argument has a value that cannot be used."""


class QueryError(MatirError, ValueError):
    """A query is empty, or longer than the text encoder reads."""


class ImageError(MatirError, OSError):
    """A picture cannot be read, or exceeds the limits."""


class ShapeError(MatirError, ValueError):
    """An array has another shape or dtype than promised."""


class IndexNotFoundError(MatirError, FileNotFoundError):
    """There is no index at the path."""


class IndexCorruptError(MatirError, OSError):
    """An index file is truncated or altered."""


class IndexMismatchError(MatirError, ValueError):
    """The index was made by other models, another configuration or a newer version."""


class ModelUnavailableError(MatirError, RuntimeError):
    """Model weights or a package that a model needs are missing."""


class AnnotationError(MatirError, ValueError):
    """A mask or annotation file cannot be used."""


class AnswerParseError(MatirError, ValueError):
    """A model's words hold no answer."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message that offers the nearest of the known names.

    >>> unknown("command", "serach", ["index", "search"])
    "unknown command 'serach': did you mean 'search'?"
    """
    return f"unknown {what} {name!r}: {nearest(name, known)}"


def require_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise unless all of `names` are known.

    Raises:
        ConfigError: one is not; the message offers the nearest of those that are.
    """
    for name in names:
        if name not in known:
            raise ConfigError(unknown(what, name, known))


def nearest(name: object, known: Iterable[str], *, n_listed: int = 16) -> str:
    """Return a hint: the known name that is nearest, else the first `n_listed` of all.

    >>> nearest("a", ["index", "search"]), nearest("a", [])
    ('choose from index, search', 'there is none')
    """
    names = list(known)
    near = get_close_matches(name, names, n=1) if isinstance(name, str) else []
    if near:
        return f"did you mean {near[0]!r}?"
    listed = ", ".join(names[:n_listed]) + (", ..." if len(names) > n_listed else "")
    return f"choose from {listed}" if names else "there is none"
