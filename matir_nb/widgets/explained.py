"""Answers to a reader who asks why: what words add, what a region is worth, two ledgers compared.

The replies `WordsReply`, `OccludeReply` and `WhyReply` of ``js/src/protocol.ts``, which a view asks
for when a reader wants to know. This module knows no widget.
"""

from matir_nb.explain import occlusion
from matir_nb.explain.entries import difference_entries
from matir_nb.explain.ledger import hit_of
from matir_nb.results import SearchResult
from matir_nb.widgets.accounts import entries_json, words_reply
from matir_nb.widgets.payload import Answer
from matir_nb.widgets.table import JSON


def words(result: SearchResult, row: int) -> Answer:
    """Return `WordsReply`: what each word and phrase adds to each region of a hit.

    Raises:
        MatirError: `row` is not in the table, or the result has no index.
    """
    return words_reply(result, row), []


def occlude(result: SearchResult, row: int, region: int) -> Answer:
    """Return `OccludeReply`: stage 1 and the judge, asked again, without one region.

    Raises:
        MatirError: `row` is not in the table, there is no such region, or the result has no index.
    """
    found = occlusion.occlude(result, row + 1, region)
    body: JSON = {
        "row": row,
        "region": found.region_id,
        "stage1_score": found.stage1_score,
        "stage1_rank": found.stage1_rank,
        "p_relevant": found.p_relevant,
        "logit": found.logit,
        "answer": found.answer,
        "note": found.note,
    }
    return body, []


def why(result: SearchResult, row: int, other: int) -> Answer:
    """Return `WhyReply`: the ledger of `row` minus that of `other`.

    Raises:
        MatirError: `row` or `other` is not in the table.
    """
    hit, beside = hit_of(result, row + 1), hit_of(result, other + 1)
    entries = difference_entries(hit, beside, result.provenance.config)
    body: JSON = {
        "other": other,
        "entries": entries_json(entries),
        "difference": hit.final_score - beside.final_score,
    }
    return body, []
