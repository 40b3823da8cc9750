"""The arms that an evaluation compares: stage 1 alone, and with each judge. Knows no engine."""

from matir_nb.models.registry import TRAINED_JUDGE

ARMS = ("stage1", "structured", "trained", "default")
N_JUDGED_BY_PIXELS = 40
"""Candidates that the trained judge sees unless told otherwise: it reads pictures, not vectors,
so each costs it many times what it costs the structured judge."""


def arm_of_default(judge: str) -> str:
    """Return the arm that a preset's judge stands for, or "default" where it is another one.

    >>> arm_of_default("none"), arm_of_default("embedded:judge")
    ('stage1', 'trained')
    """
    names = {"none": "stage1", "structured": "structured", "trained": "trained"}
    return (names | {TRAINED_JUDGE: "trained"}).get(judge, "default")


def judge_of_arm(arm: str, default_judge: str) -> bool | str:
    """Return what `Engine.search` takes as `judge` for an arm.

    >>> judge_of_arm("stage1", "structured"), judge_of_arm("default", "trained")
    (False, 'trained')
    """
    name = {"stage1": "none", "default": default_judge}.get(arm, arm)
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
