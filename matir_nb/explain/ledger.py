"""The ledger of a hit as a table: what its final score is made of, entry by entry.

The entries, their names and formulas are those of `matir_nb.explain.entries`. This module knows no
index, no model; `matir_nb.explain.ledger_text` writes ledgers down.
"""

from collections.abc import Sequence
from dataclasses import asdict
from numbers import Integral

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.explain.entries import Entry, difference_entries, entries
from matir_nb.results import SearchResult
from matir_nb.types import Hit

LEDGER_SCHEMA = pl.Schema(
    {
        "rank": pl.Int64(),
        "image_id": pl.String(),
        "stage": pl.String(),
        "name": pl.String(),
        "value": pl.Float64(),
        "formula": pl.String(),
        "contribution": pl.Float64(),
    }
)
"""`value` is in the entry's own unit (cosine, log-odds, probability, IoU); null = it has none."""
DIFFERENCE_SCHEMA = pl.Schema({**LEDGER_SCHEMA, "other": pl.Int64(), "other_image_id": pl.String()})
"""`value` and `contribution` are those of `rank` minus those of `other`."""


def hit_of(result: SearchResult, rank: object) -> Hit:
    """Return the hit at `rank`.

    Raises:
        ConfigError: the result has no such rank.
    """
    is_whole = isinstance(rank, Integral) and not isinstance(rank, bool)
    place = int(rank) if is_whole else 0  # type: ignore[call-overload] # an Integral has __int__
    if not 1 <= place <= len(result):
        allowed = f"give 1 to {len(result)}" if len(result) else "the result has no hits"
        message = f"rank = {rank!r} is not allowed: {allowed}"
        raise ConfigError(message)
    return result.hits[place - 1]


def ledger(result: SearchResult, rank: int) -> pl.DataFrame:
    """Return the ledger of the hit at `rank`, with `LEDGER_SCHEMA`.

    It is empty where the result does not say how it was made.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    return ledger_frame(hit, entries(hit, result.provenance.config))


def ledger_frame(hit: Hit, of_hit: Sequence[Entry]) -> pl.DataFrame:
    """Return entries of `hit` as a table with `LEDGER_SCHEMA`."""
    shared = {"rank": hit.rank, "image_id": hit.image_id}
    return pl.DataFrame([shared | asdict(entry) for entry in of_hit], schema=LEDGER_SCHEMA)


def difference(result: SearchResult, rank: int, other: int) -> pl.DataFrame:
    """Return the ledger at `rank` minus that at `other`, with `DIFFERENCE_SCHEMA`.

    An entry that only one of them has counts as 0 in the other; the contributions add up to the
    difference of the final scores.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit, below = hit_of(result, rank), hit_of(result, other)
    shared = {"rank": hit.rank, "image_id": hit.image_id}
    beside = {"other": below.rank, "other_image_id": below.image_id}
    rows = difference_entries(hit, below, result.provenance.config)
    return pl.DataFrame([shared | asdict(row) | beside for row in rows], schema=DIFFERENCE_SCHEMA)


def gap(result: SearchResult, rank: int) -> float | None:
    """Return the final score at `rank` minus that of the next hit; None = there is no next.

    Raises:
        ConfigError: the result has no such rank.
    """
    hit = hit_of(result, rank)
    return hit.final_score - result.hits[rank].final_score if rank < len(result) else None
