"""What the command `accelerate` does: build an approximate index, show its recall, drop it.

Arguments are those of the tree in `matir_nb.commands.tree`.
"""

import argparse
from pathlib import Path
from typing import Any

from matir_nb.commands.session import Session
from matir_nb.config import preset_from_json
from matir_nb.errors import ConfigError
from matir_nb.presets import PRESETS
from matir_nb.types import FloatArray
from matir_nb.usage import UsageError


def accelerate(args: argparse.Namespace, session: Session) -> Any:
    """Build the approximate index of an index and say what it finds; or drop it."""
    path = session.find_index(args.index)
    if args.drop:
        return _dropped(args, session, path)
    from matir_nb.index.approximate.build import build_approximate
    from matir_nb.index.approximate.library import require
    from matir_nb.index.approximate.plan import AccelerateConfig

    memory = None if args.memory is None else int(args.memory * (1 << 30))
    config = AccelerateConfig(kind=args.kind, memory_bytes=memory, recall=args.recall)
    require()
    index = session.open_index(path, args.images)
    stored = preset_from_json(index.manifest.preset)
    queries = None if args.queries is None else _vectors(args, session, path)
    with session.progress("accelerate", units="regions") as progress:
        report = build_approximate(
            path,
            index.parts,
            config=config,
            weights=PRESETS.get(stored.name, stored).retrieve,
            queries=queries,
            progress=progress,
        )
    return session.told(report, str(report))


def _dropped(args: argparse.Namespace, session: Session, path: Path) -> Any:
    from matir_nb.index.approximate.build import drop_approximate

    if args.kind is not None or args.queries is not None or args.memory is not None:
        message = "--drop builds nothing: give it alone"
        raise UsageError(message)
    session.open_index(path, args.images)
    was_there = drop_approximate(path)
    told = "dropped: every search is exact" if was_there else "there was no approximate index"
    return session.told(was_there, told)


def _vectors(args: argparse.Namespace, session: Session, path: Path) -> FloatArray:
    """Return the (q, d) vectors of the queries in a file."""
    try:
        lines = args.queries.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{str(args.queries)!r} cannot be read ({error}): give one query per line"
        raise ConfigError(message) from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        message = f"{str(args.queries)!r} holds no query: give one per line"
        raise ConfigError(message)
    engine = session.engines.on(path, has_judge=False, device=args.device, images=args.images)
    vectors: FloatArray = engine.encoder.embed_texts(texts)
    return vectors
