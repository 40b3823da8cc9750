"""What views of one result have in common: the result shown, the reviewer's ledger, and a lock.

A view stands alone at first; one that is joined to another takes over what the other has. The
judge can go on while views stand: all that are joined show the outcome at once, and remember the
hits that they have shown. This module knows no request and no browser.
"""

from collections.abc import Mapping, Sequence
from contextvars import copy_context
from threading import RLock, Timer
from time import perf_counter
from typing import Any
from weakref import WeakSet

from matir_nb.errors import ConfigError
from matir_nb.results import SearchResult
from matir_nb.review.ledger import Review
from matir_nb.widgets.table import table_bytes
from matir_nb.widgets.values import Shown

PAUSE_S = 0.3
"""From a look or mark until the page is told of it; counting takes at most one part in ten."""
MOST_BUSY = 10
TO = "\u2013"


class Together:
    """Views that show the same; whoever changes them holds `lock`."""

    def __init__(self, result: object, review: Review | None = None) -> None:
        """Begin with `result`, and with nothing seen or marked unless `review` knows of it.

        Raises:
            ConfigError: `result` is neither a result nor None.
        """
        self.lock = RLock()
        self.review = Review() if review is None else review
        self.shown = self._before = Shown.of(result)
        self._marks: Mapping[str, str] = self.marks()
        self._views: WeakSet[Any] = WeakSet()
        self._timer: Timer | None = None
        self._pause_s = PAUSE_S

    def add(self, view: Any) -> None:
        """Let `view` follow."""
        self._views.add(view)

    def leave(self, view: Any) -> None:
        """Let `view` follow no more."""
        self._views.discard(view)

    def marks(self) -> dict[str, str]:
        """Return the marks that the ledger holds for the hits shown."""
        return {} if self.shown.result is None else self.review.marks(self.shown.result)

    def start(self, result: SearchResult) -> dict[str, str]:
        """Take another search's result; return the marks that its hits bear from before."""
        self.shown = self._before = Shown.of(result)
        self._marks = self.marks()
        self._tell()
        return dict(self._marks)

    def go_on(self, result: SearchResult) -> None:
        """Show what became of the result once the judge has seen more of its candidates."""
        # marks on hits that leave are found in the list in which they were
        if self.shown.result is not None:
            self.review.see(self.shown.result, ())
        self._before, self.shown = self.shown, self.shown.then(result)
        table = table_bytes(result)
        for view in list(self._views):
            with view.hold_sync():
                if view.current not in self.shown.hits:
                    view.current = ""
                view.set_trait("_table", table)

    def see(self, result_id: str, rows: Sequence[int]) -> None:
        """Write into the ledger that `rows` of a result were on the screen.

        Args:
            result_id: of the result shown, or of the one before: its words may come late.
            rows: of its table.

        Raises:
            ConfigError: another result is meant, or a row is not in the table.
        """
        shown = next((s for s in (self.shown, self._before) if s.id == result_id), None)
        if shown is None or shown.result is None:
            message = f"result {result_id!r:.40} is not shown any more: it is {self.shown.id!r}"
            raise ConfigError(message)
        self.review.see(shown.result, rows)
        self._tell()

    def mark(self, marks: Mapping[str, str]) -> None:
        """Write the marks as they are now into the ledger, unless it has them already."""
        if self.shown.result is None or marks == self._marks:
            return
        self._marks = dict(marks)
        self.review.mark(self.shown.result, marks)
        self._tell()

    def _tell(self) -> None:
        """Show before long how far the review is; marks in quick succession are told of once."""
        if self._timer is None:
            self._timer = Timer(self._pause_s, copy_context().run, (self._show_progress,))
            self._timer.daemon = True
            self._timer.start()

    def _show_progress(self) -> None:
        self._timer = None  # what is seen or marked from here on is told of once more
        started = perf_counter()
        text = review_text(self.review, self.shown.result)
        self._pause_s = max(PAUSE_S, MOST_BUSY * (perf_counter() - started))
        with self.lock:
            for view in list(self._views):
                view.set_trait("_review", text)


def review_text(review: Review, result: SearchResult | None) -> str:
    """Return how far the review of a query is: one line, and the reason for its advice.

    Empty while nothing was seen.
    """
    if result is None:
        return ""
    here = (result.query, result.provenance.index_fingerprint)
    rows = review.progress().rows(named=True)
    row = next((r for r in rows if (r["query"], r["index_fingerprint"]) == here), None)
    if row is None or not row["n_seen"]:
        return ""
    parts = [f"seen {row['n_seen']}", f"relevant {row['n_relevant']}"]
    if row["precision_seen"] is not None:
        share, low, high = (100 * row[f"precision_seen{end}"] for end in ("", "_low", "_high"))
        parts.append(f"precision {share:.0f} % [{low:.0f}{TO}{high:.0f}]")
    if row["n_left"] is not None and row["n_open"]:
        span = f"{row['n_left_low']}{TO}{row['n_left_high']}"
        parts.append(f"about {row['n_left']:.0f} ({span}) left")
    return f"{' · '.join(parts)} · {row['advice']}\n{row['reason']}"
