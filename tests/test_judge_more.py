"""A judge that goes on down the list, and scores of any texts in one image."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index

from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.results import SearchResult

N = 30
QUERY = "green heart striped"


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("more"), N)


@pytest.fixture
def engine(scenes_and_path, tmp_path):
    scenes, path = scenes_and_path
    judge = OracleJudge(model_id=f"oracle-judge of {tmp_path.name}")
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge)


def without_times(result):
    return replace(result, provenance=replace(result.provenance, seconds={}))


@pytest.mark.parametrize(("k", "first", "more"), [(4, 3, 5), (12, 10, 64), (N, 0, 1)])
def test_it_is_the_search_with_more_candidates_judged(engine, k, first, more):
    found = engine.search(QUERY, k=k, n_judged=first).judge_more(more)
    fresh = engine.search(QUERY, k=k, n_judged=first + more)
    assert without_times(found) == without_times(fresh)
    assert found.provenance.config["n_judged_done"] == min(first + more, N)


def test_only_the_new_candidates_are_shown_to_the_judge(engine):
    found = engine.search(QUERY, k=4, n_judged=3)
    engine.judge.seen.clear()
    found.judge_more(5)
    assert [len(chunk) for chunk in engine.judge.seen] == [5]


def test_what_was_judged_is_remembered_when_the_index_is_opened_again(scenes_and_path, engine):
    scenes, path = scenes_and_path
    found = engine.search(QUERY, k=4, n_judged=3).judge_more(5)
    judge = OracleJudge(model_id=engine.judge.model_id)
    again = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
    assert without_times(again.judge_more(found, 2)).provenance.config["n_judged_done"] == 10
    assert [len(chunk) for chunk in judge.seen] == [2]


def test_a_result_of_stage_1_is_given_to_the_engines_judge(engine):
    found = engine.search(QUERY, k=6, judge=False).judge_more(4)
    assert without_times(found) == without_times(engine.search(QUERY, k=6, n_judged=4))


def test_the_options_are_those_of_the_result(engine):
    judging = replace(PRESETS["embedded"].judging, weight=3.0, n_judged=2)
    engine.preset = replace(engine.preset, judging=judging)
    found = engine.search(QUERY, k=6)
    engine.preset = PRESETS["embedded"]
    config = found.judge_more(1).provenance.config
    assert config["judging"] == found.provenance.config["judging"] | {"n_judged": 3}


def test_cancelling_keeps_what_was_judged(engine):
    found = engine.search(QUERY, k=6, n_judged=3)
    more = found.judge_more(20, cancel=lambda: True)
    assert more.hits == engine.search(QUERY, k=6, n_judged=3).hits
    assert more.provenance.notices[-1] == "cancelled: 3 of 23 candidates were judged"


def test_progress_counts_those_of_before(engine):
    told = []
    found = engine.search(QUERY, k=6, n_judged=3)
    found.judge_more(4, progress=lambda done, total: told.append((done, total)))
    assert told == [(3, 7), (7, 7)]


def test_what_cannot_go_on_says_why(engine, scenes_and_path, tmp_path):
    scenes, path = scenes_and_path
    found = engine.search(QUERY, k=3, n_judged=2)
    with pytest.raises(ConfigError, match="n = 0 is not allowed"):
        found.judge_more(0)
    engine.search(QUERY, k=3).save(tmp_path / "r.parquet")
    with pytest.raises(ConfigError, match=r"needs the index: give it, result\.with_source"):
        SearchResult.load(tmp_path / "r.parquet").judge_more()
    other = open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge(model_id="other"))
    with pytest.raises(ConfigError, match=r"is not here .this engine has 'other'.: open the index"):
        other.judge_more(found)
    none = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    with pytest.raises(ConfigError, match="this engine has none"):
        none.search(QUERY, judge=False).judge_more()


def test_a_result_of_another_index_is_refused(engine, tmp_path):
    provenance = replace(engine.search(QUERY, k=1).provenance, index_fingerprint="other")
    with pytest.raises(IndexMismatchError, match="fingerprint 'other'"):
        engine.judge_more(SearchResult(QUERY, (), provenance))


def test_scores_of_texts_are_those_of_each_alone(engine):
    found = engine.search("red circle", k=5)
    for hit in found:
        regions, whole = engine.text_scores_of(["blue star", "red circle"], hit.image_id)
        alone = engine.region_scores_of("red circle", hit.image_id)
        np.testing.assert_array_equal(regions[1], alone)
        assert regions.shape == (2, len(engine.regions_of(hit.image_id)))
        assert regions[1].max() == pytest.approx(hit.best_region_score, abs=1e-6)
        assert whole[1] == pytest.approx(hit.whole_image_score, abs=1e-6)
