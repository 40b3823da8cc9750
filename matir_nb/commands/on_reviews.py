"""What the command about reviews does: how far they are, merge, write.

Arguments are those of the tree in `matir_nb.commands.tree`.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from matir_nb.commands.given import review_of
from matir_nb.commands.session import Session, writable
from matir_nb.printing import number, printable, shorten, table

if TYPE_CHECKING:
    import polars as pl

MAX_QUERY = 40
HEAD = ("query", "hits", "seen", "relevant", "not", "unsure", "precision", "left", "advice")
NOT_RELEVANT = "not relevant"


def review(args: argparse.Namespace, session: Session) -> Any:
    """Say how far a review is; merge others into it; write it."""
    from matir_nb.exports.frames import check_ending
    from matir_nb.review.ledger import Review
    from matir_nb.review.progress import UNMARKED

    target = None if args.output is None else writable(args.output)
    if target is not None:
        check_ending(target)
    others = [review_of(word, session) for word in args.merge]
    found = review_of(args.review, session)
    found = Review.merged(found, *others) if others else found
    unmarked = NOT_RELEVANT if args.count_unmarked else UNMARKED[0]
    text = progress_text(found.progress(unmarked=unmarked))
    if target is not None:
        found.export(target, overwrite=True)
        text += f"\n{found.to_polars().height} rows: {printable(str(target))}"
    return session.told(found, text)


def progress_text(frame: "pl.DataFrame") -> str:
    """Return counts, precision by depth and advice, a line per query each."""
    rows = list(frame.iter_rows(named=True))
    if not rows:
        return "nothing was seen or marked"
    parts = [table(HEAD, [_counts(row) for row in rows], left=("query", "advice"))]
    depths = _depths(rows[0])
    reached = [d for d in depths if any(row[f"precision_{d}"] is not None for row in rows)]
    if reached:
        head = ["query", *(f"precision at {depth}" for depth in reached)]
        cells = [[_query(row), *(_share(row, f"precision_{d}") for d in reached)] for row in rows]
        parts.append(table(head, cells, left=("query",)))
    parts.append("\n".join(_reasons(rows)))
    return "\n\n".join(parts)


def _depths(row: Mapping[str, Any]) -> list[int]:
    names = (name.removeprefix("precision_") for name in row if name.startswith("precision_"))
    return [int(name) for name in names if name.isdecimal()]


def _counts(row: Mapping[str, Any]) -> list[str]:
    names = ("n_hits", "n_seen", "n_relevant", "n_not_relevant", "n_unsure")
    left = "-" if row["n_left"] is None else _left(row)
    counts = [str(row[name]) for name in names]
    return [_query(row), *counts, _share(row, "precision_seen"), left, row["advice"]]


def _left(row: Mapping[str, Any]) -> str:
    return f"{row['n_left']:.0f} ({row['n_left_low']}–{row['n_left_high']})"


def _share(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{number(row[name], 2)} ({number(low, 2)}–{number(high, 2)})"


def _query(row: Mapping[str, Any]) -> str:
    return shorten(printable(row["query"]), MAX_QUERY)


def _reasons(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{_query(row)}: {row['advice']}: {row['reason']}"
        if row["n_disagreements"]:
            yield f"{_query(row)}: reviewers disagree on {row['n_disagreements']} hits"
