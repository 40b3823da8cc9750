"""A view of one result: how it answers its page, and what Python reads of it.

Pixels, masks and details are asked for (`matir_nb.widgets.requests`) and made by
`matir_nb.widgets.payload`. This module knows neither the looks of a view nor how it is displayed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl
from traitlets import TraitError, link, observe

from matir_nb.errors import ConfigError, MatirError
from matir_nb.exports.marks import with_marks
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.results import SearchResult
from matir_nb.review.ledger import Review
from matir_nb.types import Hit
from matir_nb.widgets import explained, payload
from matir_nb.widgets.built import SCRIPT, watch
from matir_nb.widgets.fallback import as_html, as_text
from matir_nb.widgets.jobs import JSON, TEXT, WHOLE, WHOLES, YES_NO, Answer, Job, Route
from matir_nb.widgets.requests import Requests
from matir_nb.widgets.table import result_id, table_bytes, was_cut_short
from matir_nb.widgets.thumbnails import Thumbnails
from matir_nb.widgets.together import Together
from matir_nb.widgets.traits import ViewTraits, check_names
from matir_nb.widgets.values import Shown

LINKED = ("selection", "marks", "current")
WAIT_S = 0.1


class ResultView(ViewTraits):
    """What all views of a result have in common.

    Traits can be given by name at construction, read, assigned and observed. Lists come as tuples
    and marks as a dict that is not changed in place: assign a new value, and the browser follows.
    """

    shows_one_result = True
    """False = the result changes while the view stands."""
    _requests: Requests | None = None

    def __init__(
        self, result: SearchResult | None, *, review: Review | None = None, **traits: Any
    ) -> None:
        """Show `result`; None = nothing yet, where a view can change its result.

        Args:
            result: of a search.
            review: where looks and marks are kept; its marks are shown. None = one of the view's
                own.
            traits: options by name.

        Raises:
            ConfigError: `result` is none, an option is unknown or has a value that it cannot
                take, or the browser's part has not been built.
        """
        check_names(type(self), traits)
        if result is None and self.shows_one_result:
            raise ConfigError("a view shows a SearchResult, got None: give a search's")
        self._together = self._begin(result, review)
        traits = {"marks": self._together.marks(), **traits}
        self._thumbnails = Thumbnails()
        self._links: list[link] = []
        self._requests = Requests(self._routes(), self.send)
        super().__init__(_table=table_bytes(result), **traits)
        self._together.add(self)
        self.on_msg(self._receive)
        watch(SCRIPT, partial(setattr, self, "_esm"))

    @property
    def result(self) -> SearchResult | None:
        """The result shown; None before the first search."""
        return self._shown.result

    @property
    def selected(self) -> tuple[Hit, ...]:
        """The hits of `selection`, in its order; those that left the k best as they last were."""
        return tuple(self._shown.known[image_id] for image_id in self.selection)

    @property
    def review(self) -> Review:
        """What was seen and marked here, and when; views that are joined share it."""
        return self._together.review

    @property
    def _shown(self) -> Shown:
        return self._together.shown

    @property
    def last_error(self) -> str | None:
        """Traceback of the last error in the view that was not foreseen; None = none."""
        return None if self._requests is None else self._requests.last_error

    def judge_more(self, n: int | None = None) -> SearchResult:
        """Let the judge see the next candidates, show the outcome here and in views joined to it.

        Args:
            n: candidates more; None = `judge_step`.

        Returns:
            The result that is shown then.

        Raises:
            MatirError: there is no result, no source or no judge, `n` < 1, or a newer search or
                request took its place.
        """
        asked = {"result": self._shown.id, "n": self.judge_step if n is None else n}
        found = self._open_requests().call("judge_more", **asked)
        return self._just_shown(found["result"])

    def to_polars(self) -> pl.DataFrame:
        """Return the hits with `HIT_SCHEMA`, `mark` (null = none) and `is_selected`.

        Marks on hits that left the k best when more were judged are in `review`.
        """
        result = self._shown.result
        frame = pl.DataFrame(schema=HIT_SCHEMA) if result is None else result.to_polars()
        ids, selection = frame["image_id"].to_list(), set(self.selection)
        is_selected = pl.Series("is_selected", [i in selection for i in ids], pl.Boolean)
        return with_marks(frame, self.marks).with_columns(is_selected)

    def close(self) -> None:
        """Take the view out of the notebook, end its threads and links."""
        if self._requests is not None:
            self._requests.close()
            for joined in self._links:
                joined.unlink()
            self._links.clear()
            self._together.leave(self)
        super().close()

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser changed; values that do not fit it gets back corrected."""
        try:
            with self._together.lock:
                super().set_state(sync_data)
        except TraitError:
            self.send_state([name for name in sync_data if name in self.keys])

    def __repr__(self) -> str:
        """Return one line: the query, and how much is found, selected and marked."""
        name = type(self).__name__
        if self._shown.result is None:
            return f"{name}(no result yet)"
        picked = f"{len(self.selection)} selected, {len(self.marks)} marked"
        counts = f"{len(self._shown.result)} hits, {picked}"
        return f"{name}({self._shown.result.query!r}, {counts})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[JSON, JSON]:
        """Return the view and, where no kernel runs, its content as HTML and as text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle or ({}, {})
        return data | self._without_kernel(), metadata

    def _begin(self, result: SearchResult | None, review: Review | None) -> Together:
        """Return what this view has in common with those that are joined to it."""
        return Together(result, review)

    def _without_kernel(self) -> JSON:
        """Return what a reader without a kernel sees, by MIME type."""
        result = self._shown.result
        if result is None:
            return {}
        html, text = as_html(result, marks=self.marks), as_text(result, marks=self.marks)
        return {"text/html": html, "text/plain": text}

    def _routes(self) -> dict[str, Route]:
        """Return how each kind of request is answered."""
        one = {"result": TEXT, "row": WHOLE, "side": WHOLE}
        many = {"result": TEXT, "rows": WHOLES, "side": WHOLE, "regions": YES_NO}
        asked = {"result": TEXT, "row": WHOLE}
        return {
            "tiles": Route(many, self._answer_tiles),
            "inspect": Route(one, self._answer_inspect, lane="details"),
            "image": Route(one, self._answer_image, lane="details"),
            "words": Route(asked, self._answer_words, lane="explain"),
            "why": Route({**asked, "other": WHOLE}, self._answer_why, lane="details"),
            "occlude": Route({**asked, "region": WHOLE}, self._answer_occlude, lane="explain"),
            "seen": Route({"result": TEXT, "rows": WHOLES}, self._answer_seen, lane="review"),
            "judge_more": Route(
                {"result": TEXT, "n": WHOLE},
                self._answer_judge_more,
                lane="search",
                is_newest_only=True,
                answers_when_cancelled=True,
            ),
        }

    def _open_requests(self) -> Requests:
        """Return what answers requests.

        Raises:
            ConfigError: the view is closed.
        """
        if self._requests is None or self.comm is None:
            raise ConfigError("the view is closed: make a new one")
        return self._requests

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        if self._requests is not None:
            self._requests.receive(content)

    def _answer_tiles(self, request: JSON, job: Job) -> Answer:
        return payload.tiles(
            self._asked(request),
            request["rows"],
            request["side"],
            regions=request["regions"],
            thumbnails=self._thumbnails,
            is_cancelled=job.is_cancelled,
        )

    def _answer_inspect(self, request: JSON, _job: Job) -> Answer:
        return payload.inspect(self._asked(request), request["row"], request["side"])

    def _answer_image(self, request: JSON, _job: Job) -> Answer:
        return payload.image(self._asked(request), request["row"], request["side"])

    def _answer_seen(self, request: JSON, _job: Job) -> Answer:
        with self._together.lock:
            self._together.see(request["result"], request["rows"])
        return {}, []

    def _answer_judge_more(self, request: JSON, job: Job) -> Answer:
        """Judge more, show what came of it, when cancelled the part that was judged, and say so."""
        more = self._asked(request).judge_more(
            request["n"],
            cancel=job.is_cancelled,
            progress=lambda done, total: job.report("judge", done, total),
        )
        with self._turn(job):
            self._asked(request)
            self._together.go_on(more)
        n_judged = more.provenance.config["n_judged_done"]
        body = {"result": result_id(more), "n_judged": n_judged, "cancelled": was_cut_short(more)}
        return body, []

    @contextmanager
    def _turn(self, job: Job) -> Iterator[None]:
        """Hold the views' lock, unless a newer request waits, which may be what holds it."""
        while not self._together.lock.acquire(timeout=WAIT_S):
            job.stop_if_superseded()
        try:
            job.stop_if_superseded()
            yield
        finally:
            self._together.lock.release()

    def _just_shown(self, result_id: str) -> SearchResult:
        """Return the result of a request of Python's own.

        Raises:
            MatirError: another one has been shown meanwhile.
        """
        shown = self._shown
        if shown.result is None or shown.id != result_id:
            raise MatirError("a newer search took its place")
        return shown.result

    def _answer_words(self, request: JSON, _job: Job) -> Answer:
        return explained.words(self._asked(request), request["row"])

    def _answer_why(self, request: JSON, _job: Job) -> Answer:
        return explained.why(self._asked(request), request["row"], request["other"])

    def _answer_occlude(self, request: JSON, _job: Job) -> Answer:
        return explained.occlude(self._asked(request), request["row"], request["region"])

    def _asked(self, request: JSON) -> SearchResult:
        """Return the result shown, if it is the one that `request` means."""
        shown = self._shown
        if shown.result is None:
            raise ConfigError("there is no result yet: search first")
        if request["result"] != shown.id:
            message = f"result {request['result']!r:.40} is not shown any more: it is {shown.id!r}"
            raise ConfigError(message)
        return shown.result

    def _join(self, other: object, current: str = "") -> None:
        """Share selection, marks and current hit with another view of the same result."""
        if not isinstance(other, ResultView) or not other.shows_one_result:
            message = f"grid = {other!r:.60} cannot be joined: give a ResultGrid of the same result"
            raise ConfigError(message)
        together = other._together  # noqa: SLF001 - a view of the same kind
        if together.shown.id != self._shown.id:
            message = f"grid = {other!r} shows another result than {self!r}: give grid.result"
            raise ConfigError(message)
        self._together.leave(self)
        self._together = together
        self._together.add(self)
        self._links += [link((other, name), (self, name)) for name in LINKED]
        self.current = current or self.current

    @observe("marks")
    def _write_marks(self, _change: object) -> None:
        with self._together.lock:
            self._together.mark(self.marks)
