"""docs/evaluation.md lists every metric with the convention that the code states."""

from pathlib import Path

from matir_nb.evaluation.runs.glossary import CONVENTIONS, LOWER_IS_BETTER
from matir_nb.evaluation.runs.worst import MAX_SHEET_BYTES, MAX_SHEETS

DOCS = Path(__file__).parents[3] / "docs" / "evaluation.md"
BEGIN, END = "<!-- metrics:begin -->\n", "<!-- metrics:end -->"


def metrics_table():
    rows = [
        f"| `{name}`{' (lower is better)' if name in LOWER_IS_BETTER else ''} | {convention} |"
        for name, convention in CONVENTIONS.items()
    ]
    return "\n".join(["| metric | convention |", "|---|---|", *rows]) + "\n"


def test_the_table_of_metrics_is_that_of_the_code():
    text = DOCS.read_text(encoding="utf-8")
    written = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    wanted = metrics_table()
    assert written == wanted, f"put this between the marks of {DOCS}:\n{wanted}"


def test_the_limits_are_those_of_the_code():
    text = DOCS.read_text(encoding="utf-8")
    assert f"At most {MAX_SHEETS} contact sheets of at most {MAX_SHEET_BYTES // 1000} kB" in text
