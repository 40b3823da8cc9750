"""Two runs, query by query: numbers by hand, what is refused, what is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sample_run import ENGINE, HOSTILE, sample_run

from matir_nb.errors import ConfigError
from matir_nb.evaluation.runs.compare import compare_runs
from matir_nb.evaluation.runs.compare_page import write_comparison
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA, REPORT_SCHEMA
from matir_nb.evaluation.runs.paired import DIFFERENCE_SCHEMA, PAIRED_SCHEMA
from matir_nb.evaluation.runs.worst import album_of

HEADLINE = ["mAP@50", "mIoU"]


def rows_of(arm, values, *, kinds=None, first=0, **columns):
    """Return the per-query frame of an arm: metric -> one value per query."""
    n = len(next(iter(values.values())))
    base = {
        "arm": [arm] * n,
        "query_id": [f"q{i + first}" for i in range(n)],
        "text": [f"text {i + first}" for i in range(n)],
        "kind": kinds or ["plain"] * n,
        "n_relevant": [2] * n,
        "n_gallery": [50] * n,
        "seconds": [0.1] * n,
        "hits": [[]] * n,
        "targets": [[]] * n,
    }
    frame = pl.DataFrame(base | columns, schema=OBSERVED_SCHEMA)
    return frame.with_columns(pl.Series(k, v, pl.Float64) for k, v in values.items())


def run_of(folder, *frames, name="coco", protocol=None, **provenance):
    told = {
        "dataset": {"name": name, "protocol": protocol or {"split": "val"}, "headline": HEADLINE},
        "index": {"path": "i.matir", "fingerprint": "f" * 8, "n_images": 50},
        "models": {"segmenter": "s", "encoder": "e", "judges": {}},
        "arms": {},
    }
    whole = pl.concat(frames, how="diagonal")
    return Run(Path(folder), whole, pl.DataFrame(schema=REPORT_SCHEMA), told | provenance)


def two_runs(a, b, **options):
    return run_of("runs/one", rows_of("x", a), **options), run_of("runs/two", rows_of("x", b))


def row_of(comparison, metric, group="overall"):
    table = comparison.table.filter((pl.col("metric") == metric) & (pl.col("group") == group))
    return table.row(0, named=True)


def test_means_differences_and_tallies_by_hand():
    a, b = two_runs({"mAP@50": [0.1, 0.5, 0.5, 0.9]}, {"mAP@50": [0.4, 0.5, 0.6, 0.7]})
    found = compare_runs(a, b)
    assert found.table.schema == PAIRED_SCHEMA
    assert found.per_query.schema == DIFFERENCE_SCHEMA
    row = row_of(found, "mAP@50")
    assert (row["mean_a"], row["mean_b"]) == pytest.approx((0.5, 0.55))
    assert row["difference"] == pytest.approx(0.05)
    assert (row["wins"], row["ties"], row["losses"], row["n"]) == (2, 1, 1, 4)
    # of .3, .1, -.2: of eight flips, |sum| is .6 twice, .4 twice, .2 twice, 0 twice
    assert row["p"] == pytest.approx(6 / 8)
    assert row["low"] < row["difference"] < row["high"]
    assert (row["p_holm"], row["p_bh"]) == pytest.approx((6 / 8, 6 / 8))


def test_exchanging_the_sides_exchanges_the_signs_only():
    rng = np.random.default_rng(0)
    a, b = two_runs({"mAP@50": rng.random(30)}, {"mAP@50": rng.random(30)})
    there, back = (row_of(compare_runs(*pair), "mAP@50") for pair in ((a, b), (b, a)))
    assert back["difference"] == pytest.approx(-there["difference"])
    assert (back["low"], back["high"]) == pytest.approx((-there["high"], -there["low"]), abs=0.01)
    assert back["p"] == there["p"]
    assert (back["wins"], back["losses"]) == (there["losses"], there["wins"])


def test_wins_and_losses_come_largest_first():
    a, b = two_runs({"mAP@50": [0.1, 0.5, 0.5, 0.9]}, {"mAP@50": [0.4, 0.5, 0.6, 0.7]})
    found = compare_runs(a, b)
    assert found.wins("mAP@50")["query_id"].to_list() == ["q0", "q2"]
    assert found.wins("mAP@50", 1)["query_id"].to_list() == ["q0"]
    assert found.losses("mAP@50")["query_id"].to_list() == ["q3"]
    with pytest.raises(ConfigError, match="did you mean 'mAP@50'"):
        found.wins("mAP@5")


def test_fewer_false_positives_are_a_win():
    a, b = two_runs({"false positives": [1.0, 1.0, 0.0]}, {"false positives": [0.0, 0.0, 1.0]})
    found = compare_runs(a, b)
    row = row_of(found, "false positives")
    assert (row["wins"], row["losses"]) == (2, 1)
    assert row["difference"] == pytest.approx(-1 / 3)
    assert found.wins("false positives")["query_id"].to_list() == ["q0", "q1"]


def test_a_metric_counts_where_it_applies_to_both():
    a, b = two_runs({"mIoU": [0.5, None, 0.7]}, {"mIoU": [0.6, 0.9, None]})
    row = row_of(compare_runs(a, b), "mIoU")
    assert (row["n"], row["mean_a"], row["mean_b"]) == (1, 0.5, 0.6)


def test_headline_other_metrics_and_kinds_are_corrected_apart():
    rng = np.random.default_rng(1)
    kinds = ["near"] * 20 + ["far"] * 20
    values = {name: rng.random(40) for name in ("R@1", "mIoU", "mAP@50")}
    better = {name: of + rng.random(40) * 0.2 for name, of in values.items()}
    a = run_of("a", rows_of("x", values, kinds=kinds))
    b = run_of("b", rows_of("x", better, kinds=kinds))
    table = compare_runs(a, b).table
    assert table["group"].to_list() == ["overall"] * 3 + ["near"] * 2 + ["far"] * 2
    assert table["metric"].to_list() == ["mAP@50", "mIoU", "R@1"] + ["mAP@50", "mIoU"] * 2
    assert table["family"].n_unique() == 3
    for _, family in table.group_by("family"):
        assert family["p_holm"].min() == pytest.approx(min(1, family["p"].min() * len(family)))
    few = compare_runs(a, b, metrics=["R@1"])
    assert few.metrics == few.headline == ["R@1"]
    assert row_of(few, "R@1")["p_holm"] == row_of(few, "R@1")["p"]


def test_only_queries_of_both_count_and_the_others_are_told():
    a = run_of("runs/one", rows_of("x", {"mAP@50": [0.1, 0.2, 0.3]}))
    b = run_of("runs/two", rows_of("x", {"mAP@50": [0.9, 0.9, 0.9]}, first=2))
    found = compare_runs(a, b)
    assert found.n_queries == row_of(found, "mAP@50")["n"] == 1
    assert found.notes == (
        "2 of 3 queries are only in one: q0, q1",
        "2 of 3 queries are only in two: q3, q4",
    )
    far = run_of("runs/two", rows_of("x", {"mAP@50": [0.9]}, first=9))
    with pytest.raises(ConfigError, match="no query is in both 'one' and 'two'"):
        compare_runs(a, far)


def test_other_galleries_texts_and_models_are_told():
    values = {"mAP@50": [0.1, 0.2]}
    a = run_of("a", rows_of("x", values))
    b = run_of(
        "b",
        rows_of("x", values, n_gallery=[50, 60], text=["text 0", "another"]),
        models={"segmenter": "s", "encoder": "e2", "judges": {"x": "j"}},
    )
    found = compare_runs(a, b)
    notes = "\n".join(found.notes)
    assert "1 of 2 queries have another gallery: its size changes every metric in B: q1" in notes
    assert "1 of 2 queries have another text in B: q1" in notes
    assert found.changes == {"encoder": ("e", "e2"), "judge": ("none", "j")}
    alike = compare_runs(a, a, arm_a="x", arm_b="x")
    assert not alike.notes
    assert not alike.changes


def test_lists_of_other_lengths_are_told():
    a, b = two_runs({"MRR": [0.1, 0.2]}, {"MRR": [0.1, 0.2]})
    a.provenance["dataset"]["depth"], b.provenance["dataset"]["depth"] = 100, None
    (note,) = compare_runs(a, b).notes
    assert note.startswith("A records 100 hits of a query and B all: what looks at all")


def test_other_datasets_and_protocols_are_refused():
    values = {"mAP@50": [0.1, 0.2]}
    a = run_of("a", rows_of("x", values))
    with pytest.raises(ConfigError, match="different datasets, 'coco' and 'lvis'"):
        compare_runs(a, run_of("b", rows_of("x", values), name="lvis"))
    with pytest.raises(ConfigError, match="split is 'val' in A and 'test' in B"):
        compare_runs(a, run_of("b", rows_of("x", values), protocol={"split": "test"}))


def test_which_arms_are_compared():
    low, high = ({"mAP@50": [x, x + 0.1]} for x in (0.1, 0.3))
    two = run_of("runs/two", rows_of("stage1", low), rows_of("structured", high))
    within = compare_runs(two, two)
    assert (within.a.name, within.b.name) == ("stage1", "structured")
    assert row_of(within, "mAP@50")["difference"] == pytest.approx(0.2)
    back = compare_runs(two, two, arm_a="structured", arm_b="stage1")
    assert row_of(back, "mAP@50")["difference"] == pytest.approx(-0.2)
    other = run_of("runs/other", rows_of("stage1", high), rows_of("structured", low))
    last = compare_runs(two, other)
    assert (last.a.arm, last.b.arm, last.a.name) == ("structured", "structured", "two")
    mixed = compare_runs(two, other, arm_a="stage1")
    assert (mixed.a.name, mixed.b.name) == ("two: stage1", "other: structured")
    with pytest.raises(ConfigError, match="unknown arm 'stage2'"):
        compare_runs(two, two, arm_a="stage2", arm_b="stage1")
    three = run_of("t", *(rows_of(name, low) for name in "abc"))
    with pytest.raises(ConfigError, match="has the arms 'a', 'b', 'c': say which two"):
        compare_runs(three, three)


def test_an_unknown_metric_is_refused():
    a, b = two_runs({"mAP@50": [0.1]}, {"mAP@50": [0.2]})
    with pytest.raises(ConfigError, match="unknown metric of both runs 'mAP@5': did you mean"):
        compare_runs(a, b, metrics=["mAP@5"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a comparison of a made-up run's two arms, and the folder of its pages."""
    folder = tmp_path_factory.mktemp("compared")
    run, _ = sample_run(folder / "run")
    exchanged = pl.col("arm").replace({"stage1": "structured", "structured": "stage1"})
    mixed = pl.when(pl.col("query_id") < "q08").then(exchanged).otherwise("arm")
    run = replace(run, queries=run.queries.with_columns(arm=mixed).sort("arm", "query_id"))
    found = compare_runs(run, run)
    album = album_of(ENGINE.index, None)
    paths = write_comparison(found, folder / "page", album=album, n_pictures=2)
    assert all(path.is_file() for path in paths)
    return found, folder / "page"


def test_the_page_has_the_numbers_and_how_they_were_tested(written):
    found, folder = written
    row = row_of(found, "mAP@50")
    for name in ("compare.html", "compare.md"):
        page = (folder / name).read_text()
        for text in (f"{row['mean_a']:.3f}", f"{row['mean_b']:.3f}", "CIKM 2007", "Holm, 1979"):
            assert text in page
        assert f"{row['wins']} / {row['ties']} / {row['losses']}" in page
        assert HOSTILE not in page
        assert "By kind of query" in page
    assert pl.read_parquet(folder / "compare.parquet").equals(found.table)
    assert pl.read_parquet(folder / "differences.parquet").equals(found.per_query)


def test_wins_and_losses_are_pictures_with_both_sides(written):
    found, folder = written
    html, markdown = (folder / "compare.html").read_text(), (folder / "compare.md").read_text()
    wins = found.wins("mAP@50")
    n_pictures = min(2, len(wins)) + min(2, len(found.losses("mAP@50")))
    assert n_pictures >= 3
    assert html.count("data:image/jpeg;base64,") == n_pictures
    assert len(list((folder / "sheets").glob("*.jpg"))) == n_pictures
    assert markdown.count("](sheets/") == n_pictures
    assert "A: stage1" in str(found)
    assert "A: Answers by rank: 1" in html
    assert "B: Answers by rank: 1" in html
    with Image.open(folder / "sheets" / "wins-1.jpg") as sheet:
        assert sheet.height > 600  # two rows of pictures
        assert sheet.width > 900  # of five


def test_without_pictures_wins_and_losses_are_listed(written, tmp_path):
    found, _ = written
    html = write_comparison(found, tmp_path)[0].read_text()
    assert "data:image" not in html
    assert found.wins("mAP@50").row(0, named=True)["query_id"] in html
    with pytest.raises(ConfigError, match="unknown metric 'mAP'"):
        write_comparison(found, tmp_path, metric="mAP")


def test_a_folder_that_cannot_be_written_is_told(written, tmp_path):
    found, _ = written
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write to"):
        write_comparison(found, tmp_path / "file")


def test_it_is_shown_in_words_and_in_a_notebook(written):
    found, _ = written
    text = str(found)
    assert text.startswith("A: stage1    B: structured")
    assert "differs: judging.n_judged" in text
    assert repr(found) == "RunComparison('stage1' -> 'structured', 30 queries)"
    assert "mAP@50" in found._repr_html_()
