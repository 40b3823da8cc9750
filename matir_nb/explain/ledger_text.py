"""Ledgers as tables for a terminal. This module knows no index and no model."""

from collections.abc import Sequence

from matir_nb.explain.entries import Entry, difference_entries
from matir_nb.printing import number, printable, shorten, table
from matir_nb.results import SearchResult
from matir_nb.terms import MINUS, signed
from matir_nb.types import Hit

MAX_NAME = 40


def difference_text(result: SearchResult, hit: Hit, other: Hit) -> str:
    """Return why `hit` stands above (or below) `other`, of the same result, as a table."""
    names = [f"#{one.rank} {shorten(printable(one.image_id), MAX_NAME)}" for one in (hit, other)]
    rows = difference_entries(hit, other, result.provenance.config)
    total = hit.final_score - other.final_score
    return f"{names[0]}  minus  {names[1]}\n\n{ledger_text(rows, total)}"


def ledger_text(of_hit: Sequence[Entry], total: float) -> str:
    """Return entries as a table that ends with their sum.

    >>> print(ledger_text([Entry("judge", "judge", 2.0, "0.5 × 2", 1.0)], 1.0))
    stage  entry  value  formula    adds
    -----  -----  -----  -------  ------
    judge  judge  2.000  0.5 × 2  +1.000
           =                      +1.000
    """
    rows = [
        [entry.stage, entry.name, _value(entry), entry.formula, _adds(entry)] for entry in of_hit
    ]
    rows.append(["", "=", "", "", signed(total, 3)])
    head = ["stage", "entry", "value", "formula", "adds"]
    return table(head, rows, left=["stage", "entry", "formula"])


def _value(entry: Entry) -> str:
    return "-" if entry.value is None else number(entry.value).replace("-", MINUS)


def _adds(entry: Entry) -> str:
    return signed(entry.contribution, 3) if entry.contribution else ""
