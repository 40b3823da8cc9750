"""The README's numbers are those of docs/measured.md, which has the commands and the conditions."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MEASURED = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")


def section(text, title):
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def numbers(text):
    return {float(n) for n in re.findall(r"(?<![\w@/-])\d*\.?\d+(?![\w@]*\d|-bit)", text)}


ROWS = [row for row in section(README, "Measured").splitlines() if row.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_number_is_one_of_the_measured(row):
    _, what, measured, _, _ = row.split("|")
    told = numbers(measured)
    assert told, what
    assert told <= numbers(MEASURED.replace(",", "")) | {95.0}, what


def test_every_command_is_named_where_its_numbers_are():
    commands = [row.split("|")[3] for row in ROWS]
    named = {c for text in commands for c in re.findall(r"`([^`]+)`", text)}
    assert len(named) >= 4
    assert [c for c in named if c not in MEASURED] == []


def test_the_place_of_the_scores_is_marked():
    assert MEASURED.index("<!-- scores:begin -->") < MEASURED.index("<!-- scores:end -->")
