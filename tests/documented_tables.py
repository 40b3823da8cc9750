"""The tables of ``docs/schema.md``: the name of each schema -> the schema."""

from matir_nb.explain.comparison_table import COMPARISON_SCHEMA
from matir_nb.explain.ledger import DIFFERENCE_SCHEMA, LEDGER_SCHEMA
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.review.progress import PROGRESS_SCHEMA
from matir_nb.review.tables import EVENT_SCHEMA, REVIEW_SCHEMA
from matir_nb.review.templates import SUMMARY_SCHEMA

SCHEMAS = {
    "HIT_SCHEMA": HIT_SCHEMA,
    "SUMMARY_SCHEMA": SUMMARY_SCHEMA,
    "LEDGER_SCHEMA": LEDGER_SCHEMA,
    "DIFFERENCE_SCHEMA": DIFFERENCE_SCHEMA,
    "COMPARISON_SCHEMA": COMPARISON_SCHEMA,
    "REVIEW_SCHEMA": REVIEW_SCHEMA,
    "EVENT_SCHEMA": EVENT_SCHEMA,
    "PROGRESS_SCHEMA": PROGRESS_SCHEMA,
}
