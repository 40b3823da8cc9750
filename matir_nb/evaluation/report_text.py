"""An evaluation report as a table for people. Knows no engine."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matir_nb.printing import printable, table

METRICS = ("R@1", "R@10", "mAP@50", "mIoU", "mAP@50@50")
HEAD = ("arm", "queries", "n", *METRICS)
ABSENCE_HEAD = ("arm", "rejection", "acceptance")
GAIN_HEAD = ("arm", "queries", "gain in mAP@50")
ABSENCE_TITLE = (
    "absence queries: share of wrong images that the judge rejects (p < 0.5), "
    "and of right ones that it accepts"
)
Kinds: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Arm -> kind of query -> metrics."""


def format_report(report: Mapping[str, Any]) -> str:
    """Return every arm's numbers by kind of query, each with its 95 % interval.

    The default arm is named, not repeated, where it is one of the others.
    """
    arms = _distinct(report["arms"], report)
    parts = [_about(report), _scores(arms)]
    if any("absence" in kinds for kinds in arms.values()):
        parts += [ABSENCE_TITLE, _verdicts(arms)]
    gains = _distinct(report["gains_over_stage1"], report)
    if gains:
        parts += ["over stage 1, query by query", _gains(gains)]
    if len(arms) < len(report["arms"]) and report["default_is"] in arms:
        parts.append(f"default = {report['default_is']}")
    for arm, reason in report["unavailable"].items():
        parts.append(f"{arm}: not available: {printable(reason)}")
    return "\n\n".join(parts)


def _distinct(arms: Mapping[str, Any], report: Mapping[str, Any]) -> Kinds:
    is_repeated = report["default_is"] in set(report["arms"]) - {"default"}
    repeated = "default" if is_repeated else None
    return {arm: kinds for arm, kinds in arms.items() if kinds is not None and arm != repeated}


def _scores(arms: Kinds) -> str:
    rows = [
        [arm, kind, str(values["n"]), *(_cell(values, metric) for metric in METRICS)]
        for arm, kinds in arms.items()
        for kind, values in kinds.items()
    ]
    return table(HEAD, rows, left=HEAD[:2])


def _verdicts(arms: Kinds) -> str:
    rows = [
        [arm, *(_cell(kinds["absence"], metric) for metric in ABSENCE_HEAD[1:])]
        for arm, kinds in arms.items()
        if "absence" in kinds
    ]
    return table(ABSENCE_HEAD, rows, left=ABSENCE_HEAD[:1])


def _gains(gains: Kinds) -> str:
    rows = [
        [arm, kind, _cell(values, "mAP@50")]
        for arm, kinds in gains.items()
        for kind, values in kinds.items()
    ]
    return table(GAIN_HEAD, rows, left=GAIN_HEAD[:2])


def _about(report: Mapping[str, Any]) -> str:
    judged = ", ".join(
        f"{arm} {n}" for arm, n in report["n_judged"].items() if arm not in ("stage1", "default")
    )
    return (
        f"scenes, {report['split']} split, seed {report['seed']}: {report['n_images']} images, "
        f"{report['n_regions']} regions, {report['n_queries']} queries, "
        f"candidates judged: {judged or 'none'}\n"
        "brackets: 95 % bootstrap interval over queries"
    )


def _cell(values: Mapping[str, Any], metric: str) -> str:
    """Return "0.812 [0.790 0.834]"; "-" where there was nothing to measure."""
    value = values[metric]
    if value is None:
        return "-"
    interval: Sequence[float] | None = values["intervals"][metric]
    return (
        f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f} {interval[1]:.3f}]"
    )
