"""A result where no view can run: a short table, or words, as text and as plain HTML.

GitHub, nbviewer, untrusted notebooks and terminals show these.
"""

from dataclasses import replace
from html import escape

from matir_nb.exports.text import to_table
from matir_nb.results import SearchResult

MAX_ROWS = 24


def as_text(result: SearchResult, n_rows: int = MAX_ROWS) -> str:
    """Return the best `n_rows` hits as a table, and how many are left out."""
    more = _left_out(result, n_rows)
    lines = [repr(result), to_table(_best(result, n_rows)).rstrip(), *result.provenance.notices]
    return "\n".join([*lines, more] if more else lines)


def as_html(result: SearchResult, n_rows: int = MAX_ROWS) -> str:
    """Return the best `n_rows` hits as a plain HTML table, and how many are left out."""
    more = _left_out(result, n_rows)
    return _best(result, n_rows)._repr_html_() + (f"<p>{more}</p>" if more else "")


def words(text: str) -> dict[str, str]:
    """Return `text`, by MIME type, as it is and as HTML that keeps its columns.

    >>> words("a < b")
    {'text/html': '<pre>a &lt; b</pre>', 'text/plain': 'a < b'}
    """
    return {"text/html": f"<pre>{escape(text)}</pre>", "text/plain": text}


def _best(result: SearchResult, n_rows: int) -> SearchResult:
    return replace(result, hits=result.hits[:n_rows])


def _left_out(result: SearchResult, n_rows: int) -> str:
    n = len(result) - n_rows
    return f"and {n} more: result.to_polars() has them all" if n > 0 else ""
