"""Explanations in words, from hits made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import bare_hit

from matir_nb.errors import ConfigError
from matir_nb.exports.explain import MAX_REGIONS, flow_text, hit_text
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.results import SearchResult
from matir_nb.types import Provenance

CONFIG = {
    "retrieve": {"region_weight": 0.75, "image_weight": 0.25},
    "judging": {"weight": 1.0, "stage1_weight": 0.5, "max_logit": 3.0},
    "log_odds": {"scale": 10.0, "bias": -2.0},
    "n_judged_done": 2,
}
# 0.75 * 0.4 + 0.25 * 0.2 = 0.35; 0.5 * (10 * 0.35 - 2) + 3 = 3.75
HIT = bare_hit(
    image_id="a\x1b[31m.png",
    final_score=3.75,
    stage1_rank=4,
    stage1_score=0.35,
    best_region_score=0.4,
    whole_image_score=0.2,
    judge_rank=1,
    p_relevant=0.99,
    logit=5.0,
    answer="yes\x1b[2J",
    judged_box_xyxy=(0.0, 0.0, 4.0, 4.0),
    region_id=1,
    region_score=0.4,
    align_iou=0.25,
    box_xyxy=(0.0, 0.0, 2.0, 2.0),
)


class Shown:
    """A source whose region i is a square of i + 1 pixels and has the cosine i / 10."""

    def __init__(self, n):
        squares = np.zeros((n, 64, 64), bool)
        for i in range(n):
            squares[i, : i + 1, : i + 1] = True
        self._regions = regions_from_masks([encode(mask) for mask in squares])

    def regions_of(self, _image_id):
        return self._regions

    def region_scores_of(self, _query, _image_id):
        return np.arange(len(self._regions), dtype=np.float32) / 10


def result_of(*hits, config=CONFIG, source=None):
    seconds = {"retrieve": 0.5, "align": 0.25}
    provenance = Provenance("x", models={}, config=config, versions={}, seconds=seconds)
    return SearchResult("red", hits, provenance, source=source)


def test_other_files_of_the_same_bytes_are_named():
    known = replace(HIT, copies=("b.png", "c\x1b.png"))
    assert hit_text(result_of(known), 1).splitlines()[1] == r"also as: b.png, c\x1b.png"
    assert "also as" not in hit_text(result_of(HIT), 1)


def test_every_number_is_there_and_the_terms_add_up():
    text = hit_text(result_of(HIT, source=Shown(3)), 1)
    assert "rank: stage 1 4 → judge 1 → final 1 (up 3)" in text
    for words in (
        "best region 0.75 × 0.4 +0.3000",
        "= +0.3500",
        "retrieve winning region 0.400 0.5 × 10 × 0.75 × 0.4 +1.500",
        "judge judge 5.000 1 × 5 +5.000",
        "judge clip −2.000 1 × −2 (max_logit is 3) −2.000",
        "align align IoU 0.250",
        "= +3.750",
    ):
        assert words in " ".join(text.split())
    assert "p 0.990, log-odds 5.000, box 0,0,4,4" in text
    assert "\x1b" not in text


def test_the_gap_the_null_band_and_the_cut_are_said_where_they_are_known():
    known = replace(HIT, null_percentile=97.25, above_cut=True)
    below = replace(HIT, rank=2, final_score=1.25, above_cut=False)
    config = CONFIG | {"cut": {"by": "null band"}}
    text = hit_text(result_of(known, below, config=config), 1)
    assert "higher than 97.2 % of unrelated phrases in this image" in text
    assert "gap to the next hit: 2.500" in text
    assert "above this query's cut, by the null band" in text
    text = hit_text(result_of(known, below), 2)
    assert "below this query's cut\n" in text
    assert "gap" not in text
    assert "neutral" not in text
    assert "cut" not in hit_text(result_of(HIT), 1)


def test_regions_are_sorted_by_cosine_with_their_overlap_with_the_box():
    text = hit_text(result_of(HIT, source=Shown(4)), 1)
    rows = [line.split() for line in text.split("\n\n")[-1].splitlines()[2:-1]]
    assert [row[:3] for row in rows] == [
        ["3", "0.3000", "1.000"],
        ["2", "0.2000", "0.562"],
        ["*1", "0.1000", "0.250"],
        ["0", "0.0000", "0.062"],
    ]


def test_of_many_regions_the_best_are_listed_and_the_one_shown():
    text = hit_text(result_of(HIT, source=Shown(30)), 1)
    assert len(text.split("\n\n")[-1].splitlines()) == 2 + MAX_REGIONS + 1 + 2
    assert f"and {30 - MAX_REGIONS - 1} regions with lower cosines" in text
    assert "\n    *1 " in text


def test_what_a_stage_did_not_do_is_said():
    alone = replace(HIT, judge_rank=None, p_relevant=None, logit=None, region_id=None)
    alone = replace(alone, judged_box_xyxy=None, final_score=1.5)
    config = CONFIG | {"n_judged_done": None}
    text = hit_text(result_of(alone, config=config, source=Shown(2)), 1)
    assert "judge: did not see this image" in text
    assert "stage 1 4 → not judged → final 1" in text
    assert "= +1.500" in " ".join(text.split())
    assert "the hit shows no mask" in text


def test_an_image_without_regions_has_an_empty_table():
    text = hit_text(result_of(replace(HIT, region_id=None), source=Shown(0)), 1)
    assert text.split("\n\n")[-1].splitlines()[2:] == ["the hit shows no mask"]


@pytest.mark.parametrize("rank", [0, 2, -1])
def test_a_rank_that_is_not_there(rank):
    with pytest.raises(ConfigError, match=rf"rank = {rank} is not allowed: give 1 to 1"):
        hit_text(result_of(HIT), rank)


def test_an_empty_result_has_no_hit_but_seconds():
    with pytest.raises(ConfigError, match="the result has no hits"):
        hit_text(result_of(), 1)
    assert flow_text(result_of()).splitlines() == [
        "no hits",
        "",
        "retrieve     0.500 s",
        "align        0.250 s",
    ]


def test_ups_and_downs():
    hits = (HIT, replace(HIT, rank=2, stage1_rank=1, judge_rank=None), replace(HIT, rank=4))
    rows = [line.split() for line in flow_text(result_of(*hits)).splitlines()[2:5]]
    assert [row[:3] for row in rows] == [["4", "1", "1"], ["1", "-", "2"], ["4", "1", "4"]]
    assert [" ".join(row[3:-1]) for row in rows] == ["up 3", "down 1", "="]
