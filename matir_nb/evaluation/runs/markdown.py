r"""A report as Markdown, with plots and sheets as files beside it.

Every text is escaped: whatever names and queries hold, they neither end a table's cell nor become
markup. This module knows no run.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from matir_nb.evaluation.runs.blocks import (
    Block,
    Cell,
    Facts,
    Page,
    Paragraph,
    Picture,
    Plot,
    Table,
)
from matir_nb.printing import printable

PLOTS, SHEETS = "plots", "sheets"

_SPECIAL = re.compile(r"([\\`*_|~$]|\](?=[(\[:])|(?<=[!\])])\[)")
_LINK = re.compile(r"(?i)(?<=www)\.|:(?=//)|@(?=[\w-]+\.)")
_FIRST = re.compile(r"^(\d*)([#=]|[-+.)](?=[-+\s]|$))")


def markdown_of(page: Page) -> str:
    """Return the whole report; its plots are expected in `PLOTS`, its sheets in `SHEETS`."""
    return "\n\n".join(_parts(page)) + "\n"


def _parts(page: Page) -> Iterator[str]:
    yield f"# {escaped(page.title)}"
    yield escaped(page.summary)
    if page.notices:
        yield "\n>\n".join(f"> **Note:** {escaped(notice)}" for notice in page.notices)
    for section in page.sections:
        yield f"## {escaped(section.title)}"
        for block in section.blocks:
            yield _WRITERS[type(block)](block)


def escaped(text: str) -> str:
    r"""Return `text` as Markdown that shows it, on one line.

    >>> escaped("a|b <img> *x*"), escaped("- see https://x.y")
    ('a\\|b &lt;img&gt; \\*x\\*', '&#45; see https&#58;//x.y')
    """
    plain = printable(text).lstrip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # what GitHub makes a link of by itself: addresses of pages and of people ("P@0.5")
    plain = _LINK.sub(lambda found: _entity(found[0]), _SPECIAL.sub(r"\\\1", plain))
    return _FIRST.sub(lambda found: found[1] + _entity(found[2]), plain)


def _entity(letter: str) -> str:
    return f"&#{ord(letter)};"


def _alt(text: str) -> str:
    """Return `text` for the brackets of a picture, which must pair."""
    return escaped(text.replace("[", "(").replace("]", ")"))


def _paragraph(block: Paragraph) -> str:
    return escaped(block.text)


def _facts(block: Facts) -> str:
    rows = (f"| {escaped(name)} | {escaped(value)} |" for name, value in block.pairs)
    return "\n".join(["| | |", "|---|---|", *rows])


def _table(block: Table) -> str:
    lines = [f"**{escaped(block.caption)}**", ""]
    lines.append(_row(escaped(name) for name in block.head))
    marks = ("---" if i < block.n_words else "---:" for i in range(len(block.head)))
    lines.append(_row(marks))
    lines += [_row(map(_cell, row)) for row in block.rows]
    return "\n".join(lines)


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = f"**{escaped(cell.text)}**" if cell.is_strong else escaped(cell.text)
    return f"{text} {escaped(cell.small)}" if cell.small else text


def _plot(block: Plot) -> str:
    return f"![{_alt(block.alt)}]({PLOTS}/{block.name}.svg)\n\n{escaped(block.caption)}"


def _picture(block: Picture) -> str:
    return f"![{_alt(block.alt)}]({SHEETS}/{block.name}.jpg)\n\n{escaped(block.caption)}"


_WRITERS: Mapping[type[Block], Callable[[Any], str]] = {
    Paragraph: _paragraph,
    Facts: _facts,
    Table: _table,
    Plot: _plot,
    Picture: _picture,
}
