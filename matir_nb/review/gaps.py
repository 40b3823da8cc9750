"""A query with gaps, and what fills them: ``{name}`` is a gap, ``{{`` and ``}}`` are braces.

This module searches nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from string import Formatter
from typing import Self, TypeAlias

from matir_nb.errors import ConfigError, QueryError, unknown
from matir_nb.hit_table import HIT_SCHEMA

Filling: TypeAlias = tuple[str, ...]
"""One value of each factor, in the order in which the template names them."""
MAX_QUERIES = 1000
OPTIONS = ("k", "judge", "n_judged", "cancel", "progress", "engine", "template")
"""Names that the search itself uses."""


@dataclass(frozen=True, slots=True)
class Template:
    """A query with gaps.

    Attributes:
        text: as written.
        parts: text without doubled braces, and the name of the gap behind it; None = the end.
    """

    text: str
    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the template that `text` is; without gaps it is an ordinary query.

        >>> Template.parse("{species} eating {food}").names
        ('species', 'food')

        Raises:
            QueryError: a brace is alone, or holds no name.
        """
        try:
            found = list(Formatter().parse(text))
        except ValueError as error:
            message = f"a brace is alone in {text!r}: write {{{{ or }}}} where a brace is meant"
            raise QueryError(message) from error
        parts = []
        for before, name, spec, conversion in found:
            if name is not None and (not name.isidentifier() or spec or conversion):
                message = (
                    f"braces in {text!r} hold no name: write {{name}}, or {{{{ and }}}} "
                    "where braces are meant"
                )
                raise QueryError(message)
            parts.append((before, name))
        return cls(text, tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the gaps, each once, in order."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name is not None))

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the query with `values` in the gaps.

        >>> Template.parse("{a} on {{{b}}}").filled({"a": "red", "b": "blue"})
        'red on {blue}'
        """
        return "".join(
            before + ("" if name is None else values[name]) for before, name in self.parts
        )


def fillings_of(template: Template, lists: Mapping[str, Iterable[str]]) -> list[Filling]:
    """Return every combination of values, the last factor fastest; a repeated value counts once.

    Raises:
        QueryError: the template has no gap.
        ConfigError: a list is missing, empty, for no gap, or there are too many combinations.
    """
    names = template.names
    if not names:
        message = f"{template.text!r} has no {{name}} to fill: give the gaps, or use search"
        raise QueryError(message)
    for name in names:
        if name in HIT_SCHEMA or name in OPTIONS:
            message = f"{{{name}}} cannot be a gap: {name!r} is a column or an option already"
            raise ConfigError(message)
        if name not in lists:
            message = (
                f"no values for {{{name}}} of {template.text!r}: give a list of them, "
                f"or write {{{{{name}}}}} where braces are meant"
            )
            raise ConfigError(message)
    for name in lists:
        if name not in names:
            message = f"{unknown('gap', name, names)} of {template.text!r}"
            raise ConfigError(message)
    values = [_values(name, lists[name]) for name in names]
    n = prod(map(len, values))
    if n > MAX_QUERIES:
        sizes = " × ".join(f"{len(of)} {name}" for name, of in zip(names, values, strict=True))
        message = f"{sizes} = {n:,} queries, at most {MAX_QUERIES:,} are searched: shorten a list"
        raise ConfigError(message)
    return list(product(*values))


def _values(name: str, given: object) -> Sequence[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        message = f"{name} = {given!r:.80} is no list: give a list of texts, e.g. ['cat', 'dog']"
        raise ConfigError(message)
    values = list(dict.fromkeys(given))
    if not values:
        message = f"the list of {name!r} is empty: give at least one value"
        raise ConfigError(message)
    for value in values:
        if not isinstance(value, str) or not value.strip():
            message = f"{name} holds {value!r:.80}: give texts that are not empty"
            raise ConfigError(message)
    return values
