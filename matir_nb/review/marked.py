"""What reviewers saw and marked, as it happened: a history that only grows.

Nothing is written over: a mark that is changed or taken away is one event more, and what holds is
derived. This module knows no table and no file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from numbers import Integral
from typing import Self, TypeAlias

from matir_nb.errors import ConfigError
from matir_nb.exports.marks import check_marks
from matir_nb.hit_table import renamed_ids
from matir_nb.results import SearchResult
from matir_nb.types import MARKS
from matir_nb.widgets.table import list_id, result_id

TICK = timedelta(microseconds=1)
"""The least time between two changes of one mark."""

QueryKey: TypeAlias = tuple[str, str]
"""(query, index fingerprint): a picture is right or wrong for it, whichever models ranked it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A ranked list that a reviewer worked on; position 0 is rank 1.

    Attributes:
        result_id: its name (`matir_nb.widgets.table.result_id`).
        query: as asked.
        index_fingerprint: of the models and options that made the index.
        models: role -> model id and revision.
        n_images: in the index; None = not known.
        image_ids: by rank.
        final_scores: log-odds, as long as `image_ids`.
        stage1_scores: fused cosines, as long as `image_ids`.
        p_relevant: the judge's, as long as `image_ids`; None = not judged.
    """

    result_id: str
    query: str
    index_fingerprint: str
    models: Mapping[str, str]
    n_images: int | None
    image_ids: tuple[str, ...]
    final_scores: tuple[float, ...]
    stage1_scores: tuple[float, ...]
    p_relevant: tuple[float | None, ...]
    positions: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take sequences as tuples, and note where each image stands."""
        for name in ("image_ids", "final_scores", "stage1_scores", "p_relevant"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        places = {image_id: place for place, image_id in enumerate(self.image_ids)}
        object.__setattr__(self, "positions", places)

    @classmethod
    def of(cls, result: SearchResult) -> Self:
        """Return what a review needs of `result`."""
        provenance = result.provenance
        return cls(
            result_id=result_id(result),
            query=result.query,
            index_fingerprint=provenance.index_fingerprint,
            models=dict(provenance.models),
            n_images=provenance.config.get("n_images"),
            image_ids=tuple(hit.image_id for hit in result.hits),
            final_scores=tuple(hit.final_score for hit in result.hits),
            stage1_scores=tuple(hit.stage1_score for hit in result.hits),
            p_relevant=tuple(hit.p_relevant for hit in result.hits),
        )

    @property
    def key(self) -> QueryKey:
        """What the list is of."""
        return (self.query, self.index_fingerprint)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the list with other image ids, old -> new.

        Raises:
            ConfigError: two of its images would have one id.
        """
        if not any(image_id in names for image_id in self.image_ids):
            return self
        image_ids = renamed_ids(self.image_ids, names)
        scored = list(zip(image_ids, self.final_scores, strict=True))
        name = list_id(self.query, self.index_fingerprint, scored)
        return replace(self, result_id=name, image_ids=image_ids)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one mark.

    Attributes:
        at: when, UTC.
        who: the reviewer; empty = not said.
        result_id: the list that was looked at.
        image_id: of that list.
        mark: one of `MARKS`; None = taken away.
    """

    at: datetime
    who: str
    result_id: str
    image_id: str
    mark: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """When a hit was on a reviewer's screen.

    Attributes:
        first: first time, UTC.
        last: last time, UTC.
    """

    first: datetime
    last: datetime

    def joined(self, other: "Look") -> "Look":
        """Return the span of both."""
        return Look(min(self.first, other.first), max(self.last, other.last))


LookKey: TypeAlias = tuple[str, str, str]
"""(who, result id, image id)."""


@dataclass(slots=True)
class History:
    """All lists, events and looks, in the order in which they came.

    Attributes:
        listings: by result id.
        events: by time.
        looks: what was on whose screen, when.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    looks: dict[LookKey, Look] = field(default_factory=dict)
    _current: dict[tuple[QueryKey, str], Event] = field(default_factory=dict)

    @classmethod
    def of(
        cls, listings: Iterable[Listing], events: Iterable[Event], looks: Mapping[LookKey, Look]
    ) -> "History":
        """Return the history of events that are in order."""
        by_id: dict[str, Listing] = {}
        for listing in listings:
            by_id.setdefault(listing.result_id, listing)
        made = cls(by_id, looks=dict(looks))
        for event in events:
            made._add(event)
        return made

    def listed(self, result: SearchResult) -> Listing:
        """Return the list of `result`; it is kept."""
        listing = Listing.of(result)
        return self.listings.setdefault(listing.result_id, listing)

    def see(self, listing: Listing, rows: Iterable[int], *, who: str, at: datetime) -> None:
        """Record that rows of a list were on the screen.

        Raises:
            ConfigError: a row is none of the list's; then nothing is recorded.
        """
        n_hits = len(listing.image_ids)
        wanted = [_row(row, n_hits) for row in rows]
        for row in wanted:
            self._look((who, listing.result_id, listing.image_ids[row]), Look(at, at))

    def mark(
        self, listing: Listing, marks: Mapping[str, str], *, who: str, at: datetime
    ) -> tuple[Event, ...]:
        """Record in what `marks`, all those that hold now, differ from those that held.

        A hit of the list without a mark has lost the one it had. An image that is no hit of this
        list keeps its mark unless it is given another.

        Raises:
            ConfigError: a mark is unknown, or on an image that this query never found; then
                nothing is recorded.
        """
        self._check(listing, marks)
        wanted: dict[str, str | None] = dict.fromkeys(listing.image_ids)
        made = []
        for image_id, mark in (wanted | dict(marks)).items():
            before = self._current.get((listing.key, image_id))
            if mark == (None if before is None else before.mark):
                continue
            # a clock that was set back must not let an older mark win
            when = at if before is None else max(at, before.at + TICK)
            place = self.last_with(listing, image_id)
            made.append(Event(when, who, place.result_id, image_id, mark))
        for event in made:
            self._add(event)
        return tuple(made)

    def marks_of(self, key: QueryKey) -> dict[str, Event]:
        """Return the event that holds for each image, whoever made it; marks taken away, too."""
        return {image: event for (of, image), event in self._current.items() if of == key}

    def queries(self) -> dict[QueryKey, Listing]:
        """Return every query in the order of its first list, with the list worked on last."""
        touched = dict(self._touched())
        found: dict[QueryKey, Listing] = {}
        for listing in self.listings.values():
            best = found.get(listing.key)
            if best is None or _later(touched, listing, best):
                found[listing.key] = listing
        return found

    def seen(self) -> dict[QueryKey, dict[tuple[str, str], tuple[Look, str]]]:
        """Return by query: (who, image id) -> when it was on the screen, in any of its lists.

        With it goes the result id of the list in which it was last.
        """
        found: dict[QueryKey, dict[tuple[str, str], tuple[Look, str]]] = {}
        for (who, result, image_id), look in self.looks.items():
            of_query = found.setdefault(self.listings[result].key, {})
            before, where = of_query.get((who, image_id), (look, result))
            newest = where if before.last > look.last else result
            of_query[who, image_id] = (before.joined(look), newest)
        return found

    def last_with(self, listing: Listing, image_id: str) -> Listing:
        """Return `listing` if it holds the image, else the newest list of its query that does."""
        if image_id in listing.positions:
            return listing
        found = [one for one in self.listings.values() if one.key == listing.key]
        return next(one for one in reversed(found) if image_id in one.positions)

    def merged(self, other: "History") -> "History":
        """Return both histories as one; what is in both is there once."""
        both = dict.fromkeys([*self.events, *other.events])
        events = sorted(both, key=lambda event: (event.at, event.who))
        listings = [*self.listings.values(), *other.listings.values()]
        looks = dict(self.looks)
        for key, look in other.looks.items():
            looks[key] = looks[key].joined(look) if key in looks else look
        return History.of(listings, events, looks)

    def renamed(self, names: Mapping[str, str]) -> "History":
        """Return the history with other image ids; `names` gives old id -> new id.

        Raises:
            ConfigError: two images of a list would have one id.
        """
        lists = {key: listing.renamed(names) for key, listing in self.listings.items()}

        def moved(key: str, image_id: str) -> tuple[str, str]:
            return (lists[key].result_id, names.get(image_id, image_id))

        events = [
            Event(one.at, one.who, *moved(one.result_id, one.image_id), one.mark)
            for one in self.events
        ]
        looks: dict[LookKey, Look] = {}
        for (who, key, image_id), look in self.looks.items():
            place = (who, *moved(key, image_id))
            looks[place] = looks[place].joined(look) if place in looks else look
        return History.of(lists.values(), events, looks)

    def copied(self) -> "History":
        """Return a history of its own with the same content."""
        return History.of(self.listings.values(), self.events, self.looks)

    def _add(self, event: Event) -> None:
        self.events.append(event)
        key = (self.listings[event.result_id].key, event.image_id)
        before = self._current.get(key)
        if before is None or before.at <= event.at:
            self._current[key] = event

    def _look(self, key: LookKey, look: Look) -> None:
        before = self.looks.get(key)
        self.looks[key] = look if before is None else before.joined(look)

    def _check(self, listing: Listing, marks: Mapping[str, str]) -> None:
        known = {
            i for one in self.listings.values() if one.key == listing.key for i in one.image_ids
        }
        check_marks(marks, known)

    def _touched(self) -> Iterator[tuple[str, datetime]]:
        """Yield (result id, when it was worked on), the latest time of each list last."""
        when = [(event.result_id, event.at) for event in self.events]
        when += [(result, look.last) for (_, result, _), look in self.looks.items()]
        yield from sorted(when, key=lambda one: one[1])


def _row(value: object, n_hits: int) -> int:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    row = int(value) if is_whole else -1  # type: ignore[call-overload] # an Integral has __int__
    if not 0 <= row < n_hits:
        message = f"row {value!r:.20} is none of the {n_hits} hits: 0 is the best, then 1, 2, ..."
        raise ConfigError(message)
    return row


def _later(touched: Mapping[str, datetime], listing: Listing, best: Listing) -> bool:
    """Tell whether `listing` was worked on after `best`; of two untouched, the newer is."""
    mine, other = touched.get(listing.result_id), touched.get(best.result_id)
    if mine is None or other is None:
        return other is None
    return mine >= other


def counted(marks: Sequence[str | None]) -> dict[str, int]:
    """Return how often each of `MARKS` is among `marks`.

    >>> counted(["relevant", None, "unsure"])
    {'relevant': 1, 'not relevant': 0, 'unsure': 1}
    """
    return {mark: sum(one == mark for one in marks) for mark in MARKS}
