from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from fakes import bare_hit

from matir_nb.errors import ConfigError
from matir_nb.evaluation import rank_similarity
from matir_nb.explain.compare import Comparison, compare, comparison_text
from matir_nb.explain.comparison_table import COMPARISON_SCHEMA
from matir_nb.geometry.masks import encode
from matir_nb.results import SearchResult
from matir_nb.types import Provenance

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m.png"


def square(x0, size=(8, 8)):
    pixels = np.zeros(size, bool)
    pixels[2:6, x0 : x0 + 4] = True
    return encode(pixels)


def result_of(ids, query="a dog", *, masks=None, **provenance):
    masks = masks or {}
    hits = tuple(
        bare_hit(
            rank=rank,
            image_id=name,
            final_score=10.0 - rank,
            stage1_rank=rank + 100,
            stage1_score=1 / rank,
            mask=masks.get(name),
            region_id=3 if name in masks else None,
        )
        for rank, name in enumerate(ids, 1)
    )
    given = {
        "index_fingerprint": "f00d",
        "models": {"encoder": "e@1", "judge": "j@1"},
        "config": {"n_images": 50},
        "versions": {},
        "seconds": {},
    }
    return SearchResult(query, hits, Provenance(**given | provenance))


@pytest.fixture
def comparison():
    #  a: 1 b: 2 c: 3 d: 4 e: 5      b: 1 a: 2 f: 3 d: 4 c: 5 g: 6
    masks_a = {"a": square(0), "b": square(1), "d": square(0)}
    masks_b = {"a": square(0), "b": square(4), "c": square(0), "d": square(0, (9, 9))}
    return compare(result_of("abcde", masks=masks_a), result_of("bafdcg", "a cat", masks=masks_b))


def column(frame, name):
    return dict(frame.select("image_id", name).iter_rows())


def test_the_table_is_a_full_join(comparison):
    frame = comparison.to_polars()
    assert frame.schema == COMPARISON_SCHEMA
    assert frame["image_id"].to_list() == ["b", "a", "f", "c", "d", "e", "g"]
    assert column(frame, "state") == {
        **dict.fromkeys("abcd", "kept"),
        **dict.fromkeys("fg", "entered"),
        "e": "left",
    }
    assert column(frame, "moved") == {"a": -1, "b": 1, "c": -2, "d": 0, "e": None} | {
        "f": None,
        "g": None,
    }
    row = frame.row(by_predicate=pl.col("image_id") == "c", named=True)
    assert (row["rank_a"], row["rank_b"]) == (3, 5)
    assert (row["score_a"], row["score_b"]) == (7.0, 5.0)
    assert (row["stage1_score_a"], row["stage1_score_b"]) == (1 / 3, 1 / 5)
    assert (row["stage1_rank_a"], row["stage1_rank_b"]) == (103, 105)
    assert (row["region_id_a"], row["region_id_b"]) == (None, 3)


def test_regions_are_compared_by_their_masks(comparison):
    frame = comparison.to_polars()
    # b: columns 1 to 5 and 4 to 8 share one of seven; c has no mask in A; d another picture size
    assert column(frame, "mask_iou") == pytest.approx(
        {"a": 1.0, "b": 1 / 7} | dict.fromkeys("cdefg"), nan_ok=True
    )
    assert column(frame, "same_region") == {"a": True, "b": False} | dict.fromkeys("cdefg")
    assert comparison.summary["n_same_region"] == 1
    assert comparison.summary["n_other_region"] == 1


def test_entered_left_and_moved(comparison):
    assert comparison.entered["image_id"].to_list() == ["f", "g"]
    assert comparison.left["image_id"].to_list() == ["e"]
    # from 1 to 2 and from 2 to 1 is further than from 3 to 5
    assert comparison.moved["image_id"].to_list() == ["b", "a", "c"]


def test_measures_are_those_of_the_rankings(comparison):
    a, b = "abcde", "bafdcg"
    assert comparison.rbo() == rank_similarity.rbo(a, b, 0.9)
    assert comparison.rbo(0.5) == rank_similarity.rbo(a, b, 0.5)
    assert comparison.rbo_bounds() == rank_similarity.rbo_bounds(a, b, 0.9)
    assert comparison.jaccard() == 4 / 7
    assert comparison.overlap(2) == 1
    assert comparison.overlap() == 4 / 6
    assert comparison.kendall_tau() == pytest.approx((4 - 2) / 6)
    summary = comparison.summary
    assert (summary["n_a"], summary["n_b"]) == (5, 6)
    assert (summary["n_kept"], summary["n_entered"], summary["n_left"]) == (4, 2, 1)
    assert summary["n_moved"] == 3
    assert summary["rbo_least"] < summary["rbo"] < summary["rbo_highest"]


def test_a_result_and_itself_agree():
    same = compare(result_of("abc"), result_of("abc"))
    assert same.notes == ()
    assert same.rbo() == pytest.approx(1)
    assert same.jaccard() == same.overlap() == same.kendall_tau() == 1
    assert same.moved.is_empty()
    assert same.moved.schema == COMPARISON_SCHEMA


def test_what_differs_beside_the_ranking_is_said():
    notes = compare(
        result_of("ab"),
        result_of(
            "ab",
            index_fingerprint="beef" * 8,
            models={"encoder": "other@2", "segmenter": "s"},
            config={"n_images": 40},
        ),
    ).notes
    models, index, ranked = notes
    assert models == "other models: encoder e@1 → other@2, judge j@1 → none, segmenter none → s"
    assert index.endswith("compare ranks, not scores (f00d → beefbeefbeef)")
    assert ranked == "A ranked 50 images, B 40"


def test_hits_that_the_other_index_does_not_have_are_counted():
    class Half:
        def has_image(self, image_id):
            return image_id in "bc"

    b = replace(result_of("cb", config={"n_images": 2}), source=Half())
    notes = compare(result_of("ab"), b).notes
    assert "1 hits of A are not in the other index at all" in notes
    assert not any("hits of B" in note for note in notes)


def test_results_without_a_shared_image_or_any_image():
    (note,) = compare(result_of("ab"), result_of("xy")).notes
    assert "no image is a hit of both" in note
    known = SimpleNamespace(has_image=lambda _: True)
    of_one_index = [replace(result_of(ids), source=known) for ids in ("ab", "xy")]
    assert compare(*of_one_index).notes == ()
    apart = compare(result_of("ab"), result_of("xy"))
    assert apart.rbo() == apart.jaccard() == apart.overlap() == 0
    assert apart.kendall_tau() is None
    empty = compare(result_of(""), result_of("a"))
    assert "A found no images" in empty.notes[0]
    assert "A has 0 hits, B has 1" in empty.notes[1]
    assert empty.rbo() is None
    assert empty.to_polars().schema == COMPARISON_SCHEMA
    assert "no hits" in comparison_text(compare(result_of(""), result_of("")))


def test_loaded_results_compare_as_well(tmp_path, comparison):
    paths = []
    for side, result in (("a", comparison.a), ("b", comparison.b)):
        paths.append(tmp_path / f"{side}.parquet")
        result.save(paths[-1])
    loaded = compare(*(SearchResult.load(path) for path in paths))
    assert loaded.to_polars().equals(comparison.to_polars())
    assert loaded.notes == comparison.notes


def test_a_result_compares_itself(comparison):
    other = comparison.a.compare(comparison.b)
    assert isinstance(other, Comparison)
    assert other.summary == comparison.summary


@pytest.mark.parametrize("other", [None, "a.parquet", 7])
def test_only_results_are_compared(other):
    with pytest.raises(ConfigError, match="compare two SearchResults, got"):
        compare(result_of("a"), other)


def test_an_image_twice_is_refused():
    with pytest.raises(ConfigError, match="has the image 'a' twice"):
        compare(result_of("aba"), result_of("a"))


def test_one_line(comparison):
    line = repr(comparison)
    assert line.startswith("Comparison('a dog' → 'a cat', 4 kept, 2 entered, 1 left, RBO 0.")
    assert "\n" not in line


def test_text_for_a_terminal(comparison):
    lines = comparison_text(comparison).split("\n")
    assert lines[:3] == [
        "A: a dog (5 hits)",
        "B: a cat (6 hits)",
        "4 kept (3 moved), 2 entered, 1 left",
    ]
    assert lines[3].startswith(f"rank-biased overlap {comparison.rbo():.3f} (p = 0.9; ")
    assert lines[4].startswith("overlap@6 0.667, Jaccard 0.571")
    cells = [line.split() for line in lines[lines.index("") + 3 :]]
    assert cells[0][:5] == ["b", "kept", "2", "1", "▲1"]
    assert cells[2][:5] == ["f", "entered", "-", "3", "-"]
    short = comparison_text(comparison, n_rows=2)
    assert short.endswith("and 5 more: comparison.to_polars() has them all")


def test_text_and_html_are_escaped():
    hostile = compare(result_of([HOSTILE], HOSTILE), result_of([HOSTILE]))
    text, page = comparison_text(hostile), hostile._repr_html_()
    assert "\x1b" not in text + page
    assert "\\x1b[31m" in text
    assert "<img" not in page
    assert page.count("&lt;img src=x") == 2


def test_outside_a_kernel_it_is_a_table_of_text(comparison, capsys):
    comparison._ipython_display_()
    assert capsys.readouterr().out == f"{comparison_text(comparison)}\n"
