"""A report as one HTML file, and as Markdown with files beside it.

The HTML page holds everything (plots as SVG, sheets as data), fetches nothing and runs no script;
its policy forbids both. It is light or dark as the reader's browser is. All texts are escaped.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matir_nb.engine import Engine
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.runs.blocks import (
    Block,
    Cell,
    Facts,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
)
from matir_nb.evaluation.runs.chapters import headline_of, page_of
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.inks import for_file, for_page, variables
from matir_nb.evaluation.runs.markdown import PLOTS, SHEETS, markdown_of
from matir_nb.evaluation.runs.plotted import PLOT_NAMES, plots_of
from matir_nb.evaluation.runs.worst import album_of, ranking_metric, sheets_of
from matir_nb.exports.atomic import whole_file
from matir_nb.index.disk import make_folder
from matir_nb.printing import html_text

HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
SEAM = re.compile(r"(?<=[a-z0-9])([._])(?=[a-z])")
STYLE = """
html{color-scheme:light dark;background:light-dark(#fff,#16181b);
color:light-dark(#1c2028,#e4e6ea);--rule:light-dark(#c9ccd3,#43484f);
--faint:light-dark(#575d68,#a8adb7);--link:light-dark(#0b5394,#8cc2f5);@VARIABLES@}
body{margin:0 auto;padding:24px 20px 64px;max-width:1080px;
font:15px/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:26px;line-height:1.25;margin:8px 0 12px}
h2{font-size:19px;margin:44px 0 12px;padding-top:14px;border-top:1px solid var(--rule)}
p{max-width:76ch;margin:10px 0}a{color:var(--link)}
.summary{font-size:17px;max-width:70ch}
.notice{max-width:76ch;margin:10px 0;padding:10px 14px;border-left:5px solid;
border-color:light-dark(#b34a00,#f0954a);background:light-dark(#fdf1e7,#33261b)}
nav ul{display:flex;flex-wrap:wrap;gap:2px 18px;padding:0;margin:18px 0 0;list-style:none}
.scroll{overflow-x:auto;margin:18px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;
border-bottom:1.5px solid var(--rule);min-width:min(100%,36em)}
caption,figcaption{text-align:start;max-width:76ch;color:var(--faint);font-size:13.5px}
caption{padding-bottom:8px}figcaption{margin-top:8px}
th,td{padding:4px 12px;text-align:end;vertical-align:top;overflow-wrap:normal;font-weight:400}
thead th{font-weight:600;border-top:1.5px solid var(--rule);border-bottom:1px solid var(--rule);
vertical-align:bottom}
tbody th,.words{text-align:start}
tbody th{overflow-wrap:anywhere;min-width:10em}
tr.apart>*{border-top:1px solid var(--rule)}
td small,th small{display:block;color:var(--faint);font-size:12px;line-height:1.3;
white-space:nowrap}
th small{white-space:normal}strong{font-weight:750}
figure{margin:26px 0}figure svg,figure img{max-width:100%;height:auto;display:block}
figure img{border:1px solid var(--rule);border-radius:4px}
svg *{stroke-linejoin:round;stroke-linecap:butt}
dl{display:grid;grid-template-columns:minmax(9em,max-content) minmax(0,1fr);gap:4px 18px}
dt{color:var(--faint)}dd{margin:0;max-width:84ch}
@media(max-width:640px){dl{grid-template-columns:1fr}dd{margin-bottom:6px}}
@media print{body{max-width:none;padding:0}nav{display:none}figure,tr{break-inside:avoid}
h2{break-after:avoid}}
""".replace("@VARIABLES@", variables()).strip()


def write_pages(
    run: Run, engine: Engine | None = None, dataset: Dataset | None = None
) -> list[Path]:
    """Write ``report.md``, ``report.html``, ``plots`` and ``sheets`` into the run's folder.

    Without matplotlib there are no plots, and the pages say so. What older pages left in the
    folders is taken away.

    Args:
        run: finished.
        engine: of the index that was asked, for the pictures; None = no contact sheets.
        dataset: what was asked, for the true masks; None = they are not outlined.

    Returns:
        The files, the pages first.

    Raises:
        ConfigError: the system does not let us write.
    """
    metrics = headline_of(run)
    has_library = find_spec("matplotlib") is not None
    plots = _plots_of(run, metrics) if has_library else None
    metric = ranking_metric(run.queries, metrics)
    sheets: Mapping[str, Sequence[Picture]] = {}
    if engine is not None and metric is not None:
        sheets = sheets_of(run.queries, metric, album_of(engine.index, dataset))
    page = page_of(run, plots, sheets)
    files = {
        HTML_FILE: html_of(page).encode(errors="backslashreplace"),
        MARKDOWN_FILE: markdown_of(page).encode(errors="backslashreplace"),
        **{f"{PLOTS}/{plot.name}.svg": for_file(plot.svg).encode() for plot in page.plots()},
        **{f"{SHEETS}/{sheet.name}.jpg": sheet.jpeg for sheet in page.pictures()},
    }
    _clear(run.folder)
    return [_write(run.folder / name, data) for name, data in files.items()]


def _clear(folder: Path) -> None:
    """Take away the plots and sheets of an older report, and nothing that others put there."""
    plots = (folder / PLOTS / f"{name}.svg" for name in PLOT_NAMES)
    old = (*plots, *(folder / SHEETS).glob("[0-9]*-*-[0-9].jpg"))
    for file in old:
        file.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> Path:
    make_folder(path.parent)
    with whole_file(path, overwrite=True) as file:
        file.write_bytes(data)
    return path


def _plots_of(run: Run, metrics: Sequence[str]) -> Mapping[str, Plot]:
    about = run.provenance["dataset"]
    return plots_of(
        run.queries, run.report, metrics, n_images=about["n_images"], depth=about["depth"]
    )


def html_of(page: Page) -> str:
    """Return the whole report as one page."""
    return "".join(_pieces(page))


def _pieces(page: Page) -> Iterator[str]:
    title = html_text(page.title)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="summary">{html_text(page.summary)}</p>\n'
    )
    for notice in page.notices:
        yield f'<p class="notice" role="note">{html_text(notice)}</p>\n'
    links = (
        f'<li><a href="#{_anchor(i)}">{html_text(section.title)}</a></li>'
        for i, section in enumerate(page.sections)
    )
    yield f'<nav aria-label="sections"><ul>{"".join(links)}</ul></nav>\n'
    for i, section in enumerate(page.sections):
        yield from _section(section, _anchor(i))
    yield "</main>\n</body>\n</html>\n"


def _anchor(place: int) -> str:
    return f"section-{place + 1}"


def _section(section: Section, anchor: str) -> Iterator[str]:
    yield f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">'
    yield f"{html_text(section.title)}</h2>\n"
    for block in section.blocks:
        yield _WRITERS[type(block)](block)
    yield "</section>\n"


def _paragraph(block: Paragraph) -> str:
    return f"<p>{html_text(block.text)}</p>\n"


def _facts(block: Facts) -> str:
    rows = (f"<dt>{html_text(k)}</dt><dd>{html_text(v)}</dd>\n" for k, v in block.pairs)
    return f"<dl>\n{''.join(rows)}</dl>\n"


def _table(block: Table) -> str:
    """Return a table that scrolls by itself, by keyboard too, where the window is narrow."""
    head = "".join(
        f'<th scope="col"{_class(block, column)}>{html_text(name)}</th>'
        for column, name in enumerate(block.head)
    )
    name = html_text(block.caption.partition(".")[0])
    return (
        f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">\n'
        f"<table><caption>{html_text(block.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(_rows(block))}</tbody></table>\n</div>\n"
    )


def _rows(block: Table) -> Iterator[str]:
    """Yield rows; a label that is that of the row above is said once, for all its rows."""
    before: tuple[Cell, ...] | None = None
    for place, row in enumerate(block.rows):
        is_first = block.n_labels > 1 and (before is None or before[0] != row[0])
        cells = []
        for column, cell in enumerate(row):
            if column == 0 and block.n_labels > 1:
                n = _n_alike(block.rows[place:]) if is_first else 0
                label = _breakable(_inner(cell))
                cells += [f'<th scope="rowgroup" rowspan="{n}">{label}</th>'] if n else []
            elif column < block.n_labels:
                cells.append(f'<th scope="row">{_breakable(_inner(cell))}</th>')
            else:
                cells.append(f"<td{_class(block, column)}>{_inner(cell)}</td>")
        apart = ' class="apart"' if is_first and place else ""
        yield f"<tr{apart}>{''.join(cells)}</tr>\n"
        before = row


def _class(block: Table, column: int) -> str:
    return ' class="words"' if column < block.n_words else ""


def _n_alike(rows: Sequence[tuple[Cell, ...]]) -> int:
    """Return how many of the rows, from the first on, have its label."""
    unlike = (i for i, row in enumerate(rows) if row[0] != rows[0][0])
    return next(unlike, len(rows))


def _breakable(html: str) -> str:
    """Let a narrow column break option names where a reader would.

    >>> _breakable("retrieve.region_weight")
    'retrieve.<wbr>region_<wbr>weight'
    """
    return SEAM.sub(r"\1<wbr>", html)


def _inner(cell: Cell) -> str:
    text = html_text(cell.text)
    text = f"<strong>{text}</strong>" if cell.is_strong else text
    return f"{text}<small>{html_text(cell.small)}</small>" if cell.small else text


def _plot(block: Plot) -> str:
    svg = for_page(block.svg, block.name)
    label = f'<svg role="img" aria-label="{html_text(block.alt)}"'
    caption = html_text(block.caption)
    return (
        f"<figure>\n{svg.replace('<svg', label, 1)}\n<figcaption>{caption}</figcaption></figure>\n"
    )


def _picture(block: Picture) -> str:
    width, height = block.size
    data = b64encode(block.jpeg).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{html_text(block.alt)}">\n'
        f"<figcaption>{html_text(block.caption)}</figcaption></figure>\n"
    )


_WRITERS: Mapping[type[Block], Callable[[Any], str]] = {
    Paragraph: _paragraph,
    Facts: _facts,
    Table: _table,
    Plot: _plot,
    Picture: _picture,
}
