from dataclasses import replace

import pytest

from matir_nb.errors import ConfigError
from matir_nb.evaluation.runs.arms import ARMS, Arm, standard_arms
from matir_nb.presets import PRESETS

EMBEDDED = PRESETS["embedded"]


def test_default_is_not_asked_again_under_another_name():
    arms = standard_arms(ARMS, EMBEDDED)
    assert [arm.name for arm in arms] == ["stage1", "structured", "trained"]
    assert [arm.judge for arm in arms] == [False, "structured", "trained"]
    assert [arm.n_judged for arm in arms] == [None, 400, 40]
    (alone,) = standard_arms(["default", "default"], EMBEDDED, 7)
    assert (alone.name, alone.judge, alone.n_judged) == ("default", "structured", 7)
    other = standard_arms(ARMS, replace(EMBEDDED, judge="qwen3-vl-4b"))
    assert other[-1] == Arm("default", "qwen3-vl-4b", n_judged=400)


def test_unknown_arms_and_none_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'structured'"):
        standard_arms(["strctured"], EMBEDDED)
    with pytest.raises(ConfigError, match="no arms"):
        standard_arms([], EMBEDDED)
    with pytest.raises(ConfigError, match="name is empty"):
        Arm(" ")


def test_options_replace_those_of_the_preset_and_are_checked():
    arm = Arm("w", options={"retrieve.region_weight": 0.5, "judging.weight": 2.0})
    changed = arm.preset_of(EMBEDDED)
    assert (changed.retrieve.region_weight, changed.judging.weight) == (0.5, 2.0)
    assert changed.masks == EMBEDDED.masks
    with pytest.raises(ConfigError, match=r"did you mean 'retrieve\.region_weight'"):
        Arm("w", options={"retrieve.region_wight": 0.5}).preset_of(EMBEDDED)
    with pytest.raises(ConfigError, match="region_weight = -1"):
        Arm("w", options={"retrieve.region_weight": -1}).preset_of(EMBEDDED)
