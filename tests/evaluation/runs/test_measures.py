import math

import numpy as np
import pytest
from observed_rows import hit, hits_of, rows

from matir_nb.evaluation.runs.measures import MEASURES, chances, measured
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA


def one(hits, **values):
    """Return the measured columns of one query."""
    return measured(rows({"hits": hits} | values)).row(0, named=True)


def test_ranking_columns_by_hand():
    scores = one(hits_of("x.x."), n_relevant=3)
    assert (scores["R@1"], scores["R@10"]) == (1.0, 1.0)
    assert scores["recall@10"] == pytest.approx(2 / 3)
    assert scores["P@10"] == pytest.approx(0.2)
    assert scores["MRR"] == 1.0
    assert scores["mAP@50"] == pytest.approx((1 + 2 / 3) / 3)
    assert scores["mAP@50/relevant"] == scores["mAP@50"]
    assert scores["mAP@50/found"] == pytest.approx((1 + 2 / 3) / 2)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert scores["nDCG@10"] == pytest.approx((1 + 1 / math.log2(4)) / ideal)


def test_a_dataset_without_masks_has_no_mask_metrics_and_one_without_absence_no_verdicts():
    names = set(measured(rows({"hits": hits_of("x.")})).columns) - set(OBSERVED_SCHEMA)
    assert "mAP@50" in names
    assert not [n for n in names if "IoU" in n or "BR" in n or "@50@50" in n or "pixel" in n]
    assert names.isdisjoint({"rejection", "acceptance", "false positives"})


def test_mask_columns_by_hand():
    hits = [
        hit(1, right=True, mask_iou=1.0, union_iou=0.5),
        hit(2),
        hit(3, right=True, mask_iou=1 / 3, union_iou=1 / 3),
        hit(4, right=True),  # nothing to point at
    ]
    scores = one(hits, n_relevant=4)
    assert scores["mIoU"] == pytest.approx((1 + 1 / 3) / 2)
    assert scores["mIoU/union"] == pytest.approx((0.5 + 1 / 3) / 2)
    assert (scores["P@0.5"], scores["P@0.9"]) == (0.5, 0.5)
    # hits that count: 1 and 4
    assert scores["mAP@50@50"] == pytest.approx((1 + 2 / 4) / 4)
    assert scores["mAP@50@50/union"] == pytest.approx((1 + 2 / 4) / 4)


def test_box_recall_looks_at_the_first_right_box_only():
    hits = [hit(1), hit(2, right=True, box_iou=0.6), hit(3, right=True, box_iou=0.9)]
    scores = one(hits, n_relevant=2)
    assert (scores["BR@1,0.5"], scores["BR@5,0.5"], scores["BR@5,0.7"]) == (0.0, 1.0, 0.0)


def test_queries_without_boxes_have_no_box_recall():
    boxed = [{"image_id": "i7", "n_targets": 1}]
    found = measured(
        rows(
            {"hits": [hit(1, right=True, box_iou=0.6)]},
            {"hits": [hit(1, right=True)], "targets": [{"image_id": "i1", "n_targets": 0}]},
            {"hits": [hit(1)], "targets": boxed},
        )
    )
    assert found["BR@1,0.5"].to_list() == [1.0, None, 0.0]


def test_metrics_of_more_hits_than_are_recorded_are_left_out():
    frame = rows({"hits": hits_of("..x"), "n_gallery": 20}, {"hits": hits_of("x"), "n_gallery": 1})
    names = set(measured(frame, 3).columns) & set(MEASURES)
    assert names == {"R@1", "MRR"}
    assert {"R@10", "mAP@50", "recall@100"} <= set(measured(frame[1:], 3).columns)
    assert {"R@5", "nDCG@10"} <= set(measured(frame, 10).columns)
    assert not {"R@50", "mAP@50"} & set(measured(frame, 10).columns)


def test_what_is_kept_for_its_verdict_only_is_not_ranked_where_no_hit_is_left_out():
    hits = [hit(rank, right=rank == 4, p_relevant=0.1) for rank in range(1, 6)]
    frame = rows({"hits": hits, "kind": "absence", "n_gallery": 5})
    assert measured(frame, 5)["MRR"].item() == 0.25
    found = measured(frame, 3)
    assert (found["MRR"].item(), found["rejection"].item()) == (0.0, 1.0)


def test_verdicts_are_of_absence_queries_wherever_the_images_stand():
    shown = [hit(1, right=True, p_relevant=0.5), hit(2, p_relevant=0.6), hit(3)]
    deep = [hit(60, right=True, p_relevant=0.1), hit(61, p_relevant=0.49), hit(62, p_relevant=0.0)]
    scores = one([*shown, *deep], n_relevant=2, kind="absence")
    assert scores["rejection"] == pytest.approx(2 / 3)
    assert scores["acceptance"] == 0.5
    # what is kept for its verdict only is not in the list
    assert scores["recall@10"] == scores["recall@100"] == 0.5
    assert one([hit(1, right=True, p_relevant=0.9)]).keys().isdisjoint({"rejection"})


def test_nothing_to_find_has_only_false_positives():
    found = measured(
        rows(
            {"hits": [hit(1, above_cut=True, p_relevant=0.1)], "n_relevant": 0},
            {"hits": [hit(1, above_cut=False, p_relevant=0.9)], "n_relevant": 0},
            {"hits": [hit(1, p_relevant=0.9)], "n_relevant": 0},
            {"hits": [hit(1, p_relevant=0.4)], "n_relevant": 0},
            {"hits": [], "n_relevant": 0},
            {"hits": [hit(1, right=True, above_cut=True)]},
        )
    )
    assert found["false positives"].to_list() == [1.0, 0.0, 1.0, 0.0, None, None]
    assert found["R@1"].to_list() == [None] * 5 + [1.0]
    assert found["mAP@50"].null_count() == 5


def test_no_hits_at_all_are_zeros():
    found = measured(rows({"hits": []}, {"hits": []}))
    assert found["R@1"].to_list() == [0.0, 0.0]
    assert found["MRR"].to_list() == [0.0, 0.0]


def test_chance_is_of_what_could_be_found():
    found = chances(rows({"hits": hits_of("x."), "n_relevant": 2, "n_gallery": 4}))
    assert found["R@1"].tolist() == [0.5]
    assert found["recall@10"].tolist() == [1.0]
    assert "mIoU" not in found
    # two of four in a list of two: nothing at 1 or 2 with 1/6; first at 2 with 1/3
    assert found["MRR"] == pytest.approx(0.5 + 0.5 * (1 / 3))


def test_every_metric_says_its_convention():
    for name, measure in MEASURES.items():
        assert name == measure.name
        assert len(measure.convention) > 20
        assert not measure.convention.endswith(".")


def test_columns_are_numbers_or_null():
    found = measured(rows({"hits": hits_of("x")}, {"hits": hits_of("."), "n_relevant": 0}))
    values = found.select(n for n in MEASURES if n in found.columns)
    assert not any(np.isnan(values[n].drop_nulls().to_numpy()).any() for n in values.columns)
