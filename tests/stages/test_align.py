from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from matir_nb.config import AlignConfig, JudgeConfig
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.stages.align import Found, align, final_score, find, judge_ranks, match_box, order
from matir_nb.types import Candidate, ImageRef, Judgement, LogOdds, MaskRLE

LEFT, RIGHT = (0.0, 0.0, 4.0, 8.0), (4.0, 0.0, 8.0, 8.0)
STAGE1 = LogOdds(scale=10, bias=-4)
STAGE2 = JudgeConfig(weight=1, stage1_weight=0.5, max_logit=6)


def half(side: slice) -> MaskRLE:
    mask = np.zeros((8, 8), bool)
    mask[:, side] = True
    return encode(mask)


REGIONS = regions_from_masks([half(slice(0, 4)), half(slice(4, 8))])


class TwoHalves:
    """An index in which every image has a left (0) and a right (1) region."""

    image_root = Path("/photos")

    def ref_of(self, image_id):
        return ImageRef(image_id, self.image_root / "sub" / image_id, 8, 8, "f")

    def regions_of(self, _):
        return REGIONS

    def copies_of(self, image_id):
        return (f"copy of {image_id}",)

    def load_image(self, _):
        return np.full((8, 8, 3), 7, np.uint8)


def a_candidate(image_id: str, score: float, rank: int = 1) -> Candidate:
    regions = (np.float32(0.75), np.float32(0.25))
    return Candidate(image_id, rank, score, 0.75, 0.125, (1, 0), np.array(regions))


def said(image_id: str, logit: float, *, box=None, region=None) -> Judgement:
    return Judgement(image_id, 0.9 if logit > 0 else 0.1, logit, box, region, "words")


def run(candidates, judgements, *, align_config=None, n_hits=None, **options):
    scored = order(candidates, judgements, log_odds=STAGE1, config=STAGE2)
    return align(scored[:n_hits], TwoHalves(), config=align_config or AlignConfig(), **options)


def test_without_a_judge_the_score_is_stage_1_in_log_odds():
    hits = run([a_candidate("a", 0.5), a_candidate("b", 0.75, 2)], None)
    assert [(h.rank, h.image_id, h.final_score) for h in hits] == [(1, "b", 3.5), (2, "a", 1.0)]
    best = hits[0]
    assert (best.stage1_rank, best.stage1_score, best.best_region_score) == (2, 0.75, 0.75)
    assert (best.judge_rank, best.p_relevant, best.logit, best.answer) == (None,) * 4
    assert (best.region_id, best.region_score, best.box_xyxy) == (1, 0.75, RIGHT)
    assert best.mask == REGIONS.masks[1]
    assert best.align_iou is None
    assert best.path == "sub/b"


def test_judged_and_unjudged_images_share_one_scale():
    candidates = [a_candidate(name, 0.5, i + 1) for i, name in enumerate("abc")]
    hits = run(candidates, [said("a", -2.0), said("b", 100.0, region=0)])
    assert [(h.image_id, h.final_score) for h in hits] == [("b", 6.5), ("c", 0.5), ("a", -1.5)]
    assert [h.judge_rank for h in hits] == [1, None, 2]
    assert [h.stage1_rank for h in hits] == [2, 3, 1]
    assert hits[0].logit == 100.0


def test_a_judge_that_was_cancelled_at_once_still_weighs_stage_1():
    assert run([a_candidate("a", 0.5)], [])[0].final_score == 0.5


def test_equal_scores_are_ordered_by_image_id():
    candidates = [a_candidate(name, 0.5, i + 1) for i, name in enumerate("cab")]
    assert [h.image_id for h in run(candidates, None)] == ["a", "b", "c"]
    assert [h.image_id for h in run(candidates, None, n_hits=2)] == ["a", "b"]


def test_judge_ranks_are_by_logit_then_id():
    judgements = [said("c", 1.0), said("b", 2.0), said("a", 1.0)]
    assert judge_ranks(judgements) == {"b": 1, "a": 2, "c": 3}


@pytest.mark.parametrize(
    ("logit", "judge", "expected"),
    [
        (None, None, 1.0),
        (5.0, None, 1.0),
        (None, STAGE2, 0.5),
        (2.0, STAGE2, 2.5),
        (-float("inf"), STAGE2, -5.5),
        (2.0, replace(STAGE2, calibration_scale=1.5, calibration_bias=-1.0), 2.5),
        (9.0, replace(STAGE2, calibration_scale=0.5, calibration_bias=1.0), 6.0),
        (None, replace(STAGE2, calibration_scale=0.5, calibration_bias=1.0), 0.5),
    ],
)
def test_final_score(logit, judge, expected):
    assert final_score(0.5, logit, STAGE1, judge) == expected


def test_a_named_region_is_taken_as_it_is():
    judgement = said("a", 3.0, box=RIGHT, region=0)
    hit = run([a_candidate("a", 0.5)], [judgement])[0]
    assert (hit.region_id, hit.region_score, hit.align_iou) == (0, 0.25, None)
    assert (hit.box_xyxy, hit.judged_box_xyxy) == (LEFT, RIGHT)


def test_a_box_takes_the_mask_that_fits_best():
    hit = run([a_candidate("a", 0.5)], [said("a", 3.0, box=(0.0, 0.0, 5.0, 8.0))])[0]
    assert (hit.region_id, hit.box_xyxy, hit.mask) == (0, LEFT, REGIONS.masks[0])
    assert hit.align_iou == pytest.approx(32 / 40)


def test_a_box_that_fits_nothing_has_no_mask_and_says_how_badly():
    found = match_box((0.0, 0.0, 8.0, 2.0), REGIONS, AlignConfig(min_align_iou=0.5))
    assert found == Found(align_iou=pytest.approx(8 / 40))
    assert match_box(LEFT, regions_from_masks([]), AlignConfig()) == Found()


def test_a_judge_that_names_no_place_shows_none():
    for logit in (-4.0, 4.0):
        hit = run([a_candidate("a", 0.5)], [said("a", logit)])[0]
        assert (hit.region_id, hit.mask, hit.box_xyxy, hit.align_iou) == (None,) * 4
        assert hit.best_region_score == 0.75


def test_of_a_score_alone_stage_1s_region_is_shown_where_it_is_relevant():
    candidates = [a_candidate("a", 0.5), a_candidate("b", 0.5, 2), a_candidate("c", 0.5, 3)]
    judgements = [said("a", 3.0), said("b", -3.0), replace(said("c", 0.0), p_relevant=0.5)]
    hits = {hit.image_id: hit for hit in run(candidates, judgements, judge_grounds=False)}
    for name in "ac":
        shown = hits[name]
        assert (shown.region_id, shown.region_score, shown.box_xyxy) == (1, 0.75, RIGHT)
        assert (shown.mask, shown.align_iou) == (REGIONS.masks[1], None)
        assert shown.logit is not None
    assert (hits["b"].region_id, hits["b"].mask, hits["b"].box_xyxy) == (None,) * 3


def test_of_a_score_alone_an_image_without_regions_shows_none():
    bare = Candidate("a", 1, 0.5, None, 0.5, (), np.zeros(0))
    scored = order([bare], [said("a", 3.0)], log_odds=STAGE1, config=STAGE2)

    class Empty(TwoHalves):
        def regions_of(self, _):
            return regions_from_masks([])

    (hit,) = align(scored, Empty(), config=AlignConfig(), judge_grounds=False)
    assert (hit.region_id, hit.mask) == (None, None)


def test_an_unjudged_image_without_regions_shows_none():
    bare = Candidate("a", 1, 0.5, None, 0.5, (), np.zeros(0))
    assert find(bare, None, TwoHalves(), config=AlignConfig()) == Found()


def test_a_prompted_segmenter_makes_the_mask():
    asked = []

    def prompt(image, box):
        asked.append((int(image.max()), box))
        return half(slice(0, 2))

    box = (0.0, 0.0, 4.0, 8.0)
    options = {"align_config": AlignConfig(prompt_sam=True), "box_prompt": prompt}
    hit = run([a_candidate("a", 0.5)], [said("a", 3.0, box=box)], **options)[0]
    assert asked == [(7, box)]
    assert (hit.region_id, hit.box_xyxy) == (None, (0.0, 0.0, 2.0, 8.0))
    assert hit.mask == half(slice(0, 2))
    assert hit.align_iou == 0.5


def test_a_prompted_mask_that_lies_elsewhere_is_refused():
    config = AlignConfig(prompt_sam=True)
    judgement = said("a", 3.0, box=LEFT)
    options = {"align_config": config, "box_prompt": lambda *_: half(slice(5, 8))}
    hit = run([a_candidate("a", 0.5)], [judgement], **options)[0]
    assert (hit.mask, hit.box_xyxy, hit.align_iou) == (None, None, 0.0)


def test_the_segmenter_is_left_alone_unless_asked_for():
    def prompt(image, box):
        raise AssertionError

    judgement = said("a", 3.0, box=LEFT)
    hit = run([a_candidate("a", 0.5)], [judgement], box_prompt=prompt)[0]
    assert hit.region_id == 0
