"""A result as one interactive page: script, style, thumbnails and numbers in a single file.

The page fetches nothing and runs one script, known by its digest; whatever names, answers and
queries hold, they stay text. The data is what the widgets get over the wire
(`matir_nb.widgets.table`, `matir_nb.widgets.payload`); ``js/src/page_session.ts`` reads it. Pieces
are made one by one, so that a large page never stands in memory when it goes to a file.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError, MatirError
from matir_nb.exports.atomic import whole_file
from matir_nb.exports.marks import check_marks
from matir_nb.printing import html_text
from matir_nb.results import SearchResult
from matir_nb.widgets.accounts import words_reply
from matir_nb.widgets.built import PAGE, STYLE, built
from matir_nb.widgets.payload import MAX_TILE_SIDE, inspect, tiles
from matir_nb.widgets.table import table_document
from matir_nb.widgets.thumbnails import Thumbnails

END_OF_SCRIPT = re.compile("<(?=/script|!--)", re.IGNORECASE)
MIN_THUMBNAIL = 64

NO_PICTURES = (
    "this page has numbers and masks but no pictures: its result was loaded without its index "
    "(result.with_source(matir.open(...)) gives them)"
)
PAGE_STYLE = (
    "html{color-scheme:light dark;background:light-dark(#fff,#16181b);"
    "color:light-dark(#1c2028,#e4e6ea)}"
    "body{margin:0;padding:12px;font:13px/1.5 system-ui,sans-serif}"
    "footer{margin-top:16px;overflow-wrap:anywhere;color:light-dark(#575d68,#a8adb7)}"
    "footer dl{display:grid;grid-template-columns:max-content 1fr;gap:0 12px;margin:4px 0}"
    "footer dd{margin:0}"
    "noscript table{border-collapse:collapse}noscript caption{text-align:start;font-weight:600}"
    "noscript :is(th,td){padding:2px 8px;text-align:start;"
    "border-bottom:1px solid light-dark(#dcdee3,#3a3e45)}"
)


def page_html(
    result: SearchResult,
    *,
    thumbnail_px: int = 480,
    title: str | None = None,
    marks: Mapping[str, str] | None = None,
) -> str:
    """Return a self-contained page: the grid, the inspector and the rank flow, without a kernel.

    A hit takes some 15 KB (generated scenes) to 80 KB (photographs with many regions). Without
    a source (see `SearchResult.with_source`) the page has no pictures, and says so. A reader
    without JavaScript sees a plain table.

    Args:
        result: what to show.
        thumbnail_px: longer side of the pictures, 64 to 512; a smaller picture stays as it is.
        title: of the browser's tab; None = the query.
        marks: image id -> "relevant", "not relevant" or "unsure", to begin with.

    Raises:
        ConfigError: an argument is out of range, or the browser's part has not been built.
    """
    return "".join(page_parts(result, thumbnail_px=thumbnail_px, title=title, marks=marks))


def write_page(
    result: SearchResult,
    path: str | Path,
    *,
    thumbnail_px: int = 480,
    title: str | None = None,
    marks: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the page of `page_html`, and return its path.

    Raises:
        ConfigError: as `page_html`; or the file is there and `overwrite` is not set, or it cannot
            be written.
    """
    parts = page_parts(result, thumbnail_px=thumbnail_px, title=title, marks=marks)
    with whole_file(path, overwrite=overwrite) as file:
        write_parts(parts, file)
    return Path(path)


def write_parts(parts: Iterable[str], file: Path) -> None:
    """Write pieces of text as UTF-8, one after the other."""
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(parts)


def page_parts(
    result: SearchResult,
    *,
    thumbnail_px: int = 480,
    title: str | None = None,
    marks: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Return the pieces of `page_html`, in order; each hit's are made when they are asked for.

    Raises:
        ConfigError: as `page_html`, before the first piece.
    """
    if not MIN_THUMBNAIL <= thumbnail_px <= MAX_TILE_SIDE:
        message = (
            f"thumbnail_px = {thumbnail_px} is not allowed: give {MIN_THUMBNAIL} to {MAX_TILE_SIDE}"
        )
        raise ConfigError(message)
    check_marks(marks or {}, {hit.image_id for hit in result.hits})
    head = _head(title or result.query, style=built(STYLE), script=_script(built(PAGE)))
    return _pieces(result, head, thumbnail_px, marks or {})


def _script(text: str) -> str:
    r"""Return JavaScript that neither ends its script element nor opens a comment in it.

    >>> _script('a = "</script><!--"')
    'a = "\\x3c/script>\\x3c!--"'
    """
    return END_OF_SCRIPT.sub(r"\\x3c", text)


def _head(title: str, *, style: str, script: str) -> tuple[str, str]:
    """Return what stands before the data, and what stands after it."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    style = f"{PAGE_STYLE}\n{style}".replace("</", "<\\/")
    before = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<main id="matir"></main>\n'
    )
    return before, f"<script>{script}</script>\n</body>\n</html>\n"


def _pieces(
    result: SearchResult, head: tuple[str, str], side: int, marks: Mapping[str, str]
) -> Iterator[str]:
    before, after = head
    yield before
    yield f"<noscript>{result._repr_html_()}</noscript>\n"
    yield _footer(result)
    yield '<script type="application/json" id="matir-data">'
    yield from _data(result, side, marks)
    yield "</script>\n"
    yield after


def _footer(result: SearchResult) -> str:
    """Return where the result comes from, as text."""
    provenance = result.provenance
    facts = {
        "written by": f"matir_nb {provenance.versions.get('matir_nb', '')}".strip(),
        **provenance.models,
        "index": provenance.index_fingerprint,
    }
    rows = "".join(
        f"<dt>{html_text(name)}</dt><dd>{html_text(fact)}</dd>" for name, fact in facts.items()
    )
    return (
        f"<footer><details><summary>Where this comes from</summary><dl>{rows}</dl>"
        "</details></footer>\n"
    )


def _data(result: SearchResult, side: int, marks: Mapping[str, str]) -> Iterator[str]:
    """Yield `PageData` of ``page_session.ts`` as JSON."""
    table = table_document(result)
    if result.source is None:
        table["notices"] = [*table["notices"], NO_PICTURES]
    yield f'{{"table":{_json(table)},"traits":{_json(_traits(marks))},"tiles":['
    rows = range(len(result))
    yield from _listed(_json(_tile(result, row, side)) for row in rows)
    yield '],"details":['
    yield from _listed(_json(inspect(result, row, side)[0]) for row in rows)
    yield '],"words":['
    yield from _listed(_json(reply) for reply in _words(result))
    yield "]}"


def _words(result: SearchResult) -> Iterator[dict[str, Any]]:
    """Yield `WordsReply` of every hit of which it can be known; the details say of the rest why."""
    for row in range(len(result) if result.source is not None else 0):
        try:
            yield words_reply(result, row)
        except MatirError:
            continue


def _traits(marks: Mapping[str, str]) -> dict[str, Any]:
    return {"_kind": "grid", "marks": dict(marks)}


def _tile(result: SearchResult, row: int, side: int) -> dict[str, Any]:
    """Return `PageTile`: a tile with its picture in it."""
    with_regions = result.source is not None
    body, buffers = tiles(
        result, [row], side, regions=with_regions, thumbnails=Thumbnails(capacity=1)
    )
    tile: dict[str, Any] = body["tiles"][0]
    place = tile.pop("buffer")
    return tile | {"jpeg": None if place is None else b64encode(buffers[place]).decode()}


def _listed(items: Iterator[str]) -> Iterator[str]:
    for i, item in enumerate(items):
        yield f",{item}" if i else item


def _json(value: object) -> str:
    r"""Return JSON of ASCII letters alone, with nothing that HTML would read as markup.

    >>> _json("</script>&\u2028")
    '"\\u003c/script\\u003e\\u0026\\u2028"'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
