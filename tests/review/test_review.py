"""Who saw and marked what, when: nothing is lost, and files give it back exactly."""

import json
import threading
from datetime import datetime, timedelta

import polars as pl
import pytest
from lists import START, marks_on, minute, name, result_of

from matir_nb.errors import ConfigError
from matir_nb.home import settings
from matir_nb.review.ledger import Review
from matir_nb.review.saved import FILE_KEY
from matir_nb.review.tables import EVENT_SCHEMA, REVIEW_SCHEMA


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MATIR_REVIEWER", "Ada")


def row_of(review, number, reviewer="Ada"):
    rows = review.to_polars().filter(image_id=name(number), reviewer=reviewer)
    return rows.row(0, named=True)


# looks


def test_what_was_on_the_screen_has_its_first_and_last_time():
    review, result = Review(), result_of()
    review.see(result, [0, 1, 2], at=minute(3))
    review.see(result, [1, 2, 3], at=minute(1))
    review.see(result, range(2, 4), at=minute(9))
    frame = review.to_polars()
    assert frame.schema == REVIEW_SCHEMA
    assert frame["rank"].to_list() == [1, 2, 3, 4]
    assert frame["first_seen_at"].to_list() == [minute(3), minute(1), minute(1), minute(1)]
    assert frame["last_seen_at"].to_list() == [minute(3), minute(3), minute(9), minute(9)]
    assert frame["mark"].null_count() == 4
    assert frame["n_changes"].to_list() == [0] * 4


def test_times_are_utc_whatever_zone_they_are_given_in():
    review = Review()
    review.see(result_of(), [0], at=datetime.fromisoformat("2026-03-01T10:00:00+01:00"))
    assert row_of(review, 1)["first_seen_at"] == START
    assert review.to_polars().schema["first_seen_at"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize("row", [10, -1, True, 1.5, "0", None])
def test_a_row_that_is_no_hits_records_nothing(row):
    review = Review()
    with pytest.raises(ConfigError, match=r"is none of the 10 hits: 0 is the best"):
        review.see(result_of(), [0, row])
    assert review.to_polars().is_empty()


def test_a_moment_needs_a_time_zone():
    naive = minute(1).replace(tzinfo=None)
    for act in (
        lambda r: r.see(result_of(), [0], at=naive),
        lambda r: r.mark(result_of(), {}, at=naive),
    ):
        with pytest.raises(ConfigError, match="give a datetime with a time zone"):
            act(Review())


# marks


def test_a_mark_says_who_when_where_and_by_which_models():
    review = Review()
    result = result_of(p=[0.9] + [None] * 9, judge="j@1")
    assert review.mark(result, marks_on([1]), at=minute(2)) == 1
    assert row_of(review, 1) == {
        "schema": 1,
        "query": "an oak",
        "image_id": "0001.png",
        "reviewer": "Ada",
        "mark": "relevant",
        "holds": True,
        "marked_at": minute(2),
        "n_changes": 1,
        "first_seen_at": None,
        "last_seen_at": None,
        "rank": 1,
        "final_score": 4.99,
        "stage1_score": 0.4999,
        "p_relevant": 0.9,
        "index_fingerprint": "f1",
        "segmenter": "s@1",
        "encoder": "e@1",
        "judge": "j@1",
        "result_id": row_of(review, 1)["result_id"],
        "n_hits": 10,
        "n_images": 5000,
    }


def test_only_what_changed_is_an_event_and_what_was_said_stays():
    review, result = Review(), result_of()
    assert review.mark(result, marks_on([1, 2]), at=minute(1)) == 2
    assert review.mark(result, marks_on([1, 2]), at=minute(2)) == 0
    assert review.mark(result, marks_on([1]) | marks_on([3], "unsure"), at=minute(3)) == 2
    assert review.mark(result, marks_on([1], "not relevant"), at=minute(4)) == 2
    events = review.events()
    assert events.schema == EVENT_SCHEMA
    got = events.select("at", "image_id", "before", "mark").rows()
    assert got == [
        (minute(1), name(1), None, "relevant"),
        (minute(1), name(2), None, "relevant"),
        (minute(3), name(2), "relevant", None),
        (minute(3), name(3), None, "unsure"),
        (minute(4), name(1), "relevant", "not relevant"),
        (minute(4), name(3), "unsure", None),
    ]
    frame = review.to_polars()
    assert dict(frame.select("image_id", "mark").rows()) == {
        name(1): "not relevant",
        name(2): None,
        name(3): None,
    }
    assert frame["n_changes"].to_list() == [2, 2, 2]
    assert review.marks(result) == {name(1): "not relevant"}


def test_a_clock_that_was_set_back_does_not_bring_an_old_mark_back():
    review, result = Review(), result_of()
    review.mark(result, marks_on([1]), at=minute(9))
    review.mark(result, marks_on([1], "not relevant"), at=minute(1))
    assert review.marks(result) == marks_on([1], "not relevant")
    assert review.events()["at"].is_sorted()
    again = Review.merged(review, review)
    assert again.marks(result) == marks_on([1], "not relevant")


def test_clicks_within_one_microsecond_are_all_kept():
    review, result = Review(), result_of()
    for marks in (marks_on([1]), {}, marks_on([1])):
        review.mark(result, marks, at=minute(1))
    assert review.events()["mark"].to_list() == ["relevant", None, "relevant"]
    assert Review.merged(review, review).marks(result) == marks_on([1])


def test_an_image_that_is_no_hit_any_more_keeps_its_mark():
    review = Review()
    first, second = result_of(), result_of(numbers=[3, 4, 5])
    review.mark(first, marks_on([1, 3]), at=minute(1))
    review.mark(second, marks_on([3]), at=minute(2))
    assert review.marks(first) == marks_on([1, 3])
    assert row_of(review, 1)["rank"] == 1
    # the widget may still hold it, and may change it
    assert review.mark(second, marks_on([3]) | marks_on([1], "unsure"), at=minute(3)) == 1
    assert review.marks(first) == marks_on([3]) | marks_on([1], "unsure")
    assert row_of(review, 1)["n_hits"] == 10


def test_marks_hold_for_the_query_in_every_list_of_one_index():
    review = Review()
    first, deeper = result_of(), result_of(numbers=[2, 1, *range(3, 21)])
    review.mark(first, marks_on([1]), at=minute(1))
    assert review.mark(deeper, marks_on([1, 20]), at=minute(2)) == 1
    assert row_of(review, 1)["rank"] == 1
    assert row_of(review, 20)["rank"] == 20
    for other in (result_of("an elm"), result_of(index="f2")):
        assert review.marks(other) == {}


def test_a_look_stands_at_the_rank_where_it_was_last():
    review = Review()
    review.see(result_of(), [4], at=minute(1))
    review.include(result_of(numbers=[5, 1]))
    assert row_of(review, 5)["rank"] == 5
    review.see(result_of(numbers=[5, 1]), [0], at=minute(2))
    assert row_of(review, 5)["rank"] == 1
    assert row_of(review, 5)["first_seen_at"] == minute(1)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({name(1): "good"}, "mark 'good' of '0001.png' is unknown: choose from relevant"),
        ({name(99): "relevant"}, "'0099.png' is no hit of this result: did you mean '000"),
    ],
)
def test_marks_that_cannot_be_record_nothing(marks, message):
    review = Review()
    with pytest.raises(ConfigError, match=message):
        review.mark(result_of(), marks_on([2]) | marks)
    assert review.events().is_empty()


# who


def test_the_reviewer_is_the_setting_unless_one_is_named(monkeypatch):
    result = result_of()
    review = Review()
    review.mark(result, marks_on([1]))
    review.mark(result, marks_on([1, 2]), who="Bo")
    monkeypatch.setenv("MATIR_REVIEWER", "")
    review.mark(result, marks_on([1, 2, 3]))
    assert review.events()["reviewer"].to_list() == ["Ada", "Bo", ""]
    named = Review("Cy")
    named.see(result, [0])
    assert named.to_polars()["reviewer"].to_list() == ["Cy"]


def test_without_a_setting_it_is_the_login_name(monkeypatch):
    monkeypatch.delenv("MATIR_REVIEWER")
    monkeypatch.setattr(settings, "getuser", lambda: "ada.l")
    review = Review()
    review.mark(result_of(), marks_on([1]))
    assert review.events()["reviewer"].to_list() == ["ada.l"]


@pytest.mark.parametrize("who", ["a\nb", "x" * 81, 7])
def test_a_name_must_be_one_line(who):
    with pytest.raises(ConfigError, match=r"reviewer = .* is not allowed: give a name of one line"):
        Review().mark(result_of(), {}, who=who)
    with pytest.raises(ConfigError, match="is not allowed"):
        Review(who)


# files


def busy_review():
    review = Review()
    judged = result_of(p=[0.5 + n / 100 for n in range(5)] + [None] * 5, judge="j@1")
    elms = result_of("ein Ulmenblatt, ganz früh", numbers=range(50))
    review.see(judged, range(6), at=minute(1))
    review.mark(judged, marks_on([1, 2]), at=minute(2))
    review.mark(judged, marks_on([2]), who="Bo", at=minute(3) + timedelta(microseconds=7))
    review.see(elms, [49, 3], who="Bo", at=minute(4))
    review.include(result_of("a birch"))
    return review


def test_a_file_gives_everything_back(tmp_path):
    review = busy_review()
    file = tmp_path / "oaks.parquet"
    assert review.save(file) == file
    loaded = Review.load(file)
    assert loaded.history() == review.history()
    for table in (Review.to_polars, Review.events, Review.progress):
        assert table(loaded).equals(table(review))
    assert pl.read_parquet(file).equals(review.to_polars())
    assert pl.read_parquet_schema(file) == REVIEW_SCHEMA
    assert [path.name for path in tmp_path.iterdir()] == ["oaks.parquet"]


def test_work_goes_on_after_loading(tmp_path):
    result = result_of()
    review = Review()
    review.mark(result, marks_on([1]), at=minute(1))
    review.save(tmp_path / "r.parquet")
    loaded = Review.load(tmp_path / "r.parquet")
    loaded.mark(result, marks_on([2]), at=minute(2))
    loaded.save(tmp_path / "r.parquet")
    assert Review.load(tmp_path / "r.parquet").events()["mark"].to_list() == [
        "relevant",
        None,
        "relevant",
    ]


def test_an_empty_review_has_all_columns(tmp_path):
    review = Review.load(Review().save(tmp_path / "r.parquet"))
    assert review.to_polars().schema == REVIEW_SCHEMA
    assert review.events().schema == EVENT_SCHEMA
    assert review.progress().is_empty()
    assert repr(review) == "Review(0 queries, 0 hits seen, 0 marked)"


def test_a_newer_file_is_refused(tmp_path):
    file = Review().save(tmp_path / "r.parquet")
    head = json.loads(pl.read_parquet_metadata(file)[FILE_KEY])
    text = json.dumps({"version": 2, "content": {"of": "the future"}})
    pl.read_parquet(file).write_parquet(file, metadata={FILE_KEY: text})
    message = r"r\.parquet' is a review of version 2, this matir_nb reads up to 1: update matir_nb"
    with pytest.raises(ConfigError, match=message):
        Review.load(file)
    assert head["version"] == 1


@pytest.mark.parametrize(
    "head",
    [
        "no json",
        "[]",
        '{"version": 1}',
        '{"version": 1, "content": "no base64!"}',
        '{"version": 1, "content": "AAAA"}',
    ],
)
def test_a_damaged_file_is_said(tmp_path, head):
    file = tmp_path / "r.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(file, metadata={FILE_KEY: head})
    with pytest.raises(ConfigError, match=r"r\.parquet' is no saved review: give a file that"):
        Review.load(file)


def test_other_files_are_no_reviews_and_are_not_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="no saved review at"):
        Review.load(tmp_path / "none.parquet")
    result = tmp_path / "hits.parquet"
    result_of().save(result)
    text = tmp_path / "notes.parquet"
    text.write_text("mine")
    for file in (result, text):
        before = file.read_bytes()
        with pytest.raises(ConfigError, match=r"as a saved review|is no saved review"):
            Review.load(file)
        with pytest.raises(ConfigError, match="is there already and is no review"):
            busy_review().save(file)
        assert file.read_bytes() == before


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = busy_review().save(tmp_path / "r.parquet")
    before = file.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(ConfigError, match=r"cannot write .*No space left on device"):
        Review().save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


def test_export_writes_the_table(tmp_path):
    review = busy_review()
    review.export(tmp_path / "r.csv")
    table = pl.read_csv(tmp_path / "r.csv")
    assert table.columns == REVIEW_SCHEMA.names()
    by_bo = table.filter(pl.col("reviewer") == "Bo")["marked_at"]
    assert by_bo.drop_nulls().to_list() == ["2026-03-01T09:03:00.000007Z"]
    assert table["query"].unique().len() == 2
    rows = json.loads(review.export(tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [row["image_id"] for row in rows] == review.to_polars()["image_id"].to_list()
    assert Review.load(review.export(tmp_path / "r.parquet")).history() == review.history()
    with pytest.raises(ConfigError, match=r"a table is written as \.parquet, \.csv, \.json"):
        review.export(tmp_path / "r.xlsx")
    for ending in ("csv", "parquet"):
        with pytest.raises(ConfigError, match="is there already: give another name"):
            review.export(tmp_path / f"r.{ending}")


# two reviewers


def test_two_reviewers_files_become_one(tmp_path):
    result = result_of()
    ada, bo = Review("Ada"), Review("Bo")
    ada.see(result, range(4), at=minute(1))
    ada.mark(result, marks_on([1, 2]), at=minute(2))
    bo.see(result, range(2, 8), at=minute(1))
    bo.mark(result, marks_on([1], "not relevant") | marks_on([5]), at=minute(3))
    both = Review.merged(ada, bo)
    frame = both.to_polars()
    assert frame.filter(image_id=name(1)).select("reviewer", "mark").rows() == [
        ("Ada", "relevant"),
        ("Bo", "not relevant"),
    ]
    assert frame.filter(image_id=name(1))["holds"].to_list() == [False, True]
    assert frame.filter(reviewer="Ada").drop("holds").equals(ada.to_polars().drop("holds"))
    assert frame.filter(reviewer="Bo").equals(bo.to_polars())
    assert both.events().height == 4
    assert repr(both) == "Review(1 queries, 8 hits seen, 3 marked)"
    with pytest.raises(ConfigError, match=r"only reviews can be merged, got 'bo\.parquet'"):
        Review.merged(ada, "bo.parquet")
    assert both.marks(result) == marks_on([1], "not relevant") | marks_on([2, 5])
    progress = both.progress().row(0, named=True)
    assert progress["n_disagreements"] == 1
    assert progress["n_seen"] == 8
    assert (progress["n_relevant"], progress["n_not_relevant"]) == (2, 1)
    assert Review.merged(bo, ada).to_polars().equals(frame)
    assert Review.merged(both, ada, bo).history() == both.history()


def test_merging_changes_neither():
    ada, bo = Review("Ada"), Review("Bo")
    ada.see(result_of(), [0], at=minute(1))
    bo.see(result_of("an elm"), [0], at=minute(1))
    before = ada.to_polars(), bo.to_polars()
    merged = Review.merged(ada, bo)
    merged.see(result_of(), [5], who="Ada", at=minute(2))
    assert ada.to_polars().equals(before[0])
    assert bo.to_polars().equals(before[1])
    assert merged.to_polars().height == 3
    assert Review.merged().to_polars().is_empty()


# threads


def test_many_threads_lose_nothing():
    review = Review()
    results = [result_of(f"query {n}", numbers=range(200)) for n in range(4)]
    failed = []

    def work(result):
        try:
            for number in range(0, 200, 20):
                review.see(result, range(number, number + 20))
                review.mark(result, marks_on(range(number + 1)))
                review.to_polars()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    frame = review.to_polars()
    assert frame.height == 4 * 200
    assert frame["first_seen_at"].null_count() == 0
    assert frame["mark"].count() == 4 * 181
    assert review.events().height == 4 * 181


def test_it_shows_itself_as_its_progress():
    review = busy_review()
    assert repr(review) == "Review(3 queries, 8 hits seen, 1 marked)"
    hostile = Review()
    hostile.see(result_of("<script>alert(1)</script>"), [0])
    assert "<script>" not in hostile._repr_html_()
    assert "&lt;script&gt;" in hostile._repr_html_()
