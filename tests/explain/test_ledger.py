"""Ledgers: every hit's entries add up to its score, whatever the options; names and formulas."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from fakes import (
    OracleEncoder,
    OracleJudge,
    bare_hit,
    oracle_index,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from matir_nb.config import JudgeConfig, RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.explain.entries import LARGEST, Entry, difference_entries, entries
from matir_nb.explain.ledger import (
    DIFFERENCE_SCHEMA,
    LEDGER_SCHEMA,
    difference,
    gap,
    ledger,
)
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.results import SearchResult
from matir_nb.types import Judgement, LogOdds, Provenance

N = 14
QUERIES = ("a red circle", "a small striped ring", "an orange crescent", "nothing of the kind")
CONFIG = {
    "retrieve": {"region_weight": 0.75, "image_weight": 0.25, "m_regions": 4},
    "judging": {"weight": 2.0, "stage1_weight": 0.5, "max_logit": 3.0},
    "align": {"min_align_iou": 0.3},
    "log_odds": {"scale": 10.0, "bias": -2.0},
    "n_judged_done": 2,
}
# 0.75 * 0.4 + 0.25 * 0.2 = 0.35; 0.5 * (10 * 0.35 - 2) + 2 * 3 = 6.75
HIT = bare_hit(
    final_score=6.75,
    stage1_score=0.35,
    best_region_id=1,
    best_region_score=0.4,
    runner_up_score=0.1,
    whole_image_score=0.2,
    judge_rank=1,
    p_relevant=0.875,
    logit=5.0,
    answer="yes",
    region_id=1,
    region_score=0.4,
)
ALONE = replace(HIT, judge_rank=None, p_relevant=None, logit=None, answer=None, final_score=1.5)


class RandomJudge:
    """Says anything: for each image one of the logits, by its name."""

    def __init__(self, logits, *, place):
        self.model_id = f"random {logits} {place}"
        self.logits = logits
        self.place = place

    def judge(self, _query, inputs):
        return [self._one(item) for item in inputs]

    def _one(self, item):
        image_id = item.candidate.image_id
        logit = self.logits[sum(image_id.encode()) % len(self.logits)]
        n = len(item.regions)
        region = n - 1 if self.place == "region" and n else None
        box = (0.0, 0.0, 9.0, 9.0) if self.place == "box" else None
        return Judgement(image_id, 0.5, logit, box, region, "perhaps")


class ScaledEncoder(OracleEncoder):
    """An oracle whose cosines are worth something else."""

    def __init__(self, scenes, log_odds):
        super().__init__(scenes)
        self.log_odds = log_odds


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Return an index of scenes and of a picture without regions, and the scenes."""
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "scenes").mkdir()
    Image.new("RGB", (40, 30), "grey").save(folder / "scenes" / "empty.png")
    scenes, path = oracle_index(folder, N)
    return path, scenes


WEIGHTS = st.floats(0, 4)
LOGITS = st.one_of(st.floats(-60, 60), st.sampled_from([-math.inf, math.inf, 1e12, -LARGEST]))


@st.composite
def options(draw):
    """Draw a preset, the worth of a cosine, and a judge that says anything."""
    retrieve = RetrieveConfig(
        draw(WEIGHTS),
        draw(WEIGHTS),
        draw(st.sampled_from([1, 2, 12])),
        dehub_beta=draw(st.sampled_from([0.0, 0.0, 3.0, 20.0])),
        refine_weight=draw(st.sampled_from([0.0, 0.0, 0.7])),
    )
    judging = JudgeConfig(
        n_judged=draw(st.integers(0, N + 3)),
        weight=draw(WEIGHTS),
        stage1_weight=draw(WEIGHTS),
        max_logit=draw(st.floats(0, 50)),
        calibration_scale=draw(st.sampled_from([1.0, 0.3, 2.5])),
        calibration_bias=draw(st.sampled_from([0.0, -1.5, 4.0])),
    )
    preset = replace(PRESETS["embedded"], retrieve=retrieve, judging=judging)
    log_odds = LogOdds(draw(st.floats(0.5, 120)), draw(st.floats(-60, 60)))
    places = st.sampled_from(["region", "box", "nowhere"])
    judge = RandomJudge(draw(st.lists(LOGITS, min_size=1, max_size=5)), place=draw(places))
    judge.grounds = judge.place != "nowhere" or draw(st.booleans())
    return preset, log_odds, draw(st.none() | st.just(judge))


@given(options=options(), query=st.sampled_from(QUERIES), k=st.integers(1, N + 1))
@settings(max_examples=60, deadline=None)
def test_every_ledger_adds_up(gallery, options, query, k):
    """And the numbers of each formula multiply to what its entry contributes."""
    path, scenes = gallery
    preset, log_odds, judge = options
    engine = open_engine(path, encoder=ScaledEncoder(scenes, log_odds), judge=judge, preset=preset)
    result = engine.search(query, k=k)
    assert len(result) == k
    for hit in result:
        found = entries(hit, result.provenance.config)
        total = math.fsum(entry.contribution for entry in found)
        assert total == pytest.approx(hit.final_score, rel=0, abs=1e-6)
        assert "rounding" not in {entry.name for entry in found}
        assert math.isfinite(math.fsum(entry.value or 0 for entry in found))
        for entry in found:
            if entry.contribution:
                wanted = pytest.approx(entry.contribution, rel=1e-4, abs=1e-4)
                assert product_of(entry.formula) == wanted
    for other in range(1, len(result) + 1):
        found = result.why(1, other)["contribution"].sum()
        wanted = result.hits[0].final_score - result.hits[other - 1].final_score
        assert found == pytest.approx(wanted, rel=0, abs=1e-6)


def product_of(formula):
    factors = re.sub(r" \(.*\)$", "", formula).replace("−", "-").split(" × ")
    return math.prod(map(float, factors))


def test_a_judge_that_answers_with_boxes_adds_up_too(gallery):
    path, scenes = gallery
    judge = OracleJudge(answers_with="box")
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
    there = scenes[0].objects[0]
    result = engine.search(f"a {there.colour} {there.shape}", k=N + 1)
    names = set(result.ledger(1)["name"])
    assert {"judge", "probability", "align IoU"} <= names
    for rank in range(1, len(result) + 1):
        total = result.ledger(rank)["contribution"].sum()
        assert total == pytest.approx(result.hits[rank - 1].final_score, rel=0, abs=1e-6)


def shown(hit, config=CONFIG):
    return [(e.stage, e.name, e.formula, round(e.contribution, 9)) for e in entries(hit, config)]


def test_every_entry_by_hand():
    assert shown(HIT) == [
        ("retrieve", "runner-up region", "0.5 × 10 × 0.75 × 0.1", 0.375),
        ("retrieve", "winning margin", "0.5 × 10 × 0.75 × 0.3", 1.125),
        ("retrieve", "whole image", "0.5 × 10 × 0.25 × 0.2", 0.25),
        ("retrieve", "encoder bias", "0.5 × −2", -1.0),
        ("judge", "judge", "2 × 5", 10.0),
        ("judge", "clip", "2 × −2 (max_logit is 3)", -4.0),
        (
            "judge",
            "probability",
            "the judge's own, beside log-odds of 5 (their sigmoid: 0.993)",
            0.0,
        ),
        (
            "align",
            "region named by the judge",
            "region 1: alignment chooses the mask and does not change the order",
            0.0,
        ),
    ]
    values = {e.name: e.value for e in entries(HIT, CONFIG)}
    assert values["runner-up region"] == 0.1
    assert values["winning margin"] == pytest.approx(0.3)
    assert (values["judge"], values["probability"]) == (5.0, 0.875)


def calibrated(scale, bias, **options):
    judging = CONFIG["judging"] | {"calibration_scale": scale, "calibration_bias": bias}
    return CONFIG | {"judging": judging | options}


def test_calibration_is_an_entry_of_its_own():
    """5 * 0.5 - 0.25 = 2.25; in place of the 5 that counted 2 * 5."""
    hit = replace(HIT, p_relevant=1 / (1 + math.exp(-2.25)), final_score=5.25)
    rows = shown(hit, calibrated(0.5, -0.25))
    why = "worth 2.25: 0.5 × log-odds − 0.25"
    assert rows[4:7] == [
        ("judge", "judge", "2 × 5", 10.0),
        ("judge", "calibration", f"2 × −2.75 ({why})", -5.5),
        ("judge", "probability", "sigmoid(2.25)", 0.0),
    ]
    assert math.fsum(row[-1] for row in rows) == pytest.approx(5.25)
    both = shown(replace(hit, final_score=6.75), calibrated(2.0, 1.0))
    assert [row[1:] for row in both[5:7]] == [
        ("calibration", "2 × 6 (worth 11: 2 × log-odds + 1)", 12.0),
        ("clip", "2 × −8 (max_logit is 3)", -16.0),
    ]


def test_a_p_that_is_the_sigmoid_says_so():
    hit = replace(HIT, logit=0.0, p_relevant=0.5)
    assert ("judge", "probability", "sigmoid(0)", 0.0) in shown(hit)
    assert "clip" not in {name for _, name, *_ in shown(hit)}


def test_without_a_second_region_the_winner_is_one_entry():
    names = [name for _, name, *_ in shown(replace(HIT, runner_up_score=None))]
    assert names[:2] == ["winning region", "whole image"]


def test_an_image_without_regions_is_its_own():
    bare = replace(HIT, best_region_score=None, runner_up_score=None, region_id=None)
    assert shown(bare)[:2] == [
        ("retrieve", "whole image as only region", "0.5 × 10 × 0.75 × 0.2", 0.75),
        ("retrieve", "whole image", "0.5 × 10 × 0.25 × 0.2", 0.25),
    ]


def test_what_is_added_to_cosines_has_entries_of_its_own():
    """0.35 - 0.15 + 0.5 * 0.8 = 0.6; 0.5 * (10 * 0.6 - 2) + 2 * 3 = 8."""
    config = CONFIG | {"retrieve": CONFIG["retrieve"] | {"refine_weight": 0.5}}
    hit = replace(HIT, hub_score=0.15, reference_score=0.8, stage1_score=0.6, final_score=8.0)
    rows = shown(hit, config)
    assert rows[:5] == [
        ("retrieve", "winning region", "0.5 × 10 × 0.75 × 0.4", 1.5),
        ("retrieve", "whole image", "0.5 × 10 × 0.25 × 0.2", 0.25),
        ("retrieve", "de-hubbing", "0.5 × 10 × −1 × 0.15", -0.75),
        ("retrieve", "references", "0.5 × 10 × 0.5 × 0.8", 2.0),
        ("retrieve", "encoder bias", "0.5 × −2", -1.0),
    ]
    assert math.fsum(row[-1] for row in rows) == pytest.approx(8.0)


def test_without_a_second_stage_nothing_is_weighed_and_no_judge_named():
    config = CONFIG | {"n_judged_done": None}
    rows = shown(ALONE, config)
    assert rows[0][2] == "10 × 0.75 × 0.1"
    assert {stage for stage, *_ in rows} == {"retrieve", "align"}
    assert rows[-1][1] == "region of stage 1"
    assert sum(row[-1] for row in rows) == pytest.approx(1.5)


def test_a_hit_that_was_not_judged_says_so():
    rows = {name: (formula, adds) for _, name, formula, adds in shown(ALONE)}
    assert rows["not judged"] == ("no evidence either way: adds nothing", 0.0)
    assert "judge" not in rows


@pytest.mark.parametrize("sign", [1, -1])
def test_an_endless_logit_is_shown_clipped(sign):
    rows = {e.name: e for e in entries(replace(HIT, logit=sign * math.inf), CONFIG)}
    minus = "−" * (sign < 0)
    assert rows["judge"].formula == f"2 × {minus}3 (clipped from {minus}inf)"
    assert (rows["judge"].value, rows["judge"].contribution) == (sign * 3.0, sign * 6.0)
    assert "clip" not in rows


@pytest.mark.parametrize(
    ("values", "name", "formula"),
    [
        ({"align_iou": 0.5, "mask": "any"}, "align IoU", "alignment chooses the mask and does"),
        ({"align_iou": 0.1, "region_id": None}, "align IoU", "below 0.3: no mask"),
        ({"region_id": None}, "no place named", "the judge names no place: no mask"),
        (
            {"region_id": None, "judged_box_xyxy": (0.0, 0.0, 1.0, 1.0)},
            "no region",
            "none is stored that the judge's box could match",
        ),
        ({"judge_rank": None}, "region of stage 1", "its best region is shown"),
        ({"judge_rank": None, "region_id": None}, "no region", "none is stored for this image"),
    ],
)
def test_what_alignment_did(values, name, formula):
    entry = entries(replace(HIT, **values), CONFIG)[-1]
    assert (entry.stage, entry.name, entry.contribution) == ("align", name, 0.0)
    assert entry.formula.startswith(formula)


SCORE_ALONE = CONFIG | {"judge_grounds": False}


@pytest.mark.parametrize(
    ("values", "name", "value", "formula"),
    [
        ({}, "region of stage 1", 0.4, "the judge names no place: its best region is shown"),
        (
            {"region_id": None, "p_relevant": 0.4},
            "no region",
            None,
            "the judge names no place: below p 0.5 there is no mask",
        ),
        (
            {"region_id": None},
            "no region",
            None,
            "the judge names no place: none is stored for this image",
        ),
        ({"judge_rank": None}, "region of stage 1", 0.4, "its best region is shown"),
    ],
)
def test_what_is_shown_of_a_judge_that_gives_a_score_alone(values, name, value, formula):
    entry = entries(replace(HIT, **values), SCORE_ALONE)[-1]
    assert entry == Entry("align", name, value, formula, 0.0)


def test_a_score_in_single_precision_leaves_a_rounding_and_a_wrong_one_does_not():
    near = replace(HIT, final_score=6.75 + 1e-6)
    entry = next(e for e in entries(near, CONFIG) if e.name == "rounding")
    assert entry.contribution == pytest.approx(1e-6, rel=1e-3)
    assert entry.stage == "retrieve"
    wrong = replace(HIT, final_score=6.75 + 1e-5)
    assert "rounding" not in {e.name for e in entries(wrong, CONFIG)}


def test_a_result_that_does_not_say_how_it_was_made_has_no_entries():
    assert entries(HIT, {}) == ()
    frame = ledger(result_of(HIT, config={}), 1)
    assert frame.is_empty()
    assert frame.schema == LEDGER_SCHEMA


def result_of(*hits, config=CONFIG):
    provenance = Provenance("x", models={}, config=config, versions={}, seconds={})
    return SearchResult("red", hits, provenance)


SECOND = replace(ALONE, rank=2, image_id="b.png", final_score=0.75)


def test_the_tables_of_a_result():
    result = result_of(HIT, SECOND)
    frame = result.ledger(2)
    assert frame.schema == LEDGER_SCHEMA
    assert set(frame["image_id"]) == {"b.png"}
    assert frame["contribution"].sum() == pytest.approx(0.75)
    frame = difference(result, 1, 2)
    assert frame.schema == DIFFERENCE_SCHEMA
    assert set(frame["other"]) == {2}
    assert set(frame["other_image_id"]) == {"b.png"}
    assert frame["contribution"].sum() == pytest.approx(6.0)
    assert frame["contribution"].sum() == pytest.approx(
        -difference(result, 2, 1)["contribution"].sum()
    )


def test_a_difference_by_hand():
    rows = {e.name: e for e in difference_entries(HIT, SECOND, CONFIG)}
    assert (rows["whole image"].formula, rows["whole image"].contribution) == ("0.25 − 0.25", 0.0)
    assert rows["encoder bias"].formula == "(−1) − (−1)"
    assert (rows["judge"].formula, rows["judge"].value) == ("10 − 0", None)
    assert rows["judge"].contribution == 10.0
    assert rows["clip"].contribution == -4.0
    assert rows["not judged"].formula == "without; the other: with"
    assert rows["probability"].formula == "0.875; the other: without"
    stages = [e.stage for e in difference_entries(SECOND, HIT, CONFIG)]
    assert stages == sorted(stages, key=["retrieve", "judge", "align"].index)


def test_the_gap_is_to_the_next_hit():
    result = result_of(HIT, SECOND)
    assert gap(result, 1) == 6.0
    assert gap(result, 2) is None


def test_a_rank_may_be_of_an_array():
    result = result_of(HIT, SECOND)
    assert difference(result, *np.array([1, 2])).equals(difference(result, 1, 2))


@pytest.mark.parametrize("rank", [0, 3, -1, True, 1.0, None])
def test_a_rank_that_is_not_there(rank):
    with pytest.raises(ConfigError, match=rf"rank = {rank} is not allowed: give 1 to 2"):
        ledger(result_of(HIT, SECOND), rank)
    with pytest.raises(ConfigError, match="is not allowed"):
        difference(result_of(HIT, SECOND), 1, rank)
