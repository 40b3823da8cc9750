"""Occlusion: stage 1 and the judge without a region, and the curves over all of them."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, oracle_index, scene_gallery
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ConfigError, ShapeError
from matir_nb.explain.occlusion import (
    OCCLUSION_SCHEMA,
    auc,
    deletion_curve,
    insertion_curve,
    occlude,
    occlusion,
)
from matir_nb.explain.without_region import ImageScan, blank, judgement_of_image
from matir_nb.geometry.masks import decode, encode
from matir_nb.index.build import build
from matir_nb.index.vectors import fuse
from matir_nb.opening import open_engine
from matir_nb.types import Judgement

N = 12
QUERY = "yellow square"


class LookingJudge(OracleJudge):
    """Keeps the pictures and inputs that it was shown."""

    def __init__(self):
        super().__init__(model_id="looking-judge")
        self.shown = []

    def judge(self, query, inputs):
        self.shown += [(item, item.load_image()) for item in inputs]
        return super().judge(query, inputs)


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("occlusion"), N)


def opened(scenes_and_path, judge):
    scenes, path = scenes_and_path
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge)


@pytest.fixture
def engine(scenes_and_path):
    return opened(scenes_and_path, OracleJudge())


def stage1_by_hand(engine, without=None):
    """Return image id -> stage-1 score; `without` = (image id, region) leaves that one out."""
    text = engine.encoder.embed_texts([QUERY])
    scores = {}
    for image_id in engine.index.image_ids:
        regions = engine.index.region_vectors_of(image_id) @ text[0]
        if without is not None and without[0] == image_id:
            regions = np.delete(regions, without[1])
        whole = float(engine.index.image_vector_of(image_id) @ text[0])
        scores[image_id] = 0.9 * float(max(regions, default=whole)) + 0.1 * whole
    return scores


@pytest.mark.parametrize("rank", [1, 2, N])
def test_stage_1_without_each_region_as_counted_by_hand(engine, rank):
    result = engine.search(QUERY, k=N, judge=False)
    hit = result.hits[rank - 1]
    frame = occlusion(result, rank)
    assert frame.schema == OCCLUSION_SCHEMA
    assert sorted(frame["region_id"]) == list(range(len(engine.regions_of(hit.image_id))))
    assert frame["region_score"].is_sorted(descending=True)
    assert frame["region_id"][0] == hit.best_region_id
    intact = stage1_by_hand(engine)[hit.image_id]
    for row in frame.iter_rows(named=True):
        scores = stage1_by_hand(engine, (hit.image_id, row["region_id"]))
        order = sorted(scores, key=lambda i: (-round(scores[i], 6), i))
        assert row["stage1_score"] == pytest.approx(scores[hit.image_id], abs=1e-6)
        assert row["stage1_drop"] == pytest.approx(intact - scores[hit.image_id], abs=1e-6)
        assert row["stage1_rank"] == order.index(hit.image_id) + 1
        assert (row["p_relevant"], row["logit"], row["answer"]) == (None, None, None)
    assert frame["stage1_drop"][1:].to_list() == [0.0] * (len(frame) - 1)
    assert frame["stage1_rank"][1:].to_list() == [hit.stage1_rank] * (len(frame) - 1)


def test_losing_the_only_match_costs_ranks(engine):
    result = engine.search(QUERY, k=1, judge=False)
    frame = result.occlusion(1)
    assert frame["stage1_drop"][0] > 0.05
    assert frame["stage1_rank"][0] > 1


def test_the_judge_is_asked_again_with_the_region_gone(engine):
    result = engine.search(QUERY, k=1)
    hit = result.hits[0]
    frame = occlusion(result, 1, judge=True)
    named = frame.filter(region_id=hit.region_id).row(0, named=True)
    assert named["p_relevant"] < 0.5 < hit.p_relevant
    assert named["judged_region_id"] is None
    others = frame.filter(frame["region_id"] != hit.region_id)
    assert set(others["p_relevant"]) == {hit.p_relevant}
    assert set(others["judged_region_id"]) == {hit.region_id}
    assert set(others["answer"]) == {f"yes, region {hit.region_id}"}
    assert frame["logit"].null_count() == 0


def test_what_the_judge_is_shown(scenes_and_path):
    judge = LookingJudge()
    engine = opened(scenes_and_path, judge)
    result = engine.search(QUERY, k=1)
    hit = result.hits[0]
    judge.shown.clear()
    done = occlude(result, 1, hit.region_id)
    ((item, picture),) = judge.shown
    regions = engine.regions_of(hit.image_id)
    kept = [row for row in range(len(regions)) if row != hit.region_id]
    inside = decode(regions.masks[hit.region_id])
    image = engine.load_image(hit.image_id)
    assert (picture[~inside] == image[~inside]).all()
    assert len(np.unique(picture[inside], axis=0)) == 1
    assert (picture[inside] != image[inside]).any()
    assert item.regions.masks == tuple(regions.masks[row] for row in kept)
    vectors = engine.index.region_vectors_of(hit.image_id)
    assert (item.region_vectors == vectors[kept]).all()
    candidate = item.candidate
    assert candidate.stage1_score == done.stage1_score
    assert candidate.stage1_rank == done.stage1_rank
    cosines = vectors[kept] @ engine.encoder.embed_texts([QUERY])[0]
    np.testing.assert_allclose(cosines[list(candidate.region_ids)], candidate.region_scores)
    assert candidate.best_region_score == pytest.approx(cosines.max())
    assert (item.width, item.height) == (hit.width, hit.height)
    assert done.note == ""


def test_one_region_is_the_row_of_all(engine):
    result = engine.search(QUERY, k=2)
    rows = {row["region_id"]: row for row in occlusion(result, 2, judge=True).to_dicts()}
    for region_id, row in rows.items():
        one = occlude(result, 2, region_id)
        assert {name: getattr(one, name) for name in OCCLUSION_SCHEMA} == row


def test_judgements_of_occluded_pictures_are_not_remembered_as_the_images_own(engine):
    before = engine.search(QUERY, k=1)
    occlusion(before, 1, judge=True)
    assert engine.search(QUERY, k=1).hits == before.hits


def test_without_a_judge_one_region_says_so_and_all_refuse(scenes_and_path):
    result = opened(scenes_and_path, None).search(QUERY, k=1)
    row = occlude(result, 1, 0)
    assert (row.p_relevant, row.logit, row.answer) == (None, None, None)
    assert "open the index with that judge" in row.note
    with pytest.raises(ConfigError, match="open the index with that judge"):
        occlusion(result, 1, judge=True)


def test_a_judge_that_answers_too_little_is_refused(scenes_and_path, engine):
    class Silent(OracleJudge):
        def judge(self, _query, _inputs):
            return []

    result = engine.search(QUERY, k=1)
    engine.judge = Silent(model_id=engine.judge.model_id)
    with pytest.raises(ShapeError, match=r"expected \d+ judgements, got 0"):
        occlusion(result, 1, judge=True)


@pytest.mark.parametrize("region_id", [-1, 99, True, "0"])
def test_a_region_that_is_not_there_is_refused(engine, region_id):
    result = engine.search(QUERY, k=1)
    with pytest.raises(ConfigError, match=r"is not allowed: .* counted from 0"):
        occlude(result, 1, region_id)


def test_a_region_may_be_named_by_a_number_of_an_array(engine):
    result = engine.search(QUERY, k=1)
    assert occlude(result, np.int64(1), np.int64(0)) == occlude(result, 1, 0)


def test_what_is_needed_is_said(engine):
    result = engine.search(QUERY, k=1)
    with pytest.raises(ConfigError, match=r"give it, result\.with_source"):
        occlusion(replace(result, source=None), 1)
    bare = replace(result, provenance=replace(result.provenance, config={}))
    with pytest.raises(ConfigError, match="search again"):
        occlusion(bare, 1)
    with pytest.raises(ConfigError, match="rank = 2 is not allowed"):
        occlusion(result, 2)


def test_images_with_one_region_and_with_none(tmp_path):
    scenes = scene_gallery(tmp_path / "images", 3)

    class OneMask(OracleMaskSource):
        def generate(self, images):
            return [
                regions.take(range(min(1, len(regions)))) for regions in super().generate(images)
            ]

    encoder = OracleEncoder(scenes)
    few = OneMask(scenes[:1])
    build(tmp_path / "images", tmp_path / "x.matir", masks=few, encoder=encoder)
    engine = open_engine(tmp_path / "x.matir", encoder=encoder, judge=OracleJudge())
    result = engine.search(scenes[0].objects[0].colour, k=3)
    by_id = {hit.image_id: hit for hit in result}
    hit = by_id[f"{scenes[0].scene_id}.png"]
    row = occlusion(result, hit.rank, judge=True).row(0, named=True)
    assert row["stage1_score"] == pytest.approx(hit.whole_image_score)
    assert row["p_relevant"] < 0.5
    bare = next(hit for hit in result if hit.best_region_id is None)
    assert occlusion(result, bare.rank, judge=True).schema == OCCLUSION_SCHEMA
    assert len(occlusion(result, bare.rank)) == 0


def test_equal_scores_are_ranked_by_image_id(engine):
    result = engine.search("unheard of", k=N, judge=False)
    by_score = sorted(result, key=lambda hit: (-hit.stage1_score, hit.image_id))
    assert len({hit.stage1_score for hit in by_score}) < N
    for hit in by_score:
        seen = ImageScan.of(result, hit.rank)
        assert seen.rank_of(seen.stage1_score) == hit.stage1_rank


def test_blanking_uses_the_ring_and_keeps_the_rest():
    image = np.full((30, 30, 3), 200, np.uint8)
    image[8:22, 8:22] = 40
    mask = np.zeros((30, 30), bool)
    mask[10:20, 10:20] = True
    image[mask] = 255
    blanked = blank(image, encode(mask))
    assert (blanked[mask] == 40).all()
    assert (blanked[~mask] == image[~mask]).all()
    assert (image[mask] == 255).all()
    assert (blank(image, encode(np.ones((30, 30), bool))) == np.round(image.mean((0, 1)))).all()


@pytest.mark.parametrize(("row", "own"), [(0, 0), (1, 1), (2, 3), (None, None)])
def test_region_numbers_are_translated_back(row, own):
    told = Judgement("a.png", 0.5, 0.0, None, row, "region 1, region 2; about 2 regions")
    back = judgement_of_image(told, gone=2)
    assert back.region_id == own
    assert back.answer == "region 1, region 3; about 2 regions"


def test_curves_worked_by_hand():
    config = RetrieveConfig(region_weight=0.5, image_weight=0.5)
    cosines = np.array([0.2, 0.8, 0.4], np.float32)
    deleted = deletion_curve(cosines, 0.1, [1, 2, 0], config)
    np.testing.assert_allclose(deleted, [0.45, 0.25, 0.15, 0.1], atol=1e-7)
    inserted = insertion_curve(cosines, 0.1, [1, 2, 0], config)
    np.testing.assert_allclose(inserted, [0.1, 0.45, 0.45, 0.45], atol=1e-7)
    assert auc(deleted) == pytest.approx((0.45 / 2 + 0.25 + 0.15 + 0.1 / 2) / 3)
    assert deletion_curve(np.zeros(0, np.float32), 0.25, []).tolist() == [0.25]


@given(st.lists(st.floats(-1, 1, width=32), max_size=8), st.randoms(use_true_random=False))
def test_best_first_deletes_fastest_and_inserts_fastest(values, random):
    cosines = np.array(values, np.float32)
    whole = -1.0
    best_first = np.argsort(-cosines, kind="stable")
    other = list(range(len(values)))
    random.shuffle(other)
    assert (
        auc(deletion_curve(cosines, whole, best_first))
        <= auc(deletion_curve(cosines, whole, other)) + 1e-9
    )
    inserted = insertion_curve(cosines, whole, other)
    assert auc(insertion_curve(cosines, whole, best_first)) >= auc(inserted) - 1e-9
    assert len(inserted) == len(values) + 1
    for n_there in range(len(values) + 1):
        there = cosines[other[:n_there]].max(initial=-np.inf)
        expected = fuse(np.array([there]), np.array([whole]), RetrieveConfig())
        assert inserted[n_there] == expected[0]


@pytest.mark.parametrize("order", [[0], [0, 0], [1, 2], [[0, 1], [1, 0]]])
def test_an_order_must_name_each_region_once(order):
    with pytest.raises(ConfigError, match="name each of 2 regions once"):
        deletion_curve(np.zeros(2, np.float32), 0.0, order)


def test_a_curve_without_values_has_no_area():
    with pytest.raises(ConfigError, match="at least one value"):
        auc([])
