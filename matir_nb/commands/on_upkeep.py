"""What the commands that keep an index in order do: `verify`, with or without repair; `compact`.

Arguments are those of the tree in `matir_nb.commands.tree`.
"""

import argparse
from pathlib import Path
from typing import Any

from matir_nb.commands.session import Session
from matir_nb.errors import IndexCorruptError
from matir_nb.printing import printable
from matir_nb.usage import UsageError


def verify(args: argparse.Namespace, session: Session) -> Any:
    """Read every file of an index; say what is broken, or repair it."""
    from matir_nb.index import repair as repairing
    from matir_nb.index import verify as verifying

    for name in ("images", "masks", "drop"):
        if getattr(args, name) not in (None, False) and not args.repair:
            message = f"--{name} is of use with --repair only: leave it out, or repair"
            raise UsageError(message)
    path = session.find_index(args.index)
    if not args.repair:
        with session.progress("verify", units="files") as progress:
            report = verifying.verify(path, progress=progress)
        how = f"{session.prog} verify --repair -i {printable(repr(str(path)))}"
        hint = "" if report.is_sound else f"\n{how} repairs it"
        return session.told(report, f"{printable(str(path))}: {report}{hint}")
    with session.progress("index again") as progress:
        repaired = repairing.repair(
            path,
            images=args.images,
            masks=args.masks,
            drop=args.drop,
            device=args.device,
            progress=progress,
        )
    return session.told(repaired, f"{printable(str(path))}: {repaired}")


def require_sound(path: Path, session: Session) -> None:
    """Read every file of an index, and raise unless all are what was written.

    Raises:
        IndexCorruptError: one is not; the message says which, and in what segment.
    """
    from matir_nb.index import verify as verifying

    with session.progress("verify", units="files") as progress:
        report = verifying.verify(path, progress=progress)
    if not report.is_sound:
        more = f" and {len(report.broken) - 1} more" if len(report.broken) > 1 else ""
        what = f"{report.broken[0]}{more}: {session.prog} verify --repair -i {str(path)!r}"
        raise IndexCorruptError(what)


def compact(args: argparse.Namespace, session: Session) -> Any:
    """Write an index anew without what was dropped."""
    from matir_nb.index import compact as compacting

    report = compacting.compact(session.find_index(args.index))
    return session.told(report, f"{printable(str(report.path))}: {report}")
