import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matir_nb.errors import ConfigError
from matir_nb.evaluation.metrics import pairs
from matir_nb.evaluation.metrics.relevance import relevance_of_run


def frame(lists, **columns):
    rows = [(query, image) for query, images in lists.items() for image in images]
    made = pl.DataFrame(rows, schema=["query_id", "image_id"], orient="row")
    return made.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


RUN = {"q2": ["b", "a", "c"], "q1": ["a", "d"]}
QRELS = {"q1": {"a", "b"}, "q2": {"c"}, "q3": {"a"}}


def test_ids_become_relevance_in_every_form():
    ranks = [1, 2, 3, 1, 2]
    run = frame(RUN, rank=ranks)
    by_score = frame(RUN, score=[-0.5 * rank for rank in ranks])
    scores = {query: {i: -place for place, i in enumerate(ids)} for query, ids in RUN.items()}
    levels = {query: dict.fromkeys(ids, 2) | {"z": 0} for query, ids in QRELS.items()}
    qrels = frame(QRELS)
    leveled = frame(levels, relevance=[v for row in levels.values() for v in row.values()])
    for asked, judged in [
        (run, qrels),
        (by_score, leveled),
        (run.sample(fraction=1, shuffle=True, seed=3).sort("query_id", descending=True), qrels),
        (by_score.reverse().sort("query_id", descending=True, maintain_order=True), leveled),
        (RUN, QRELS),
        (scores, levels),
        (RUN, {query: sorted(ids) for query, ids in QRELS.items()}),
    ]:
        found = relevance_of_run(asked, judged, 2)
        assert found.query_ids == ("q2", "q1", "q3")
        assert found.ranked.tolist() == [[False, False], [True, False], [False, False]]
        assert found.n_relevant.tolist() == [1, 2, 1]
        assert relevance_of_run(asked, judged, 3).ranked[0].tolist() == [False, False, True]


def test_equal_scores_are_settled_by_the_image_id():
    qrels = frame({"q": ["b"]})
    run = frame({"q": ["c", "b", "a"]}, score=[0.5, 0.5, 0.5])
    assert relevance_of_run(run, qrels, 3).ranked.tolist() == [[False, True, False]]
    scores = {"q": {"c": 0.5, "b": 0.5, "a": 0.1}}
    assert relevance_of_run(scores, {"q": {"b"}}, 3).ranked.tolist() == [[True, False, False]]


def test_ranks_go_before_scores_and_may_have_gaps():
    run = frame({"q": ["c", "b", "a"]}, score=[3.0, 2.0, 1.0], rank=[30, 20, 10])
    found = relevance_of_run(run, frame({"q": ["a"]}), 3)
    assert found.ranked.tolist() == [[True, False, False]]


def test_queries_whose_rows_are_mixed_are_brought_together():
    run = pl.DataFrame(
        {"query_id": ["q1", "q2"] * 2, "image_id": list("abcd"), "rank": [1, 1, 2, 2]}
    )
    qrels = pl.DataFrame({"query_id": ["q2", "q1", "q2"], "image_id": list("dcb")})
    found = relevance_of_run(run, qrels, 2)
    assert found.query_ids == ("q1", "q2")
    assert found.ranked.tolist() == [[False, True], [True, True]]
    assert found.n_relevant.tolist() == [1, 2]


def test_a_query_without_judgements_has_no_relevant_image():
    for asked, judged in [(RUN, {}), (frame(RUN, rank=range(5)), frame(QRELS).clear())]:
        found = relevance_of_run(asked, judged, 2)
        assert found.n_relevant.tolist() == [0, 0]
        assert not found.ranked.any()
    nothing = relevance_of_run({}, {}, 2)
    assert nothing.query_ids == ()
    assert nothing.ranked.shape == (0, 2)


IDS = st.sampled_from("abcdefghij")
RUNS = st.dictionaries(IDS, st.lists(IDS, unique=True, max_size=8), max_size=5)


@settings(max_examples=40, deadline=None)
@given(run=RUNS, qrels=st.dictionaries(IDS, st.sets(IDS, min_size=1, max_size=6), max_size=5))
def test_frames_and_dicts_agree_though_all_hashes_collide(run, qrels):
    run = {query: ids for query, ids in run.items() if ids}
    by_dict = relevance_of_run(run, qrels, 6)
    ranks = [rank for ids in run.values() for rank in range(len(ids))]
    strings = {"query_id": pl.String, "image_id": pl.String}
    frames = frame(run, rank=ranks).cast(strings | {"rank": pl.Int64}), frame(qrels).cast(strings)
    with pytest.MonkeyPatch.context() as patch:
        for collide in (False, True):
            if collide:
                patch.setattr(pairs, "_GOLDEN", 0)
                patch.setattr(pairs, "_hashes", lambda ids: np.zeros(len(ids), np.uint64))
            found = relevance_of_run(*frames, 6)
            assert found.query_ids == by_dict.query_ids
            np.testing.assert_array_equal(found.ranked, by_dict.ranked)
            np.testing.assert_array_equal(found.n_relevant, by_dict.n_relevant)


def test_judgements_may_repeat_but_hits_may_not():
    run = frame({"q": ["a", "b"]}, rank=[1, 2])
    assert relevance_of_run(run, frame({"q": ["a", "a"]}), 2).n_relevant.tolist() == [1]
    assert relevance_of_run({"q": ["a"]}, {"q": ["a", "a"]}, 2).n_relevant.tolist() == [1]
    with pytest.raises(ConfigError, match="image 'a' is ranked twice for query 'q'"):
        relevance_of_run(frame({"q": ["a", "a"]}, rank=[1, 2]), frame({"q": ["a"]}), 2)
    with pytest.raises(ConfigError, match="image 'a' is ranked twice for query 'q'"):
        relevance_of_run({"q": ["a", "a"]}, {"q": {"a"}}, 2)


@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        (frame(RUN), frame(QRELS), "the run have|the run has no column 'score'"),
        (frame(RUN, rank=range(5)), frame(QRELS).drop("image_id"), "no column 'image_id'"),
        (frame(RUN, score=[1.0, None, 3, 4, 5]), frame(QRELS), "'score' of the run has a null"),
        (frame(RUN, score=[1.0, np.nan, 3.0, 4.0, 5.0]), frame(QRELS), "has NaN as score"),
        ({"q": {"a": np.nan}}, {"q": {"a"}}, "has NaN as score"),
        (frame(RUN, rank=range(5)), QRELS, "two frames or two dicts, got DataFrame and dict"),
        (None, QRELS, "got NoneType and dict"),
    ],
)
def test_what_is_no_run_is_refused(run, qrels, message):
    with pytest.raises(ConfigError, match=message):
        relevance_of_run(run, qrels, 2)
