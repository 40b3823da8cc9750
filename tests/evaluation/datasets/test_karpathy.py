import json

import pytest

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.coco import read_coco_captions
from matir_nb.evaluation.datasets.karpathy import KARPATHY


def image(number, *, split="test", n=5, folder="val2014"):
    sentences = [{"sentid": 10 * number + i, "raw": f" Image {number}, {i}.\n"} for i in range(n)]
    place = {"filepath": folder} if folder else {}
    return {"filename": f"{number}.jpg", "split": split, "sentences": sentences, **place}


def write(folder, *images, name="dataset_coco.json"):
    (folder / name).write_text(json.dumps({"images": images, "dataset": "coco"}))
    return folder


def test_the_first_five_captions_of_each_test_image_are_asked(tmp_path):
    images = [image(1, n=7), image(2, split="restval"), image(3, n=5), image(4, split="train")]
    dataset = read_coco_captions(write(tmp_path, *images), split="karpathy")
    assert dataset.image_ids == ("val2014/1.jpg", "val2014/3.jpg")
    assert [q.query_id for q in dataset.queries] == [f"cap-{n}{i}" for n in "13" for i in range(5)]
    assert dataset.queries[6].text == "Image 3, 1."
    assert dataset.queries[6].relevant == {"val2014/3.jpg"}
    assert dataset.source is KARPATHY


def test_flickr30k_has_no_folders(tmp_path):
    write(tmp_path, image(1, folder=""), name="dataset_flickr30k.json")
    assert read_coco_captions(tmp_path, split="karpathy").image_ids == ("1.jpg",)


def test_a_missing_file_or_field_is_said(tmp_path):
    with pytest.raises(AnnotationError, match=r"download caption_datasets\.zip"):
        read_coco_captions(tmp_path, split="karpathy")
    with pytest.raises(AnnotationError, match="KeyError: 'sentences'"):
        read_coco_captions(write(tmp_path, {"filename": "a", "split": "test"}), split="karpathy")
