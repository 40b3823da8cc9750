"""Other systems' runs are scored by the same functions as our own."""

import polars as pl
import pytest

from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.runs.measures import RANKING
from matir_nb.evaluation.runs.scored import score_run
from matir_nb.exports.trec import read_run
from matir_nb.types import QueryTruth

QUERIES = (
    QueryTruth("dogs", "a dog", "category", frozenset({"a.png", "c.png"})),
    QueryTruth(
        "hats", "a hat", "accessory", frozenset({"b.png"}), judged=frozenset({"b.png", "d.png"})
    ),
    QueryTruth("never asked", "a cat", "category", frozenset({"d.png"})),
    QueryTruth("absent", "a whale", "category", frozenset()),
)
DATASET = Dataset("small", Source("", "", ""), ("a.png", "b.png", "c.png", "d.png"), QUERIES)
LINES = """\
dogs Q0 b.png 1 0.9 other
dogs Q0 a.png 2 0.8 other
dogs Q0 c.png 3 0.7 other
hats Q0 a.png 1 3 other
hats Q0 d.png 2 2 other
hats Q0 b.png 3 1 other
strangers Q0 a.png 1 1 other
absent Q0 a.png 1 1 other
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "other.run").write_text(LINES)
    return read_run(tmp_path / "other.run")


def test_a_run_of_another_tool_is_scored_query_by_query(run):
    scores = score_run(run, DATASET)
    assert scores["query_id"].to_list() == ["dogs", "hats", "never asked", "absent"]
    assert scores["n_relevant"].to_list() == [2, 1, 1, 0]
    assert scores["R@1"].to_list() == [0, 0, 0, None]
    # (1/2 + 2/3) / 2; a.png is not judged for "hats", so b.png is second
    assert scores["mAP@50"].to_list() == [pytest.approx(7 / 12), 0.5, 0, None]
    assert scores["MRR"].to_list() == [0.5, 0.5, 0, None]
    assert set(RANKING) <= set(scores.columns)


def test_only_so_many_hits_are_looked_at(run):
    assert score_run(run, DATASET, k=1)["MRR"].to_list() == [0, 0, 0, None]


def test_a_run_without_places_is_refused(run):
    with pytest.raises(ConfigError, match="no column 'score'"):
        score_run(run.drop("rank", "score"), DATASET)
    twice = pl.concat(
        [run, run.filter(pl.col("image_id") == "c.png").with_columns(rank=pl.lit(4, pl.Int64))]
    )
    with pytest.raises(ConfigError, match=r"'c\.png' is ranked twice for query 'dogs'"):
        score_run(twice, DATASET)
