"""What explains a hit's score, as JSON: its ledger, the null band, and what each word adds.

Parts of the replies of ``js/src/protocol.ts`` that a kernel gives on request and a page holds.
This module knows no pixel and no widget.
"""

from collections.abc import Iterable
from dataclasses import asdict

from matir_nb.errors import MatirError
from matir_nb.explain.entries import Entry, entries
from matir_nb.explain.ledger import gap
from matir_nb.explain.null_band import quantiles
from matir_nb.explain.words import words
from matir_nb.results import SearchResult
from matir_nb.types import FloatArray, Hit
from matir_nb.widgets.table import JSON

DIGITS = 5
"""Decimals of cosines on the wire; a page holds a matrix of them for each hit."""


def ledger_parts(result: SearchResult, hit: Hit) -> JSON:
    """Return `ledger`, `gap` and `null_band` of `InspectReply`."""
    return {
        "ledger": entries_json(entries(hit, result.provenance.config)),
        "gap": gap(result, hit.rank),
        "null_band": _null_band(result, hit),
    }


def entries_json(found: Iterable[Entry]) -> list[JSON]:
    """Return `LedgerEntry` of ``protocol.ts``, in order."""
    return [asdict(entry) for entry in found]


def words_reply(result: SearchResult, row: int) -> JSON:
    """Return `WordsReply`.

    Args:
        result: with its index.
        row: of the table.

    Raises:
        ConfigError: `row` is not in the table, or the result has no index.
        QueryError: the query is longer than the encoder reads.
    """
    found = words(result, row + 1)
    return {
        "row": row,
        "words": list(found.words),
        "phrases": [{"text": p.text, "words": list(p.words)} for p in found.phrases],
        "base": _rounded(found.base),
        "by_word": [_rounded(adds) for adds in found.by_word],
        "word_alone": [_rounded(own) for own in found.word_alone],
        "phrase_alone": [_rounded(own) for own in found.phrase_alone],
        "by_phrase": [_rounded(adds) for adds in found.by_phrase],
    }


def _null_band(result: SearchResult, hit: Hit) -> JSON | None:
    """Return `NullBand`; without an index only the percentile is known."""
    stored = result.provenance.config.get("null_band")
    if hit.null_percentile is None or stored is None:
        return None
    used = result.provenance.config.get("cut", stored)
    band = {"n_phrases": used["n_phrases"], "percentile": hit.null_percentile, "quantiles": []}
    if result.source is None:
        return band
    try:
        scores = result.source.engine().null_scores_of(hit.image_id, result.query)
    except MatirError:
        # models that cannot be opened are told of in the notes: regions need them, too
        return band
    return band | {"n_phrases": len(scores), "quantiles": list(quantiles(scores))}


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
