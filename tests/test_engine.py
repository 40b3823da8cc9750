import subprocess
import sys
from dataclasses import replace

import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, known_words, oracle_index, words_of

import matir_nb
from matir_nb.errors import ConfigError, IndexMismatchError, IndexNotFoundError, QueryError
from matir_nb.geometry.masks import decode
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.results import SearchResult

N = 30


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("engine"), N)


@pytest.fixture
def engine(scenes_and_path):
    scenes, path = scenes_and_path
    return open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())


def answers(scenes, query):
    """Return image id -> numbers of the objects that have every attribute of the query."""
    wanted = set(known_words(query))
    found = {
        f"{scene.scene_id}.png": [
            i for i, item in enumerate(scene.objects) if wanted <= set(words_of(item))
        ]
        for scene in scenes
    }
    return {image_id: rows for image_id, rows in found.items() if rows}


@pytest.mark.parametrize("judge", [None, False, "box"])
@pytest.mark.parametrize("query", ["red circle", "striped star", "large plain"])
def test_what_is_asked_for_comes_first_with_its_mask(scenes_and_path, engine, query, judge):
    scenes, _ = scenes_and_path
    by_id = {f"{scene.scene_id}.png": scene for scene in scenes}
    truth = answers(scenes, query)
    assert truth
    judge = OracleJudge(answers_with="box", model_id="boxes") if judge == "box" else judge
    found = engine.search(query, k=len(truth), judge=judge)
    assert {hit.image_id for hit in found} == set(truth)
    for hit in found:
        masks = [by_id[hit.image_id].visible_mask(i) for i in truth[hit.image_id]]
        assert any((decode(hit.mask) == mask).all() for mask in masks)


def test_the_judge_decides_and_both_ranks_are_kept(scenes_and_path, engine):
    scenes, _ = scenes_and_path
    truth = answers(scenes, "red circle")
    found = engine.search("red circle", k=N)
    assert [hit.rank for hit in found] == list(range(1, N + 1))
    assert sorted(hit.stage1_rank for hit in found) == list(range(1, N + 1))
    assert sorted(hit.judge_rank for hit in found) == list(range(1, N + 1))
    scores = [hit.final_score for hit in found]
    assert scores == sorted(scores, reverse=True)
    for hit in found:
        assert (hit.p_relevant > 0.5) == (hit.image_id in truth)
        assert (hit.mask is not None) == (hit.image_id in truth)


def test_only_the_best_are_judged_and_others_can_overtake_them(engine):
    found = engine.search("green heart striped", k=4, n_judged=3)
    stage1 = {h.image_id: h.stage1_rank for h in engine.search("green heart striped", k=N)}
    judged = [hit for hit in found if hit.judge_rank is not None]
    assert all(stage1[hit.image_id] <= 3 for hit in judged)
    turned_down = engine.search("unheard of", k=3, n_judged=3)
    assert [hit.stage1_rank for hit in turned_down] == [4, 5, 6]
    assert {hit.logit for hit in turned_down} == {None}


def test_without_a_judge_the_order_is_stage_1s(engine):
    found = engine.search("blue ring", k=10, judge=False)
    assert [hit.stage1_rank for hit in found] == list(range(1, 11))
    assert {hit.p_relevant for hit in found} == {None}
    assert set(found.provenance.seconds) == {"retrieve", "align"}
    assert found.to_polars()["seconds_judge"].to_list() == [None] * 10
    assert "judge" not in found.provenance.models


def test_the_result_says_where_it_comes_from(engine, tmp_path):
    found = engine.search("blue ring", k=3)
    provenance = found.provenance
    assert provenance.models == {
        "segmenter": "oracle-masks",
        "encoder": "oracle-encoder",
        "judge": "oracle-judge",
    }
    assert provenance.index_fingerprint == engine.index.fingerprint
    assert provenance.config["k"] == 3
    assert provenance.config["judging"]["n_judged"] == PRESETS["embedded"].judging.n_judged
    assert provenance.versions["matir_nb"] == matir_nb.__version__
    assert {"python", "numpy", "polars"} <= set(provenance.versions)
    assert set(provenance.seconds) == {"retrieve", "judge", "align"}
    assert provenance.notices == ()
    found.save(tmp_path / "r.parquet")
    assert SearchResult.load(tmp_path / "r.parquet") == found
    assert found.to_polars().schema == HIT_SCHEMA


def test_more_than_there_is_gives_all_and_says_so(engine):
    found = engine.search("blue ring", k=1000)
    assert len(found) == N
    assert f"k = 1000, but the index has only {N} images" in found.provenance.notices[-1]


def test_cancelling_keeps_stage_1_and_says_so(engine):
    found = engine.search("orange cross", k=5, cancel=lambda: True)
    assert len(found) == 5
    assert {hit.judge_rank for hit in found} == {None}
    assert found.provenance.notices[-1] == f"cancelled: 0 of {N} candidates were judged"


def test_progress_is_told(engine):
    steps = []
    engine.search("purple square", progress=lambda *step: steps.append(step))
    assert steps[0] == (0, N)
    assert steps[-1] == (N, N)


def test_judgements_are_kept_beside_the_index(scenes_and_path):
    scenes, path = scenes_and_path
    results = []
    for _ in range(2):
        judge = OracleJudge(model_id="fresh")
        engine = open_engine(path, encoder=OracleEncoder(scenes), judge=judge)
        results.append((engine.search("cyan triangle").hits, len(judge.seen)))
    (first, n_first), (second, n_second) = results
    assert first == second
    assert (n_first > 0, n_second) == (True, 0)


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_is_refused(engine, query):
    with pytest.raises(QueryError, match="the query is empty"):
        engine.search(query)


def test_a_query_too_long_is_refused(engine):
    with pytest.raises(QueryError, match="has 31 words"):
        engine.search("red " * 31)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
def test_an_impossible_k_is_refused(engine, k):
    with pytest.raises(ConfigError, match=r"k = .* is not allowed: give a whole number >= 1"):
        engine.search("red", k=k)


def test_other_bad_options_are_refused(engine, scenes_and_path):
    scenes, path = scenes_and_path
    with pytest.raises(ConfigError, match="n_judged = -1 is not allowed"):
        engine.search("red", n_judged=-1)
    with pytest.raises(ConfigError, match="unknown judge 'structurd': did you mean 'structured'"):
        engine.search("red", judge="structurd")
    bare = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    with pytest.raises(ConfigError, match="opened without one"):
        bare.search("red", judge=True)
    with pytest.raises(ConfigError, match="is no folder"):
        open_engine(path, encoder=OracleEncoder(scenes), images=path / "nowhere")
    with pytest.raises(ConfigError, match="unknown preset 'embeded'"):
        open_engine(path, preset="embeded")
    with pytest.raises(IndexNotFoundError, match="no index at"):
        open_engine(path.parent / "none.matir")


def test_a_judge_can_be_named(scenes_and_path):
    scenes, path = scenes_and_path
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge="none")
    assert engine.judge is None
    assert "judge" not in engine.search("red").provenance.models
    found = engine.search("red circle", judge="structured")
    assert "structured" in found.provenance.models["judge"]


def test_other_models_are_refused_with_what_differs(scenes_and_path):
    scenes, path = scenes_and_path
    other = OracleEncoder(scenes, model_id="other-encoder")
    other.dim = 7
    expected = "dim: 24 → 7; encoder: 'oracle-encoder' → 'other-encoder'"
    with pytest.raises(IndexMismatchError, match=expected):
        open_engine(path, encoder=other)


def test_an_empty_index_gives_an_empty_result(tmp_path, scenes_and_path):
    scenes, _ = scenes_and_path
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.jpg").write_bytes(b"no picture")
    masks, encoder = OracleMaskSource(scenes), OracleEncoder(scenes)
    report = build(tmp_path / "broken", tmp_path / "i.matir", masks=masks, encoder=encoder)
    assert (report.n_images, len(report.skipped)) == (0, 1)
    found = open_engine(tmp_path / "i.matir", encoder=encoder, judge=OracleJudge()).search("red")
    assert found.hits == ()
    assert found.to_polars().schema == HIT_SCHEMA


def test_public_names_exist_and_are_listed():
    assert len(matir_nb.__all__) == len(set(matir_nb.__all__))
    for name in matir_nb.__all__:
        assert getattr(matir_nb, name) is not None
    assert dir(matir_nb) == sorted(matir_nb.__all__)
    assert matir_nb.open is open_engine
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        matir_nb.serach  # noqa: B018


def test_the_engine_loads_no_torch():
    code = "import sys, matir_nb; matir_nb.open; matir_nb.build; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class ScoringJudge(OracleJudge):
    """Knows what an image shows, and never says where."""

    grounds = False

    def judge(self, query, inputs):
        return [replace(one, region_id=None) for one in super().judge(query, inputs)]


def test_of_a_judge_that_gives_a_score_alone_stage_1s_region_is_shown(engine, tmp_path):
    judge = ScoringJudge(model_id="score-only")
    found = engine.search("red circle", k=N, judge=judge)
    assert found.provenance.config["judge_grounds"] is False
    assert engine.search("red circle", k=3).provenance.config["judge_grounds"] is True
    found.save(tmp_path / "r.parquet")
    loaded = SearchResult.load(tmp_path / "r.parquet")
    for hit in loaded:
        is_shown = hit.p_relevant >= 0.5
        assert hit.region_id == (hit.best_region_id if is_shown else None)
        assert (hit.mask is None) == (not is_shown)
        last = loaded.ledger(hit.rank).row(-1, named=True)
        assert last["name"] == ("region of stage 1" if is_shown else "no region")
        assert last["formula"].startswith("the judge names no place: ")
        traced = engine.trace("red circle", hit.image_id, k=1, judge=judge)
        assert traced.hit.mask == hit.mask
        assert traced.entries[-1].formula == last["formula"]
    assert {hit.mask is None for hit in loaded} == {True, False}


def test_a_judge_of_old_that_does_not_say_whether_it_grounds_does(engine):
    class OldJudge(OracleJudge):
        def judge(self, query, inputs):
            return [replace(one, region_id=None) for one in super().judge(query, inputs)]

    found = engine.search("red circle", k=3, judge=OldJudge(model_id="old"))
    assert {hit.mask for hit in found} == {None}
    assert found.ledger(1)["name"][-1] == "no place named"
