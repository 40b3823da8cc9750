"""What the command `calibrate` does: fit a judge's probabilities to marks, show, forget.

Arguments are those of the tree in `matir_nb.commands.tree`.
"""

import argparse
from typing import Any

from matir_nb.commands.given import review_of
from matir_nb.commands.session import Session
from matir_nb.usage import UsageError


def calibrate(args: argparse.Namespace, session: Session) -> Any:
    """Calibrate a judge of an index on a review; without one, say what is kept, or forget it."""
    if args.review is not None and args.forget:
        message = "--forget takes no review: give one of them"
        raise UsageError(message)
    if args.review is None:
        return _forgotten(args, session) if args.forget else _kept(args, session)
    review = review_of(args.review, session)
    engine = _engine(args, session)
    with session.progress("judge") as progress:
        made = engine.calibrate(review, judge=args.judge, progress=progress)
    return session.told(made, f"{made}\nevery search with this judge uses it from now on")


def _kept(args: argparse.Namespace, session: Session) -> Any:
    from matir_nb.index.calibrations import Calibrations

    index = session.open_index(session.find_index(args.index), args.images)
    kept = tuple(Calibrations(index.path).all().values())
    told = "\n\n".join(str(one) for one in kept)
    return session.told(kept, told or "no judge of this index is calibrated: give a review")


def _forgotten(args: argparse.Namespace, session: Session) -> Any:
    from matir_nb.index.calibrations import Calibrations

    engine = _engine(args, session)
    judge = engine.judge_for(args.judge).model_id
    was_kept = Calibrations(engine.index.path).forget(judge)
    told = "its log-odds count as they are again" if was_kept else "it was not calibrated"
    return session.told(was_kept, f"{judge}: {told}")


def _engine(args: argparse.Namespace, session: Session) -> Any:
    path, has_own = session.find_index(args.index), args.judge is None
    return session.engines.on(path, has_judge=has_own, device=args.device, images=args.images)
