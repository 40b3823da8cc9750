"""The traits that kernel and browser share, those of ``js/src/protocol.ts``, and their checks.

They hold ids and numbers only, so that a saved notebook is small and tells nothing of the
machine. This module knows no request.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import anywidget
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
    validate,
)

from matir_nb.errors import ConfigError, nearest
from matir_nb.exports.marks import check_marks, require_hits
from matir_nb.types import MARKS
from matir_nb.widgets.built import SCRIPT, built
from matir_nb.widgets.together import Together
from matir_nb.widgets.values import Marks, TraitValueError, refusing


class ViewTraits(anywidget.AnyWidget):
    """What a view can be told by name; a value that does not fit is refused."""

    _together: Together

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
    only_above_cut = Bool(False, help="Hide hits below the query's own cut.").tag(sync=True)
    panel = Enum(
        ("", "inspector", "flow"), "", help="Beside the grid: 'inspector', 'flow' or ''."
    ).tag(sync=True)
    judge_step = Int(
        64, min=0, help="Candidates that 'judge more' takes at once; 0 = do not offer it."
    ).tag(sync=True)
    judge_as_i_scroll = Bool(
        False, help="Judge more as soon as hits that are not judged come into view."
    ).tag(sync=True)
    _review = Unicode("", help="How far the review is: a line, and why.").tag(sync=True)

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
            require_hits("selection", chosen, self._together.shown.known)
        return chosen

    @validate("current")
    def _check_current(self, proposal: Mapping[str, Any]) -> str:
        image_id: str = proposal["value"]
        with refusing():
            require_hits("current", [image_id] if image_id else [], self._together.shown.hits)
        return image_id

    @validate("marks")
    def _check_marks(self, proposal: Mapping[str, Any]) -> Marks:
        marks = Marks(proposal["value"])
        with refusing():
            check_marks(marks, self._together.shown.known)
        return marks

    @validate("min_score")
    def _check_min_score(self, proposal: Mapping[str, Any]) -> float | None:
        value: float | None = proposal["value"]
        if value is not None and not isfinite(value):
            message = f"min_score = {value} is not allowed: give a number, or None to hide none"
            raise TraitValueError(message)
        return value


def check_names(view: type[ViewTraits], traits: Mapping[str, Any]) -> None:
    """Raise unless `traits` are options of `view`.

    Raises:
        ConfigError: one is unknown; the message offers the nearest.
    """
    known = _options(view)
    for name in traits:
        if name not in known:
            hint = nearest(name, known, n_listed=6)
            message = f"unknown option {name!r} of {view.__name__}: {hint}"
            raise ConfigError(message)


def _options(view: type[ViewTraits]) -> list[str]:
    return sorted(n for n in view.class_trait_names(sync=True) if not n.startswith("_"))
