from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from observed_rows import hit, hits_of, rows

from matir_nb.evaluation.bootstrap import bootstrap_interval, bootstrap_intervals
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.runs.measures import measured
from matir_nb.evaluation.runs.observed import REPORT_SCHEMA
from matir_nb.evaluation.runs.summary import summarise
from matir_nb.types import QueryTruth

GALLERY = tuple(f"i{place}" for place in range(1, 21))
DATASET = Dataset("d", Source("", "", ""), GALLERY, (QueryTruth("q0", "t", "k", frozenset()),))


def numbers(*queries, dataset=DATASET):
    report = summarise(measured(rows(*queries)), dataset)
    assert report.schema == REPORT_SCHEMA
    return {(r["arm"], r["group"], r["metric"]): r for r in report.iter_rows(named=True)}


def test_a_number_is_the_mean_over_the_queries_to_which_it_applies():
    found = numbers(
        {"hits": hits_of("x."), "kind": "count"},
        {"hits": hits_of(".x"), "kind": "count"},
        {"hits": hits_of(".."), "kind": "absence"},
        {"hits": hits_of(".."), "kind": "absence", "n_relevant": 0},
    )
    overall = found["stage1", "overall", "R@1"]
    assert (overall["value"], overall["n"]) == (pytest.approx(1 / 3), 3)
    assert overall["chance"] == pytest.approx(1 / 20)
    count = found["stage1", "count", "MRR"]
    assert (count["value"], count["n"]) == (0.75, 2)
    assert (count["low"], count["high"]) == (0.5, 1.0)
    assert found["stage1", "absence", "R@1"]["n"] == 1


def test_one_kind_is_no_group_and_arms_are_apart():
    found = numbers(
        {"hits": hits_of("x")}, {"arm": "other", "query_id": "q0", "hits": hits_of(".")}
    )
    assert {group for _, group, _ in found} == {"overall"}
    values = [found[arm, "overall", "R@1"]["value"] for arm in ("stage1", "other")]
    assert values == [1.0, 0.0]


def test_overall_iou_pools_pixels():
    right = [
        {"mask_iou": 1.0, "union_iou": 1.0, "intersection_px": 10, "union_px": 10},
        {"mask_iou": 0.0, "union_iou": 0.0, "intersection_px": 0, "union_px": 30},
    ]
    found = numbers(*({"hits": [hit(1, right=True, **one)]} for one in right))
    assert found["stage1", "overall", "mIoU"]["value"] == 0.5
    overall = found["stage1", "overall", "oIoU"]
    assert (overall["value"], overall["n"]) == (0.25, 2)
    assert (overall["low"], overall["high"]) == (0.0, 1.0)


def test_calibration_pools_judged_hits_and_abstention_takes_the_best():
    found = numbers(
        {"hits": [hit(1, right=True, p_relevant=0.9), hit(2, p_relevant=0.1), hit(3)]},
        {"hits": [hit(1, score=-9.0, p_relevant=0.9)]},
    )
    ece = found["stage1", "overall", "ECE"]
    # p .9: one right of two; p .1: none of one
    assert (ece["value"], ece["n"]) == (pytest.approx((2 * 0.4 + 0.1) / 3), 3)
    assert found["stage1", "overall", "AURC"]["value"] == pytest.approx((0 + 1 / 2) / 2)


def test_a_hub_is_seen():
    spread = [{"hits": [hit(1, image_id=GALLERY[place])]} for place in range(20)]
    hub = [{"hits": [hit(1, image_id="i1")]} for _ in range(20)]
    assert ("stage1", "overall", "hubness") not in numbers(*spread)  # all the same: no skew
    assert numbers(*hub)["stage1", "overall", "hubness"]["value"] > 4


def test_recall_by_size_counts_pairs():
    targets = [
        {"image_id": "i1", "n_targets": 1, "area_px": 10.0, "area_fraction": None},
        {"image_id": "gone", "n_targets": 1, "area_px": 20.0, "area_fraction": None},
        {"image_id": "i2", "n_targets": 1, "area_px": 1e5, "area_fraction": None},
    ]
    found = numbers({"hits": hits_of("xx"), "n_relevant": 3, "targets": targets})
    small = found["stage1", "size: small", "recall@10"]
    assert (small["value"], small["n"]) == (0.5, 2)
    assert found["stage1", "size: large", "recall@10"]["value"] == 1.0
    assert ("stage1", "size: medium", "recall@10") not in found


def test_columns_are_resampled_as_single_metrics_are():
    rng = np.random.default_rng(3)
    values, weights = rng.random((2, 2600, 2))  # more than is drawn at once
    values[::7, 1] = np.nan
    found = bootstrap_intervals(values, weights, seed=5)
    for column in range(2):
        v, w = values[:, column], weights[:, column] * ~np.isnan(values[:, column])
        expected = bootstrap_interval(np.nan_to_num(v).tolist(), w.tolist(), seed=5)
        assert found[column] == pytest.approx(expected, abs=1e-12)


def test_the_report_of_released_pixel_maps_is_not_their_mean():
    good = {"mask_iou": 1.0, "union_iou": 1.0, "intersection_px": 1, "union_px": 1}
    fair = good | {"mask_iou": 0.6}
    queries = [{"hits": [hit(1, right=True, **one)]} for one in (good, fair)]
    frame = measured(rows(*queries))
    assert frame["pixel mAP/released"].to_list() == [1.0, 1.0]
    released = pl.col("metric") == "pixel mAP/released"
    assert summarise(frame, DATASET).filter(released)["value"].to_list() == [1.0]
    assert summarise(frame.tail(1), DATASET).filter(released).is_empty()


def test_hubs_are_counted_only_where_every_query_searches_the_whole_gallery():
    queries = [{"hits": hits_of("x.."), "n_gallery": n} for n in (20, 3)]
    assert ("stage1", "overall", "hubness") in numbers(queries[0])
    assert ("stage1", "overall", "hubness") not in numbers(*queries)


def test_numbers_of_more_hits_than_are_recorded_are_left_out():
    shallow = replace(DATASET, depth=3)
    found = numbers({"hits": hits_of("x..")}, dataset=shallow)
    assert not {"hubness", "oIoU"} & {metric for _, _, metric in found}
    assert "AURC" in {metric for _, _, metric in found}
