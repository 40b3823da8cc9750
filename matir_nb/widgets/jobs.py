"""One request of a view: what it must hold, how it is answered, and how far the answer is.

This module knows no thread and no widget.
"""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any, TypeAlias

from matir_nb.errors import MatirError

MIN_PROGRESS_S = 0.05

JSON: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[JSON, list[bytes]]
Send: TypeAlias = Callable[[JSON, list[bytes]], None]


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of a request may hold.

    Attributes:
        allowed: in words.
        accepts: tells whether a value fits.
    """

    allowed: str
    accepts: Callable[[Any], bool]


TEXT = Field("text", lambda value: isinstance(value, str))
WHOLE = Field("a whole number", lambda value: type(value) is int)
WHOLE_OR_NULL = Field("a whole number or null", lambda v: v is None or type(v) is int)
WHOLES = Field(
    "a list of whole numbers",
    lambda value: isinstance(value, list) and all(type(item) is int for item in value),
)
YES_NO = Field("true or false", lambda value: isinstance(value, bool))


class Job:
    """A request under way: what its answer needs to know, and may say before it is ready."""

    def __init__(self, kind: str, request: JSON, send: Send) -> None:
        """Hold a checked request; `send` takes the words that precede the reply."""
        self.kind = kind
        self.id = str(request["id"])
        self.request = request
        self.context = copy_context()  # ipykernel finds there whom a message answers
        self.superseded_by: str | None = None
        self._send = send
        self._cancelled = Event()
        self._progress = ("open", 0, 1)
        self._last_word = monotonic()

    def is_cancelled(self) -> bool:
        """Tell whether the answer is not wanted any more."""
        return self._cancelled.is_set()

    def cancel(self, *, superseded_by: str | None = None) -> None:
        """Say that the answer is not wanted any more; `superseded_by` = because of what."""
        self.superseded_by = superseded_by or self.superseded_by
        self._cancelled.set()

    def stop_if_superseded(self) -> None:
        """Raise if a newer request took this one's place.

        Raises:
            MatirError: one did; the text says which kind.
        """
        if self.superseded_by is not None:
            raise MatirError(self.superseded_by)

    def report(self, stage: str, done: int, total: int) -> None:
        """Tell the page how far the answer is; reports in quick succession are left out."""
        is_new_stage = stage != self._progress[0]
        self._progress = (stage, done, total)
        if is_new_stage or done >= total or self.seconds_silent() >= MIN_PROGRESS_S:
            self.repeat()

    def repeat(self) -> None:
        """Send the last report again: a sign of life."""
        stage, done, total = self._progress
        self._last_word = monotonic()
        word = {"kind": "progress", "id": self.id, "stage": stage, "done": done, "total": total}
        self._send(word, [])

    def seconds_silent(self) -> float:
        """Return the seconds since the page last heard of this request."""
        return monotonic() - self._last_word


@dataclass(frozen=True, slots=True)
class Route:
    """How one kind of request is answered.

    Attributes:
        fields: what it must hold besides kind and id.
        answer: gives body and buffers, or raises; called on the lane's thread.
        lane: requests of one lane are answered one after another.
        is_newest_only: a new request takes the place of those of its kind that are under way.
        ends: other kinds of which it takes the place, too.
        answers_when_cancelled: the answer tells of the cancelling itself.
    """

    fields: Mapping[str, Field]
    answer: Callable[[JSON, Job], Answer]
    lane: str = "pictures"
    is_newest_only: bool = False
    ends: tuple[str, ...] = ()
    answers_when_cancelled: bool = False
