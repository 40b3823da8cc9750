"""A view of one result: the traits that kernel and browser share, and what Python reads of them.

The traits are those of ``js/src/protocol.ts``. They hold ids and numbers only, so that a saved
notebook is small and tells nothing of the machine: pixels, masks and details are asked for
(`matir_nb.widgets.requests`) and made by `matir_nb.widgets.payload`. This module knows neither
the looks of a view nor how it is displayed.
"""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from threading import RLock
from typing import Any

import anywidget
import polars as pl
from traitlets import (
    Bool,
    Bytes,
    Dict,
    Enum,
    Float,
    Int,
    TraitError,
    Tuple,
    Unicode,
    default,
    link,
    validate,
)

from matir_nb.errors import ConfigError, nearest
from matir_nb.exports.marks import check_marks, require_hits, with_marks
from matir_nb.results import HIT_SCHEMA, SearchResult
from matir_nb.types import MARKS, Hit
from matir_nb.widgets import payload
from matir_nb.widgets.built import SCRIPT, built, watch
from matir_nb.widgets.fallback import as_html, as_text
from matir_nb.widgets.jobs import JSON, TEXT, WHOLE, WHOLES, YES_NO, Answer, Job, Route
from matir_nb.widgets.requests import Requests
from matir_nb.widgets.table import table_bytes
from matir_nb.widgets.thumbnails import Thumbnails
from matir_nb.widgets.values import Marks, Shown, TraitValueError, refusing

LINKED = ("selection", "marks", "current")


class ResultView(anywidget.AnyWidget):
    """What all views of a result have in common.

    Traits can be given by name at construction, read, assigned and observed. Lists come as tuples
    and marks as a dict that is not changed in place: assign a new value, and the browser follows.
    """

    _esm = Unicode(help="The built JavaScript, its style in it.").tag(sync=True)
    _kind = Unicode("grid", read_only=True, help="Which view the browser makes.").tag(sync=True)
    _table = Bytes(b"", help="The result's table: deflated JSON; empty = none.").tag(sync=True)

    selection = Tuple(help="Image ids of the hits picked, in the order of picking.").tag(sync=True)
    marks = Dict(help=f"Image id -> {', '.join(map(repr, MARKS))}.").tag(sync=True)
    current = Unicode(help="Image id of the hit that the inspector shows; '' = none.").tag(
        sync=True
    )
    order = Enum(
        ("final", "stage1"), "final", help="Which ranking orders the hits: 'final' or 'stage1'."
    ).tag(sync=True)
    mask_mode = Enum(
        ("best", "all", "none"),
        "best",
        help="Masks drawn: the hit's ('best'), those of 'all' regions, 'none'.",
    ).tag(sync=True)
    boxes = Bool(True, help="Draw the judge's boxes.").tag(sync=True)
    labels = Bool(True, help="Write rank, scores and file name under a picture.").tag(sync=True)
    mask_opacity = Float(0.5, min=0, max=1, help="Of the masks, 0 to 1.").tag(sync=True)
    tile_px = Int(192, min=96, max=480, help="Width of a tile, CSS pixels, 96 to 480.").tag(
        sync=True
    )
    min_score = Float(
        None, allow_none=True, help="Hide hits with a lower final score; None = hide none."
    ).tag(sync=True)
    hide_abstained = Bool(False, help="Hide hits where the judge said: not here.").tag(sync=True)
    panel = Enum(
        ("", "inspector", "flow"), "", help="Beside the grid: 'inspector', 'flow' or ''."
    ).tag(sync=True)

    shows_one_result = True
    """False = the result changes while the view stands."""
    _requests: Requests | None = None

    def __init__(self, result: SearchResult | None, **traits: Any) -> None:
        """Show `result`; None = nothing yet, where a view can change its result.

        Raises:
            ConfigError: `result` is none, an option is unknown or has a value that it cannot
                take, or the browser's part has not been built.
        """
        _check_names(type(self), traits)
        if result is None and self.shows_one_result:
            raise ConfigError("a view shows a SearchResult, got None: give a search's")
        self._shown = Shown.of(result)
        self._changing = RLock()
        self._thumbnails = Thumbnails()
        self._links: list[link] = []
        self._requests = Requests(self._routes(), self.send)
        super().__init__(_table=table_bytes(result), **traits)
        self.on_msg(self._receive)
        watch(SCRIPT, partial(setattr, self, "_esm"))

    def __setattr__(self, name: str, value: object) -> None:
        """Assign an attribute.

        Raises:
            ConfigError: there is none of that name, or it cannot have that value.
        """
        if not name.startswith("_") and not hasattr(type(self), name):
            known = _options(type(self))
            message = f"{type(self).__name__} has no {name!r}: {nearest(name, known, n_listed=6)}"
            raise TraitValueError(message)
        try:
            super().__setattr__(name, value)
        except TraitValueError:
            raise
        except TraitError as error:
            raise TraitValueError(str(error)) from error

    @property
    def result(self) -> SearchResult | None:
        """The result shown; None before the first search."""
        return self._shown.result

    @property
    def selected(self) -> tuple[Hit, ...]:
        """The hits of `selection`, in its order."""
        return tuple(self._shown.hits[image_id] for image_id in self.selection)

    @property
    def last_error(self) -> str | None:
        """Traceback of the last error in the view that was not foreseen; None = none."""
        return None if self._requests is None else self._requests.last_error

    def to_polars(self) -> pl.DataFrame:
        """Return the hits with `HIT_SCHEMA`, `mark` (null = none) and `is_selected`."""
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
        super().close()

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser changed; values that do not fit it gets back corrected."""
        try:
            with self._changing:
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

    def _without_kernel(self) -> JSON:
        """Return what a reader without a kernel sees, by MIME type."""
        result = self._shown.result
        if result is None:
            return {}
        return {"text/html": as_html(result), "text/plain": as_text(result)}

    def _routes(self) -> dict[str, Route]:
        """Return how each kind of request is answered."""
        one = {"result": TEXT, "row": WHOLE, "side": WHOLE}
        many = {"result": TEXT, "rows": WHOLES, "side": WHOLE, "regions": YES_NO}
        return {
            "tiles": Route(many, self._answer_tiles),
            "inspect": Route(one, self._answer_inspect, lane="details"),
            "image": Route(one, self._answer_image, lane="details"),
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
        if Shown.of(other.result).id != self._shown.id:
            message = f"grid = {other!r} shows another result than {self!r}: give both the same"
            raise ConfigError(message)
        self._links += [link((other, name), (self, name)) for name in LINKED]
        self.current = current or self.current

    @default("_esm")
    def _built_script(self) -> str:
        return built(SCRIPT)

    @default("marks")
    def _no_marks(self) -> Marks:
        return Marks()

    @validate("selection")
    def _check_selection(self, proposal: Mapping[str, Any]) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(proposal["value"]))
        with refusing():
            require_hits("selection", chosen, self._shown.hits)
        return chosen

    @validate("current")
    def _check_current(self, proposal: Mapping[str, Any]) -> str:
        image_id: str = proposal["value"]
        with refusing():
            require_hits("current", [image_id] if image_id else [], self._shown.hits)
        return image_id

    @validate("marks")
    def _check_marks(self, proposal: Mapping[str, Any]) -> Marks:
        marks = Marks(proposal["value"])
        with refusing():
            check_marks(marks, self._shown.hits)
        return marks

    @validate("min_score")
    def _check_min_score(self, proposal: Mapping[str, Any]) -> float | None:
        value: float | None = proposal["value"]
        if value is not None and not isfinite(value):
            message = f"min_score = {value} is not allowed: give a number, or None to hide none"
            raise TraitValueError(message)
        return value


def _check_names(view: type[ResultView], traits: Mapping[str, Any]) -> None:
    known = _options(view)
    for name in traits:
        if name not in known:
            hint = nearest(name, known, n_listed=6)
            message = f"unknown option {name!r} of {view.__name__}: {hint}"
            raise ConfigError(message)


def _options(view: type[ResultView]) -> list[str]:
    return sorted(n for n in view.class_trait_names(sync=True) if not n.startswith("_"))
