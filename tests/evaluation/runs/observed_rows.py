"""Observed rows in a few words, for tests that work numbers by hand."""

import polars as pl

from matir_nb.evaluation.runs.observed import HIT, OBSERVED_SCHEMA

FIELDS = dict.fromkeys(field.name for field in HIT.fields)


def hit(rank, *, right=False, **values):
    """Return a hit of OBSERVED_SCHEMA; `values` replace fields."""
    plain = {"image_id": f"i{rank}", "rank": rank, "score": -float(rank), "stage1_rank": rank}
    return FIELDS | plain | {"stage1_score": 0.0, "is_relevant": right} | values


def hits_of(pattern):
    """Return hits from marks: "x" = right, "." = wrong; the first stands at rank 1."""
    return [hit(rank + 1, right=mark == "x") for rank, mark in enumerate(pattern)]


def rows(*queries):
    """Return OBSERVED_SCHEMA; each query is a dict with its hits, and what differs."""
    plain = {"arm": "stage1", "text": "t", "kind": "k", "n_relevant": 1, "n_gallery": 20}
    made = [
        plain | {"query_id": f"q{place}", "seconds": 0.0, "targets": []} | query
        for place, query in enumerate(queries)
    ]
    return pl.DataFrame(made, schema=OBSERVED_SCHEMA)
