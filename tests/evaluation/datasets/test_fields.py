import numpy as np
import pytest

from matir_nb.evaluation.datasets.fields import items, numbers, record, whole, wholes, words


def doubled(times=60):
    """Return a list that holds one list twice, and so on: huge for whoever follows it."""
    found = []
    for _ in range(times):
        found = [found, found]
    return found


@pytest.mark.parametrize(
    "read",
    [whole, wholes, words, record, lambda value: numbers(value, 2)],
    ids=["whole", "wholes", "words", "record", "numbers"],
)
@pytest.mark.parametrize("value", [doubled(), None, {1}, (doubled(),)], ids=type)
def test_what_is_of_another_kind_is_refused_without_following_it(read, value):
    with pytest.raises(TypeError, match=r"expected a? ?[0-9a-z ]+, got"):
        read(value)


def test_whole_numbers():
    assert [whole(v) for v in (3, True, np.int32(3).item(), np.array(3), np.array([[3]]))] == [
        3, 1, 3, 3, 3,
    ]  # fmt: skip
    for value in (3.0, "3", np.array([3, 4]), np.array([1.5])):
        with pytest.raises(TypeError):
            whole(value)


@pytest.mark.parametrize(
    "box", [[1, 2, 3, 4.5], (1, 2, 3, 4.5), [[1, 2, 3, 4.5]], np.array([[1, 2, 3, 4.5]])]
)
def test_a_box_may_lie_in_a_list_alone(box):
    assert numbers(box, 4) == [1, 2, 3, 4.5]


def test_items():
    assert items(np.array([1, 2])) == items((1, 2)) == [1, 2]
    with pytest.raises(TypeError, match="expected a list, got int"):
        items(np.array(1))
