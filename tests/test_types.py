import dataclasses

import numpy as np
import pytest

from matir_nb.errors import ShapeError
from matir_nb.types import Candidate, Judgement, MaskRLE, Regions


def some_regions(n=3):
    return Regions(
        masks=tuple(MaskRLE((4, 4), bytes([48 + i])) for i in range(n)),
        boxes_xyxy=np.arange(4 * n).reshape(n, 4),
        areas=np.arange(n) * 10,
        predicted_ious=np.linspace(0, 1, n),
        stability_scores=np.ones(n),
    )


def test_regions_columns_are_float32_and_read_only():
    regions = some_regions()
    for name in ("boxes_xyxy", "areas", "predicted_ious", "stability_scores"):
        column = getattr(regions, name)
        assert column.dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 7


def test_regions_do_not_change_with_the_callers_array():
    areas = np.array([5.0], np.float32)
    regions = dataclasses.replace(some_regions(1), areas=areas)
    areas[0] = 9
    assert regions.areas.tolist() == [5]


def test_regions_refuse_columns_of_another_length():
    with pytest.raises(ShapeError, match=r"areas: expected shape \(3\), got \(2,\)"):
        dataclasses.replace(some_regions(3), areas=np.zeros(2))
    with pytest.raises(ShapeError, match=r"boxes_xyxy: expected shape \(3, 4\), got \(3, 5\)"):
        dataclasses.replace(some_regions(3), boxes_xyxy=np.zeros((3, 5)))


def test_empty_regions_have_the_full_shape():
    empty = Regions((), [], [], [], [])
    assert len(empty) == 0
    assert empty.boxes_xyxy.shape == (0, 4)


def test_take_reorders_every_column():
    regions = some_regions()
    taken = regions.take([2, 0])
    assert taken.masks == (regions.masks[2], regions.masks[0])
    assert taken.areas.tolist() == [20, 0]
    assert taken.boxes_xyxy.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert len(regions.take([])) == 0


def test_candidate_pairs_ids_with_scores():
    with pytest.raises(ShapeError, match=r"region_scores: expected shape \(2\), got \(1,\)"):
        Candidate("a.png", 1, 0.5, 0.5, 0.5, (3, 4), [0.5])


@pytest.mark.parametrize(
    ("box", "region_id", "abstains"),
    [(None, None, True), ((0, 0, 1, 1), None, False), (None, 0, False)],
)
def test_abstention_is_neither_box_nor_region(box, region_id, abstains):
    assert Judgement("a.png", 0.1, -2.0, box, region_id, "no").is_abstention is abstains
