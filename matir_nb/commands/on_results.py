"""What the commands about results do: search, show, explain, flow, export.

Arguments are those of the tree in `matir_nb.commands.tree`. Whatever can be refused is refused
before a model is loaded.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matir_nb.commands.given import find_review, given_lists, held_list
from matir_nb.commands.session import RESULT_ENDING, Named, Session, writable
from matir_nb.errors import ConfigError, QueryError
from matir_nb.home import settings
from matir_nb.printing import printable
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    from matir_nb.engine import Engine
    from matir_nb.results import SearchResult
    from matir_nb.review.gaps import Template
    from matir_nb.review.templates import TemplateResult

FORMATS = ("table", "json", "csv", "parquet")
ENDINGS = (
    ".parquet",
    ".csv",
    ".json",
    ".html",
    ".htm",
    ".png",
    ".txt",
    ".run",
    ".trec",
    ".qrels",
)
"""Of files that a result can be written to."""
PICTURE = ".png"


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a result goes beside the display: a variable, a file, or nowhere."""

    variable: str | None = None
    file: Path | None = None
    format: str | None = None


def search(args: argparse.Namespace, session: Session) -> Any:
    """Search; keep the result as LAST; write it where -o says."""
    target = _target(args, session)
    lists = given_lists(args.lists)
    query = session.query(args.query, gaps=lists)
    if not query.strip():
        message = "the query is empty: say in words what to look for"
        raise QueryError(message)
    if lists or "{" in query or "}" in query:
        from matir_nb.review.gaps import Template

        template = Template.parse(query)
        if lists or template.names:
            return _search_template(args, session, template, lists, target)
        query = template.filled({})
    path = session.find_index(args.index)
    result = _ask(args, session, query, path)
    session.remember(result, path)
    if target.variable is not None:
        session.keep_variable(target.variable, result)
    if target.file is not None:
        _write(result, target.file, target.format)
    has_text = target.file is None and target.variable is None
    text = _text_of(result, target.format or "table") if has_text else lambda: ""
    return session.show_search(result, text, is_text_wanted=has_text and bool(target.format))


def _target(args: argparse.Namespace, session: Session) -> _Target:
    if args.output is None:
        if args.format == "parquet":
            message = f"a parquet file is not text: give its name with -o FILE{RESULT_ENDING}"
            raise UsageError(message)
        return _Target(format=args.format)
    is_name = args.output.isidentifier() and not iskeyword(args.output)
    if session.has_variables and is_name:
        return _Target(variable=args.output)
    file = writable(Path(args.output))
    if args.format is None and file.suffix.lower() not in ENDINGS:
        message = f"{args.output!r}: the ending says what is written: give {', '.join(ENDINGS)}"
        raise UsageError(message)
    return _Target(file=file, format=args.format)


def _search_template(
    args: argparse.Namespace,
    session: Session,
    template: "Template",
    lists: dict[str, list[str]],
    target: _Target,
) -> Any:
    """Search every filling; a gap without a list takes the variable of its name."""
    from matir_nb.exports.frames import FORMATS as WRITTEN
    from matir_nb.exports.frames import check_ending
    from matir_nb.review.gaps import fillings_of

    if target.file is not None and target.format not in WRITTEN:
        check_ending(target.file)
    held = {name: session.held(name) for name in template.names if name not in lists}
    lists |= {name: held_list(value, name) for name, value in held.items() if value is not None}
    fillings_of(template, lists)
    engine, options = _opened(args, session, session.find_index(args.index))
    with session.progress("search") as progress:
        found: TemplateResult = engine.search_template(
            template.text, progress=progress, **options, **lists
        )
    if len(found) < found.n_fillings:
        session.note(f"interrupted: {len(found)} of {found.n_fillings} queries were searched")
    return _give_template(found, session, target)


def _give_template(found: "TemplateResult", session: Session, target: _Target) -> Any:
    from matir_nb.exports.frames import frame_text, write_frame

    if target.variable is not None:
        session.keep_variable(target.variable, found)
    if target.file is not None:
        name = None if target.format == "table" else target.format
        write_frame(found.to_polars(), target.file, format_name=name, overwrite=True)
        return session.show_made(found, f"{len(found)} queries: {printable(str(target.file))}")
    if target.format is None:
        return session.show_made(found, found.text())
    is_table = target.format == "table"
    text = found.text() if is_table else frame_text(found.to_polars(), target.format)
    return session.told(found, text.rstrip("\n"))


def _ask(args: argparse.Namespace, session: Session, query: str, path: Path) -> "SearchResult":
    engine, options = _opened(args, session, path)
    with session.progress("judge") as progress:
        return engine.search(query, progress=progress, **options)


def _opened(
    args: argparse.Namespace, session: Session, path: Path
) -> "tuple[Engine, dict[str, Any]]":
    """Return the engine on an index, and the options of a search with it."""
    check_filter(args, session, path)
    has_judge = not args.no_judge and args.stage != "1" and args.n_judged != 0
    engine = session.engines.on(
        path, has_judge=has_judge and args.judge is None, device=args.device, images=args.images
    )
    n_images = engine.index.n_images
    if args.k is not None and args.k > n_images > 0:
        message = (
            f"k = {args.k} is more than the {n_images} images of the index: give 1 to {n_images}"
        )
        raise ConfigError(message)
    k = min(settings.load().k, max(n_images, 1)) if args.k is None else args.k
    judge = args.judge if has_judge else False
    options = {"k": k, "judge": judge, "n_judged": args.n_judged, "where": args.where}
    return engine, options | ({"approximate": True} if args.approximate else {})


def check_filter(args: argparse.Namespace, session: Session, path: Path) -> None:
    """Raise before a model is loaded for a search whose filter cannot be used.

    Raises:
        ConfigError: `--where` is no filter of this index.
    """
    if args.where is not None:
        from matir_nb.index.where import keep

        keep(session.open_index(path, args.images).facts_table(), args.where)


def _text_of(result: "SearchResult", name: str) -> Callable[[], str]:
    from matir_nb.exports.text import to_csv, to_json, to_table

    function = {"table": to_table, "json": to_json, "csv": to_csv}[name]
    return lambda: function(result)


def _write(result: "SearchResult", file: Path, name: str | None) -> None:
    from matir_nb.exports.atomic import whole_file
    from matir_nb.exports.files import write

    if name is None:
        write(result, file, overwrite=True)
        return
    with whole_file(file, overwrite=True) as part:
        if name == "parquet":
            result.save(part)
        else:
            part.write_text(_text_of(result, name)().rstrip("\n") + "\n", encoding="utf-8")


def show(args: argparse.Namespace, session: Session) -> Any:
    """Show a result again, or write its contact sheet."""
    from matir_nb.explain.ledger import hit_of

    if args.output is None and not session.draws:
        message = f"{session.prog} show draws: say where, with -o FILE.png"
        raise UsageError(message)
    target = None if args.output is None else _picture_file(args.output)
    named = session.find_result(args.result, index=args.index, images=args.images)
    if args.rank is not None:
        hit_of(named.result, args.rank)
    if target is not None:
        _draw(named, target, args)
        session.say(f"{len(named.result)} hits: {printable(str(target))}")
    return session.show_hits(named, rank=args.rank)


def _draw(named: Named, target: Path, args: argparse.Namespace) -> None:
    from matir_nb.exports.atomic import whole_file
    from matir_nb.exports.files import sheet_of

    result = named.result
    _require_source(result)
    if args.rank is not None:
        result = replace(result, hits=(result.hits[args.rank - 1],))
    sheet = sheet_of(result, columns=args.columns, marks=named.marks)
    with whole_file(target, overwrite=True) as part:
        sheet.save(part, "PNG")


def _picture_file(path: Path) -> Path:
    if path.suffix.lower() != PICTURE:
        message = f"{str(path)!r}: show draws a PNG: give a name that ends in {PICTURE}, or export"
        raise UsageError(message)
    return writable(path)


def _require_source(result: "SearchResult") -> None:
    if result.source is None:
        message = "the result needs its images: give its index with -i NAME|PATH"
        raise UsageError(message)


def explain(args: argparse.Namespace, session: Session) -> Any:
    """Explain one hit."""
    from matir_nb.explain.ledger import hit_of

    named = session.find_result(args.result, index=args.index, images=args.images)
    hit_of(named.result, args.rank)
    return session.show_hit(named, args.rank)


def flow(args: argparse.Namespace, session: Session) -> Any:
    """Show how the hits moved between the stages."""
    return session.show_flow(session.find_result(args.result, index=args.index))


def export(args: argparse.Namespace, session: Session) -> Path:
    """Write a result to a file."""
    from matir_nb.exports.files import write

    target = writable(args.file)
    if target.exists() and not args.overwrite:
        message = f"{str(target)!r} is there already: give another name, or --overwrite"
        raise ConfigError(message)
    if review := find_review(args.result, session):
        review.export(target, overwrite=args.overwrite)
        return session.wrote(target, f"{len(review.to_polars())} rows: {printable(str(target))}")
    named = session.find_result(args.result, index=args.index, images=args.images)
    if target.suffix.lower() == PICTURE:
        _require_source(named.result)
    written: Path = write(named.result, target, marks=named.marks, overwrite=args.overwrite)
    return session.wrote(written, f"{len(named.result)} hits: {printable(str(written))}")
