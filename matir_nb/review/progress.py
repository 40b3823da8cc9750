"""How far a review is: counts, precision by depth, what is left, and whether to stop.

What counts. A hit marked "relevant" or "not relevant" is counted as that. "unsure" is looked at,
but counts as neither. Reviewers mark what they keep, so a hit that was seen and bears no mark is
counted as not relevant down to the deepest mark of the list; below it only if the user says so
(``unmarked="not relevant"``), as it may have scrolled by. Every other hit is open. Where several
reviewers marked one hit, the last mark counts, and the hit is among `n_disagreements`.

Numbers are of the list that was worked on last: marks and looks from earlier lists of the same
query count where the image is still a hit. This module knows no result and no file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import ConfigError, nearest
from matir_nb.review.estimate import Remaining, Rule, missed_target_p, remaining, wilson
from matir_nb.review.marked import Event, History, Listing, QueryKey, counted

DEPTHS = (10, 50, 100, 200, 500)
UNMARKED = ("above the last mark", "not relevant")
STOP, GO_ON, LOOK_BACK, DONE = ADVICE = ("stop", "go on", "look back", "done")


def _rate(name: str) -> dict[str, pl.DataType]:
    return {f"{name}{end}": pl.Float64() for end in ("", "_low", "_high")}


PROGRESS_SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "n_hits": pl.Int64(),
        "n_seen": pl.Int64(),
        "n_relevant": pl.Int64(),
        "n_not_relevant": pl.Int64(),
        "n_unsure": pl.Int64(),
        "n_counted": pl.Int64(),
        "n_open": pl.Int64(),
        "n_disagreements": pl.Int64(),
        "last_mark_rank": pl.Int64(),
        **{key: kind for depth in DEPTHS for key, kind in _rate(f"precision_{depth}").items()},
        **_rate("precision_seen"),
        "n_left": pl.Float64(),
        "n_left_low": pl.Int64(),
        "n_left_high": pl.Int64(),
        "left_from_rank": pl.Int64(),
        "left_to_rank": pl.Int64(),
        "p_missed": pl.Float64(),
        "advice": pl.String(),
        "reason": pl.String(),
        "index_fingerprint": pl.String(),
        "result_id": pl.String(),
    }
)
"""One row per query; intervals are of 95 %."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts as not relevant.

    Attributes:
        unmarked: of the hits seen without a mark: those "above the last mark", or all: "not
            relevant".
    """

    unmarked: str = UNMARKED[0]

    def __post_init__(self) -> None:
        """Check the name."""
        if self.unmarked not in UNMARKED:
            message = f"unmarked = {self.unmarked!r:.40} is unknown: "
            raise ConfigError(message + nearest(self.unmarked, UNMARKED))


@dataclass(frozen=True, slots=True)
class Looked:
    """One list as far as it was looked at; all arrays are by rank.

    Attributes:
        listing: the list.
        marks: the mark that holds; None = none.
        seen: whether it was on a screen, or is marked.
        relevant: whether it is marked relevant.
        is_counted: whether it is known to be relevant or not.
        is_open: whether it is still to be looked at.
    """

    listing: Listing
    marks: tuple[str | None, ...]
    seen: NDArray[np.bool_]
    relevant: NDArray[np.bool_]
    is_counted: NDArray[np.bool_]
    is_open: NDArray[np.bool_]

    @property
    def last_mark_rank(self) -> int | None:
        """Deepest rank that bears a mark; None = none does."""
        return max((rank for rank, mark in enumerate(self.marks, 1) if mark), default=None)

    @property
    def open_ranks(self) -> NDArray[np.int_]:
        """Ranks still to be looked at."""
        return np.flatnonzero(self.is_open) + 1

    @property
    def passed_over(self) -> NDArray[np.int_]:
        """Ranks still to be looked at that stand above a hit that counts."""
        deepest = np.flatnonzero(self.is_counted)[-1] + 1 if self.is_counted.any() else 0
        return self.open_ranks[self.open_ranks < deepest]


def looked_at(
    listing: Listing, marks: Mapping[str, Event], seen: set[str], counting: Counting
) -> Looked:
    """Return what a list's marks and looks mean.

    Args:
        listing: the list.
        marks: image id -> the event that holds.
        seen: ids of the images that were on a screen.
        counting: what counts as not relevant.
    """
    ids = listing.image_ids
    held = tuple(marks[i].mark if i in marks else None for i in ids)
    is_seen = np.array([i in seen or mark is not None for i, mark in zip(ids, held, strict=True)])
    is_seen = is_seen.astype(np.bool_)
    relevant = np.array([mark == "relevant" for mark in held], np.bool_)
    unsure = np.array([mark == "unsure" for mark in held], np.bool_)
    is_marked = np.array([mark is not None for mark in held], np.bool_)
    reach = np.ones(len(ids), np.bool_)
    if counting.unmarked == UNMARKED[0]:
        reach = np.cumsum(is_marked[::-1])[::-1] > 0
    is_counted = (is_marked | (is_seen & reach)) & ~unsure
    return Looked(listing, held, is_seen, relevant, is_counted, ~is_counted & ~unsure)


def progress_frame(history: History, counting: Counting, rule: Rule) -> pl.DataFrame:
    """Return one row per query, with `PROGRESS_SCHEMA`."""
    rows = []
    looks = history.seen()
    for key, listing in history.queries().items():
        seen = {image_id for _, image_id in looks.get(key, {})}
        looked = looked_at(listing, history.marks_of(key), seen, counting)
        rows.append(_row(looked, rule) | {"n_disagreements": _disagreements(history, key)})
    return pl.DataFrame(rows, schema=PROGRESS_SCHEMA)


def _disagreements(history: History, key: QueryKey) -> int:
    """Return on how many images the last marks of two reviewers differ."""
    last: dict[str, dict[str, str | None]] = {}
    for event in history.events:
        if history.listings[event.result_id].key == key:
            last.setdefault(event.image_id, {})[event.who] = event.mark
    return sum(len({mark for mark in by.values() if mark}) > 1 for by in last.values())


def _row(looked: Looked, rule: Rule) -> dict[str, Any]:
    listing, marks = looked.listing, counted(looked.marks)
    left = _left(looked)
    p_missed = _p_missed(looked, rule)
    advice, reason = advise(looked, left, p_missed, rule)
    places = left.where(looked.open_ranks) if left and len(left.per_hit) else (None, None)
    return {
        "query": listing.query,
        "n_hits": len(listing.image_ids),
        "n_seen": int(looked.seen.sum()),
        **{f"n_{mark.replace(' ', '_')}": n for mark, n in marks.items()},
        "n_counted": int(looked.is_counted.sum()),
        "n_open": int(looked.is_open.sum()),
        "last_mark_rank": looked.last_mark_rank,
        **_precisions(looked),
        "n_left": left.expected if left else None,
        "n_left_low": left.low if left else None,
        "n_left_high": left.high if left else None,
        "left_from_rank": places[0],
        "left_to_rank": places[1],
        "p_missed": p_missed,
        "advice": advice,
        "reason": reason,
        "index_fingerprint": listing.index_fingerprint,
        "result_id": listing.result_id,
    }


def _precisions(looked: Looked) -> dict[str, float | None]:
    """Return precision and its Wilson interval where all of a depth was looked at, and overall."""
    found: dict[str, float | None] = {}
    for depth in DEPTHS:
        is_whole = depth <= len(looked.is_open) and not looked.is_open[:depth].any()
        found |= _shares(f"precision_{depth}", looked, depth if is_whole else 0)
    return found | _shares("precision_seen", looked, len(looked.is_open))


def _shares(name: str, looked: Looked, depth: int) -> dict[str, float | None]:
    counts = looked.is_counted[:depth]
    n, k = int(counts.sum()), int((counts & looked.relevant[:depth]).sum())
    low, high = wilson(k, n)
    values = (k / n, low, high) if n else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _left(looked: Looked) -> Remaining | None:
    """Return the estimate of what is left; None where nothing counts yet."""
    if not looked.is_counted.any():
        return None
    logits = np.array([_logit(p) for p in looked.listing.p_relevant])
    return remaining(looked.relevant, looked.is_counted, looked.is_open, logits)


def _logit(p: float | None) -> float:
    if p is None:
        return float("nan")
    inside = min(max(p, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def _p_missed(looked: Looked, rule: Rule) -> float | None:
    """Return the p-value of a missed target; None where the list was not read from the top."""
    if len(looked.passed_over) or not looked.is_counted.any():
        return None
    labels = looked.relevant[looked.is_counted]
    n_hits = int((looked.is_counted | looked.is_open).sum())
    return missed_target_p(labels, n_hits, rule.target_recall)


def advise(
    looked: Looked, left: Remaining | None, p_missed: float | None, rule: Rule
) -> tuple[str, str]:
    """Return one of `ADVICE`, and the reason in words."""
    n_open, n_relevant = int(looked.is_open.sum()), int(looked.relevant.sum())
    if n_open == 0:
        return DONE, f"every hit of this list was looked at, {n_relevant} are relevant"
    if left is None:
        return GO_ON, "nothing is marked" + _not_counted(looked)
    gap = looked.passed_over
    if len(gap):
        where = _between(int(gap[0]), int(gap[-1]))
        return LOOK_BACK, f"{len(gap)} hits were passed over {where}{_not_counted(looked)}"
    is_enough = p_missed is not None and p_missed < 1 - rule.confidence
    if is_enough:
        return STOP, (
            f"with {rule.confidence * 100:g} % confidence at least {rule.target_recall * 100:g} % "
            "of the relevant hits of this list were seen"
        )
    return GO_ON, (
        f"about {left.expected:.0f} ({left.low}–{left.high}) are left among {n_open}, most "
        f"{_between(*left.where(looked.open_ranks))}{_not_counted(looked)}"
    )


def _between(first: int, last: int) -> str:
    return f"at rank {first}" if first == last else f"between ranks {first} and {last}"


def _not_counted(looked: Looked) -> str:
    """Return what could be counted, too, if the reviewer says that it was looked at."""
    n = int((looked.seen & looked.is_open).sum())
    if not n:
        return ""
    last = looked.last_mark_rank
    where = "" if last is None else f" below the last mark (rank {last})"
    return f'; {n} hits seen{where} do not count: unmarked="not relevant" counts them'
