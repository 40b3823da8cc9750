"""How far a piece of work is: a bar on a terminal, one line that changes in a notebook.

Both appear only when it takes longer than a second. The line in a notebook is text, so that it
stays readable in a saved file and needs no widget.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TypeAlias

from matir_nb.extras import kernel_shell

Progress: TypeAlias = Callable[[int, int], None]
DELAY_S = 1.0
INTERVAL_S = 0.25


@contextmanager
def terminal_progress(label: str, *, units: str = "images") -> Iterator[Progress]:
    """Give a function of (done, total) that draws a bar on a terminal, and nothing elsewhere."""
    from tqdm.std import tqdm

    unit = units.removesuffix("s")
    with tqdm(desc=label, unit=unit, delay=DELAY_S, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


@contextmanager
def notebook_progress(label: str, *, units: str = "images") -> Iterator[Progress]:
    """Give a function of (done, total) that writes a line below the cell."""
    line = _Line(label, units)
    try:
        yield line.advance
    finally:
        line.end()


def shown_progress(label: str, *, units: str = "images") -> AbstractContextManager[Progress]:
    """Return the one of the two that fits where this process runs."""
    fitting = terminal_progress if kernel_shell() is None else notebook_progress
    return fitting(label, units=units)


class _Line:
    """A line of output that is written again and again."""

    def __init__(self, label: str, units: str) -> None:
        self._label = label
        self._units = units
        self._start = self._shown = monotonic()
        self._state = (0, 0)
        self._name: str | None = None

    def advance(self, done: int, total: int) -> None:
        """Take notice of `done` of `total`; show it when it is time."""
        now = monotonic()
        self._state = (done, total)
        if now - self._shown >= (DELAY_S if self._name is None else INTERVAL_S):
            self._show()

    def end(self) -> None:
        """Show how far it came, if anything was shown before."""
        if self._name is not None:
            self._show()

    def _show(self) -> None:
        from IPython.display import publish_display_data

        done, total = self._state
        self._shown = monotonic()
        text = f"{self._label}: {done} of {total} {self._units}, {self._shown - self._start:.0f} s"
        is_update = self._name is not None
        self._name = self._name or f"matir-{id(self)}-{self._start}"
        transient = {"display_id": self._name}
        publish_display_data(  # type: ignore[no-untyped-call]
            {"text/plain": text}, transient=transient, update=is_update
        )
