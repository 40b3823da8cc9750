"""Extension of griffe: docstrings as the pages need them.

A block behind ``::`` becomes a fenced one, and a public name in backticks a link to its entry.
"""

import inspect
import re
import textwrap
from typing import Any

import griffe

import matir_nb

BLOCK = re.compile(r"::\n\n((?:(?: {4}.*)?\n)+(?: {4}.*)?)")
NAME = re.compile(r"(?<![`\[\w])`([A-Za-z_]\w*(?:\.[a-z_]\w*)?)`(?![`\]])")


class Readable(griffe.Extension):
    """Rewrites each docstring when its object has been read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(text: str) -> str:
    """Return a docstring with fenced blocks and links to public names.

    >>> print(readable("Return the `Hit` of ``x`` as `rank`."))
    Return the [`Hit`][matir_nb.Hit] of ``x`` as `rank`.
    """
    return NAME.sub(_linked, BLOCK.sub(_fenced, text))


def _fenced(found: re.Match[str]) -> str:
    code = textwrap.dedent(found[1]).strip("\n")
    return f":\n\n```text\n{code}\n```\n\n"


def _has_entry(member: object) -> bool:
    """Return whether a member has an entry: fields are rows of their class's table."""
    return inspect.isfunction(member) or inspect.ismethod(member) or isinstance(member, property)


def _linked(found: re.Match[str]) -> str:
    owner, _, member = found[1].partition(".")
    if owner not in matir_nb.__all__:
        return found[0]
    if member and not _has_entry(getattr(getattr(matir_nb, owner), member, None)):
        return found[0]
    return f"[`{found[1]}`][matir_nb.{found[1]}]"
