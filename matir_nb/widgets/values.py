"""What the traits of a view hold: the result shown, marks, and the error of a wrong value."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Never, Self

from traitlets import TraitError

from matir_nb.errors import ConfigError
from matir_nb.results import SearchResult
from matir_nb.types import Hit
from matir_nb.widgets.table import result_id


class TraitValueError(ConfigError, TraitError):
    """A trait was given a value that it cannot take."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what is wrong with a value into the error that traits roll back for.

    Raises:
        TraitValueError: the block raised a `ConfigError`.
    """
    try:
        yield
    except ConfigError as error:
        raise TraitValueError(str(error)) from error


class Marks(dict[str, str]):
    """Image id -> mark. Cannot be changed in place: the browser would not hear of it."""

    def _refuse(self, *_args: object, **_kwargs: object) -> Never:
        message = "marks cannot be changed in place: assign new ones, marks = marks | {id: mark}"
        raise TraitValueError(message)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


@dataclass(frozen=True, slots=True)
class Shown:
    """What a view shows, changed as a whole.

    Attributes:
        result: None = nothing yet.
        id: its name in requests; empty = nothing.
        hits: by image id.
        known: by image id, also those shown before the judge went on, as they were then.
    """

    result: SearchResult | None
    id: str
    hits: Mapping[str, Hit]
    known: Mapping[str, Hit]

    @classmethod
    def of(cls, result: object) -> Self:
        """Return `result` with what views need of it.

        Raises:
            ConfigError: it is no result.
        """
        if result is None:
            return cls(None, "", {}, {})
        if not isinstance(result, SearchResult):
            message = f"a view shows a SearchResult, got {type(result).__name__}: give a search's"
            raise ConfigError(message)
        hits = {hit.image_id: hit for hit in result.hits}
        return cls(result, result_id(result), hits, hits)

    def then(self, result: SearchResult) -> Self:
        """Return what is shown once `result` has taken this one's place."""
        next_one = type(self).of(result)
        return replace(next_one, known={**self.known, **next_one.hits})
