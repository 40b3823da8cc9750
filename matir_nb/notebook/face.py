"""The notebook's face towards the user: objects that display themselves, and variables.

This module knows no magic and no argument.
"""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from matir_nb.commands.session import Made, Named, Session
from matir_nb.doors import above
from matir_nb.home import settings
from matir_nb.notebook.line import Expression
from matir_nb.printing import printable
from matir_nb.progress import Progress, notebook_progress, terminal_progress
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.engine import Engine
    from matir_nb.index.store import Index
    from matir_nb.results import SearchResult
    from matir_nb.widgets.base import ResultView


class Told:
    """What a command made; shown as the text that says it.

    Public attributes are those of what was made: ``report = %matir index photos/`` has
    ``report.n_images``.
    """

    def __init__(self, made: Any, text: str) -> None:
        """Keep both."""
        self.made = made
        self.text = text

    def __repr__(self) -> str:
        """Return the text."""
        return self.text

    def __getattr__(self, name: str) -> Any:
        """Return a public attribute of what was made."""
        if name.startswith("_") or name == "made":
            raise AttributeError(name)
        return getattr(self.made, name)


class Notebook(Session):
    """Objects whose display is a view; results can be variables."""

    prog = "%matir"
    draws = True
    has_variables = True

    def __init__(self, shell: InteractiveShell, hold: Callable[[str, Any], None]) -> None:
        """Start without local variables.

        Args:
            shell: whose variables are looked up.
            hold: lets a setting have a value in this kernel.
        """
        super().__init__()
        self.shell = shell
        self.hold = hold
        self.local: Mapping[str, Any] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        sys.stdout.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write a remark."""
        sys.stdout.write(f"note: {printable(text)}\n")

    def told(self, made: Any, text: str, *, notice: str = "") -> Told:
        """Return what was made, to be shown as the text and the notice."""
        return Told(made, f"{text}\nnote: {printable(notice)}" if notice else text)

    def query(self, words: Sequence[str], *, gaps: Collection[str] = ()) -> str:
        """Return the words, or what the only one in braces evaluates to.

        A name in braces that has a list of values, in `gaps` or as a variable, stays a gap.

        Raises:
            UsageError: it cannot be evaluated, or is no text.
        """
        if len(words) != 1 or not isinstance(words[0], Expression):
            return super().query(words, gaps=gaps)
        inside = words[0][1:-1].strip()
        if inside in gaps or isinstance(self.held(inside), (list, tuple)):
            return words[0]
        try:
            value = eval(inside, {**self.shell.user_ns, **self.local})  # noqa: S307 - user's code
        except Exception as error:  # whatever the user's code raises
            message = f"the query {{{inside}}} cannot be evaluated: {type(error).__name__}: {error}"
            raise UsageError(message) from error
        if not isinstance(value, str):
            message = f"the query {{{inside}}} is of type {type(value).__name__}: give a str"
            raise UsageError(message)
        return value

    def variable(self, word: str) -> Named | None:
        """Return the result that a variable holds, or that is in a view that it holds.

        Raises:
            UsageError: it holds something else.
        """
        value = self.held(word)
        if value is None:
            return None
        named = _named(value)
        if named is None:
            message = f"{word!r} holds no result, but a {type(value).__name__}: give a SearchResult"
            raise UsageError(message)
        return named

    def held(self, name: str) -> object | None:
        """Return what a variable of the notebook holds; None = there is none, or it is None."""
        value: object = self.local.get(name, self.shell.user_ns.get(name))
        return value

    def results(self) -> list[str]:
        """Return the names of all variables that hold a result, and LAST."""
        held = {**self.shell.user_ns, **self.local}
        names = [n for n, value in held.items() if not n.startswith("_") and _is_result(value)]
        return [*sorted(names), *super().results()]

    def keep_variable(self, name: str, value: object) -> None:
        """Assign a variable of the notebook."""
        self.shell.user_ns[name] = value

    def configured(self, key: str) -> None:
        """Let the setting hold in this kernel, too."""
        self.hold(key, getattr(settings.stored(), key))

    def progress(self, label: str, *, units: str = "images") -> AbstractContextManager[Progress]:
        """Return a line below the cell, or a bar on a terminal."""
        has_kernel = getattr(self.shell, "kernel", None) is not None
        return (notebook_progress if has_kernel else terminal_progress)(label, units=units)

    def wrote(self, path: Path, text: str) -> Path:
        """Give the file back; its display says it."""
        del text
        return path

    def show_opened(self, index: "Index", *, images: Path | None, device: str) -> "Engine":
        """Load the models, so that the first search is as fast as the next."""
        return self.engines.on(index.path, images=images, device=device)

    def show_search(
        self, result: "SearchResult", text: Callable[[], str], *, is_text_wanted: bool
    ) -> "SearchResult | Told":
        """Return the result, which displays itself, or the text that was asked for."""
        return Told(result, text().rstrip("\n")) if is_text_wanted else result

    def show_hits(self, named: Named, *, rank: int | None) -> "ResultView":
        """Return a new grid; with a rank, its inspector is open there."""
        traits: dict[str, Any] = {"tile_px": settings.load().tile_px, "marks": named.marks or {}}
        if rank is not None:
            traits |= {"current": named.result.hits[rank - 1].image_id, "panel": "inspector"}
        grid: ResultView = above("widgets.grid").ResultGrid(named.result, **traits)
        return grid

    def show_hit(self, named: Named, rank: int) -> "ResultView":
        """Return an inspector, joined with the grid that was named, if any."""
        inspector: ResultView = above("widgets.inspector").Inspector(
            named.result, rank, grid=named.view, marks=named.marks or {}
        )
        return inspector

    def show_flow(self, named: Named) -> "ResultView":
        """Return a stage flow, joined with the grid that was named, if any."""
        flow: ResultView = above("widgets.flow").StageFlow(
            named.result, named.view, marks=named.marks or {}
        )
        return flow

    def show_made(self, made: Made, text: str) -> Made:
        """Return it: it displays itself."""
        del text
        return made

    def show_frame(self, frame: Any, text: str) -> Any:
        """Return the table; where it is empty, say why."""
        if frame.is_empty():
            self.note(text)
        return frame


def _is_result(value: object) -> bool:
    """Return whether `value` can be named as a RESULT; imports nothing."""
    kind = type(value)
    is_view = kind.__module__.startswith("matir_nb.widgets.") and hasattr(kind, "result")
    return is_view or (kind.__module__ == "matir_nb.results" and kind.__name__ == "SearchResult")


def _named(value: Any) -> Named | None:
    if not _is_result(value):
        return None
    if not hasattr(type(value), "marks"):
        return Named(value)
    if value.result is None:
        message = f"{value!r} holds no result yet: search with it first"
        raise UsageError(message)
    # marks on hits that left when more were judged stay in the view's review
    return Named(value.result, marks=value.review.marks(value.result), view=value)
