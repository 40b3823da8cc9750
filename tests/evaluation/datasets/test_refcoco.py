import json
import pickle

import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.refcoco import read_refcoco

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def ref(number, image, split, *sentences):
    """Return a reference to instance `number`; sentences are (id, words)."""
    return {
        "ref_id": number,
        "ann_id": number,
        "image_id": image,
        "file_name": f"COCO_train2014_{image:012d}_{number}.jpg",
        "split": split,
        "category_id": 1,
        "sent_ids": [sent_id for sent_id, _ in sentences],
        "sentences": [
            {"sent_id": sent_id, "raw": text.upper(), "sent": text, "tokens": text.split()}
            for sent_id, text in sentences
        ],
    }


REFS = [
    ref(10, 1, "val", (0, "left dog"), (1, "the dog")),
    ref(11, 1, "val", (2, "right dog")),
    ref(12, 2, "val", (3, "the  Dog"), (4, " ")),
    ref(13, 3, "testA", (5, "a man")),
]


def refcoco(folder, refs=REFS, name="unc"):
    folder.mkdir(exist_ok=True)
    (folder / f"refs({name}).p").write_bytes(pickle.dumps(refs, 2))
    images = [
        {"id": n, "file_name": f"COCO_train2014_{n:012d}.jpg", "height": 6, "width": 8}
        for n in (1, 2, 3)
    ]
    annotations = [
        {"id": n, "image_id": image, "bbox": [1, 1, n - 6.5, 3], "segmentation": SQUARE}
        for n, image in ((10, 1), (11, 1), (12, 2), (13, 3), (14, 1))
    ]
    content = {"images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


ONE, TWO = "COCO_train2014_000000000001.jpg", "COCO_train2014_000000000002.jpg"


def test_sentences_of_equal_words_are_one_query(tmp_path):
    dataset = read_refcoco(refcoco(tmp_path))
    assert {q.query_id: (q.text, set(q.relevant)) for q in dataset.queries} == {
        "0": ("left dog", {ONE}),
        "1": ("the dog", {ONE, TWO}),
        "2": ("right dog", {ONE}),
    }
    assert dataset.image_ids == (ONE, TWO)
    assert all(query.judged is None for query in dataset.queries)
    assert "not exhaustive" in dataset.protocol["searched"]


def test_grounding_asks_each_sentence_in_its_own_image(tmp_path):
    dataset = read_refcoco(refcoco(tmp_path), protocol="grounding")
    assert {q.query_id: set(q.judged) for q in dataset.queries} == {
        "0": {ONE},
        "1": {ONE},
        "2": {ONE},
        "3": {TWO},
    }
    assert all(query.relevant == query.judged for query in dataset.queries)
    assert dataset.headline[0] == "BR@1,0.5"


def test_boxes(tmp_path):
    published = read_refcoco(refcoco(tmp_path)).queries[0]
    assert published.boxes_xyxy[ONE].tolist() == [[1, 1, 4.5, 4]]
    tight = read_refcoco(refcoco(tmp_path), boxes="masks").queries[0]
    assert tight.boxes_xyxy[ONE].tolist() == [[1, 1, 4, 4]]


def test_two_instances_of_one_sentence_in_one_image_are_both_right(tmp_path):
    refs = [ref(10, 1, "val", (0, "a dog")), ref(14, 1, "val", (1, "a dog"))]
    (query,) = read_refcoco(refcoco(tmp_path, refs)).queries
    assert len(query.masks[ONE]) == len(query.boxes_xyxy[ONE]) == 2


def test_splits(tmp_path):
    folder = refcoco(tmp_path)
    assert [q.kind for q in read_refcoco(folder, split="testA").queries] == ["testA"]
    assert len(read_refcoco(folder, split="all").queries) == 4
    with pytest.raises(AnnotationError, match="no split 'test': did you mean 'testA'"):
        read_refcoco(folder, split="test")


def test_which_file_of_references(tmp_path):
    refcoco(tmp_path, name="google")
    refcoco(tmp_path, name="umd")
    assert read_refcoco(tmp_path).protocol["file"] == f"{tmp_path.name}/refs(umd).p"
    assert read_refcoco(tmp_path, split_by="google").protocol["file"].endswith("refs(google).p")
    with pytest.raises(AnnotationError, match=r"no refs\(unc\)\.p in .* choose from google, umd"):
        read_refcoco(tmp_path, split_by="unc")


def test_missing_files(tmp_path):
    with pytest.raises(AnnotationError, match=r"refs\(unc\).p': download refcoco.zip"):
        read_refcoco(tmp_path)
    (refcoco(tmp_path) / "instances.json").unlink()
    with pytest.raises(AnnotationError, match=r"there is no .*instances\.json"):
        read_refcoco(tmp_path)


@pytest.mark.parametrize(
    "refs", [{"a": 1}, [1], [REFS[0] | {"ann_id": 99}], [REFS[0] | {"image_id": [1]}], [{}]]
)
def test_broken_references_are_named(tmp_path, refs):
    with pytest.raises(AnnotationError, match=r"refs\(unc\)\.p lacks a field"):
        read_refcoco(refcoco(tmp_path, refs))


@pytest.mark.parametrize("option", ["protocol", "boxes"])
def test_unknown_values_are_refused(tmp_path, option):
    with pytest.raises(ConfigError, match=f"unknown {option} 'no'"):
        read_refcoco(refcoco(tmp_path), **{option: "no"})


def test_the_sample(matir_data):
    folder = matir_data / "annotations" / "refcoco_format_derived"
    dataset = read_refcoco(folder, split="all", protocol="grounding")
    assert (len(dataset.queries), len(dataset.image_ids)) == (347, 56)
    assert {query.kind for query in dataset.queries} == {"val", "testA"}
    assert all(len(masks) == 1 for q in dataset.queries for masks in q.masks.values())
    assert all(name.startswith("coco_open/") for name in dataset.image_ids)
    merged = read_refcoco(folder, split="all")
    texts = {query.text for query in dataset.queries}
    assert {query.text for query in merged.queries} == texts
    assert len(merged.queries) == len(texts) < 347
    assert sum(len(q.relevant) for q in merged.queries) > len(merged.queries)
