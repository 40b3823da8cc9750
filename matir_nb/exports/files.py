"""A result as a file whose ending says what it is.

.parquet  the exact table with provenance; `SearchResult.load` reads it back, and
          `matir_nb.exports.marks.saved_marks` its marks
.csv      the table; boxes in four columns
.json     query, hits and provenance
.html     one interactive page (`matir_nb.exports.page`)
.png      a contact sheet of the best 240 hits
.txt      a table for people
.run      a TREC run (.trec, too), its query id the query's words (`matir_nb.exports.trec`)
.qrels    the marks as TREC qrels
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path

import polars as pl
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.exports.atomic import whole_file
from matir_nb.exports.contact_sheet import SHEET, contact_sheet
from matir_nb.exports.marks import check_marks, with_marks
from matir_nb.exports.page import page_parts, write_parts
from matir_nb.exports.text import to_csv, to_json, to_table
from matir_nb.exports.trec import to_qrels, to_run
from matir_nb.results import FILE_KEY, SearchResult
from matir_nb.sealed import write_sealed

Marks = Mapping[str, str] | None

MAX_PICTURED = 240


def write(
    result: SearchResult, path: str | Path, *, marks: Marks = None, overwrite: bool = False
) -> Path:
    """Write `result` in the format that the ending of `path` names, and return the path.

    The file is there whole or not at all.

    Args:
        result: what to write.
        path: ends in .parquet, .csv, .json, .html (.htm), .png, .txt, .run (.trec) or .qrels.
        marks: image id -> mark: a column "mark" of tables, a field of JSON, the page's marks,
            words on a picture. None = no such column.
        overwrite: replace a file that is there.

    Raises:
        ConfigError: the ending is unknown; the file is there and `overwrite` is not set; a mark
            is unknown or of another image; qrels are wanted and no mark is a judgement; it
            cannot be written.
    """
    target = Path(path)
    writer = _writer_of(target)
    check_marks(marks or {}, {hit.image_id for hit in result.hits})
    with whole_file(target, overwrite=overwrite) as file:
        writer(result, file, marks)
    return target


def _writer_of(path: Path) -> Callable[[SearchResult, Path, Marks], None]:
    ending = path.suffix.lower()
    if ending in WRITERS:
        return WRITERS[ending]
    known = ", ".join(WRITERS)
    if not ending:
        message = f"{str(path)!r} has no ending that says what to write: add one of {known}"
        raise ConfigError(message)
    near = get_close_matches(ending, WRITERS.keys() - {".htm"}, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? All: {known}" if near else f"give one of {known}"
    message = f"{str(path)!r}: nothing is written as {ending!r}: {hint}"
    raise ConfigError(message)


def _write_parquet(result: SearchResult, file: Path, marks: Marks) -> None:
    result.save(file)
    if marks is not None:
        document = pl.read_parquet_metadata(file)[FILE_KEY]
        frame = with_marks(result.to_polars(), marks)
        write_sealed(frame, file, {FILE_KEY: document})


def _write_csv(result: SearchResult, file: Path, marks: Marks) -> None:
    write_parts([to_csv(result, marks=marks)], file)


def _write_json(result: SearchResult, file: Path, marks: Marks) -> None:
    write_parts([to_json(result, marks=marks), "\n"], file)


def _write_txt(result: SearchResult, file: Path, marks: Marks) -> None:
    notes = [f"\nnote: {notice}\n" for notice in result.provenance.notices]
    write_parts([f"{result.query}\n\n{to_table(result, marks=marks)}\n", *notes], file)


def _write_html(result: SearchResult, file: Path, marks: Marks) -> None:
    write_parts(page_parts(result, marks=marks), file)


def _write_png(result: SearchResult, file: Path, marks: Marks) -> None:
    sheet_of(result, marks=marks).save(file, "PNG")


def _write_run(result: SearchResult, file: Path, _marks: Marks) -> None:
    write_parts([to_run(result, query_ids=[result.query])], file)


def _write_qrels(result: SearchResult, file: Path, marks: Marks) -> None:
    text = to_qrels(marks or {}, query_ids=[result.query])
    if not text:
        message = (
            "qrels hold marks, and no hit is marked 'relevant' or 'not relevant': "
            "mark some in a view, or give marks={image_id: mark}"
        )
        raise ConfigError(message)
    write_parts([text], file)


def sheet_of(result: SearchResult, *, columns: int = 4, marks: Marks = None) -> Image.Image:
    """Return the contact sheet of the best `MAX_PICTURED` hits.

    Args:
        result: with a source of pictures.
        columns: tiles per row, 1 to 12.
        marks: image id -> mark, written onto its tile; None = none.

    Raises:
        ConfigError: `result` has no source, or `columns` is out of range.
    """
    source = result.source
    if source is None:
        message = (
            "a picture needs the images, and this result was loaded without its index: "
            "give it one, result.with_source(matir.open(...))"
        )
        raise ConfigError(message)
    return contact_sheet(
        result,
        lambda hit: source.load_image(hit.image_id, max_side=2 * SHEET.tile),
        columns=columns,
        max_hits=MAX_PICTURED,
        marks=marks,
    )


WRITERS: dict[str, Callable[[SearchResult, Path, Marks], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".json": _write_json,
    ".html": _write_html,
    ".htm": _write_html,
    ".png": _write_png,
    ".txt": _write_txt,
    ".run": _write_run,
    ".trec": _write_run,
    ".qrels": _write_qrels,
}
