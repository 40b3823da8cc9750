import json

import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.reircoco import read_reircoco

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def write(path, *, broken=None):
    """Write three instances in two files, as the authors' converter does; return the path."""
    files = {7: "COCO_train2014_1.jpg", 8: "COCO_train2014_1.jpg", 9: "COCO_train2014_2.jpg"}
    images = [
        {"id": n, "file_name": name, "height": 6, "width": 8, "expressions": [f"dog {n}", "a dog "]}
        for n, name in files.items()
    ]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 3.5, 3], "segmentation": SQUARE}
        for n in files
    ]
    annotations[2].pop("segmentation")
    annotations[0] |= broken or {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_every_expression_is_a_query_for_its_instance(tmp_path):
    dataset = read_reircoco(write(tmp_path / "reir_coco_test.json"))
    assert dataset.image_ids == ("COCO_train2014_1.jpg", "COCO_train2014_2.jpg")
    assert [(q.query_id, q.text, *q.relevant) for q in dataset.queries] == [
        ("7-0", "dog 7", "COCO_train2014_1.jpg"),
        ("7-1", "a dog", "COCO_train2014_1.jpg"),
        ("8-0", "dog 8", "COCO_train2014_1.jpg"),
        ("8-1", "a dog", "COCO_train2014_1.jpg"),
        ("9-0", "dog 9", "COCO_train2014_2.jpg"),
        ("9-1", "a dog", "COCO_train2014_2.jpg"),
    ]
    first, *_, last = dataset.queries
    assert first.boxes_xyxy["COCO_train2014_1.jpg"].tolist() == [[1, 1, 4.5, 4]]
    assert len(first.masks["COCO_train2014_1.jpg"]) == 1
    assert (last.masks, last.boxes_xyxy["COCO_train2014_2.jpg"].shape) == ({}, (1, 4))
    assert dataset.headline[:3] == ("BR@1,0.5", "BR@5,0.5", "BR@10,0.5")


def test_boxes_of_the_masks(tmp_path):
    first, *_, last = read_reircoco(write(tmp_path / "r.json"), boxes="masks").queries
    assert first.boxes_xyxy["COCO_train2014_1.jpg"].tolist() == [[1, 1, 4, 4]]
    assert last.boxes_xyxy == {}


@pytest.mark.parametrize("place", [".", "retrieval", "annotations/retrieval"])
def test_the_file_is_found_under_a_folder(tmp_path, place):
    write(tmp_path / place / "reir_coco_train.json")
    assert len(read_reircoco(tmp_path, split="train").queries) == 6
    with pytest.raises(AnnotationError, match=r"download reir_coco_test\.json of REIRCOCO"):
        read_reircoco(tmp_path)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"bbox": [1, 2, "x", 3]}, "the box of annotation 7"),
        ({"bbox": [1, 2, float("nan"), 3]}, "the box of annotation 7"),
        ({"bbox": None}, "the box of annotation 7"),
        ({"segmentation": [[1, 2, 3]]}, "the mask of annotation 7"),
        ({"image_id": 70}, "lacks a field or has a wrong one: KeyError: 70"),
    ],
)
def test_broken_entries_are_named(tmp_path, broken, says):
    with pytest.raises(AnnotationError, match=says):
        read_reircoco(write(tmp_path / "r.json", broken=broken))


def test_an_unknown_kind_of_boxes(tmp_path):
    with pytest.raises(ConfigError, match="unknown boxes 'no'"):
        read_reircoco(tmp_path, boxes="no")
