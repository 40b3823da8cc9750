import json

import pytest

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.lvis import read_lvis

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
URL = "http://images.cocodataset.org/val2017/{}.jpg"


def image(number, *, negative=(), unfinished=()):
    return {
        "id": number,
        "coco_url": URL.format(number),
        "height": 6,
        "width": 8,
        "neg_category_ids": list(negative),
        "not_exhaustive_category_ids": list(unfinished),
    }


def category(number, name, frequency="r"):
    return {"id": number, "name": name, "frequency": frequency}


def small(folder):
    """Write v1's layout: no file names; category 3 has negatives only."""
    document = {
        "images": [image(1, unfinished=[1]), image(2, negative=[1, 3]), image(3)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "segmentation": SQUARE}
            for n, (i, c) in enumerate([(1, 1), (1, 1), (3, 2), (1, 2)])
        ],
        "categories": [
            category(1, "bow_(weapon)"),
            category(2, "bow_(decorative_ribbons)", "f"),
            category(3, "cab_(taxi)", "c"),
        ],
    }
    path = folder / "lvis_v1_val.json"
    path.write_text(json.dumps(document))
    return path


def test_only_images_where_a_category_is_known_are_judged(tmp_path):
    dataset = read_lvis(small(tmp_path).parent)
    weapon, ribbons = dataset.queries
    assert weapon.relevant == {"val2017/1.jpg"}
    assert weapon.judged == {"val2017/1.jpg", "val2017/2.jpg"}
    assert len(weapon.masks["val2017/1.jpg"]) == 2
    assert ribbons.relevant == ribbons.judged == {"val2017/1.jpg", "val2017/3.jpg"}
    assert dataset.image_ids == ("val2017/1.jpg", "val2017/2.jpg", "val2017/3.jpg")


def test_texts_are_names_with_spaces_and_their_hints(tmp_path):
    queries = read_lvis(small(tmp_path)).queries
    assert [q.text for q in queries] == ["bow (weapon)", "bow (decorative ribbons)"]
    assert [q.kind for q in queries] == ["rare", "frequent"]


def test_the_protocol_says_that_some_masks_are_missing(tmp_path):
    assert (
        read_lvis(small(tmp_path))
        .protocol["targets"]
        .startswith("the annotated instances; 1 pairs of category and image have more")
    )


def test_the_published_sample_is_read_with_the_names_of_coco_2017(matir_data):
    path = matir_data / "annotations" / "formats" / "lvis_v0.5_val_50.json"
    document = json.loads(path.read_text())
    dataset = read_lvis(path)
    pairs = {(a["category_id"], a["image_id"]) for a in document["annotations"]}
    assert sum(len(query.relevant) for query in dataset.queries) == len(pairs)
    assert len(dataset.queries) == len({number for number, _ in pairs})
    assert sum(len(m) for q in dataset.queries for m in q.masks.values()) == 512
    assert dataset.image_ids[0] == "val2017/000000266409.jpg"
    negatives = {(c, i["id"]) for i in document["images"] for c in i["neg_category_ids"]}
    asked = {int(query.query_id[4:]) for query in dataset.queries}
    n_wrong = sum(len(query.judged - query.relevant) for query in dataset.queries)
    assert n_wrong == len({pair for pair in negatives if pair[0] in asked})
    assert len({query.text for query in dataset.queries}) == len(dataset.queries)
    placed = dataset.placed(["000000266409.jpg"])
    assert placed.image_ids[0] == "000000266409.jpg"


def test_a_file_that_is_not_there_or_no_lvis_is_said(tmp_path):
    with pytest.raises(AnnotationError, match=r"lvisdataset\.org"):
        read_lvis(tmp_path)
    path = small(tmp_path)
    document = json.loads(path.read_text())
    del document["images"][0]["neg_category_ids"]
    path.write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match="neg_category_ids"):
        read_lvis(path)
