"""What an ablation switches: a grid of options, and the arm of each of its points.

Everything is checked here, before an index is searched. This module opens none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from matir_nb.config import Preset
from matir_nb.errors import ConfigError, unknown
from matir_nb.evaluation.runs.arms import Arm, arm_of_default, judge_of_arm, n_judged_of_arm
from matir_nb.making import STAGES
from matir_nb.models.registry import EMBEDDED, JUDGE_NAMES, PROMPTS

BASE = "preset"
"""The arm with the preset's own options."""
JUDGE, N_JUDGED, ALIGN = "judge", "n_judged", "align"
DEFAULT, NONE = "default", "none"
MAX_ARMS = 256
FORM = "--grid NAME=VALUE,VALUE"
ALIGN_OFF = {"align.min_align_iou": 1.0}
"""A judge's box gets a mask only where it is that mask's own box."""
NEEDS: Mapping[str, str] = {
    "retrieve.dehub_phrases": "retrieve.dehub_beta",
    "retrieve.refine_temperature": "retrieve.refine_weight",
    "retrieve.n_references": "retrieve.refine_weight",
}
"""Option -> the one without which (at 0) it changes nothing."""
DEHUB_BETA, REFINE_WEIGHT = 20.0, 0.5
"""What the default grid switches them on with; 20 is QBNorm's default."""

Grid: TypeAlias = Mapping[str, Sequence[Any]]
Settings: TypeAlias = Mapping[str, Any]
"""Option -> value, where it is not the preset's."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a grid.

    Attributes:
        settings: what is not as in the preset; empty = nothing.
        arm: the way to answer.
    """

    settings: Settings
    arm: Arm


def parse_grid(words: Iterable[str]) -> dict[str, list[str]]:
    """Return option -> values of ``--grid`` words.

    >>> parse_grid(["judge=none,structured", "n_judged=10"])
    {'judge': ['none', 'structured'], 'n_judged': ['10']}

    Raises:
        ConfigError: a word is not NAME=VALUE,VALUE, or a name comes twice.
    """
    grid: dict[str, list[str]] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        values = [value.strip() for value in text.split(",") if value.strip()]
        if not name or not equals or not values:
            message = f"--grid {word!r}: give {FORM}, such as judge=none,structured"
            raise ConfigError(message)
        if name in grid:
            message = f"two lists for {name!r}: give it once, --grid {name}=a,b,c"
            raise ConfigError(message)
        grid[name] = values
    return grid


def points_of(
    grid: Grid | None, preset: Preset, *, own_judge: bool | str | None = None
) -> list[Point]:
    """Return the points of a grid, the preset's own first, each once.

    Args:
        grid: all combinations of its values; None = one option after the other around the
            preset, and all combinations of the stages' switches.
        preset: what the options are of.
        own_judge: what an arm is told where the judge is the preset's own; None = nothing.

    Raises:
        ConfigError: an option or a value is unknown or cannot be used, or there are too many.
    """
    found = [{}, *(_default_settings(preset) if grid is None else _combinations(grid, preset))]
    points: dict[str, Point] = {}
    for settings in found:
        own = _own(settings, preset)
        points.setdefault(name_of(own), Point(own, _arm(own, preset, own_judge=own_judge)))
    for point in points.values():
        point.arm.preset_of(preset)
    if len(points) < 2:
        message = f"the grid holds the preset alone: give other values, {FORM}"
        raise ConfigError(message)
    return list(points.values())


def name_of(settings: Settings) -> str:
    """Return what tables call an arm.

    >>> name_of({"judge": "none", "retrieve.region_weight": 0.5}), name_of({})
    ('judge=none + retrieve.region_weight=0.5', 'preset')
    """
    return " + ".join(f"{name}={shown(value)}" for name, value in settings.items()) or BASE


def shown(value: object) -> str:
    """Return a value as a grid is given it.

    >>> shown(0.5), shown(True), shown("none")
    ('0.5', 'on', 'none')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def preset_values(preset: Preset) -> dict[str, Any]:
    """Return option -> the preset's own value, of everything that can be switched."""
    judge = arm_of_default(preset.judge)
    judge = {"stage1": NONE, DEFAULT: preset.judge}.get(judge, judge)
    n_judged = n_judged_of_arm(judge, None, preset.judging.n_judged)
    options = {
        f"{stage}.{field.name}": getattr(getattr(preset, stage), field.name)
        for stage in STAGES
        for field in fields(getattr(preset, stage))
    }
    del options[f"judging.{N_JUDGED}"]
    return {JUDGE: judge, N_JUDGED: n_judged, ALIGN: True} | options


def _combinations(grid: Grid, preset: Preset) -> list[dict[str, Any]]:
    """Return the settings of all combinations of a grid's values."""
    own = preset_values(preset)
    lists: dict[str, list[Any]] = {}
    n_points = 1
    for given, values in grid.items():
        name = N_JUDGED if given == f"judging.{N_JUDGED}" else given
        _require_option(name, own)
        lists[name] = [_value(name, value, own[name]) for value in values]
        n_points *= len(lists[name])
    if not lists or not n_points:
        message = f"the grid is empty: give {FORM}, or none for the default grid"
        raise ConfigError(message)
    if n_points > MAX_ARMS:
        message = f"the grid has {n_points:,} combinations: give fewer values, at most {MAX_ARMS}"
        raise ConfigError(message)
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def _require_option(name: str, known: Iterable[str]) -> None:
    stage = name.partition(".")[0]
    if stage in ("masks", "encoding", "compute", "segmenter", "encoder"):
        message = (
            f"{name!r} decides what an index holds: evaluate an index that was made with it, and "
            "compare the two runs (matir compare)"
        )
        raise ConfigError(message)
    if name not in known:
        raise ConfigError(unknown("option of a grid", name, known))


def _value(name: str, given: object, own: object) -> Any:
    """Return a value as the option takes it.

    Raises:
        ConfigError: it cannot be used.
    """
    text = str(given)
    if name == JUDGE:
        return _judge(text)
    if isinstance(own, bool):
        return _switch(name, text)
    try:
        value = int(text) if isinstance(own, int) else float(text)
    except ValueError as error:
        what = "a whole number" if isinstance(own, int) else "a number"
        message = f"{name} = {text!r} is not allowed: give {what}"
        raise ConfigError(message) from error
    if not isfinite(value) or (name == N_JUDGED and value < 1):
        message = f"{name} = {text!r} is not allowed: give a number"
        message += " >= 1 (judge=none is stage 1 alone)" if name == N_JUDGED else ""
        raise ConfigError(message)
    return value


def _switch(name: str, text: str) -> bool:
    known = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
    if text.lower() not in known:
        raise ConfigError(unknown(f"value of {name}", text, ("on", "off")))
    return known[text.lower()]


def _judge(text: str) -> str:
    """Return a judge's name; its weights are not looked for."""
    place, _, way = text.rpartition(":")
    place = place if place and way in PROMPTS else text
    names = (*JUDGE_NAMES, DEFAULT)
    if place not in names and not place.startswith(EMBEDDED) and not Path(place).is_dir():
        raise ConfigError(unknown(JUDGE, text, names))
    return text


def _own(settings: Settings, preset: Preset) -> dict[str, Any]:
    """Return the settings that differ from the preset and can change anything."""
    values = preset_values(preset)
    judge = settings.get(JUDGE, DEFAULT)
    judge = values[JUDGE] if judge == DEFAULT else judge
    values[N_JUDGED] = n_judged_of_arm(judge, None, preset.judging.n_judged)
    own = {name: value for name, value in settings.items() if value != values[name]}
    if judge == values[JUDGE]:
        own.pop(JUDGE, None)
    if judge == NONE:
        own = {name: value for name, value in own.items() if not _is_of_judge(name)}
    for name, needed in NEEDS.items():
        if name in own and not settings.get(needed, values[needed]):
            del own[name]
    return own


def _is_of_judge(name: str) -> bool:
    """Return whether an option changes nothing without a judge."""
    return name in (N_JUDGED, ALIGN) or name.startswith(("judging.", "align."))


def _arm(own: Settings, preset: Preset, *, own_judge: bool | str | None) -> Arm:
    given = own.get(JUDGE)
    judge = own_judge if given is None else judge_of_arm(given, given)
    options = {name: value for name, value in own.items() if "." in name}
    if own.get(ALIGN) is False:
        options |= ALIGN_OFF
    like = preset_values(preset)[JUDGE] if given is None else given
    n_judged = own.get(N_JUDGED)
    if judge is not False and like != NONE:
        n_judged = n_judged_of_arm(like, n_judged, preset.judging.n_judged)
    return Arm(name_of(own), judge, options, n_judged)


def _default_settings(preset: Preset) -> list[dict[str, Any]]:
    """Return one option after the other, then all combinations of the stages' switches."""
    values = preset_values(preset)
    region, image = (values[f"retrieve.{name}_weight"] for name in ("region", "image"))
    tried: list[tuple[str, Iterable[Any]]] = [
        (JUDGE, (NONE, "structured", "trained")),
        (N_JUDGED, (max(values[N_JUDGED] // 4, 1),)),
        ("retrieve.region_weight", (0.0, region / 2)),
        ("retrieve.image_weight", (0.0, region or image)),
        ("judging.stage1_weight", (0.0, 1.0)),
        ("retrieve.dehub_beta", (DEHUB_BETA,)),
        ("retrieve.refine_weight", (REFINE_WEIGHT,)),
    ]
    switches: dict[str, list[Any]] = {
        JUDGE: [values[JUDGE], NONE],
        "retrieve.dehub_beta": [values["retrieve.dehub_beta"], DEHUB_BETA],
        "retrieve.refine_weight": [values["retrieve.refine_weight"], REFINE_WEIGHT],
    }
    if values[JUDGE] not in (NONE, "structured"):
        tried.append((ALIGN, (False,)))
        switches[ALIGN] = [True, False]
    singles = [{name: value} for name, some in tried for value in some]
    combined = [dict(zip(switches, some, strict=True)) for some in product(*switches.values())]
    return [*singles, *combined]
