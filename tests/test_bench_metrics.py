"""The benchmark of the ranking metrics: fair, and able to fail."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from benchmarks.metrics import (
    RANX_NAMES,
    bars_of,
    difference,
    made_case,
    measure,
    our_metrics,
    plain_dicts,
)
from benchmarks.metrics_plain import plain_metrics, plain_relevance
from matir_nb.evaluation.metrics.relevance import relevance_of_run

# numba's own hash of its typed lists
pytestmark = pytest.mark.filterwarnings("ignore:unsafe cast from uint64 to int64")


@pytest.fixture(scope="module")
def case():
    return made_case(60, 100)


def test_every_way_reads_the_same_ids(case):
    assert case.run["rank"].to_list() == list(range(1, 101)) * 60
    lists, sets = plain_dicts(case)
    assert lists == case.lists
    assert sets == case.sets
    assert all(len(set(images)) == 100 for images in lists.values())
    found = [len(sets[query] & set(images)) for query, images in lists.items()]
    assert 0 < np.mean(found) < np.mean([len(images) for images in sets.values()])


def test_every_way_finds_the_same_numbers_in_every_round(case):
    seconds, gap = measure(case, 2)
    assert gap < 1e-9
    assert len(seconds) == 8
    assert {len(times) for times in seconds.values()} == {2}
    assert bars_of({name: min(times) for name, times in seconds.items()}, gap)[0].passed


def test_a_wrong_number_is_seen(case):
    numbers = our_metrics(relevance_of_run(case.run, case.qrels, 100))
    assert len(numbers) == 13
    assert RANX_NAMES.keys() < numbers.keys()
    plain = plain_metrics(plain_relevance(case.lists, case.sets))
    assert plain.keys() == numbers.keys()
    assert difference(numbers, plain) < 1e-9
    fewer = replace(case, qrels=case.qrels.filter(pl.col("image_id") != case.qrels["image_id"][0]))
    wrong = our_metrics(relevance_of_run(fewer.run, fewer.qrels, 100))
    assert difference(wrong, plain) > 1e-3
    assert difference({"R@1": [1.0]}, {"MRR": [1.0]}) == np.inf
    assert difference({"R@1": [np.nan]}, {"R@1": [1.0]}) == np.inf


def test_slower_than_the_bars_fails():
    best = {
        f"{way}, {stretch}": seconds
        for stretch in ("from ids", "prepared")
        for way, seconds in (("ours", 1.0), ("loops", 9.9), ("ranx", 0.9))
    }
    assert [bar.passed for bar in bars_of(best, 0.0)] == [True, False, False, False, False]
    fast = {name: seconds if name.startswith("ours") else 11.0 for name, seconds in best.items()}
    assert all(bar.passed for bar in bars_of(fast, 0.0))
    assert not bars_of(fast, 1e-6)[0].passed
