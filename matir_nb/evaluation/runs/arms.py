"""An arm: a named way to answer, such as stage 1 alone, with a judge, with other options."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from matir_nb.config import Preset
from matir_nb.errors import ConfigError, nearest, unknown
from matir_nb.models.registry import TRAINED_JUDGE

if TYPE_CHECKING:
    from matir_nb.engine import Engine

STAGE1 = "stage1"
ARMS = (STAGE1, "structured", "trained", "default")
N_JUDGED_BY_PIXELS = 40
"""Candidates that the trained judge sees unless told otherwise: it reads pictures, not vectors,
so each costs it many times what it costs the structured judge."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to answer.

    Attributes:
        name: what tables call it; unique in a run.
        judge: as `Engine.search` takes it: None = the engine's own, False = stage 1 alone, or a
            name.
        options: "part.option" of `matir_nb.config.Preset` -> value, in place of the engine's own
            ("retrieve.region_weight": 0.5).
        n_judged: candidates that the judge sees; None = the preset's number.
    """

    name: str
    judge: bool | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    n_judged: int | None = None

    def __post_init__(self) -> None:
        """Check the name."""
        if not self.name.strip():
            raise ConfigError("an arm's name is empty: give each arm a name")

    def preset_of(self, preset: Preset) -> Preset:
        """Return `preset` with this arm's options.

        Raises:
            ConfigError: there is no such option, or a value cannot be used.
        """
        for name, value in self.options.items():
            preset = _with_option(preset, name, value)
        return preset

    def engine_of(self, engine: "Engine") -> "Engine":
        """Return an engine with this arm's options, which shares index, models and caches.

        Raises:
            ConfigError: as `preset_of`.
        """
        return engine.with_preset(self.preset_of(engine.preset)) if self.options else engine


def standard_arms(names: Iterable[str], preset: Preset, n_judged: int | None = None) -> list[Arm]:
    """Return the arms of those names; "default" is left out where another is the same.

    Args:
        names: some of `ARMS`; repeated ones count once.
        preset: of the engine: its judge is that of "default".
        n_judged: candidates that a judge sees; None = as `n_judged_of_arm` says.

    Raises:
        ConfigError: a name is unknown, or there are none.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in ARMS:
            raise ConfigError(unknown("arm", name, ARMS))
    if not wanted:
        message = f"no arms: give some of {', '.join(ARMS)}"
        raise ConfigError(message)
    same = arm_of_default(preset.judge)
    if same in wanted and same != "default":
        wanted = [name for name in wanted if name != "default"]
    return [_standard_arm(name, preset, n_judged) for name in wanted]


def _standard_arm(name: str, preset: Preset, n_judged: int | None) -> Arm:
    judge = judge_of_arm(name, preset.judge)
    like = arm_of_default(preset.judge) if name == "default" else name
    if judge is False:
        return Arm(name, judge=False)
    return Arm(name, judge, n_judged=n_judged_of_arm(like, n_judged, preset.judging.n_judged))


def arm_of_default(judge: str) -> str:
    """Return the arm that a preset's judge stands for, or "default" where it is another one.

    >>> arm_of_default("none"), arm_of_default("embedded:judge")
    ('stage1', 'trained')
    """
    names = {"none": STAGE1, "structured": "structured", "trained": "trained"}
    return (names | {TRAINED_JUDGE: "trained"}).get(judge, "default")


def judge_of_arm(arm: str, default_judge: str) -> bool | str:
    """Return what `Engine.search` takes as `judge` for an arm.

    >>> judge_of_arm("stage1", "structured"), judge_of_arm("default", "trained")
    (False, 'trained')
    """
    name = {STAGE1: "none", "default": default_judge}.get(arm, arm)
    return False if name == "none" else name


def n_judged_of_arm(arm: str, wanted: int | None, preset_n: int) -> int:
    """Return how many candidates the arm's judge sees.

    Args:
        arm: one of `ARMS`.
        wanted: what the user asked for; None = nothing.
        preset_n: the preset's number.

    >>> n_judged_of_arm("structured", None, 400), n_judged_of_arm("trained", None, 400)
    (400, 40)
    """
    if wanted is not None:
        return wanted
    return min(preset_n, N_JUDGED_BY_PIXELS) if arm == "trained" else preset_n


def _with_option(preset: Preset, name: str, value: object) -> Preset:
    """Return `preset` with one option replaced."""
    part, _, option = name.partition(".")
    parts = {f.name: getattr(preset, f.name) for f in fields(preset)}
    stages = {key: stage for key, stage in parts.items() if is_dataclass(stage)}
    known = [f"{key}.{f.name}" for key, stage in stages.items() for f in fields(stage)]
    if name not in known:
        message = f"unknown option {name!r} of an arm: {nearest(name, known)}"
        raise ConfigError(message)
    stage: Any = stages[part]
    changes: dict[str, Any] = {part: replace(stage, **{option: value})}
    return replace(preset, **changes)
