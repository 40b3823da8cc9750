"""A search with a filter is the search of a smaller index: at every stage, and when it goes on."""

import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, oracle_index

from matir_nb.engine import Engine
from matir_nb.errors import ConfigError
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.opening import open_engine
from matir_nb.results import SearchResult

N = 20
QUERY = "red circle"
SOME = tuple(range(1, N, 3))


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    scenes, path = oracle_index(tmp_path_factory.mktemp("filtered"), N)
    return open_engine(path, encoder=OracleEncoder(scenes), judge=OracleJudge())


@pytest.fixture(scope="module")
def some(engine):
    """Return the ids of a third of the images, and the filter that keeps them."""
    ids = [engine.index.image_ids[row] for row in SOME]
    return set(ids), f"image_id in ({', '.join(map(repr, ids))})"


def ids_of(result):
    return [hit.image_id for hit in result]


@pytest.mark.parametrize("k", [1, 3, N])
def test_stage_1_ranks_what_is_kept_as_it_ranks_all(engine, some, k):
    kept, where = some
    everything = ids_of(engine.search(QUERY, k=N, judge=False))
    found = engine.search(QUERY, k=k, judge=False, where=where)
    assert ids_of(found) == [i for i in everything if i in kept][:k]
    assert [hit.stage1_rank for hit in found] == list(range(1, len(found) + 1))


def test_the_judge_sees_the_best_of_what_is_kept(engine, some):
    kept, where = some
    ranked = [i for i in ids_of(engine.search(QUERY, k=N, judge=False)) if i in kept]
    found = engine.search(QUERY, k=N, n_judged=3, where=where)
    judged = {hit.image_id for hit in found if hit.judge_rank is not None}
    assert judged == set(ranked[:3])
    assert set(ids_of(found)) == kept


def test_judging_more_stays_with_the_filter(engine, some):
    kept, where = some
    first = engine.search(QUERY, k=4, n_judged=2, where=where)
    more = engine.judge_more(first, 2)
    at_once = engine.search(QUERY, k=4, n_judged=4, where=where)
    assert more.hits == at_once.hits
    assert set(ids_of(more)) <= kept
    assert more.provenance.config["where"] == first.provenance.config["where"]


def test_an_expression_filters_as_its_sql_does(engine, some):
    kept, where = some
    expression = pl.col("image_id").is_in(sorted(kept))
    found = engine.search(QUERY, k=5, where=expression)
    assert found.hits == engine.search(QUERY, k=5, where=where).hits
    with pytest.raises(
        ConfigError, match=r"polars expression .*: search again, with the filter as"
    ):
        engine.judge_more(found, 2)


def test_what_a_result_says_of_its_filter_survives_a_file(engine, some, tmp_path):
    where = "width > 10 and\n  name like '%1.png'"
    result = engine.search(QUERY, k=3, where=where)
    result.save(tmp_path / "r.parquet")
    loaded = SearchResult.load(tmp_path / "r.parquet")
    said = loaded.provenance.config["where"]
    assert said == {
        "text": "width > 10 and name like '%1.png'",
        "is_sql": True,
        "n_kept": sum(image_id.endswith("1.png") for image_id in engine.index.image_ids),
    }
    assert f"where {said['text']}: {said['n_kept']} of {N} images" in loaded.provenance.notices
    assert engine.search(QUERY, k=3).provenance.config["where"] is None


@pytest.mark.parametrize("judge", [None, False])
def test_nothing_kept_is_an_empty_result_with_the_full_schema(engine, judge):
    found = engine.search(QUERY, judge=judge, where="width < 0")
    assert (len(found), found.to_polars().schema) == (0, HIT_SCHEMA)
    assert f"where width < 0: 0 of {N} images" in found.provenance.notices


def test_a_filter_that_keeps_all_changes_nothing(engine):
    assert engine.search(QUERY, k=5, where="true").hits == engine.search(QUERY, k=5).hits
