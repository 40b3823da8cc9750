"""Two results side by side: what entered, left and moved from one ranking to another.

Another query, other models, other stages: whatever the results differ in, they are compared by
the ids of their images, so both must be of the same collection. Numbers alone are needed, not the
index: results that were loaded from files compare as well. This module knows no model and no
widget; `matir_nb.evaluation.rank_similarity` measures how alike the rankings are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from matir_nb.doors import above
from matir_nb.errors import ConfigError
from matir_nb.evaluation import rank_similarity
from matir_nb.explain.comparison_table import frame_of, notes_of
from matir_nb.printing import html_table, html_text, number, printable, shorten, table
from matir_nb.results import SearchResult

STATES = ("kept", "entered", "left")
P = 0.9
"""Of rank-biased overlap: the first ten ranks bear 86 % of the weight."""
MAX_NAME = 40
MAX_ROWS = 24


@dataclass(frozen=True, repr=False)
class Comparison:
    """From the ranking of `a` to that of `b`.

    Attributes:
        a: the result compared with.
        b: the other result.
        notes: what a reader of the numbers must know, e.g. that other models were at work.
    """

    a: SearchResult
    b: SearchResult
    notes: tuple[str, ...] = ()

    @cached_property
    def _ids(self) -> tuple[list[str], list[str]]:
        return [hit.image_id for hit in self.a], [hit.image_id for hit in self.b]

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return frame_of(self.a, self.b)

    def to_polars(self) -> pl.DataFrame:
        """Return one row per image of either result, with `COMPARISON_SCHEMA`.

        `state` is "kept", "entered" (a hit of `b` alone) or "left" (of `a` alone); `moved` is
        rank_a - rank_b, positive = up. `score_a` and `score_b` are final scores. `mask_iou` is
        that of both hits' masks, `same_region` whether it is at least `SAME_IOU`; both are null
        where a mask is missing or the picture has another size in the other index. The rows come
        by the better of both ranks.
        """
        return self._frame

    @property
    def entered(self) -> pl.DataFrame:
        """The hits of `b` that are none of `a`, by rank."""
        return self._frame.filter(pl.col("state") == "entered").sort("rank_b")

    @property
    def left(self) -> pl.DataFrame:
        """The hits of `a` that are none of `b`, by rank."""
        return self._frame.filter(pl.col("state") == "left").sort("rank_a")

    @property
    def moved(self) -> pl.DataFrame:
        """The hits of both with another rank, furthest first.

        Far is meant by the ratio of ranks: from 7 to 1 says more than from 300 to 280.
        """
        far = (pl.col("rank_a") / pl.col("rank_b")).log().abs()
        rows = self._frame.filter((pl.col("state") == "kept") & (pl.col("moved") != 0))
        return rows.sort(far.round(9), pl.col("rank_b"), descending=[True, False])

    def rbo(self, p: float = P) -> float | None:
        """Return rank-biased overlap, 0 to 1 (`rank_similarity.rbo`); None without hits."""
        return rank_similarity.rbo(*self._ids, p)

    def rbo_bounds(self, p: float = P) -> tuple[float, float] | None:
        """Return what it can be at least and at most, whatever stands below the hits.

        Their difference is the residual.
        """
        return rank_similarity.rbo_bounds(*self._ids, p)

    def jaccard(self) -> float | None:
        """Return shared images over all images, 0 to 1; None without hits."""
        return rank_similarity.jaccard(*self._ids)

    def overlap(self, k: int = 10) -> float | None:
        """Return the share of the best `k` that both have, 0 to 1; None without hits."""
        return rank_similarity.overlap_at_k(*self._ids, k)

    def kendall_tau(self) -> float | None:
        """Return Kendall's tau-b over shared images, -1 to 1; None with fewer than two."""
        return rank_similarity.kendall_tau(*self._ids)

    @cached_property
    def summary(self) -> Mapping[str, int | float | None]:
        """Counts and measures by name, plain JSON values."""
        frame, bounds = self._frame, self.rbo_bounds()
        counts = {state: frame.filter(pl.col("state") == state).height for state in STATES}
        same = frame["same_region"].drop_nulls()
        return {
            "n_a": len(self.a),
            "n_b": len(self.b),
            **{f"n_{state}": n for state, n in counts.items()},
            "n_moved": self.moved.height,
            "n_same_region": int(same.sum()),
            "n_other_region": len(same) - int(same.sum()),
            "rbo_p": P,
            "rbo": self.rbo(),
            "rbo_least": None if bounds is None else bounds[0],
            "rbo_highest": None if bounds is None else bounds[1],
            "jaccard": self.jaccard(),
            "overlap_at_10": self.overlap(10),
            "kendall_tau": self.kendall_tau(),
        }

    def view(self, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.compare.CompareView` of both results."""
        return above("widgets.compare").CompareView(self.a, self.b, **traits)

    def __repr__(self) -> str:
        """Return one line: both queries, how much is shared, and the overlap."""
        counts = self.summary
        words = ", ".join(f"{counts[f'n_{state}']} {state}" for state in STATES)
        overlap = number(self.rbo())
        return f"Comparison({self.a.query!r} → {self.b.query!r}, {words}, RBO {overlap})"

    def _repr_html_(self) -> str:
        """Return a plain HTML table of the best rows; all text is escaped."""
        columns = ("image_id", "state", "rank_a", "rank_b", "moved", "score_a", "score_b")
        shown = (*columns, "mask_iou")
        rows = self._frame.select(shown).head(MAX_ROWS).iter_rows()
        lines = "".join(f"<p>{html_text(line)}</p>" for line in _told(self))
        more = "".join(f"<p>{html_text(line)}</p>" for line in _left_out(self))
        return f"{lines}{html_table(shown, rows)}{more}"

    def _ipython_display_(self) -> None:
        """Show both results side by side, where a kernel runs; else a table of text."""
        above("widgets.display").display_comparison(self)


def compare(a: SearchResult, b: SearchResult) -> Comparison:
    """Return what entered, left and moved from the ranking of `a` to that of `b`.

    Raises:
        ConfigError: one of them is no result, or has an image twice.
    """
    given: tuple[object, object] = (a, b)
    for result in given:
        if not isinstance(result, SearchResult):
            message = f"compare two SearchResults, got {type(result).__name__}: give a search's"
            raise ConfigError(message)
        ids = [hit.image_id for hit in result]
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            message = f"the result of {result.query!r:.80} has the image {twice!r:.80} twice"
            raise ConfigError(message)
    return Comparison(a, b, tuple(notes_of(a, b)))


def comparison_text(comparison: Comparison, n_rows: int = MAX_ROWS) -> str:
    """Return a comparison for a terminal: counts, measures, notes and the best `n_rows` rows."""
    head = ("image", "state", "rank_a", "rank_b", "moved", "score_a", "score_b", "mask_iou")
    rows = [
        [
            shorten(printable(row["image_id"]), MAX_NAME),
            row["state"],
            _whole(row["rank_a"]),
            _whole(row["rank_b"]),
            move_text(row["moved"]),
            number(row["score_a"]),
            number(row["score_b"]),
            number(row["mask_iou"], 2),
        ]
        for row in comparison.to_polars().head(n_rows).iter_rows(named=True)
    ]
    body = [table(head, rows, left=("image", "state"))] if rows else ["no hits"]
    lines = [printable(line) for line in _told(comparison)]
    return "\n".join([*lines, "", *body, *_left_out(comparison, n_rows)])


def move_text(moved: int | None) -> str:
    """Return a move as a sign and a number; "-" where an image is no hit of both.

    >>> [move_text(moved) for moved in (6, -2, 0, None)]
    ['▲6', '▼2', '=', '-']
    """
    if moved is None:
        return "-"
    return "=" if moved == 0 else f"{'▲' if moved > 0 else '▼'}{abs(moved)}"


def _told(comparison: Comparison) -> list[str]:
    """Return queries, counts, measures and notes, a line each."""
    s = comparison.summary
    k = min(10, max(len(comparison.a), len(comparison.b)))
    bounds = f"{number(s['rbo_least'])} to {number(s['rbo_highest'])}"
    alike = f"overlap@{k} {number(s['overlap_at_10'])}, Jaccard {number(s['jaccard'])}"
    return [
        f"A: {comparison.a.query} ({s['n_a']} hits)",
        f"B: {comparison.b.query} ({s['n_b']} hits)",
        f"{s['n_kept']} kept ({s['n_moved']} moved), {s['n_entered']} entered, {s['n_left']} left",
        f"rank-biased overlap {number(s['rbo'])} (p = {P}; {bounds} whatever stands below)",
        f"{alike}, Kendall's tau {number(s['kendall_tau'])}",
        *(f"note: {note}" for note in comparison.notes),
    ]


def _left_out(comparison: Comparison, n_rows: int = MAX_ROWS) -> list[str]:
    n = comparison.to_polars().height - n_rows
    return [f"and {n} more: comparison.to_polars() has them all"] if n > 0 else []


def _whole(value: int | None) -> str:
    return "-" if value is None else str(value)
