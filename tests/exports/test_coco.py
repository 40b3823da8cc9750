import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from matir_nb.errors import ConfigError
from matir_nb.exports.coco import coco_dataset, coco_marked, to_coco
from matir_nb.geometry.masks import area, decode, encode, regions_from_masks
from matir_nb.models.given_masks import GivenMasks
from tests.exports.examples import SQUARE, hit, result

RING = np.zeros((40, 80), bool)
RING[5:35, 30:70] = True
RING[15:25, 40:60] = False


def three_hits(*names):
    """Return a result: a square, nothing, a ring."""
    first = hit(1, image_id=names[0], final_score=2.0, box_xyxy=(20.0, 10.0, 40.0, 30.0))
    second = hit(2, image_id=names[1], final_score=0.0, mask=None)
    third = hit(3, image_id=names[2], final_score=-1.0, mask=encode(RING))
    return result(first, second, third)


def loaded(dataset):
    coco = COCO()
    coco.dataset = json.loads(json.dumps(dataset))
    coco.createIndex()
    return coco


def by_json(entries):
    return json.loads(json.dumps(entries))


def test_an_entry_is_what_coco_asks_for():
    entries = to_coco(three_hits("val2017/000000000073.jpg", "b/7.png", "000000000089.jpg"))
    assert [entry["image_id"] for entry in entries] == [73, 89]
    assert {entry["category_id"] for entry in entries} == {1}
    assert entries[0]["bbox"] == [20.0, 10.0, 20.0, 20.0]
    assert entries[1]["bbox"] == [30.0, 5.0, 40.0, 30.0]
    assert entries[0]["segmentation"]["size"] == [40, 80]
    assert isinstance(entries[0]["segmentation"]["counts"], str)
    assert [round(entry["score"], 4) for entry in entries] == [0.8808, 0.2689]


def test_pycocotools_loads_the_entries_and_their_masks():
    found = three_hits("a.png", "b.png", "c.png")
    coco = loaded(coco_dataset(found)).loadRes(by_json(to_coco(found)))
    assert coco.getCatIds(catNms=["a blue square"]) == [1]
    assert [image["file_name"] for image in coco.loadImgs([1, 2, 3])] == ["a.png", "b.png", "c.png"]
    masks = [coco.annToMask(annotation) for annotation in coco.loadAnns([1, 2])]
    assert (masks[0] == SQUARE).all()
    assert (masks[1] == RING).all()
    assert coco.getAnnIds(imgIds=[2]) == []


def test_without_boxes_pycocotools_takes_the_area_of_the_mask():
    found = three_hits("a.png", "b.png", "c.png")
    ring = found.hits[2]
    areas = []
    for with_boxes in (True, False):
        entries = by_json(to_coco(found, with_boxes=with_boxes))
        loaded_result = loaded(coco_dataset(found)).loadRes(entries)
        areas.append(loaded_result.loadAnns([2])[0]["area"])
    assert areas == [40 * 30, area(ring.mask)]


def evaluated(found, truth_masks, *, kind):
    """Return COCO's AP of `found` where image n's truth is truth_masks[n]."""
    truth = coco_dataset(found)
    truth["annotations"] = [
        {
            "id": i + 1,
            "image_id": number,
            "category_id": 1,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": [float(v) for v in box_of(mask)],
            "segmentation": {"size": [40, 80], "counts": encode(mask).counts.decode()},
        }
        for i, (number, mask) in enumerate(truth_masks.items())
    ]
    ground = loaded(truth)
    evaluation = COCOeval(ground, ground.loadRes(by_json(to_coco(found))), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_cocoeval_finds_right_masks_right_and_wrong_ones_wrong(kind):
    found = three_hits("a.png", "b.png", "c.png")
    assert evaluated(found, {1: SQUARE, 3: RING}, kind=kind) == pytest.approx(1.0)
    # the better scored entry is wrong: at any recall the precision is 1 of 2
    elsewhere = np.roll(SQUARE, 40, axis=1)
    best_is_wrong = evaluated(found, {1: elsewhere, 3: RING}, kind=kind)
    assert best_is_wrong == pytest.approx(0.5 * 51 / 101)
    assert evaluated(found, {1: elsewhere, 3: elsewhere}, kind=kind) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("12.png", "x/000000000089.jpg", "COCO_val2014_000000000042.jpg"), [12, 89, 42]),
        (("12.png", "x/12.png", "3.png"), [1, 2, 3]),
        (("12.png", "scene-13.png", "3.png"), [1, 2, 3]),
        (("12.png", "1234567890123456.png", "3.png"), [1, 2, 3]),
        (("12.png", "١٢.png", "3.png"), [1, 2, 3]),
    ],
)
def test_numbers_come_from_the_names_only_when_all_have_their_own(names, numbers):
    found = three_hits(*names)
    assert [image["id"] for image in coco_dataset(found)["images"]] == numbers
    assert [entry["image_id"] for entry in to_coco(found)] == [numbers[0], numbers[2]]


def test_given_numbers_are_taken_and_checked():
    found = three_hits("a.png", "b.png", "c.png")
    given = {"a.png": 7, "b.png": 8, "c.png": np.int64(9)}
    assert [entry["image_id"] for entry in by_json(to_coco(found, image_ids=given))] == [7, 9]
    with pytest.raises(ConfigError, match=r"no number for 'b.png' and 1 more hits"):
        to_coco(found, image_ids={"a.png": 7})
    with pytest.raises(ConfigError, match=r"gives 7 to both 'a.png' and 'c.png'"):
        coco_dataset(found, image_ids={"a.png": 7, "b.png": 8, "c.png": 7})


def test_nothing_found_gives_no_entry_but_all_images():
    nothing = result(hit(1, mask=None))
    assert to_coco(nothing) == to_coco(result()) == []
    assert len(coco_dataset(nothing)["images"]) == 1


def test_a_search_over_coco_annotations_gives_the_annotations_masks(matir_data):
    ground = COCO(str(matir_data / "annotations" / "coco_open" / "instances.json"))
    image = ground.loadImgs([73])[0]
    annotation = ground.loadAnns(ground.getAnnIds(imgIds=[73]))[0]
    truth = ground.annToMask(annotation).astype(bool)
    one = replace(
        hit(1, image_id=f"coco_open/{image['file_name']}", mask=encode(truth)),
        width=image["width"],
        height=image["height"],
    )
    again = ground.loadRes(by_json(to_coco(result(one))))
    assert again.getImgIds() == ground.getImgIds()
    assert (again.annToMask(again.loadAnns([1])[0]) == decode(one.mask)).all()


def marked(found, *marks, **options):
    given = {h.image_id: mark for h, mark in zip(found.hits, marks, strict=True) if mark}
    return coco_marked(found, given, **options)


def test_marked_hits_are_a_dataset_with_masks_and_negatives():
    found = three_hits("a.png", "b.png", "c.png")
    coco = loaded(marked(found, "relevant", "not relevant", "unsure", category="square"))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["a.png", "b.png"]
    assert coco.loadCats(coco.getCatIds())[0]["name"] == "square"
    (annotation,) = coco.loadAnns(coco.getAnnIds())
    assert (coco.annToMask(annotation) == SQUARE).all()
    assert annotation["area"] == SQUARE.sum()
    assert annotation["bbox"] == [20.0, 10.0, 20.0, 20.0]
    assert (annotation["iscrowd"], round(annotation["score"], 4)) == (0, 0.8808)
    assert coco.getAnnIds(imgIds=[2]) == []


def test_a_relevant_hit_without_any_region_is_an_image_that_says_its_mark():
    dataset = marked(three_hits("a.png", "b.png", "c.png"), None, "relevant", "relevant")
    assert [(one["id"], one["mark"]) for one in dataset["images"]] == [
        (2, "relevant"),
        (3, "relevant"),
    ]
    assert [(one["id"], one["image_id"]) for one in dataset["annotations"]] == [(1, 3)]
    assert dataset["categories"][0]["name"] == "a blue square"


def test_where_the_judge_named_no_place_stage_1s_best_region_is_annotated():
    found = three_hits("a.png", "b.png", "c.png")
    second = replace(found.hits[1], best_region_id=1)
    regions = regions_from_masks([encode(SQUARE), encode(RING)])
    source = SimpleNamespace(regions_of=lambda image_id: {"b.png": regions}[image_id])
    found = replace(found, hits=(found.hits[0], second, found.hits[2]), source=source)
    (annotation,) = marked(found, None, "relevant", None)["annotations"]
    assert annotation["bbox"] == [30.0, 5.0, 40.0, 30.0]
    assert annotation["area"] == RING.sum()


def test_marked_hits_are_masks_that_can_be_given(tmp_path):
    file = tmp_path / "marked.json"
    file.write_text(json.dumps(marked(three_hits("a.png", "b.png", "c.png"), "relevant", "", "")))
    (mask,) = GivenMasks.from_file(file).regions_for("a.png", 40, 80).masks
    assert (decode(mask) == SQUARE).all()


def test_marks_on_other_images_are_refused():
    with pytest.raises(ConfigError, match="is no hit of this result"):
        coco_marked(three_hits("a.png", "b.png", "c.png"), {"d.png": "relevant"})
