"""The tables of a review: their columns, and their rows made from a history.

``docs/schema.md`` describes every column.
"""

from typing import Any

import polars as pl

from matir_nb.review.marked import Event, History, Listing, Look

SCHEMA_VERSION = 1
"""Of `REVIEW_SCHEMA` and `EVENT_SCHEMA`; a column more is a version more."""
TIME = pl.Datetime("us", "UTC")
_WHAT = {
    "rank": pl.Int64(),
    "final_score": pl.Float64(),
    "stage1_score": pl.Float64(),
    "p_relevant": pl.Float64(),
    "index_fingerprint": pl.String(),
    "segmenter": pl.String(),
    "encoder": pl.String(),
    "judge": pl.String(),
    "result_id": pl.String(),
    "n_hits": pl.Int64(),
    "n_images": pl.Int64(),
}
REVIEW_SCHEMA = pl.Schema(
    {
        "schema": pl.Int64(),
        "query": pl.String(),
        "image_id": pl.String(),
        "reviewer": pl.String(),
        "mark": pl.String(),
        "holds": pl.Boolean(),
        "marked_at": TIME,
        "n_changes": pl.Int64(),
        "first_seen_at": TIME,
        "last_seen_at": TIME,
        **_WHAT,
    }
)
"""One row per query, image and reviewer, seen or marked; times are UTC."""
EVENT_SCHEMA = pl.Schema(
    {
        "schema": pl.Int64(),
        "at": TIME,
        "reviewer": pl.String(),
        "query": pl.String(),
        "image_id": pl.String(),
        "mark": pl.String(),
        "before": pl.String(),
        **_WHAT,
    }
)
"""One row per change of a mark; `mark` is null where it was taken away."""


def review_rows(history: History) -> list[dict[str, Any]]:
    """Return the rows of `REVIEW_SCHEMA`, by query, rank, image and reviewer."""
    found = []
    seen = history.seen()
    for key in history.queries():
        by_item: dict[tuple[str, str], list[Event]] = {}
        for event in history.events:
            if history.listings[event.result_id].key == key:
                by_item.setdefault((event.who, event.image_id), []).append(event)
        looks, held = seen.get(key, {}), history.marks_of(key)
        rows = [
            _review_row(history, item, by_item.get(item, []), looks.get(item))
            | {"holds": item in by_item and by_item[item][-1] == held[item[1]]}
            for item in dict.fromkeys([*looks, *by_item])
        ]
        found += sorted(rows, key=lambda row: (row["rank"], row["image_id"], row["reviewer"]))
    return found


def _review_row(
    history: History,
    item: tuple[str, str],
    events: list[Event],
    seen: tuple[Look, str] | None,
) -> dict[str, Any]:
    who, image_id = item
    look, result_id = seen or (None, "")
    # a mark keeps the rank at which it was given
    listing = history.listings[events[-1].result_id if events else result_id]
    return {
        "schema": SCHEMA_VERSION,
        "query": listing.query,
        "image_id": image_id,
        "reviewer": who,
        "mark": events[-1].mark if events else None,
        "marked_at": events[-1].at if events else None,
        "n_changes": len(events),
        "first_seen_at": look.first if look else None,
        "last_seen_at": look.last if look else None,
        **_what(listing, image_id),
    }


def event_rows(history: History) -> list[dict[str, Any]]:
    """Return the rows of `EVENT_SCHEMA`, oldest first."""
    held: dict[tuple[Any, str], str | None] = {}
    rows = []
    for event in history.events:
        listing = history.listings[event.result_id]
        item = (listing.key, event.image_id)
        rows.append(
            {
                "schema": SCHEMA_VERSION,
                "at": event.at,
                "reviewer": event.who,
                "query": listing.query,
                "image_id": event.image_id,
                "mark": event.mark,
                "before": held.get(item),
                **_what(listing, event.image_id),
            }
        )
        held[item] = event.mark
    return rows


def _what(listing: Listing, image_id: str) -> dict[str, Any]:
    """Return where an image stood in a list, and what made the list."""
    place = listing.positions[image_id]
    return {
        "rank": place + 1,
        "final_score": listing.final_scores[place],
        "stage1_score": listing.stage1_scores[place],
        "p_relevant": listing.p_relevant[place],
        "index_fingerprint": listing.index_fingerprint,
        **{role: listing.models.get(role) for role in ("segmenter", "encoder", "judge")},
        "result_id": listing.result_id,
        "n_hits": len(listing.image_ids),
        "n_images": listing.n_images,
    }
