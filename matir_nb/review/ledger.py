"""The reviewer's ledger: who saw and marked what, when, at which rank, by which models.

::

    review = Review()
    review.see(result, range(24))
    review.mark(result, {"a.png": "relevant"})
    review.progress()
    review.save("oaks.parquet")

The tables are described in ``docs/schema.md``. This module knows no widget: a view calls `see` and
`mark`, from a thread of its own if it likes.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Self

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.exports.atomic import check_target
from matir_nb.exports.frames import check_ending, write_frame
from matir_nb.home import settings
from matir_nb.results import SearchResult
from matir_nb.review.estimate import Rule
from matir_nb.review.marked import History, Listing
from matir_nb.review.progress import Counting, progress_frame
from matir_nb.review.saved import read_history, write_history
from matir_nb.review.tables import EVENT_SCHEMA, REVIEW_SCHEMA, event_rows, review_rows


class Review:
    """Marks and looks over one or many results, and what they say of how much is left.

    Safe to use from several threads.
    """

    def __init__(self, reviewer: str | None = None) -> None:
        """Start with nothing seen.

        Args:
            reviewer: who looks and marks where a call does not say it; None = the setting
                `reviewer` at the time of the call, which is the login name unless it was set.

        Raises:
            ConfigError: it can be no name.
        """
        if reviewer is not None:
            settings.check_reviewer(reviewer)
        self.reviewer = reviewer
        self._lock = RLock()
        self._history = History()
        self._last: tuple[SearchResult, Listing] | None = None

    def __repr__(self) -> str:
        """Return one line: how many queries, hits seen and marks."""
        frame = self.to_polars()
        seen = frame.filter(pl.col("first_seen_at").is_not_null())
        n_seen = seen.select("query", "index_fingerprint", "image_id").n_unique()
        n_marked = frame.filter("holds")["mark"].count()
        n_queries = len(self.history().queries())
        return f"Review({n_queries} queries, {n_seen} hits seen, {n_marked} marked)"

    def _repr_html_(self) -> str:
        """Return the table of progress."""
        html: str = self.progress()._repr_html_()
        return html

    def see(
        self,
        result: SearchResult,
        rows: Iterable[int],
        *,
        who: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Record that hits were on the screen.

        Args:
            result: whose hits.
            rows: places among `result.hits`, 0 = the best.
            who: whose screen; None = the reviewer.
            at: when, with a time zone; None = at this moment.

        Raises:
            ConfigError: a row is no hit's, or `who` or `at` cannot be used; nothing is recorded.
        """
        person, when = self._person(who), _moment(at)
        with self._lock:
            self._history.see(self._listed(result), rows, who=person, at=when)

    def mark(
        self,
        result: SearchResult,
        marks: Mapping[str, str],
        *,
        who: str | None = None,
        at: datetime | None = None,
    ) -> int:
        """Record all marks that hold for `result`; what differs from before is an event.

        Args:
            result: whose hits are marked.
            marks: image id -> "relevant", "not relevant" or "unsure": all of them. A hit that is
                not among them has lost its mark; an image that is no hit of `result`, but was one
                of the same query before, keeps its own unless another is given.
            who: who changed them; None = the reviewer.
            at: when, with a time zone; None = at this moment.

        Returns:
            How many marks have changed.

        Raises:
            ConfigError: a mark is unknown, or on an image that the query never found, or `who` or
                `at` cannot be used; nothing is recorded.
        """
        person, when = self._person(who), _moment(at)
        with self._lock:
            return len(self._history.mark(self._listed(result), marks, who=person, at=when))

    def include(self, result: SearchResult) -> None:
        """Let `progress` list the query of `result`, though nothing of it has been seen yet."""
        with self._lock:
            self._listed(result)

    def marks(self, result: SearchResult) -> dict[str, str]:
        """Return image id -> the mark that holds, for the hits of `result`."""
        with self._lock:
            listing = Listing.of(result)
            held = self._history.marks_of(listing.key)
        found = {i: held[i].mark for i in listing.image_ids if i in held}
        return {image_id: mark for image_id, mark in found.items() if mark is not None}

    def to_polars(self) -> pl.DataFrame:
        """Return one row per query, image and reviewer, seen or marked, with `REVIEW_SCHEMA`."""
        history = self.history()
        return pl.DataFrame(review_rows(history), schema=REVIEW_SCHEMA)

    def events(self) -> pl.DataFrame:
        """Return one row per change of a mark, oldest first, with `EVENT_SCHEMA`."""
        history = self.history()
        return pl.DataFrame(event_rows(history), schema=EVENT_SCHEMA)

    def progress(
        self,
        *,
        unmarked: str = "above the last mark",
        target_recall: float = 0.95,
        confidence: float = 0.95,
    ) -> pl.DataFrame:
        """Return how far each query is reviewed, what is left, and whether to go on.

        See `matir_nb.review.progress` for what counts, `matir_nb.review.estimate` for formulas.

        Args:
            unmarked: which hits that were seen and bear no mark count as not relevant: "above the
                last mark" (of the query's list), or "not relevant" = all of them.
            target_recall: share of the list's relevant hits that is enough, 0 to 1.
            confidence: of the advice to stop, 0 to 1.

        Raises:
            ConfigError: an option cannot be used.
        """
        rule = Rule(target_recall, confidence)
        return progress_frame(self.history(), Counting(unmarked), rule)

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write .parquet, as `save` does, or the table as .csv or .json.

        Raises:
            ConfigError: the ending is unknown, the file is there and `overwrite` is not set, or
                it cannot be written.
        """
        target = Path(path)
        check_ending(target)
        if target.suffix.lower() != ".parquet":
            return write_frame(self.to_polars(), target, overwrite=overwrite)
        check_target(target, overwrite=overwrite)
        return self.save(target)

    def save(self, path: str | Path) -> Path:
        """Write a parquet file that `load` reads back exactly; its table is `to_polars`.

        The file is there whole or not at all; an older review of that name is replaced.

        Raises:
            ConfigError: something else has that name, or it cannot be written.
        """
        history = self.history()
        table = pl.DataFrame(review_rows(history), schema=REVIEW_SCHEMA)
        return write_history(history, table, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ConfigError: there is no such file, it is no review, or a newer version wrote it.
        """
        return cls._of(read_history(Path(path)))

    @classmethod
    def merged(cls, *reviews: "Review") -> Self:
        """Return all that is in `reviews`, e.g. of two reviewers; what is in two is there once.

        Where reviewers disagree both marks are kept, and the last one holds.
        """
        history = History()
        given: tuple[object, ...] = reviews
        for one in given:
            if not isinstance(one, Review):
                message = f"only reviews can be merged, got {one!r:.80}: load it first"
                raise ConfigError(message)
        for review in reviews:
            history = history.merged(review.history())
        return cls._of(history)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the review under other image ids, e.g. ``review.renamed(report.moved)``.

        An index gives an image whose file moved its new name (`BuildReport.moved`); marks and
        looks follow it so. Ids that the review does not know are passed over.

        Args:
            names: image id of before -> the one of now.

        Raises:
            ConfigError: two images of a list would have one id.
        """
        return self._of(self.history().renamed(names), self.reviewer)

    @classmethod
    def _of(cls, history: History, reviewer: str | None = None) -> Self:
        review = cls(reviewer)
        review._history = history
        return review

    def history(self) -> History:
        """Return a copy of all that was recorded (`matir_nb.review.marked.History`)."""
        with self._lock:
            return self._history.copied()

    def _listed(self, result: SearchResult) -> Listing:
        # a view tells of the same result many times a second
        if self._last is None or self._last[0] is not result:
            self._last = (result, self._history.listed(result))
        return self._last[1]

    def _person(self, who: str | None) -> str:
        name = self.reviewer if who is None else who
        if name is None:
            return settings.load().reviewer
        settings.check_reviewer(name)
        return name


def _moment(at: object) -> datetime:
    if at is None:
        return datetime.now(UTC)
    if not isinstance(at, datetime) or at.tzinfo is None:
        message = f"at = {at!r} is no moment: give a datetime with a time zone"
        raise ConfigError(message)
    return at.astimezone(UTC)
