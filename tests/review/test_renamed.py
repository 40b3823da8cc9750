"""Marks and looks follow files that move."""

import pytest
from lists import marks_on, minute, name, result_of

from matir_nb.errors import ConfigError
from matir_nb.review.ledger import Review
from matir_nb.widgets.table import result_id

MOVED = {name(2): "sorted/2.png", name(99): "sorted/99.png"}


@pytest.fixture
def review():
    made = Review("Ada")
    made.see(result_of(), range(5), at=minute(0))
    made.mark(result_of(), marks_on([1, 2]) | marks_on([3], "unsure"), at=minute(1))
    return made


def test_marks_and_looks_have_the_new_name(review):
    table = review.renamed(MOVED).to_polars()
    before = review.to_polars()
    assert set(table["image_id"]) == {name(1), "sorted/2.png", name(3), name(4), name(5)}
    kept = [column for column in table.columns if column not in ("image_id", "result_id")]
    assert table.sort("rank").select(kept).equals(before.sort("rank").select(kept))


def test_the_list_is_that_of_the_renamed_result(review):
    renamed, result = review.renamed(MOVED), result_of().renamed(MOVED)
    assert renamed.marks(result) == {
        name(1): "relevant",
        "sorted/2.png": "relevant",
        name(3): "unsure",
    }
    assert list(renamed.history().listings) == [result_id(result)]


def test_a_later_search_finds_the_marks(review):
    later = result_of(numbers=[7, 2, 1]).renamed(MOVED)
    assert review.renamed(MOVED).marks(later) == {"sorted/2.png": "relevant", name(1): "relevant"}
    assert review.marks(later) == {name(1): "relevant"}


def test_the_review_itself_stays(review):
    before = review.history()
    review.renamed(MOVED)
    assert review.history() == before
    assert review.renamed({}).history() == before
    assert review.renamed(MOVED).reviewer == "Ada"


def test_it_saves_loads_and_merges_with_what_was_not_renamed(review, tmp_path):
    renamed = review.renamed(MOVED)
    renamed.save(tmp_path / "r.parquet")
    assert Review.load(tmp_path / "r.parquet").history() == renamed.history()
    both = Review.merged(review, renamed)
    both.save(tmp_path / "both.parquet")
    assert set(both.to_polars()["image_id"]) == {name(2), *renamed.to_polars()["image_id"]}


def test_looks_before_and_after_a_move_are_one(review):
    review.see(result_of().renamed(MOVED), [1], at=minute(9))
    for history in (
        review.renamed(MOVED).history(),
        Review.merged(review).renamed(MOVED).history(),
    ):
        (look,) = (one for (_, _, image), one in history.looks.items() if image == "sorted/2.png")
        assert (look.first, look.last) == (minute(0), minute(9))


def test_names_may_go_round_in_a_circle(review):
    turned = review.renamed({name(1): name(4), name(4): name(1)})
    assert turned.marks(result_of()) == marks_on([4, 2]) | marks_on([3], "unsure")


def test_two_images_of_one_name_are_refused(review):
    with pytest.raises(ConfigError, match=r"'0001.png' and '0002.png' would both be called"):
        review.renamed({name(2): name(1)})
