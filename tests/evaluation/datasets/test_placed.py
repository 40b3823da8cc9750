from dataclasses import replace

import numpy as np
import pytest

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.geometry.masks import encode
from matir_nb.types import QueryTruth

MASK = encode(np.ones((2, 2), bool))
OF_2014, OF_2017 = "COCO_train2014_000000581857.jpg", "000000581857.jpg"


def dataset(*names):
    query = QueryTruth(
        "q",
        "a dog",
        "category",
        frozenset(names[:1]),
        {names[0]: (MASK,)},
        {names[0]: np.zeros((1, 4), np.float32)},
        frozenset(names),
    )
    return Dataset("coco", Source("", "", ""), names, (query,))


@pytest.mark.parametrize(
    ("name", "there", "found"),
    [
        ("val/a.jpg", ["val/a.jpg", "old/a.jpg"], "val/a.jpg"),
        ("val/a.jpg", ["photos/a.jpg", "photos/b.jpg"], "photos/a.jpg"),
        (OF_2014, [f"train2017/{OF_2017}"], f"train2017/{OF_2017}"),
        (f"val2017/{OF_2017}", [OF_2014], OF_2014),
        (OF_2014, [f"x/{OF_2014}", f"train2017/{OF_2017}"], f"x/{OF_2014}"),
    ],
)
def test_an_image_is_found_by_its_path_its_name_or_its_number(name, there, found):
    placed = dataset(name).placed(there)
    (query,) = placed.queries
    assert placed.image_ids == (found,)
    assert query.relevant == query.judged == query.masks.keys() == query.boxes_xyxy.keys()
    assert query.relevant == {found}


def test_what_is_not_there_keeps_its_name():
    assert dataset("a.jpg", "b.jpg").placed(["x/b.jpg"]).image_ids == ("a.jpg", "x/b.jpg")


def test_another_image_of_the_same_file_name_is_not_taken_for_one_that_is_missing():
    placed = dataset("a/1.jpg", "b/1.jpg", "c/2.jpg").placed(["b/1.jpg", "x/2.jpg"])
    assert placed.image_ids == ("a/1.jpg", "b/1.jpg", "x/2.jpg")


def test_what_is_relevant_is_judged():
    query = replace(dataset("a.jpg", "b.jpg").queries[0], judged=frozenset({"b.jpg"}))
    with pytest.raises(AnnotationError, match=r"relevant image 'a\.jpg', which is none of those"):
        Dataset("coco", Source("", "", ""), ("a.jpg", "b.jpg"), (query,))


@pytest.mark.parametrize(
    ("names", "there", "message"),
    [
        (["a.jpg"], ["b.jpg"], r"none of the 1 images of coco is there \(such as 'a\.jpg'\)"),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], r"'a\.jpg' fits 'x/a\.jpg' and 'y/a\.jpg'"),
        ([OF_2014, f"2017/{OF_2017}"], [f"x/{OF_2017}"], "is there twice"),
    ],
)
def test_images_that_cannot_be_told_apart_are_refused(names, there, message):
    with pytest.raises(AnnotationError, match=message):
        dataset(*names).placed(there)
