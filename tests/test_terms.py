import math
import re
from dataclasses import replace

import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, bare_hit, scene_gallery

from matir_nb.config import PRESETS, JudgeConfig, RetrieveConfig
from matir_nb.engine import open_engine
from matir_nb.index.build import build
from matir_nb.terms import final_terms, stage1_terms

N = 12

JUDGED = bare_hit(
    final_score=0.0,
    stage1_score=0.2373,
    best_region_score=0.277,
    whole_image_score=-0.12,
    judge_rank=1,
    p_relevant=0.5,
    logit=0.0,
    answer="yes",
)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms")
    scenes = scene_gallery(folder / "scenes", N)
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    build(folder / "scenes", folder / "i.matir", masks=masks, encoder=encoder)
    return folder / "i.matir", encoder


OPTIONS = [
    (RetrieveConfig(), JudgeConfig()),
    (RetrieveConfig(region_weight=0.0, image_weight=2.0), JudgeConfig(weight=0.5)),
    (RetrieveConfig(region_weight=1.0, image_weight=0.0), JudgeConfig(max_logit=0.5)),
    (RetrieveConfig(), JudgeConfig(stage1_weight=0.0, n_judged=4)),
]


@pytest.mark.parametrize(("retrieve", "judging"), OPTIONS)
@pytest.mark.parametrize("judge", [False, None])
def test_the_terms_of_every_hit_add_up_to_its_scores(gallery, retrieve, judging, judge):
    path, encoder = gallery
    preset = replace(PRESETS["embedded"], retrieve=retrieve, judging=judging)
    engine = open_engine(path, encoder=encoder, judge=OracleJudge(), preset=preset)
    result = engine.search("a red circle", k=N, judge=judge)
    config = result.provenance.config
    assert len(result) == N
    for hit in result:
        stage1 = sum(term.value for term in stage1_terms(hit, config))
        final = sum(term.value for term in final_terms(hit, config))
        assert stage1 == pytest.approx(hit.stage1_score, abs=1e-6)
        assert final == pytest.approx(hit.final_score, abs=1e-5)


@pytest.mark.parametrize(("retrieve", "judging"), OPTIONS)
@pytest.mark.parametrize("judge", [False, None])
def test_the_numbers_of_a_formula_multiply_to_the_value_shown(gallery, retrieve, judging, judge):
    path, encoder = gallery
    preset = replace(PRESETS["embedded"], retrieve=retrieve, judging=judging)
    engine = open_engine(path, encoder=encoder, judge=OracleJudge(), preset=preset)
    result = engine.search("a red circle", k=N, judge=judge)
    config = result.provenance.config
    shown = [(term, 4) for hit in result for term in stage1_terms(hit, config)]
    shown += [(term, 3) for hit in result for term in final_terms(hit, config)]
    for term, digits in shown:
        if term.formula != "not judged":
            assert product_of(term.formula) == pytest.approx(term.value, abs=0.5 * 10**-digits)


def product_of(formula):
    assert "-" not in formula
    factors = re.sub(r" \(clipped from .*\)$", "", formula).replace("−", "-").split(" × ")
    return math.prod(map(float, factors))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clipped_answer_says_what_it_was(sign):
    config = {
        "retrieve": {"region_weight": 0.9, "image_weight": 0.1},
        "judging": {"weight": 0.5, "stage1_weight": 0.25, "max_logit": 12.0},
        "log_odds": {"scale": 27.3259123, "bias": -7.5},
        "n_judged_done": 1,
    }
    hit = replace(JUDGED, logit=sign * 14.25)
    region, image, bias, judge = final_terms(hit, config)
    assert region.formula == "0.25 × 27.3259 × 0.2493"
    assert image.formula == "0.25 × 27.3259 × −0.012"
    assert (bias.formula, bias.value) == ("0.25 × −7.5", -1.875)
    minus = "−" * (sign < 0)
    assert judge.formula == f"0.5 × {minus}12 (clipped from {minus}14.25)"
    assert judge.value == 6 * sign


def test_a_result_that_does_not_say_how_it_was_made_has_no_terms():
    assert stage1_terms(JUDGED, {}) == final_terms(JUDGED, {}) == ()


def test_a_hit_that_was_not_judged_says_so(gallery):
    path, encoder = gallery
    engine = open_engine(path, encoder=encoder, judge=OracleJudge())
    result = engine.search("a red circle", k=N, n_judged=2)
    by_image = {
        hit.image_id: final_terms(hit, result.provenance.config)[-1]
        for hit in result
        if hit.logit is None
    }
    assert len(by_image) == N - 2
    assert {(t.name, t.formula, t.value) for t in by_image.values()} == {
        ("judge", "not judged", 0.0)
    }
