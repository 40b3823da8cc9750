import numpy as np
import pytest
from fakes import bare_hit

from matir_nb.evaluation.runs.observe import observed_row
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.geometry.masks import encode
from matir_nb.types import QueryTruth


def mask(*columns, width=10):
    pixels = np.zeros((2, width), bool)
    pixels[0, list(columns)] = True
    return encode(pixels)


def row(hits, truth, sizes=None):
    return observed_row("a", truth, hits, n_gallery=9, seconds=0.5, sizes=sizes or {})


def test_masks_are_compared_with_each_instance_and_with_all_as_one():
    truth = QueryTruth("q", "t", "k", frozenset("ab"), {"a": (mask(0, 1), mask(4, 5))})
    found = row([bare_hit(image_id="a", mask=mask(1, 2)), bare_hit(rank=2, image_id="x")], truth)
    first, second = found["hits"]
    assert first["mask_iou"] == pytest.approx(1 / 3)
    # of the union {0, 1, 4, 5}: one pixel common, five in all
    assert (first["union_iou"], first["intersection_px"], first["union_px"]) == (0.2, 1, 5)
    assert first["is_relevant"]
    assert not second["is_relevant"]
    assert "mask_iou" not in second
    targets = {target["image_id"]: target for target in found["targets"]}
    assert targets["a"] == {
        "image_id": "a",
        "n_targets": 2,
        "area_px": 2.0,
        "area_fraction": 2 / 20,
    }
    assert targets["b"] == {"image_id": "b", "n_targets": 0}


def test_a_relevant_hit_without_a_mask_or_a_box_scores_zero():
    boxes = {"a": np.array([[0, 0, 2, 2]], np.float32)}
    truth = QueryTruth("q", "t", "k", frozenset("a"), {"a": (mask(0),)}, boxes)
    (hit,) = row([bare_hit(image_id="a")], truth)["hits"]
    assert (hit["mask_iou"], hit["union_iou"], hit["box_iou"]) == (0.0, 0.0, 0.0)
    assert (hit["intersection_px"], hit["union_px"]) == (0, 1)


def test_nothing_to_point_at_is_no_zero():
    truth = QueryTruth("q", "no circle", "absence", frozenset("a"), {"a": ()})
    (hit,) = row([bare_hit(image_id="a", mask=mask(3))], truth)["hits"]
    assert hit.get("mask_iou") is None
    assert hit["box_iou"] is None


def test_the_judges_box_wins_over_that_of_the_mask_and_any_true_box_counts():
    boxes = {"a": np.array([[0, 0, 1, 1], [0, 0, 4, 2]], np.float32)}
    truth = QueryTruth("q", "t", "k", frozenset("a"), {}, boxes)
    judged = bare_hit(image_id="a", judged_box_xyxy=(0, 0, 4, 1), box_xyxy=(8, 0, 9, 1))
    found = row([judged], truth, {"a": (8, 4)})
    (hit,) = found["hits"]
    assert hit["box_xyxy"] == [0.0, 0.0, 4.0, 1.0]
    assert hit["box_iou"] == pytest.approx(0.5)
    (target,) = found["targets"]
    assert (target["n_targets"], target["area_px"]) == (2, 8.0)
    assert target["area_fraction"] == pytest.approx(8 / 32)


def test_a_row_has_the_schema():
    import polars as pl

    truth = QueryTruth("q", "t", "k", frozenset("a"), {"a": (mask(1),)})
    made = row([bare_hit(image_id="a", mask=mask(1), box_xyxy=(1, 0, 2, 1))], truth)
    frame = pl.DataFrame([made], schema=OBSERVED_SCHEMA)
    assert frame["n_relevant"].to_list() == [1]
    assert frame["hits"][0].struct.field("mask_iou").to_list() == [1.0]
    assert frame["hits"][0].struct.field("box_iou").to_list() == [None]
