"""What two runs must share to be compared, how their sides are called, what else differs.

This module compares no number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from matir_nb.errors import ConfigError, unknown
from matir_nb.evaluation.runs.folder import Run
from matir_nb.making import STAGES
from matir_nb.printing import printable, shorten

MAX_NAMED = 3
"""Queries that a note names."""
MAX_VALUE = 60
INDEX_FACTS = ("fingerprint", "n_images", "n_regions", "n_missing")


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """An arm of a run.

    Attributes:
        name: as it is called beside the other.
        run: the run.
        arm: the arm.
    """

    name: str
    run: Run
    arm: str

    @property
    def queries(self) -> pl.DataFrame:
        """The arm's rows of the run's frame."""
        return self.run.queries.filter(pl.col("arm") == self.arm)


def sides_of(a: Run, b: Run, arm_a: str | None, arm_b: str | None) -> tuple[Side, Side]:
    """Return both sides of a comparison, under names that tell them apart.

    Args:
        a: what is compared with.
        b: the other; may be `a` itself.
        arm_a: of `a`; None = `a`'s only arm, or the last that both have; of one run with two
            arms, the first.
        arm_b: of `b`; None = likewise; of one run with two arms, the second.

    Raises:
        ConfigError: the runs are of different datasets or protocols, or an arm is unknown, or not
            given though there are several.
    """
    _require_one_dataset(a, b)
    arms = _arms(a, b, arm_a, arm_b)
    names = _names(a, b, arms)
    return Side(names[0], a, arms[0]), Side(names[1], b, arms[1])


def notes_of(sides: tuple[Side, Side]) -> tuple[str, ...]:
    """Return what a reader must know: queries of one side only, other texts, truth, galleries."""
    frames = [side.queries for side in sides]
    return (*_other_queries(sides), *_other_truth(frames), *_other_depth(sides))


def changes_of(sides: tuple[Side, Side]) -> dict[str, tuple[str, str]]:
    """Return which models, options and facts of the index are not alike: name -> both values."""
    unlike = _unlike_entries(*(_setup(side) for side in sides))
    return {name: (_said(of_a), _said(of_b)) for name, of_a, of_b in unlike}


def _require_one_dataset(a: Run, b: Run) -> None:
    """Raise unless the numbers of both mean the same."""
    if a.dataset_name != b.dataset_name:
        message = (
            f"the runs are of different datasets, {a.dataset_name!r} and {b.dataset_name!r}: "
            "compare runs of one"
        )
        raise ConfigError(message)
    for name, of_a, of_b in _unlike_entries(_protocol(a), _protocol(b)):
        message = (
            f"the runs follow different protocols of {a.dataset_name!r}: {name} is {of_a!r} in A "
            f"and {of_b!r} in B: evaluate one of them again"
        )
        raise ConfigError(message)


def _protocol(run: Run) -> Mapping[str, Any]:
    protocol: Mapping[str, Any] = run.provenance["dataset"].get("protocol", {})
    return protocol


def _unlike_entries(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys([*a, *b])
    return [(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def _arms(a: Run, b: Run, arm_a: str | None, arm_b: str | None) -> tuple[str, str]:
    for run, arm in ((a, arm_a), (b, arm_b)):
        if arm is not None and arm not in run.arms:
            raise ConfigError(f"{str(run.folder)!r}: {unknown('arm', arm, run.arms)}")  # noqa: EM102
    is_one = a.folder == b.folder
    if is_one and arm_a is None and arm_b is None and len(a.arms) == 2:
        return a.arms[0], a.arms[1]
    shared = [arm for arm in a.arms if arm in b.arms and not is_one]
    return _arm(a, arm_a, shared), _arm(b, arm_b, shared)


def _arm(run: Run, wanted: str | None, shared: Sequence[str]) -> str:
    if wanted is not None:
        return wanted
    if len(run.arms) == 1:
        return run.arms[0]
    if not shared:
        arms = ", ".join(map(repr, run.arms))
        message = f"{str(run.folder)!r} has the arms {arms}: say which two, --arms A B"
        raise ConfigError(message)
    return shared[-1]


def _names(a: Run, b: Run, arms: tuple[str, str]) -> tuple[str, str]:
    """Return what tells both sides apart."""
    if a.folder == b.folder:
        return arms
    folders = [run.folder.resolve() for run in (a, b)]
    if folders[0].name == folders[1].name:
        short = [str(folder) for folder in folders]
    else:
        short = [folder.name for folder in folders]
    if arms[0] == arms[1]:
        return short[0], short[1]
    return f"{short[0]}: {arms[0]}", f"{short[1]}: {arms[1]}"


def _other_queries(sides: Sequence[Side]) -> list[str]:
    """Return what says how many queries only one side has."""
    ids = [side.queries["query_id"].to_list() for side in sides]
    notes = []
    for side, own, other in zip(sides, ids, ids[::-1], strict=True):
        alone = sorted(set(own) - set(other))
        if alone:
            n = len(alone)
            notes.append(f"{n} of {len(own)} queries are only in {side.name}: {_listed(alone)}")
    return notes


def _other_truth(frames: Sequence[pl.DataFrame]) -> list[str]:
    """Return what says that queries of one id have another text, truth or gallery."""
    about = ["query_id", "text", "n_relevant", "n_gallery"]
    both = frames[0].select(about).join(frames[1].select(about), on="query_id", suffix="_b")
    notes = []
    for column, what in (
        ("text", "another text"),
        ("n_relevant", "another number of relevant images"),
        ("n_gallery", "another gallery: its size changes every metric"),
    ):
        other = both.filter(pl.col(column) != pl.col(f"{column}_b"))
        if len(other):
            ids = sorted(other["query_id"].to_list())
            notes.append(f"{len(ids)} of {len(both)} queries have {what} in B: {_listed(ids)}")
    return notes


def _other_depth(sides: tuple[Side, Side]) -> list[str]:
    """Return what says that the sides record lists of different lengths."""
    a, b = ((side.run.provenance["dataset"] or {}).get("depth") for side in sides)
    if a == b:
        return []
    a, b = ("all" if depth is None else depth for depth in (a, b))
    note = (
        f"A records {a} hits of a query and B {b}: what looks at all that are recorded (MRR, pixel "
        "mAP, AP) differs by that alone"
    )
    return [note]


def _setup(side: Side) -> dict[str, Any]:
    """Return what made an arm's numbers: name -> plain value."""
    told = side.run.provenance
    models, index = told.get("models") or {}, told.get("index") or {}
    arm = (told.get("arms") or {}).get(side.arm) or {}
    setup = {name: models.get(name) for name in ("segmenter", "encoder")}
    setup["judge"] = (models.get("judges") or {}).get(side.arm)
    setup |= {f"index: {name}": index.get(name) for name in INDEX_FACTS}
    setup |= {
        f"{stage}.{name}": value
        for stage in STAGES
        for name, value in ((told.get("preset") or {}).get(stage) or {}).items()
    }
    return setup | {"judging.n_judged": arm.get("n_judged")} | dict(arm.get("options") or {})


def _said(value: object) -> str:
    return "none" if value is None else shorten(printable(str(value)), MAX_VALUE)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:MAX_NAMED])
    return f"{shown}, ..." if len(names) > MAX_NAMED else shown
