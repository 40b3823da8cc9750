"""``docs/schema.md`` says of every table what the code says."""

import re
from pathlib import Path

import polars as pl
import pytest
from documented_tables import SCHEMAS

from matir_nb import results
from matir_nb.review.progress import ADVICE
from matir_nb.review.tables import SCHEMA_VERSION
from matir_nb.types import MARKS

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema.md"


def type_name(kind):
    if isinstance(kind, pl.Datetime):
        return f"Datetime({kind.time_unit}, {kind.time_zone})"
    if isinstance(kind, pl.Array):
        return f"Array({kind.inner}, {kind.shape[0]})"
    return str(kind)


def sections():
    """Return the text under each heading of a schema."""
    parts = re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {re.match(r"`(\w+)`", part): part for part in parts[1:]}
    return {match[1]: part for match, part in named.items() if match}


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_schema_has_its_section():
    assert sections().keys() == SCHEMAS.keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_stands_there_with_its_type(name):
    rows = rows_of(sections()[name])
    documented = [(row[0].strip("`"), row[1]) for row in rows]
    assert documented == [(column, type_name(kind)) for column, kind in SCHEMAS[name].items()]
    assert all(len(row) == 5 and all(row) for row in rows)


def test_versions_and_names_are_those_of_the_code():
    text = sections()
    assert f"Version {results.FILE_VERSION}, in the parquet" in text["HIT_SCHEMA"]
    assert results.FILE_KEY in text["HIT_SCHEMA"]
    for name in ("REVIEW_SCHEMA", "EVENT_SCHEMA"):
        assert f"Version {SCHEMA_VERSION}, in the column `schema`" in text[name]
    marks = ", ".join(f"`{mark}`" for mark in MARKS)
    assert marks in text["REVIEW_SCHEMA"]
    assert ", ".join(f"`{advice}`" for advice in ADVICE) in text["PROGRESS_SCHEMA"]
