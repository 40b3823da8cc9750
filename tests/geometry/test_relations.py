"""Relations between regions: worked by hand, and against the truth of scenes."""

import numpy as np
import pytest

from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.geometry.relations import relation_by_boxes, relation_by_masks
from matir_nb.scenes.draw import draw_gallery
from matir_nb.scenes.queries import RELATIONS, holds
from matir_nb.types import Regions


def regions(*boxes: tuple[int, int, int, int]) -> Regions:
    masks = []
    for x0, y0, x1, y1 in boxes:
        mask = np.zeros((100, 100), bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    for later in range(1, len(masks)):
        for earlier in range(later):
            masks[earlier] &= ~masks[later]
    return regions_from_masks([encode(mask) for mask in masks])


@pytest.mark.parametrize(
    ("relation", "expected"),
    [("left", 1), ("right", 0), ("above", 0), ("below", 1), ("larger", 0), ("smaller", 1)],
)
def test_by_boxes(relation: str, expected: int) -> None:
    boxes = np.array([[0, 80, 10, 90], [60, 10, 90, 40]], np.float32)
    strength = relation_by_boxes(relation, boxes, width=100, height=100)
    assert strength[0, 1] == pytest.approx(expected, abs=0.01)
    assert strength[1, 0] == pytest.approx(1 - expected, abs=0.01)


def test_by_masks() -> None:
    host_and_guest = regions((20, 20, 80, 80), (40, 40, 60, 60))
    assert relation_by_masks("inside", host_and_guest, 1, 0) > 0.95
    assert relation_by_masks("inside", host_and_guest, 0, 1) == 0
    assert relation_by_masks("overlapping", host_and_guest, 0, 1) < 0.05
    crossing = regions((10, 10, 50, 50), (40, 30, 80, 70))
    assert relation_by_masks("overlapping", crossing, 0, 1) > 0.95
    assert relation_by_masks("inside", crossing, 0, 1) < 0.05
    apart = regions((10, 10, 30, 30), (60, 60, 80, 80))
    assert relation_by_masks("overlapping", apart, 0, 1) == 0


def test_agrees_with_the_truth_of_scenes() -> None:
    outcomes: dict[str, list[bool]] = {relation: [] for relation in RELATIONS}
    positives: dict[str, list[bool]] = {relation: [] for relation in RELATIONS}
    for scene in draw_gallery("test", 40):
        n = len(scene.objects)
        found = regions_from_masks([encode(scene.visible_mask(i)) for i in range(n)])
        height, width = scene.labels.shape
        for relation in RELATIONS:
            if relation in ("inside", "overlapping"):
                strength = np.array(
                    [[relation_by_masks(relation, found, i, j) for j in range(n)] for i in range(n)]
                )
            else:
                strength = relation_by_boxes(relation, found.boxes_xyxy, width=width, height=height)
            for i in range(n):
                for j in range(n):
                    if i != j:
                        truth = holds(scene, relation, i, j)
                        outcomes[relation].append((strength[i, j] > 0.5) == truth)
                        if truth:
                            positives[relation].append(bool(strength[i, j] > 0.5))
    for relation in RELATIONS:
        assert np.mean(outcomes[relation]) > 0.95, relation
        assert len(positives[relation]) > 8, relation
        assert np.mean(positives[relation]) > 0.85, relation
