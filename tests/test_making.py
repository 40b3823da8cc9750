"""What a result says of its making."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import bare_hit

from matir_nb.config import JudgeConfig
from matir_nb.errors import ConfigError
from matir_nb.index.calibrations import Calibration
from matir_nb.making import notices_of, options_of, rest_of, stage_options, with_judging
from matir_nb.presets import PRESETS
from matir_nb.types import Provenance

PRESET = PRESETS["embedded"]


def provenance_of(preset, **config):
    made = stage_options(preset) | {"k": 5, "n_judged_done": None} | config
    return Provenance("x", models={}, config=made, versions={}, seconds={})


def test_options_come_back_from_a_provenance_with_more_to_judge():
    judging = JudgeConfig(weight=3.0, calibration_scale=0.5, calibration_bias=1.0)
    preset = replace(PRESET, judging=judging)
    again = options_of(provenance_of(preset, n_judged_done=4), PRESET, n_more=6)
    assert again == replace(preset, judging=replace(judging, n_judged=10))
    alone = options_of(provenance_of(preset), PRESET, n_more=6)
    assert alone.judging.n_judged == 6
    with pytest.raises(ConfigError, match="does not say how it was made: search again"):
        options_of(Provenance("x", {}, {}, {}, {}), PRESET, n_more=1)


def test_a_result_of_before_calibration_is_not_calibrated():
    made = provenance_of(PRESET)
    for name in ("calibration_scale", "calibration_bias"):
        del made.config["judging"][name]
    assert not options_of(made, PRESET, n_more=1).judging.is_calibrated


def test_a_number_of_candidates_and_a_calibration_replace_only_themselves():
    kept = Calibration("j", 0.5, -1.0, 10, 10, log_loss_before=1.0, log_loss_after=0.5)
    found = with_judging(PRESET, n_judged=3, calibration=kept)
    wanted = replace(PRESET.judging, n_judged=3, calibration_scale=0.5, calibration_bias=-1.0)
    assert found == replace(PRESET, judging=wanted)
    assert with_judging(PRESET) == PRESET


@pytest.mark.parametrize(
    ("values", "notices"),
    [
        ({}, []),
        ({"k": 31}, ["k = 31, but the index has only 30 images: all of them are listed"]),
        ({"n_judged_done": 7}, ["cancelled: 7 of 20 candidates were judged"]),
        ({"n_judged_done": 20}, []),
        ({"n_judged_done": 12, "n_images": 12}, []),
        (
            {"where": {"text": "width > 9", "n_kept": 3}, "n_judged_done": 3},
            [
                "where width > 9: 3 of 30 images",
                "k = 5, but the filter keeps only 3 images: all of them are listed",
            ],
        ),
        ({"approximate": {"is_used": False, "reason": "so it is"}}, ["searched exactly: so it is"]),
        (
            {"approximate": {"is_used": True, "kind": "ivf", "recall": 0.97, "n_queries": 64}},
            [
                (
                    "approximate search (ivf, measured recall 0.970 on 64 queries): "
                    "an image may be missing"
                )
            ],
        ),
    ],
)
def test_notices(values, notices):
    config = {"k": 5, "n_images": 30, "n_judged_done": None, "judging": {"n_judged": 20}}
    assert list(notices_of(config | values)) == notices


def test_the_rest_spans_hits_too():
    hits = [bare_hit(stage1_score=0.9, final_score=4.0)]
    rest = rest_of(np.array([0.1, 0.2]), [-1.0], hits)
    assert sum(rest["stage1_score"].counts) == 2
    assert rest["stage1_score"].edges[-1] == pytest.approx(0.9)
    assert (rest["final_score"].edges[0], rest["final_score"].edges[-1]) == (-1.0, 4.0)
