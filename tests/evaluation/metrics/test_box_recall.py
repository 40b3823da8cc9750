import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError, ShapeError
from matir_nb.evaluation.metrics.box_recall import box_recall_at_k

NAN = float("nan")


@pytest.mark.parametrize(
    ("ious", "k", "tau", "expected"),
    [
        ([0.6], 1, 0.5, 1.0),
        ([0.5], 1, 0.5, 1.0),
        ([NAN, 0.9], 1, 0.5, 0.0),
        ([NAN, 0.9], 2, 0.5, 1.0),
        # the first box of the right image decides; a better one below does not help
        ([0.2, 0.9], 5, 0.5, 0.0),
        ([0.6, 0.2], 5, 0.5, 1.0),
        # the right image is not in the list
        ([NAN, NAN], 5, 0.5, 0.0),
        ([], 5, 0.5, 0.0),
        ([np.float32(0.9)], 1, 0.9, 1.0),
        ([0.89], 1, 0.9, 0.0),
    ],
)
def test_by_hand(ious, k, tau, expected):
    assert box_recall_at_k([ious], k, tau).tolist() == [expected]


def test_ranks_over_boxes_and_over_images_differ():
    ious = [[NAN, NAN, NAN, 0.8], [NAN, 0.8, NAN, NAN]]
    images = [["a", "a", "b", "right"], ["a", "right", "b", "b"]]
    assert box_recall_at_k(ious, 2, 0.5).tolist() == [0.0, 1.0]
    # three boxes, but two images, stand before the right box of the first query
    by_image = box_recall_at_k(ious, 2, 0.5, rank="images", image_ids=images)
    assert by_image.tolist() == [0.0, 1.0]
    assert box_recall_at_k(ious, 3, 0.5).tolist() == [0.0, 1.0]
    by_image = box_recall_at_k(ious, 3, 0.5, rank="images", image_ids=images)
    assert by_image.tolist() == [1.0, 1.0]


def test_no_queries_give_no_numbers():
    assert box_recall_at_k(np.zeros((0, 4)), 1, 0.5).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ConfigError, "k = 0"),
        ({"tau": 0.0}, ConfigError, "tau"),
        ({"rank": "box"}, ConfigError, "rank"),
        ({"rank": "images"}, ConfigError, "give image_ids"),
        ({"rank": "images", "image_ids": [[1]]}, ShapeError, "image_ids"),
        ({"box_ious": [0.5]}, ShapeError, "box_ious"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        box_recall_at_k(**({"box_ious": [[0.5, NAN]], "k": 1, "tau": 0.5} | arguments))


@st.composite
def galleries(draw):
    """Return the boxes of one query, best first: image, and IoU where the image is right (0)."""
    images = draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))
    overlaps = [draw(st.floats(0, 1)) if image == 0 else NAN for image in images]
    return images, overlaps


@given(boxes=galleries(), k=st.integers(1, 13), tau=st.sampled_from([0.5, 0.7, 0.9]))
def test_against_the_definition(boxes, k, tau):
    images, ious = boxes
    place = images.index(0) if 0 in images else None
    fits = place is not None and ious[place] >= tau - 1e-7
    assert box_recall_at_k([ious], k, tau)[0] == (fits and place < k)
    n_images = len(set(images[:place]))
    by_image = box_recall_at_k([ious], k, tau, rank="images", image_ids=[images])
    assert by_image[0] == (fits and n_images < k)
    assert by_image[0] >= box_recall_at_k([ious], k, tau)[0]
