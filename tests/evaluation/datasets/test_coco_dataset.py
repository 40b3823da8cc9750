import json

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.coco import (
    COCO,
    read_coco,
    read_coco_captions,
    read_coco_panoptic,
)
from matir_nb.geometry.masks import area, decode, encode

BIG = 9_000_000_000_000
SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]
IMAGES = [
    {"id": BIG + n, "file_name": f"{name}.jpg", "height": 6, "width": 8}
    for n, name in enumerate("abc")
]
CATEGORIES = [{"id": n, "name": name} for n, name in ((1, "dog"), (90, "cat"), (3, "unseen"))]


def annotation(number, image, category, segmentation, *, is_crowd=0):
    return {
        "id": BIG + number,
        "image_id": BIG + image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": is_crowd,
        "bbox": [0, 0, 99, 99],
    }


def write(path, annotations, **changes):
    document = {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES} | changes
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def real(matir_data):
    return matir_data / "annotations"


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_categories_are_those_of_the_answer_key(real):
    dataset = read_coco(real / "coco_open")
    key = json_lines(real / "queries_category.jsonl")
    found = {query.query_id: query for query in dataset.queries}
    assert len(dataset.queries) == len(key) == 60
    assert len(dataset.image_ids) == 58
    assert sum(len(query.relevant) for query in dataset.queries) == 175
    for wanted in key:
        query = found[wanted["query_id"]]
        assert (query.text, query.kind) == (wanted["query"], wanted["kind"])
        files = {item["file"].removeprefix("coco_open/"): item for item in wanted["relevant"]}
        assert query.relevant == query.masks.keys() == query.boxes_xyxy.keys() == files.keys()
        assert query.judged is None
        for name, item in files.items():
            n_single = item["iscrowd"].count(0)
            assert len(query.masks[name]) == len(query.boxes_xyxy[name]) == (n_single or 1)


def test_boxes_lie_around_the_masks_and_near_those_of_the_file(real):
    key = {line["query_id"]: line for line in json_lines(real / "queries_category.jsonl")}
    for query in read_coco(real / "coco_open").queries:
        for item in key[query.query_id]["relevant"]:
            if any(item["iscrowd"]):
                continue
            name = item["file"].removeprefix("coco_open/")
            xywh = np.array(item["boxes_xywh"])
            xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
            assert np.abs(query.boxes_xyxy[name] - xyxy).max() < 4


def test_a_crowd_makes_relevant_and_is_a_target_only_where_it_is_alone(tmp_path):
    runs = {"size": [6, 8], "counts": [0, 6, 42]}
    dataset = read_coco(
        write(
            tmp_path / "instances.json",
            [
                annotation(1, 0, 90, [SQUARE]),
                annotation(2, 0, 90, runs, is_crowd=1),
                annotation(3, 1, 90, runs, is_crowd=1),
                annotation(4, 1, 1, []),
            ],
        )
    )
    dog, cat = dataset.queries
    assert (dog.query_id, cat.query_id, cat.text) == ("cat-1", "cat-90", "cat")
    assert cat.relevant == {"a.jpg", "b.jpg"}
    assert [area(mask) for mask in cat.masks["a.jpg"]] == [9]
    assert [area(mask) for mask in cat.masks["b.jpg"]] == [6]
    assert cat.boxes_xyxy["a.jpg"].tolist() == [[1, 1, 4, 4]]
    assert dog.relevant == {"b.jpg"}, "a mask without a pixel still says that it is there"
    assert dog.masks == dog.boxes_xyxy == {}
    assert "crowd" in dataset.protocol["relevant"]
    assert "crowd" in dataset.protocol["targets"]


def test_the_file_of_a_split_is_found_in_the_archive_s_folder(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    write(folder / "instances_val2017.json", [annotation(1, 0, 1, [SQUARE])])
    write(folder / "instances_train2017.json", [annotation(1, 0, 90, [SQUARE])])
    assert [q.text for q in read_coco(tmp_path).queries] == ["dog"]
    assert [q.text for q in read_coco(tmp_path, split="train2017").queries] == ["cat"]
    assert read_coco(tmp_path).protocol["file"] == "instances_val2017.json"
    with pytest.raises(AnnotationError, match=r"download annotations_trainval2017\.zip"):
        read_coco(tmp_path, split="val2014")


@pytest.mark.parametrize(
    ("annotations", "changes", "message"),
    [
        ([annotation(1, 0, 1, {"size": [8, 6], "counts": [48]})], {}, f"annotation {BIG + 1} in"),
        ([annotation(1, 7, 1, [SQUARE])], {}, f"KeyError: {BIG + 7}"),
        ([{"category_id": 1}], {}, "KeyError: 'image_id'"),
        ([], {}, "no queries"),
        ([], {"images": 3}, "TypeError"),
        ([], {"images": [*IMAGES, IMAGES[0]]}, "4 entries, but only 3 different ids"),
        ([annotation(1, 0, 1, [SQUARE])], {"categories": {}}, "no queries"),
    ],
)
def test_a_broken_file_is_said_in_one_error(tmp_path, annotations, changes, message):
    with pytest.raises(AnnotationError, match=message):
        read_coco(write(tmp_path / "instances.json", annotations, **changes))


def test_captions_are_those_of_the_answer_key(real):
    dataset = read_coco_captions(real / "coco_open")
    found = {query.query_id: query for query in dataset.queries}
    key = json_lines(real / "queries_caption.jsonl")
    assert len(found) == len(key) == 220
    assert len(dataset.image_ids) == 44
    for wanted in key:
        query = found[wanted["query_id"]]
        assert (query.text, query.kind) == (wanted["query"], wanted["kind"])
        assert query.relevant == {wanted["file"].removeprefix("coco_open/")}
    assert dataset.headline[:3] == ("R@1", "R@5", "R@10")


def test_a_caption_loses_the_space_around_it_and_an_empty_one_is_none(tmp_path):
    captions = [
        {"id": BIG + n, "image_id": BIG, "caption": caption}
        for n, caption in enumerate([" A dog.\n", " \n"])
    ]
    dataset = read_coco_captions(write(tmp_path / "captions_val2017.json", captions))
    assert [(q.query_id, q.text) for q in dataset.queries] == [(f"cap-{BIG}", "A dog.")]


def test_panoptic_asks_things_and_stuff_by_plain_names(real):
    dataset = read_coco_panoptic(real / "coco_open")
    document = json.loads((real / "coco_open" / "panoptic.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    wanted = {}
    for entry in document["annotations"]:
        for segment in entry["segments_info"]:
            pair = (f"cat-{segment['category_id']}", entry["file_name"].replace("png", "jpg"))
            wanted.setdefault(pair, []).append(segment)
    found = {(q.query_id, name): q for q in dataset.queries for name in q.relevant}
    assert found.keys() == wanted.keys()
    assert {q.kind for q in dataset.queries} == {"thing", "stuff"}
    for (query_id, name), segments in wanted.items():
        query = found[query_id, name]
        single = [s for s in segments if not s["iscrowd"]] or segments
        assert [area(mask) for mask in query.masks[name]] == [s["area"] for s in single]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (s["bbox"] for s in single)]
        assert query.boxes_xyxy[name].tolist() == boxes
        assert names[int(query_id[4:])].startswith(query.text)
    assert {"tree", "wall", "wall-brick"} <= {query.text for query in dataset.queries}


def test_no_two_panoptic_categories_have_one_text(real, tmp_path):
    document = json.loads((real / "coco_open" / "panoptic.json").read_text())
    (tmp_path / "p").mkdir()
    image, categories = document["images"][0], document["categories"]
    size = (image["width"], image["height"])
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    pixels[0, : len(categories), 0] = np.arange(1, len(categories) + 1)
    Image.fromarray(pixels).save(tmp_path / "p" / "x.png")
    segments = [
        {"id": n, "category_id": c["id"], "iscrowd": 0} for n, c in enumerate(categories, start=1)
    ]
    annotations = [{"image_id": image["id"], "file_name": "x.png", "segments_info": segments}]
    document |= {"images": [image], "annotations": annotations}
    (tmp_path / "p.json").write_text(json.dumps(document))
    texts = [query.text for query in read_coco_panoptic(tmp_path / "p.json").queries]
    assert len(set(texts)) == len(texts) == 133


def panoptic(folder, ids, *, told=(5,), size=(6, 8)):
    (folder / "panoptic").mkdir()
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[0, : len(ids)] = ids
    Image.fromarray(rgb).save(folder / "panoptic" / "a.png")
    segments = [{"id": i, "category_id": 1, "iscrowd": 0} for i in told]
    annotations = [{"image_id": BIG, "file_name": "a.png", "segments_info": segments}]
    categories = [{"id": 1, "name": "floor-other-merged", "isthing": 0}]
    return write(folder / "panoptic.json", annotations, categories=categories)


def test_a_panoptic_segment_is_found_by_all_three_channels(tmp_path):
    told = 5 + 256 * 7 + 65536 * 9
    path = panoptic(tmp_path, [[5, 7, 9], [5, 7, 0], [5, 7, 9]], told=[told])
    (query,) = read_coco_panoptic(path).queries
    assert (query.text, query.kind) == ("floor", "stuff")
    (mask,) = query.masks["a.jpg"]
    assert decode(mask)[0].tolist() == [True, False, True] + [False] * 5
    assert mask == encode(decode(mask))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"told": (5, 6)}, "has no pixel of segment 6: the files do not match"),
        ({"size": (6, 9)}, r"expected \(height, width\) \(6, 8\), got \(6, 9\)"),
    ],
)
def test_a_picture_that_does_not_fit_its_segments_is_refused(tmp_path, options, message):
    with pytest.raises(AnnotationError, match=message):
        read_coco_panoptic(panoptic(tmp_path, [[5, 0, 0]], **options))


def test_missing_or_broken_panoptic_pictures_are_said(tmp_path):
    path = panoptic(tmp_path, [[5, 0, 0]])
    (tmp_path / "panoptic" / "a.png").write_bytes(b"no picture")
    with pytest.raises(AnnotationError, match=r"a\.png' cannot be read: UnidentifiedImageError"):
        read_coco_panoptic(path)
    (tmp_path / "panoptic" / "a.png").unlink()
    (tmp_path / "panoptic").rmdir()
    with pytest.raises(AnnotationError, match=r"no folder .*panoptic_annotations_trainval2017.zip"):
        read_coco_panoptic(path)


def test_the_source_names_licences():
    assert "CC BY 4.0" in COCO.licence
