"""A result where no view can run: a short table, or words, as text and as plain HTML.

GitHub, nbviewer, untrusted notebooks and terminals show these.
"""

from collections.abc import Mapping
from dataclasses import replace

from matir_nb.exports.text import to_table
from matir_nb.printing import html_lines, html_text
from matir_nb.results import SearchResult
from matir_nb.types import MARKS

MAX_ROWS = 24


def as_text(
    result: SearchResult, n_rows: int = MAX_ROWS, *, marks: Mapping[str, str] | None = None
) -> str:
    """Return the best `n_rows` hits as a table, with their marks, and how many are left out."""
    more = _left_out(result, n_rows)
    table = to_table(_best(result, n_rows), marks=marks).rstrip()
    lines = [repr(result), table, *result.provenance.notices]
    return "\n".join([*lines, more] if more else lines)


def as_html(
    result: SearchResult, n_rows: int = MAX_ROWS, *, marks: Mapping[str, str] | None = None
) -> str:
    """Return the best `n_rows` hits as a plain HTML table, how many are left out, and marks."""
    best = _best(result, n_rows)
    notes = [note for note in (_left_out(result, n_rows), *_marked(best, marks or {})) if note]
    return best._repr_html_() + "".join(f"<p>{note}</p>" for note in notes)


def words(text: str) -> dict[str, str]:
    """Return `text`, by MIME type, as it is and as HTML that keeps its columns.

    >>> found = words("a < b")
    >>> found["text/html"]
    '<pre style="overflow-x: auto"><code style="white-space: pre">a &lt; b</code></pre>'
    >>> found.keys(), found["text/plain"]
    (dict_keys(['text/html', 'text/plain']), 'a < b')
    """
    return {"text/html": html_lines(text), "text/plain": text}


def _best(result: SearchResult, n_rows: int) -> SearchResult:
    return replace(result, hits=result.hits[:n_rows])


def _left_out(result: SearchResult, n_rows: int) -> str:
    n = len(result) - n_rows
    return f"and {n} more: result.to_polars() has them all" if n > 0 else ""


def _marked(result: SearchResult, marks: Mapping[str, str]) -> list[str]:
    """Return a line of HTML for each kind of mark: which hits bear it."""
    hits = [hit.image_id for hit in result]
    names = {mark: [name for name in hits if marks.get(name) == mark] for mark in MARKS}
    return [f"marked {m}: {html_text(', '.join(found))}" for m, found in names.items() if found]
