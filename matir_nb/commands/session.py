"""What commands share: names of indexes and results, open engines, and a face towards the user.

`Session` is the part that every face has; the console's is in `matir_nb.cli`, the notebook's in
`matir_nb.notebook.face`. This module knows no argument.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from matir_nb.errors import ConfigError, IndexMismatchError, MatirError, unknown
from matir_nb.home import registered, settings
from matir_nb.progress import Progress
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.engines import Engines
    from matir_nb.index.store import Index
    from matir_nb.results import SearchResult
    from matir_nb.widgets.base import ResultView

LAST = "LAST"
LAST_FILE = Path("cache", "last.parquet")
RESULT_ENDING = ".parquet"

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Named:
    """A result as a command names it.

    Attributes:
        result: the result.
        marks: image id -> mark, where the name is that of a view or file with marks; else None.
        view: that view.
    """

    result: "SearchResult"
    marks: "dict[str, str] | None" = None
    view: "ResultView | None" = None


class Session(ABC):
    """The part of a face that the console and the notebook share."""

    prog = "matir"
    draws = False
    """Whether pictures can be shown without a file."""
    has_variables = False
    """Whether results can be named by variables."""

    def __init__(self) -> None:
        """Start with nothing opened."""
        self._engines: Engines | None = None
        self._current: Path | None = None
        self._last: SearchResult | None = None

    # names

    def find_index(self, word: str | None) -> Path:
        """Return the path of an index by name or path; None = the current one.

        Raises:
            ConfigError: the name is unknown, or no index is current.
        """
        if word is not None:
            return registered.find(word)
        if self._current is not None:
            return self._current
        known = registered.known()
        if known.current is None:
            message = f"no index is current: {self.prog} open NAME|PATH, or give -i NAME|PATH"
            raise UsageError(message)
        return known.paths[known.current]

    def current_name(self, known: registered.Known) -> str | None:
        """Return the name of the index that is meant where none is given; None = it has none."""
        return known.current if self._current is None else known.name_of(self._current)

    def use(self, path: Path, name: str | None = None) -> str:
        """Make an index the current one of this session, and of the next; return its name.

        A name that cannot be written down is no failure: it is said.
        """
        self._current = path.resolve()
        try:
            return registered.add(path, name)
        except ConfigError as error:
            self.note(f"the index has no name: {error}")
            return str(path)

    def find_result(
        self, word: str, *, index: str | None = None, images: Path | None = None
    ) -> Named:
        """Return the result that is called `word`.

        Args:
            word: a saved .parquet, LAST, or what the face knows by name.
            index: name or path of the index it is of; None = the current one, if there is any.
            images: where the images are now; None = where they were.

        Raises:
            ConfigError: there is no such result.
            IndexMismatchError: it is of another index.
        """
        named = None if word == LAST else self.variable(word)
        if named is None and word == LAST:
            named = Named(self._last_result(index))
        if named is None and not _is_file_name(word):
            message = f"{unknown('result', word, self.results())} (or a saved {RESULT_ENDING})"
            raise UsageError(message)
        named = named or _loaded(Path(word).expanduser())
        if named.result.source is not None and index is None and images is None:
            return named
        result = self._with_source(named.result, index, images)
        return replace(named, result=result, view=named.view if result is named.result else None)

    def variable(self, word: str) -> Named | None:
        """Return the result that a variable holds; None = there are no variables here."""
        del word
        return None

    def held(self, name: str) -> object | None:
        """Return what a variable holds; None = there are no variables here, or none of it."""
        del name
        return None

    def results(self) -> list[str]:
        """Return the names that results have here."""
        return [LAST]

    def remember(self, result: "SearchResult", index: Path) -> None:
        """Keep a result as LAST, here and in the cache folder of its index."""
        from matir_nb.exports.atomic import whole_file

        self._last = result
        target = index / LAST_FILE
        try:
            target.parent.mkdir(exist_ok=True)
            with whole_file(target, overwrite=True) as file:
                result.save(file)
        except (OSError, MatirError) as error:
            self.note(f"{LAST} is not kept for later: {one_line(error)}")

    def _last_result(self, index: str | None) -> "SearchResult":
        from matir_nb.results import SearchResult

        if index is None and self._last is not None:
            return self._last
        file = self.find_index(index) / LAST_FILE
        if not file.is_file():
            message = f"there is no {LAST} result of {str(file.parent.parent)!r}: search it first"
            raise ConfigError(message)
        return SearchResult.load(file)

    def _with_source(
        self, result: "SearchResult", index: str | None, images: Path | None
    ) -> "SearchResult":
        """Return `result` with the pictures of its index; as it is where no index is known."""
        if index is None and self._current is None and registered.known().current is None:
            return result
        from matir_nb.engines import StoredSource

        path = self.find_index(index)
        opened = self.open_index(path, images)
        source = StoredSource(opened, lambda: self.engines.on(path, images=images))
        try:
            return result.with_source(source)
        except IndexMismatchError as error:
            message = f"{str(path)!r}: {error}, with -i NAME|PATH"
            raise IndexMismatchError(message) from error

    # engines

    @property
    def engines(self) -> "Engines":
        """The engines that are open in this session."""
        from matir_nb.engines import Engines

        if self._engines is None:
            self._engines = Engines()
        return self._engines

    def open_index(self, path: Path, images: Path | None = None) -> "Index":
        """Return the index at `path`, opened; its models are not loaded."""
        from matir_nb.index.store import Index

        return Index.open(path, images=images)

    # the face

    @abstractmethod
    def say(self, text: str) -> None:
        """Give a line of result."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Give a line of remark."""

    @abstractmethod
    def told(self, made: Made, text: str, *, notice: str = "") -> Any:
        """Give back what a command made, and the text that says it, with what must be known."""

    def query(self, words: Sequence[str], *, gaps: Collection[str] = ()) -> str:
        """Return the query that words on a line mean; `gaps` have lists of values."""
        del gaps
        return " ".join(words)

    def keep_variable(self, name: str, value: object) -> None:
        """Let a variable have a value.

        Raises:
            UsageError: there are no variables here (see `has_variables`).
        """
        message = f"{name!r} can be no variable for {value!r}: give a file"
        raise UsageError(message)

    def configured(self, key: str) -> None:
        """Take notice of a setting that was written."""
        if os.environ.get(settings.variable_of(key)):
            name = settings.variable_of(key)
            self.note(f"{name}={os.environ[name]} in the environment wins over the file")

    @abstractmethod
    def progress(self, label: str, *, units: str = "images") -> AbstractContextManager[Progress]:
        """Return a context whose function takes (done, total)."""

    @abstractmethod
    def wrote(self, path: Path, text: str) -> Path:
        """Give back the file that was written; `text` says it."""

    @abstractmethod
    def show_opened(self, index: "Index", *, images: Path | None, device: str) -> Any:
        """Give back an index, or the engine on it, that was opened."""

    @abstractmethod
    def show_search(
        self, result: "SearchResult", text: Callable[[], str], *, is_text_wanted: bool
    ) -> Any:
        """Present a search; `text` gives it in words, which were asked for or not."""

    @abstractmethod
    def show_hits(self, named: Named, *, rank: int | None) -> Any:
        """Present a result again, looking at the hit of `rank`."""

    @abstractmethod
    def show_hit(self, named: Named, rank: int) -> Any:
        """Present everything about the hit of `rank`."""

    @abstractmethod
    def show_flow(self, named: Named) -> Any:
        """Present what the stages did."""

    @abstractmethod
    def show_made(self, made: Made, text: str) -> Made:
        """Present what displays itself in a notebook; `text` is the same in words."""

    @abstractmethod
    def show_frame(self, frame: Any, text: str) -> Any:
        """Present a table; `text` is the same in words."""


def writable(path: Path) -> Path:
    """Return `path`, or raise before work is done that could not be saved.

    Raises:
        ConfigError: it is a folder, or in a folder that is not there.
    """
    from matir_nb.exports.atomic import check_target

    path = path.expanduser()
    check_target(path, overwrite=True)
    return path


def _loaded(path: Path) -> Named:
    from matir_nb.exports.marks import saved_marks
    from matir_nb.results import SearchResult

    return Named(SearchResult.load(path), marks=saved_marks(path))


def _is_file_name(word: str) -> bool:
    return word.lower().endswith(RESULT_ENDING) or any(char in word for char in "/\\")


def one_line(error: Exception) -> str:
    """Return what an error says, with its notes, in one line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename!r}" if error.filename else ""
        text = f"{error.strerror}{where}"
    notes = getattr(error, "__notes__", ())
    return " ".join(": ".join([text, *notes]).split())
