import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import (
    OracleEncoder,
    OracleJudge,
    OracleMaskSource,
    bare_hit,
    oracle_index,
)

from matir_nb.config import CutConfig, JudgeConfig
from matir_nb.explain.cut import (
    JUDGE_NULLS,
    UNFITTED_SCALE,
    Cut,
    JudgeNull,
    cut_of,
    judge_threshold,
)
from matir_nb.index.build import build
from matir_nb.models.registry import load_encoder, load_judge
from matir_nb.opening import open_engine
from matir_nb.presets import preset_named

N = 25
CUT = Cut(
    "judge",
    0.05,
    100,
    min_stage1_score=0.3,
    n_phrases=200,
    min_logit=0.0,
    is_fitted=True,
    min_p=0.5,
)


class Band:
    """As many phrases as numbers; each number is the phrase's best score in the index."""

    def __init__(self, best, kept=slice(None)):
        self.best, self._kept = np.array(best, np.float32), kept

    def rows_for(self, _query):
        return np.arange(len(self.best))[self._kept]


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("cut"), N)


@pytest.fixture
def engine(scenes_and_path):
    scenes, path = scenes_and_path
    return open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())


def test_stage_1s_cut_is_what_few_unrelated_phrases_reach_anywhere_in_the_index():
    band = Band(np.arange(101) / 100, kept=slice(0, 101))
    config = CutConfig(error_rate=0.05)
    cut = cut_of("q", band, config=config, n_images=10)
    assert (cut.by, cut.min_logit, cut.is_fitted, cut.n_phrases) == ("null band", None, None, 101)
    assert cut.min_stage1_score == pytest.approx(0.95)
    half = cut_of("q", Band(np.arange(101) / 100, slice(0, 51)), config=config, n_images=10)
    assert half.min_stage1_score == pytest.approx(0.475)


@pytest.mark.parametrize(("n_images", "error_rate"), [(1, 0.5), (40, 0.05), (40, 0.3)])
def test_the_judges_cut_is_exceeded_as_often_as_it_says(n_images, error_rate):
    null = JudgeNull(location=-1.5, scale=0.4)
    draws = np.random.default_rng(0).gumbel(-1.5, 0.4, (20_000, n_images)).max(axis=1)
    exceeded = (draws > null.min_logit(n_images, error_rate)).mean()
    assert exceeded == pytest.approx(error_rate, abs=0.012)


def test_a_judge_without_fitted_null_needs_more_than_a_half_in_a_larger_index():
    assert judge_threshold("some judge", 1, 0.05) == (0.0, False)
    assert judge_threshold("some judge", 100, 0.05)[0] == pytest.approx(
        UNFITTED_SCALE * math.log(100)
    )


def test_a_judges_word_is_what_its_log_odds_are_worth():
    """A fitted null is of the judge's own log-odds: calibration does not move it."""
    judging = JudgeConfig(calibration_scale=0.5, calibration_bias=-1.0)
    needed = UNFITTED_SCALE * math.log(100)
    raw, _ = judge_threshold("some judge", 100, 0.05, judging)
    assert 0.5 * raw - 1.0 == pytest.approx(needed)
    fitted = next(iter(JUDGE_NULLS))
    assert judge_threshold(fitted, 100, 0.05, judging) == judge_threshold(fitted, 100, 0.05)
    band = Band([0.1, 0.2])
    cut = cut_of("q", band, config=CutConfig(), n_images=9, judge_id=fitted, judging=judging)
    worth = 0.5 * cut.min_logit - 1.0
    assert cut.min_p == pytest.approx(1 / (1 + math.exp(-worth)))


def test_the_default_judge_of_the_embedded_preset_has_a_fitted_null():
    preset = preset_named("embedded")
    judge = load_judge(preset.judge, load_encoder(preset, "cpu"))
    min_logit, is_fitted = judge_threshold(judge.model_id, 100, preset.cut.error_rate)
    assert is_fitted
    (null,) = (n for name, n in JUDGE_NULLS.items() if judge.model_id.startswith(name))
    assert min_logit == null.min_logit(100, 0.05)


@pytest.mark.parametrize(
    ("stage1_score", "logit", "is_kept"),
    [
        (0.9, -0.1, False),
        (0.1, 0.0, True),
        (0.9, None, None),
    ],
)
def test_where_a_judge_decides_what_it_did_not_see_is_undecided(stage1_score, logit, is_kept):
    hit = bare_hit(stage1_score=stage1_score, logit=logit)
    assert CUT.keeps(hit) is is_kept
    assert not replace(CUT, unknown_words=("dog",)).keeps(hit)


def test_the_notices_say_what_was_reached_and_what_would_stand_out():
    hit = bare_hit(stage1_score=0.2, null_percentile=83.2, above_cut=False)
    judged = replace(hit, p_relevant=0.31, logit=-0.8)
    assert CUT.notice([judged]) == (
        "nothing in this index stands out for this query: the judge gives the best hit p = 0.31, "
        "and 0.50 would stand out; in that image it scores higher than 83 % of unrelated phrases"
    )
    best = replace(judged, rank=4, p_relevant=0.4, logit=-0.4)
    assert "the judge gives hit 4 at most p = 0.40" in CUT.notice([hit, judged, best])
    assert CUT.notice([replace(hit, stage1_score=0.9)]) == (
        "the judge saw none of these hits, so none is above the cut: judge more of them"
    )
    assert replace(CUT, by="null band", min_logit=None).notice([hit]) == (
        "nothing in this index stands out for this query: the best hit has the stage-1 score "
        "0.200, and 5 % of unrelated phrases find an image with 0.300 or more; in that image it "
        "scores higher than 83 % of unrelated phrases"
    )
    assert replace(CUT, unknown_words=("dog", "cat")).notice([hit]) == (
        "the encoder does not know 'dog', 'cat': its scores say nothing about this query, "
        "so no hit is above the cut"
    )
    assert CUT.notice([hit, replace(judged, above_cut=True)]) == ""
    assert CUT.notice([]) == ""


def cut_in(result):
    return result.provenance.config["cut"]


def test_the_provenance_reproduces_every_decision(engine):
    for options in ({}, {"judge": False}, {"n_judged": 5}, {"judge": "structured"}):
        kept = []
        for query in ("red circle", "striped heart", "blue small star"):
            result = engine.search(query, k=N, **options)
            cut = cut_in(result)
            for hit in result:
                by_judge = cut["min_logit"] is not None
                value = hit.logit if by_judge else hit.stage1_score
                limit = cut["min_logit" if by_judge else "min_stage1_score"]
                assert hit.above_cut == (None if value is None else value >= limit)
                kept.append(hit.above_cut)
        assert {True, False} <= set(kept), options


def test_without_a_judge_the_null_band_decides(engine):
    result = engine.search("red circle", k=N, judge=False)
    assert (cut_in(result)["by"], cut_in(result)["min_p"]) == ("null band", None)
    cancelled = engine.search("cyan circle", k=N, cancel=lambda: True)
    assert cut_in(cancelled)["by"] == "null band"
    judged = engine.search("red circle", k=N)
    assert cut_in(judged)["by"] == "judge"
    assert cut_in(judged)["is_fitted"] is False
    assert cut_in(judged)["n_images"] == N


def test_words_that_the_encoder_does_not_know_keep_nothing_and_are_named(engine):
    result = engine.search("red circle on a carpet")
    assert cut_in(result)["unknown_words"] == ["carpet"]
    assert not any(hit.above_cut for hit in result)
    assert any("does not know" in notice for notice in result.provenance.notices)


def test_a_query_that_nothing_answers_says_so(engine, scenes_and_path):
    scenes, _ = scenes_and_path
    shown = {(o.colour, o.shape, o.texture, o.size) for scene in scenes for o in scene.objects}
    absent = next(
        t
        for c, s, x, z in sorted(shown)
        for t in [("red" if c != "red" else "blue", s, x, z)]
        if t not in shown
    )
    result = engine.search(" ".join(absent), k=3)
    assert not any(hit.above_cut for hit in result)
    notice = next(n for n in result.provenance.notices if n.startswith("nothing in this index"))
    assert "p = 0.02" in notice
    found = engine.search("red circle", k=3)
    assert any(hit.above_cut for hit in found)
    assert not any(n.startswith("nothing in") for n in found.provenance.notices)


@pytest.mark.parametrize("n", [1, 3])
def test_an_index_of_few_images_has_a_cut(tmp_path, n):
    scenes, path = oracle_index(tmp_path, n)
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())
    item = scenes[0].objects[0]
    result = engine.search(f"{item.colour} {item.shape} {item.texture} {item.size}")
    best = next(hit for hit in result if hit.image_id.startswith(scenes[0].scene_id))
    assert best.above_cut
    by_stage1 = engine.search(f"{item.colour} {item.shape} {item.texture}", judge=False)
    assert {hit.above_cut for hit in by_stage1} <= {True, False}


def test_an_empty_index_has_no_hits_to_cut(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.jpg").write_bytes(b"no picture")
    masks, encoder = OracleMaskSource([]), OracleEncoder([])
    build(tmp_path / "broken", tmp_path / "i.matir", masks=masks, encoder=encoder)
    engine = open_engine(tmp_path / "i.matir", encoder=encoder, judge=OracleJudge())
    result = engine.search("red circle")
    assert (result.hits, cut_in(result)["by"]) == ((), "null band")
    assert not any("stands out" in notice for notice in result.provenance.notices)
