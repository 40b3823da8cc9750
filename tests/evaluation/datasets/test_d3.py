import json
import pickle
import shutil

import numpy as np
import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.d3 import read_d3

RLE = {"size": [4, 5], "counts": b"1220;"}


def d3(folder, **changes):
    """Write two groups of one image each, in the published wrapping; return the folder.

    Sentence 1 belongs to group 0 and is true of both images, 2 (an absence) to group 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "sentences": {
            1: {"id": 1, "is_negative": False, "raw_sent": "a dog ", "raw_sent_zh": "一只狗"},
            2: {"id": 2, "is_negative": True, "raw_sent": "a man without a hat", "raw_sent_zh": ""},
        },
        "images": {
            0: {"file_name": "a/0.jpg", "height": 4, "width": 5, "group_id": 0},
            1: {"file_name": "b/1.jpg", "height": 4, "width": 5, "group_id": 1},
        },
        "groups": {0: {"inner_sent_id": [1]}, 1: {"inner_sent_id": [2]}},
        "annotations": {
            n: {
                "image_id": n,
                "sent_id": [1],
                "segmentation": [RLE],
                "bbox": np.array([[0.0, 1.0, 2.5, 2.0]]),
                "area": np.array([4]),
            }
            for n in (0, 1)
        },
    }
    for name, table in tables.items():
        content = changes.get(name, table)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(content, 2))
    return folder


@pytest.fixture(scope="session")
def sample(matir_data):
    return matir_data / "annotations" / "d3_format_derived"


def by_id(dataset):
    return {query.query_id: query for query in dataset.queries}


def test_a_sentence_is_searched_in_its_own_groups(tmp_path):
    dataset = read_d3(d3(tmp_path))
    one, two = dataset.queries
    assert (one.query_id, one.text, one.kind) == ("sent-1", "a dog", "presence")
    assert one.relevant == one.judged == {"a/0.jpg"}
    assert (two.kind, two.relevant, two.judged) == ("absence", frozenset(), {"b/1.jpg"})
    assert dataset.image_ids == ("a/0.jpg", "b/1.jpg")
    assert dataset.depth is None


def test_inter_searches_all_images(tmp_path):
    one, two = read_d3(d3(tmp_path), setting="inter").queries
    assert one.relevant == {"a/0.jpg", "b/1.jpg"}
    assert one.judged is two.judged is None


def test_boxes_are_the_published_ones_unless_told_otherwise(tmp_path):
    one, _ = read_d3(d3(tmp_path)).queries
    assert one.boxes_xyxy["a/0.jpg"].tolist() == [[0.0, 1.0, 2.5, 3.0]]
    tight, _ = read_d3(d3(tmp_path), boxes="masks").queries
    assert tight.boxes_xyxy["a/0.jpg"].tolist() != [[0.0, 1.0, 2.5, 3.0]]
    assert one.masks == tight.masks


def test_parts(tmp_path):
    folder = d3(tmp_path)
    assert [q.query_id for q in read_d3(folder, part="presence").queries] == ["sent-1"]
    assert [q.query_id for q in read_d3(folder, part="absence").queries] == ["sent-2"]


def test_chinese_is_asked_where_it_is_there(tmp_path):
    folder = d3(tmp_path)
    with pytest.raises(AnnotationError, match=r"sentence 2 in .* has no 'raw_sent_zh'"):
        read_d3(folder, language="zh")
    sentences = {1: {"is_negative": False, "raw_sent_zh": "一只狗"}}
    dataset = read_d3(d3(tmp_path, sentences=sentences), language="zh")
    assert dataset.queries[0].text == "一只狗"


def test_a_sentence_of_no_group_is_left_out_and_said(tmp_path):
    groups = {0: {"inner_sent_id": [1]}, 1: {"inner_sent_id": []}}
    dataset = read_d3(d3(tmp_path, groups=groups))
    assert [q.query_id for q in dataset.queries] == ["sent-1"]
    assert "1 sentences" in dataset.protocol["left out"]


def test_the_folder_may_hold_d3_pkl(tmp_path):
    d3(tmp_path / "d3_pkl")
    assert by_id(read_d3(tmp_path)).keys() == {"sent-1", "sent-2"}


def test_plain_fields_are_read_as_the_documentation_has_them(tmp_path):
    plain = {"image_id": 0, "sent_id": [1], "segmentation": RLE, "bbox": [0, 1, 2, 2]}
    one, _ = read_d3(d3(tmp_path, annotations={7: plain})).queries
    assert one.boxes_xyxy["a/0.jpg"].tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("table", "content", "says"),
    [
        ("images", {0: {"file_name": "a", "group_id": 0}}, "images.pkl lacks .* 'height'"),
        ("images", {0: ["a"]}, "images.pkl lacks .* expected a dict, got list"),
        ("groups", {0: {"inner_sent_id": "12"}}, "groups.pkl lacks .* expected a list, got str"),
        ("sentences", [1], "sentences.pkl lacks .* expected a dict, got list"),
        ("annotations", {3: {"image_id": 9}}, "annotations.pkl lacks"),
        ("annotations", {3: {"image_id": (0, 1)}}, "whole number, got tuple"),
        (
            "annotations",
            {3: {"image_id": 0, "sent_id": [1], "segmentation": [RLE], "bbox": [1, 2, 3]}},
            "the box of annotation 3 in .* cannot be used",
        ),
        (
            "annotations",
            {3: {"image_id": 0, "sent_id": [1], "segmentation": [RLE], "bbox": [1, 2, -3, 1]}},
            "the box of annotation 3",
        ),
        (
            "annotations",
            {
                3: {
                    "image_id": 0,
                    "sent_id": [1],
                    "segmentation": [RLE | {"size": [9, 9]}],
                    "bbox": [1, 2, 3, 1],
                }
            },
            "the mask of annotation 3 .* expected .*4, 5",
        ),
    ],
)
def test_broken_files_are_named(tmp_path, table, content, says):
    with pytest.raises(AnnotationError, match=says):
        read_d3(d3(tmp_path, **{table: content}))


def test_a_missing_file_says_what_to_download(tmp_path):
    with pytest.raises(AnnotationError, match=r"d3_pkl\.zip of D3.*CC BY-NC 4\.0"):
        read_d3(tmp_path)
    folder = d3(tmp_path)
    (folder / "groups.pkl").unlink()
    with pytest.raises(AnnotationError, match=r"there is no .*groups\.pkl"):
        read_d3(folder)


@pytest.mark.parametrize("option", ["language", "setting", "part", "boxes"])
def test_unknown_values_are_refused(tmp_path, option):
    with pytest.raises(ConfigError, match=f"unknown {option} 'no'"):
        read_d3(tmp_path, **{option: "no"})


@pytest.mark.parametrize("part", ["full", "presence", "absence"])
def test_json_holds_the_labels_within_groups(sample, tmp_path, part):
    for file in sample.glob("*.json"):
        shutil.copy(file, tmp_path)
    pickled = by_id(read_d3(sample, part=part))
    plain = by_id(read_d3(tmp_path, setting="inter", part=part))
    assert pickled.keys() == plain.keys()
    for name, query in pickled.items():
        other = plain[name]
        assert (query.text, query.kind, query.relevant) == (other.text, other.kind, other.relevant)
        assert {i: set(m) for i, m in query.masks.items()} == {
            i: set(m) for i, m in other.masks.items()
        }


def test_json_alone_knows_no_groups_and_no_chinese(sample, tmp_path):
    (tmp_path / "d3_json").mkdir()
    shutil.copy(sample / "d3_full_annotations.json", tmp_path / "d3_json")
    with pytest.raises(AnnotationError, match="cannot answer setting=intra: download d3_pkl"):
        read_d3(tmp_path)
    with pytest.raises(AnnotationError, match="cannot answer language=zh"):
        read_d3(tmp_path, setting="inter", language="zh")
    dataset = read_d3(tmp_path, setting="inter")
    assert {query.kind for query in dataset.queries} == {"description"}
    assert dataset.protocol["files"] == "JSON"
    assert "scores too low" in dataset.protocol["relevant"]


def test_the_sample(sample):
    intra, inter = read_d3(sample), read_d3(sample, setting="inter")
    assert (len(intra.queries), len(intra.image_ids)) == (20, 58)
    assert {len(query.judged) for query in intra.queries} == {29}
    content = json.loads((sample / "d3_full_annotations.json").read_text())
    pairs = {(row["category_id"], row["image_id"]) for row in content["annotations"]}
    assert sum(len(query.relevant) for query in intra.queries) == len(pairs) == 94
    assert sum(len(query.relevant) for query in inter.queries) == 195
    n_boxes = sum(len(b) for query in intra.queries for b in query.boxes_xyxy.values())
    assert n_boxes == len(content["annotations"]) == 330
    with pytest.raises(AnnotationError, match="has no 'raw_sent_zh'"):
        read_d3(sample, language="zh")
