"""What the command `models` does: list the published models, fetch and convert them.

Each action takes (arguments, session) and gives its result back, as those of
`matir_nb.commands.on_indexes`.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matir_nb.catalogue import CATALOGUE, ModelEntry
from matir_nb.commands.session import Session
from matir_nb.models.hardware import choose_preset
from matir_nb.presets import AUTO, PRESETS, models_of
from matir_nb.printing import printable, table

if TYPE_CHECKING:
    import polars as pl

PRESET_HEAD = ("preset", "device", "disk", "memory", "s/image", "s/query", "here", "licences")
MODEL_HEAD = ("model", "presets", "disk", "memory", "here", "licence")
NOT_NEEDED = "preset {}: its models are part of the installation, there is nothing to fetch"


def models(args: argparse.Namespace, session: Session) -> Any:
    """List presets and models, or fetch or convert some."""
    return {"list": _list, "fetch": _fetch, "convert": _convert}[args.action](args, session)


def _list(args: argparse.Namespace, session: Session) -> Any:
    del args
    from matir_nb.models.hub_table import models_table, presets_table

    session.say(f"{_presets_text(presets_table())}\n")
    frame = models_table()
    hint = f"fetch: {session.prog} models fetch PRESET|MODEL; licences, sizes: docs/models.md"
    return session.show_frame(frame, f"{models_text(frame)}\n\n{hint}")


def _presets_text(frame: "pl.DataFrame") -> str:
    rows = []
    for row in frame.iter_rows(named=True):
        which = "cpu" if row["device"] != "gpu" else "gpu"
        seconds = (_seconds(row[f"{which}_{what}_s"]) for what in ("image", "query"))
        size = (_size(row["disk_mb"]), _size(row["memory_mb"]))
        rows.append(
            [row["preset"], row["device"], *size, *seconds, _here(row["is_here"]), row["licences"]]
        )
    text = table(PRESET_HEAD, rows, left=("preset", "device", "licences"))
    named = "\n".join(
        f"{row['preset']:9} = {row['segmenter']} + {row['encoder']} + {row['judge']}"
        for row in frame.iter_rows(named=True)
    )
    return f"{text}\n\n{named}"


def models_text(frame: "pl.DataFrame") -> str:
    """Return the catalogue's table in words, a block for every role."""
    blocks = []
    for (role,), rows in frame.group_by("role", maintain_order=True):
        cells = [
            [
                row["model"],
                row["presets"] or "-",
                _size(row["disk_mb"]),
                _size(row["memory_mb"]),
                _here(row["is_here"]),
                row["licence"],
            ]
            for row in rows.iter_rows(named=True)
        ]
        head = (str(role), *MODEL_HEAD[1:])
        blocks.append(table(head, cells, left=(str(role), "presets", "licence")))
    return "\n\n".join(blocks)


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _here(is_here: bool) -> str:  # noqa: FBT001 - a cell
    return "yes" if is_here else "no"


def _fetch(args: argparse.Namespace, session: Session) -> Any:
    from matir_nb.models.hub import UNITS, fetch

    names = [_chosen(session) if name == AUTO else name for name in args.names]
    for name in names:
        if name in PRESETS and not models_of(PRESETS[name]):
            session.note(NOT_NEEDED.format(name))
    entries = named_entries(names)
    for entry in entries:
        session.say(f"{entry.name}: {_size(entry.disk_mb)}, {entry.licence}, {entry.repo}")
        with session.progress(f"fetch {entry.name}", units=UNITS) as progress:
            folder = fetch(entry, progress=progress, say=session.note)
        session.say(f"  in {printable(str(folder))}")
    return _rows(entries, session)


def _chosen(session: Session) -> str:
    """Return the preset that "auto" is on this machine; say which, and why."""
    preset, why = choose_preset(AUTO)
    session.note(why)
    return preset.name


def named_entries(names: Sequence[str]) -> list[ModelEntry]:
    """Return the models that names of presets and of models mean, each once, in order."""
    found: dict[str, ModelEntry] = {}
    for name in names:
        entries = models_of(PRESETS[name]) if name in PRESETS else (CATALOGUE[name],)
        found |= {entry.name: entry for entry in entries}
    return list(found.values())


def _convert(args: argparse.Namespace, session: Session) -> Any:
    from matir_nb.models.hub import convert

    entry = CATALOGUE[args.name]
    folder = convert(entry, args.file, say=session.note)
    session.say(f"{entry.name} in {printable(str(folder))}")
    return _rows([entry], session)


def _rows(entries: Sequence[ModelEntry], session: Session) -> Any:
    """Show the rows of the catalogue's table that are of `entries`."""
    import polars as pl

    from matir_nb.models.hub_table import models_table

    frame = models_table().filter(pl.col("model").is_in([entry.name for entry in entries]))
    return session.show_frame(frame, models_text(frame) or "no model was fetched")
