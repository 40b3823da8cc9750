"""De-hubbing and references, asked for as options: every explanation speaks of the same scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index
from PIL import Image

from matir_nb.config import RetrieveConfig
from matir_nb.explain.neutral import N_PHRASES, bank, content_words, unrelated
from matir_nb.explain.null_band import percentile
from matir_nb.explain.occlusion import occlusion
from matir_nb.explain.without_region import ImageScan
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.results import SearchResult
from matir_nb.terms import stage1_terms

N = 16
QUERY = "striped red circle"
DEHUBBED = RetrieveConfig(dehub_beta=20.0, dehub_phrases=300)
REFINED = RetrieveConfig(refine_weight=0.5, n_references=8)
BOTH = replace(DEHUBBED, refine_weight=0.25, n_references=8, m_regions=2)
OPTIONS = [DEHUBBED, REFINED, BOTH]
NAMES = ["de-hubbed", "refined", "both"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Return an index of scenes and of a picture without regions, and the scenes."""
    folder = tmp_path_factory.mktemp("adjusting")
    (folder / "scenes").mkdir()
    Image.new("RGB", (40, 30), "grey").save(folder / "scenes" / "empty.png")
    scenes, path = oracle_index(folder, N - 1)
    return path, scenes


def engine_with(gallery, retrieve, judge=None):
    path, scenes = gallery
    preset = replace(PRESETS["embedded"], retrieve=retrieve)
    return open_engine(path, encoder=OracleEncoder(scenes), judge=judge, preset=preset)


def by_definition(engine, config):
    """Return image id -> (score, best region), from the vectors and nothing else."""
    encoder, index = engine.encoder, engine.index
    query = encoder.embed_texts([QUERY])[0].astype(float)
    phrases = bank("scenes", config.dehub_phrases, skip=N_PHRASES)
    texts = encoder.embed_texts(phrases).astype(float)
    centroids = engine._adjusting._references(8).astype(float)

    def score(vector):
        vector = vector.astype(float)
        total = query @ vector
        if config.dehub_beta:
            total -= np.log(np.exp(config.dehub_beta * texts @ vector).mean()) / config.dehub_beta
        if config.refine_weight:
            mine, its = (np.exp(centroids @ v / config.refine_temperature) for v in (query, vector))
            near = mine @ its / np.linalg.norm(mine) / np.linalg.norm(its)
            total += config.refine_weight * near
        return total

    found = {}
    for image_id in index.image_ids:
        whole = score(index.image_vector_of(image_id))
        regions = [score(v) for v in index.region_vectors_of(image_id)]
        fused = config.region_weight * max(regions, default=whole) + config.image_weight * whole
        found[image_id] = fused, int(np.argmax(regions)) if regions else None
    return found


@pytest.mark.parametrize("config", OPTIONS, ids=NAMES)
def test_every_score_is_that_of_the_definition_and_the_region_the_one_that_won(gallery, config):
    engine = engine_with(gallery, config)
    wanted = by_definition(engine, config)
    result = engine.search(QUERY, k=N)
    assert [hit.image_id for hit in result] == sorted(
        wanted, key=lambda i: (-round(wanted[i][0], 6), i)
    )
    cosines = {i: engine.region_scores_of(QUERY, i) for i in wanted}
    for hit in result:
        score, best = wanted[hit.image_id]
        assert hit.stage1_score == pytest.approx(score, abs=1e-6)
        if best is None:
            assert (hit.best_region_id, hit.best_region_score) == (None, None)
        else:
            mine = cosines[hit.image_id]
            assert hit.best_region_score == pytest.approx(mine[hit.best_region_id], abs=1e-6)
        assert (hit.hub_score is None) == (config.dehub_beta == 0)
        assert (hit.reference_score is None) == (config.refine_weight == 0)


@pytest.mark.parametrize("config", OPTIONS, ids=NAMES)
@pytest.mark.parametrize("judge", [None, OracleJudge()], ids=["alone", "judged"])
def test_ledger_and_terms_add_up_and_name_what_was_added(gallery, config, judge):
    result = engine_with(gallery, config, judge).search(QUERY, k=N)
    more = ["de-hubbing"] * (config.dehub_beta > 0) + ["references"] * (config.refine_weight > 0)
    for hit in result:
        terms = stage1_terms(hit, result.provenance.config)
        assert [term.name for term in terms][2:] == more
        assert math.fsum(t.value for t in terms) == pytest.approx(hit.stage1_score, abs=1e-9)
        ledger = result.ledger(hit.rank)
        assert ledger["contribution"].sum() == pytest.approx(hit.final_score, abs=1e-6)
        names = ledger["name"].to_list()
        assert [name for name in names if name in ("de-hubbing", "references")] == more
        assert "winning margin" not in names
        assert "rounding" not in names
        assert ("winning region" in names) == (hit.best_region_id is not None)
        gap = result.why(1, hit.rank)["contribution"].sum()
        assert gap == pytest.approx(result.hits[0].final_score - hit.final_score, abs=1e-6)


def test_phrases_are_no_exception_in_their_own_null_band(gallery):
    """Searched for as queries, one by one; none of them is in the de-hubbing bank."""
    engine = engine_with(gallery, BOTH)
    result = engine.search(QUERY, k=N)
    phrases = bank("scenes")
    asked = phrases[:40]
    scores = {hit.image_id: [] for hit in result}
    for found in engine.searches(asked, k=N):
        for hit in found:
            scores[hit.image_id].append(hit.stage1_score)
    kept = unrelated(QUERY, [content_words(phrase) for phrase in phrases])
    for hit in result:
        null_scores = engine.null_scores_of(hit.image_id)
        assert null_scores[: len(asked)] == pytest.approx(np.array(scores[hit.image_id]), abs=2e-6)
        wanted = percentile(hit.stage1_score, null_scores[kept])
        assert hit.null_percentile == pytest.approx(wanted)
    cut = result.provenance.config["cut"]
    best = np.max([engine.null_scores_of(hit.image_id) for hit in result], axis=0)
    assert cut["min_stage1_score"] == pytest.approx(np.quantile(best[kept], 0.95), abs=1e-6)
    for hit in result:
        assert hit.above_cut == (hit.stage1_score >= cut["min_stage1_score"])
    assert not set(phrases) & set(bank("scenes", 300, skip=N_PHRASES))


@pytest.mark.parametrize("config", OPTIONS, ids=NAMES)
def test_a_trace_says_what_the_search_says(gallery, config):
    engine = engine_with(gallery, config, OracleJudge())
    everything = {hit.image_id: hit for hit in engine.search(QUERY, k=N)}
    for image_id in engine.index.image_ids:
        trace = engine.trace(QUERY, image_id, k=3)
        assert trace.is_found == (everything[image_id].rank <= 3)
        assert trace.hit == everything[image_id]
        total = math.fsum(entry.contribution for entry in trace.entries)
        assert total == pytest.approx(trace.hit.final_score, abs=1e-6)


@pytest.mark.parametrize("config", OPTIONS, ids=NAMES)
def test_an_occlusion_takes_the_region_with_all_that_it_adds(gallery, config):
    engine = engine_with(gallery, config, OracleJudge())
    result = engine.search(QUERY, k=N, judge=False)
    for hit in result.hits[:4]:
        scan = ImageScan.of(result, hit.rank)
        assert scan.rank_of(scan.stage1_score) == hit.stage1_rank
        assert scan.score_without([]) == scan.stage1_score
        seen = scan.seen.take([]).candidate(1, 0.0)
        assert (seen.region_ids, seen.best_region_score) == ((), None)
        frame = occlusion(result, hit.rank)
        if hit.best_region_id is None:
            continue
        assert frame["region_id"][0] == hit.best_region_id
        assert frame["stage1_drop"][0] == frame["stage1_drop"].max()
        assert (frame["stage1_drop"][1:] == 0).all()
        gone = [hit.best_region_id]
        left = scan.input_without(gone).candidate
        assert left.stage1_score == frame["stage1_score"][0]
        of_region, weights = left.best_region_score, result.provenance.config["retrieve"]
        if of_region is None:
            of_region = left.whole_image_score
        total = 0.9 * of_region + 0.1 * left.whole_image_score - (left.hub_score or 0)
        total += weights["refine_weight"] * (left.reference_score or 0)
        assert total == pytest.approx(left.stage1_score, abs=1e-6)


def test_a_result_says_what_was_added_and_survives_its_file(gallery, tmp_path):
    result = engine_with(gallery, BOTH).search(QUERY, k=3)
    notices = "\n".join(result.provenance.notices)
    assert "de-hubbed (beta 20, 300 neutral phrases)" in notices
    assert "refined by references (0.25 × reference_score, 8 references)" in notices
    assert result.provenance.config["retrieve"]["dehub_beta"] == 20.0
    result.save(tmp_path / "r.parquet")
    loaded = SearchResult.load(tmp_path / "r.parquet")
    assert loaded == result
    assert loaded.ledger(1).equals(result.ledger(1))
    assert result.to_polars()["hub_score"].null_count() == 0


def test_the_judge_goes_on_with_the_same_scores(gallery):
    engine = engine_with(gallery, BOTH, OracleJudge())
    some = engine.search(QUERY, k=N, n_judged=3)
    assert engine.judge_more(some, 4).hits == engine.search(QUERY, k=N, n_judged=7).hits


def test_an_approximate_index_is_not_used(gallery):
    result = engine_with(gallery, DEHUBBED).search(QUERY, k=2, approximate=True)
    entry = result.provenance.config["approximate"]
    assert (entry["is_used"], "scores of all images" in entry["reason"]) == (False, True)
    assert any(notice.startswith("searched exactly: ") for notice in result.provenance.notices)


def test_a_filter_holds(gallery):
    engine = engine_with(gallery, BOTH)
    everything = engine.search(QUERY, k=N)
    some = engine.search(QUERY, k=N, where="name < 'scene-5' or width = 40")
    ids = {hit.image_id for hit in some}
    assert 0 < len(ids) < N
    wanted = [(h.image_id, h.stage1_score) for h in everything if h.image_id in ids]
    assert [(h.image_id, h.stage1_score) for h in some] == wanted


def test_without_the_options_nothing_is_computed_or_kept(tmp_path):
    scenes, path = oracle_index(tmp_path, 4)
    engine = open_engine(path, encoder=OracleEncoder(scenes), judge=None)
    plain = engine.search(QUERY, k=4)
    assert {(hit.hub_score, hit.reference_score) for hit in plain} == {(None, None)}
    assert not list(path.glob("cache/extra-*"))
    other = engine.with_preset(replace(engine.preset, retrieve=BOTH))
    assert other.search(QUERY, k=4).hits != plain.hits
    assert len(list(path.glob("cache/extra-*"))) == 2
    assert engine.search(QUERY, k=4).hits == plain.hits
    assert other._yardstick._adjusting is other._adjusting is engine._adjusting
