"""What the command `columns` does: list what a filter can ask for, add columns, drop one.

Arguments are those of the tree in `matir_nb.commands.tree`.
"""

import argparse
from typing import TYPE_CHECKING, Any

from matir_nb.commands.session import Session
from matir_nb.printing import printable, shorten, table
from matir_nb.usage import UsageError

if TYPE_CHECKING:
    import polars as pl

    from matir_nb.index.columns import AddedColumns
    from matir_nb.index.store import Index

HEAD = ("column", "type", "known", "example")
MAX_EXAMPLE = 40
TYPES = {
    "Boolean": "true or false",
    "Date": "date",
    "Datetime": "date and time",
    "Decimal": "number",
    "Float": "number",
    "Int": "whole number",
    "List": "list",
    "Null": "nothing",
    "String": "text",
    "UInt": "whole number",
}
"""What a type is called, by its name in polars without its bits."""


def columns(args: argparse.Namespace, session: Session) -> Any:
    """List what `--where` can ask for; add the columns of a table, or drop one."""
    if args.file is not None and args.drop is not None:
        message = f"--drop {args.drop} takes no file: give one of them"
        raise UsageError(message)
    path = session.find_index(args.index)
    if args.file is not None:
        return _add(args, session)
    if args.drop is not None:
        from matir_nb.index.columns import drop_columns

        drop_columns(path, [args.drop])
        session.note(f"dropped the column {args.drop!r}")
    return _list(session.open_index(path, args.images), session)


def _add(args: argparse.Namespace, session: Session) -> "AddedColumns":
    from matir_nb.index.columns import add_columns

    opened = session.open_index(session.find_index(args.index), args.images)
    added = add_columns(
        opened.path, args.file, opened.image_ids, key=args.key, image_root=opened.image_root
    )
    told: AddedColumns = session.told(added, _added_text(added, opened.n_images))
    return told


def _added_text(added: "AddedColumns", n_images: int) -> str:
    names = ", ".join(added.names)
    lines = [f"{added.n_matched:,} of {added.n_rows:,} rows belong to an image: {names}"]
    if added.unmatched:
        more = ", ..." if added.n_rows - added.n_matched > len(added.unmatched) else ""
        lines.append(f"no image: {', '.join(added.unmatched)}{more}")
    if added.n_matched < n_images:
        lines.append(f"not known of {n_images - added.n_matched:,} of {n_images:,} images")
    return "\n".join(printable(line) for line in lines)


def _list(opened: "Index", session: Session) -> Any:
    import polars as pl

    from matir_nb.index.where import EXAMPLES

    images = opened.facts_table()
    rows = [_described(images[name]) for name in images.columns]
    schema = dict.fromkeys(HEAD, pl.String) | {"known": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    text = table(HEAD, [_cells(*row) for row in rows], left=("column", "type", "example"))
    examples = "\n".join(f'  --where "{example}"' for example in EXAMPLES)
    return session.show_frame(frame, f"{text}\n\n{examples}")


def _described(column: "pl.Series") -> tuple[str, str, float, str | None]:
    """Return name, type, share of the images that it is known of, and an example."""
    dtype = str(column.dtype.base_type())
    kind = TYPES.get(dtype.rstrip("0123456789"), "other")
    known = column.drop_nulls()
    if dtype == "List":
        known = known.filter(known.list.len() > 0)
    example = next((_shown(value) for value in known.head(1).to_list()), None)
    return column.name, kind, len(known) / max(len(column), 1), example


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cells(name: str, kind: str, known: float, example: str | None) -> list[str]:
    shown = "-" if example is None else shorten(printable(example), MAX_EXAMPLE)
    return [printable(name), kind, f"{known:.0%}", shown]
