"""What counts, precision by depth, what is left, and the advice."""

import pytest
from lists import marks_on, minute, result_of

from matir_nb.errors import ConfigError
from matir_nb.review.estimate import wilson
from matir_nb.review.ledger import Review
from matir_nb.review.progress import PROGRESS_SCHEMA


def progress_of(review, **options):
    frame = review.progress(**options)
    assert frame.schema == PROGRESS_SCHEMA
    assert frame.height == 1
    return frame.row(0, named=True)


def reviewed(n_hits, n_seen, relevant, **marks):
    """Return a review of one list: the first `n_seen` were on the screen."""
    result = result_of(numbers=range(1, n_hits + 1))
    review = Review("Ada")
    review.see(result, range(n_seen), at=minute(1))
    all_marks = marks_on(relevant)
    for mark, numbers in marks.items():
        all_marks |= marks_on(numbers, mark.replace("_", " "))
    review.mark(result, all_marks, at=minute(2))
    return review


def test_counts():
    row = progress_of(reviewed(100, 40, [1, 5, 20], not_relevant=[2], unsure=[3, 4]))
    wanted = {
        "n_hits": 100,
        "n_seen": 40,
        "n_relevant": 3,
        "n_not_relevant": 1,
        "n_unsure": 2,
        # 1 to 20 without the two that are unsure
        "n_counted": 18,
        "n_open": 80,
        "last_mark_rank": 20,
        "n_disagreements": 0,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_what_was_seen_below_the_last_mark_counts_only_if_the_user_says_so():
    review = reviewed(100, 60, [1, 5, 20])
    row = progress_of(review)
    assert (row["n_counted"], row["n_open"]) == (20, 80)
    assert "40 hits seen below the last mark (rank 20) do not count" in row["reason"]
    row = progress_of(review, unmarked="not relevant")
    assert (row["n_counted"], row["n_open"]) == (60, 40)
    assert "do not count" not in row["reason"]
    assert row["precision_seen"] == 3 / 60


def test_a_hit_that_is_marked_was_looked_at_even_if_no_screen_told_of_it():
    result = result_of()
    review = Review("Ada")
    review.mark(result, marks_on([1, 2]))
    row = progress_of(review)
    assert (row["n_seen"], row["n_counted"]) == (2, 2)


def test_precision_is_that_of_the_whole_depth_or_not_given():
    row = progress_of(reviewed(100, 60, [1, 2, 3, 20, 49, 55], unsure=[4]))
    assert row["precision_10"] == 3 / 9
    assert (row["precision_10_low"], row["precision_10_high"]) == wilson(3, 9)
    assert row["precision_50"] == 5 / 49
    assert row["precision_100"] is None
    assert row["precision_100_low"] is None
    assert row["precision_seen"] == 6 / 54
    assert row["precision_seen_high"] == wilson(6, 54)[1]


def test_hits_that_were_passed_over_are_asked_for_first():
    result = result_of(numbers=range(1, 101))
    review = Review("Ada")
    review.see(result, [*range(20), *range(40, 60)])
    review.mark(result, marks_on([3, 60]))
    row = progress_of(review)
    assert row["advice"] == "look back"
    assert row["reason"] == "20 hits were passed over between ranks 21 and 40"
    assert row["p_missed"] is None
    assert row["precision_10"] == 1 / 10
    assert row["precision_50"] is None


def test_before_the_first_mark_nothing_can_be_said():
    review = reviewed(100, 30, [])
    row = progress_of(review)
    assert row["advice"] == "go on"
    assert row["reason"].startswith("nothing is marked; 30 hits seen do not count: unmarked=")
    assert row["n_left"] is None
    assert row["p_missed"] is None
    assert row["precision_seen"] is None
    assert progress_of(review, unmarked="not relevant")["n_left"] < 30


def test_go_on_says_how_many_are_left_and_where():
    row = progress_of(reviewed(400, 50, range(1, 51, 2)))
    assert row["advice"] == "go on"
    numbers = f"about {row['n_left']:.0f} ({row['n_left_low']}–{row['n_left_high']}) are left"
    where = f"between ranks {row['left_from_rank']} and {row['left_to_rank']}"
    assert row["reason"].startswith(f"{numbers} among 351, most {where}")
    assert row["n_left_low"] < row["n_left"] < row["n_left_high"] <= 351
    assert row["left_from_rank"] == 50


def test_stop_needs_a_long_stretch_without_a_relevant_hit():
    relevant = [1, 2, 3, 4, 6, 8, 11, 15, 20, 26]
    short = progress_of(reviewed(200, 60, relevant), unmarked="not relevant")
    assert short["advice"] == "go on"
    long = progress_of(reviewed(200, 192, relevant), unmarked="not relevant")
    assert long["advice"] == "stop"
    assert long["p_missed"] < 0.05
    assert long["reason"] == (
        "with 95 % confidence at least 95 % of the relevant hits of this list were seen"
    )
    # a lower target is reached earlier
    easy = progress_of(
        reviewed(200, 150, relevant),
        unmarked="not relevant",
        target_recall=0.7,
        confidence=0.9,
    )
    assert easy["advice"] == "stop"
    assert easy["reason"].startswith("with 90 % confidence at least 70 %")


def test_a_list_that_was_read_to_its_end_is_done():
    row = progress_of(reviewed(10, 10, [1, 10]))
    assert (row["advice"], row["n_open"], row["n_left"]) == ("done", 0, 0)
    assert row["reason"] == "every hit of this list was looked at, 2 are relevant"
    assert row["left_from_rank"] is None


def test_a_result_without_hits_is_done():
    review = Review("Ada")
    review.include(result_of(numbers=[]))
    assert progress_of(review)["advice"] == "done"


def test_the_list_worked_on_last_is_the_one_that_is_counted():
    review = Review("Ada")
    first, second = result_of(numbers=range(1, 21)), result_of(numbers=[9, 1, *range(30, 38)])
    review.see(first, range(10), at=minute(1))
    review.mark(first, marks_on([1, 9]), at=minute(2))
    review.see(second, [5], at=minute(3))
    row = progress_of(review)
    assert (row["n_hits"], row["n_seen"], row["n_relevant"]) == (10, 3, 2)
    assert row["last_mark_rank"] == 2
    review.see(first, [0], at=minute(4))
    assert progress_of(review)["n_hits"] == 20


def test_every_query_has_a_row_in_the_order_in_which_they_came():
    review = Review("Ada")
    for query in ("oak", "elm", "birch"):
        review.include(result_of(query))
    assert review.progress()["query"].to_list() == ["oak", "elm", "birch"]


def test_the_judge_tells_where_to_look():
    sure = [0.97 if n % 10 == 0 else 0.02 for n in range(300)]
    result = result_of(numbers=range(1, 301), p=sure, judge="j@1")
    review = Review("Ada")
    review.see(result, range(100), at=minute(1))
    review.mark(result, marks_on(range(1, 101, 10)), at=minute(2))
    row = progress_of(review, unmarked="not relevant")
    assert row["n_left_low"] <= 20 <= row["n_left_high"]
    assert row["n_left"] == pytest.approx(20, abs=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unmarked": "relevant"}, "unmarked = 'relevant' is unknown: did you mean 'not relevant'"),
        ({"target_recall": 2}, "target_recall = 2 is not allowed"),
    ],
)
def test_options_that_cannot_be_used(options, message):
    with pytest.raises(ConfigError, match=message):
        reviewed(10, 5, [1]).progress(**options)
