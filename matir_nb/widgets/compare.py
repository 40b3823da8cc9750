"""Two results side by side in the browser, linked by their images."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from traitlets import Bytes, Unicode

from matir_nb.errors import ConfigError
from matir_nb.explain.compare import Comparison, compare, comparison_text
from matir_nb.exports.marks import with_marks
from matir_nb.results import SearchResult
from matir_nb.review.ledger import Review
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.jobs import JSON, Answer, Job
from matir_nb.widgets.table import result_id, table_bytes, table_document
from matir_nb.widgets.together import Together
from matir_nb.widgets.values import Shown


class Pair(Together):
    """Two results that views show side by side; `shown` is the left one, with the hits of both."""

    def __init__(self, a: SearchResult, b: SearchResult, review: Review | None = None) -> None:
        """Begin with `a` on the left and `b` on the right.

        Raises:
            ConfigError: one of them is no result.
        """
        self.comparison = compare(a, b)
        self.judging = ""
        """Id of the result whose candidates are being judged."""
        self._earlier: dict[str, SearchResult] = {}
        super().__init__(a, review)
        self.shown = self._before = _shown_of(self.comparison)

    def asked(self, name: str) -> SearchResult:
        """Return the result with that id.

        Raises:
            ConfigError: neither has it.
        """
        found = self._by_id().get(name)
        if found is None:
            shown = " and ".join(map(repr, self._by_id()))
            message = f"result {name!r:.40} is not shown any more: shown are {shown}"
            raise ConfigError(message)
        return found

    def marks(self) -> dict[str, str]:
        """Return the marks that the ledger holds; none where the queries differ.

        A mark says whether an image shows a query: with two queries it says nothing of either.
        """
        if not self._has_one_query():
            return {}
        return self.review.marks(self.comparison.b) | self.review.marks(self.comparison.a)

    def mark(self, marks: Mapping[str, str]) -> None:
        """Write the marks into the ledger, where both results are of one query."""
        if marks == self._marks:
            return
        self._marks = dict(marks)
        if not self._has_one_query():
            return
        for result in (self.comparison.a, self.comparison.b):
            own = {hit.image_id for hit in result}
            self.review.mark(result, {name: mark for name, mark in marks.items() if name in own})
        self._tell()

    def see(self, result_id: str, rows: Sequence[int]) -> None:
        """Write into the ledger that `rows` of one of the results were on the screen."""
        earlier = self._earlier.get(result_id)
        self.review.see(self.asked(result_id) if earlier is None else earlier, rows)
        self._tell()

    def go_on(self, result: SearchResult) -> None:
        """Put `result` in the place of the one whose candidates were judged."""
        a, b = self.comparison.a, self.comparison.b
        is_left = self.judging == self.shown.id
        self._earlier = {self.judging: a if is_left else b}
        self.comparison = compare(result, b) if is_left else compare(a, result)
        shown = _shown_of(self.comparison)
        known = {**self.shown.known, **shown.known}
        self._before, self.shown = self.shown, Shown(shown.result, shown.id, shown.hits, known)
        for view in list(self._views):
            with view.hold_sync():
                if view.current not in self.shown.hits:
                    view.current = ""
                view.set_trait("_table", table_bytes(self.comparison.a))
                view.set_trait("_table_b", compared_bytes(self.comparison))

    def _tell(self) -> None:
        """Say nothing: how far a review is, a view of its one result says."""

    def _by_id(self) -> dict[str, SearchResult]:
        return {result_id(one): one for one in (self.comparison.b, self.comparison.a)}

    def _has_one_query(self) -> bool:
        return self.comparison.a.query == self.comparison.b.query


class CompareView(ResultView):
    """Two grids that share selection, marks and current hit, and the ranks between them.

    `selection`, `marks` and `current` name hits of either result.
    """

    _kind = Unicode("compare", read_only=True, help="Which view the browser makes.").tag(sync=True)
    _table_b = Bytes(b"", help="The other result's table, with the comparison.").tag(sync=True)

    shows_one_result = False
    _together: Pair

    def __init__(
        self,
        result_a: SearchResult,
        result_b: SearchResult,
        *,
        review: Review | None = None,
        **traits: Any,
    ) -> None:
        """Show two results of the same images.

        Args:
            result_a: the one compared with; it stands on the left.
            result_b: the other one.
            review: where looks and marks are kept; marks only where both results are of one
                query. None = one of the view's own.
            traits: those of `ResultView`, e.g. ``tile_px=240``; they hold for both.

        Raises:
            ConfigError: one of them is no result, or an option cannot be used.
        """
        self._pair = Pair(result_a, result_b, review)
        super().__init__(result_a, review=review, **traits)
        self._table_b = compared_bytes(self.comparison)

    @property
    def comparison(self) -> Comparison:
        """What entered, left and moved."""
        return self._pair.comparison

    @property
    def result_b(self) -> SearchResult:
        """The result on the right; `result` is the one on the left."""
        return self.comparison.b

    def to_polars(self) -> pl.DataFrame:
        """Return `Comparison.to_polars` with `mark` (null = none) and `is_selected`."""
        frame, selection = self.comparison.to_polars(), set(self.selection)
        is_selected = [image_id in selection for image_id in frame["image_id"].to_list()]
        marked = with_marks(frame, self.marks)
        return marked.with_columns(pl.Series("is_selected", is_selected, pl.Boolean))

    def __repr__(self) -> str:
        """Return one line: the comparison, and how much is selected and marked."""
        picked = f"{len(self.selection)} selected, {len(self.marks)} marked"
        return f"CompareView({self.comparison!r}, {picked})"

    def _begin(self, _result: SearchResult | None, _review: Review | None) -> Together:
        return self._pair

    def _without_kernel(self) -> JSON:
        html, text = self.comparison._repr_html_(), comparison_text(self.comparison)
        return {"text/html": html, "text/plain": text}

    def _asked(self, request: JSON) -> SearchResult:
        """Return the result that `request` means."""
        return self._pair.asked(request["result"])

    def _answer_judge_more(self, request: JSON, job: Job) -> Answer:
        self._pair.judging = request["result"]  # one at a time: they have a lane of their own
        return super()._answer_judge_more(request, job)


def compared_bytes(comparison: Comparison) -> bytes:
    """Return B's table with a field `comparison`: `Compared` of ``js/src/compare/states.ts``."""
    summary = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in comparison.summary.items()
    }
    same = dict(comparison.to_polars().select("image_id", "same_region").iter_rows())
    of_hits = [same[hit.image_id] for hit in comparison.b]
    compared: JSON = summary | {
        "notes": list(comparison.notes),
        "same_region": [None if value is None else int(value) for value in of_hits],
    }
    document = table_document(comparison.b) | {"comparison": compared}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 9)


def _shown_of(comparison: Comparison) -> Shown:
    """Return the left result, with the hits of both: traits may name any of them."""
    left = Shown.of(comparison.a)
    hits = {**{hit.image_id: hit for hit in comparison.b}, **left.hits}
    return Shown(left.result, left.id, hits, hits)
