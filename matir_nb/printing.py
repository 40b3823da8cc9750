"""Text for a terminal, a picture or a page: file names made harmless, tables in columns.

This module knows no model and no stage.
"""

import html
import unicodedata
from collections.abc import Iterable, Sequence

DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that can move the cursor, hide or reorder text."""
ELLIPSIS = "…"
GAP = "  "


def printable(text: str) -> str:
    r"""Return `text` with control, bidirectional and other invisible characters escaped.

    >>> printable("a\x1b[31m\u202eb\n")
    'a\\x1b[31m\\u202eb\\n'
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in DANGEROUS else char
        for char in text
    )


def shorten(text: str, width: int) -> str:
    """Return `text` in at most `width` characters, its middle left out.

    >>> shorten("holiday-2024-beach-0001.jpg", 15)
    'holiday…001.jpg'
    """
    if len(text) <= width:
        return text
    head = max((width - 1) // 2, 0)
    tail = max(width - 1 - head, 0)
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` decimals; "-" for None.

    >>> number(0.5), number(None)
    ('0.500', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()) -> str:
    """Return rows in columns under their names; the columns named in `left` are left-aligned.

    >>> print(table(["image", "p"], [["a.png", "0.9"], ["b.png", "0.25"]], left=["image"]))
    image     p
    -----  ----
    a.png   0.9
    b.png  0.25
    """
    widths = [max(display_width(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        GAP.join(
            _pad(cell, width, is_left=name in left)
            for cell, width, name in zip(line, widths, head, strict=True)
        ).rstrip()
        for line in lines
    )


def html_table(head: Sequence[str], rows: Iterable[Iterable[object]], *, caption: str = "") -> str:
    """Return a plain HTML table; None is an empty cell, a float has three decimals.

    All text is escaped, and made `printable`.

    >>> html_table(["image"], [["<a>.png"]])
    '<table><tr><th scope="col">image</th></tr><tr><td>&lt;a&gt;.png</td></tr></table>'
    """
    title = f"<caption>{html_text(caption)}</caption>" if caption else ""
    names = "".join(f'<th scope="col">{html_text(name)}</th>' for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html_text(_cell(value))}</td>' for value in row)}</tr>"
        for row in rows
    )
    return f"<table>{title}<tr>{names}</tr>{body}</table>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def html_text(text: str) -> str:
    """Return `text` escaped for HTML, and made `printable`.

    >>> html_text("<b>")
    '&lt;b&gt;'
    """
    return html.escape(printable(text))


def html_lines(text: str) -> str:
    """Return `text` as HTML that keeps its lines and columns; wide ones scroll.

    >>> html_lines("a < b")
    '<pre style="overflow-x: auto"><code style="white-space: pre">a &lt; b</code></pre>'
    """
    # JupyterLab gives `pre` alone the font of running text, and wraps both
    lines = "\n".join(html_text(line) for line in text.split("\n"))
    return f'<pre style="overflow-x: auto"><code style="white-space: pre">{lines}</code></pre>'


def display_width(text: str) -> int:
    """Return the columns that `text` takes in a terminal: wide characters two, marks none.

    >>> display_width("é"), display_width("日本")
    (1, 4)
    """
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    marks = sum(unicodedata.category(char) in ("Mn", "Me") for char in text)
    return len(text) + wide - marks


def _pad(cell: str, width: int, *, is_left: bool) -> str:
    space = " " * (width - display_width(cell))
    return cell + space if is_left else space + cell
