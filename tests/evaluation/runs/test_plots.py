"""The plots of a report: what is drawn, how it is coloured, and that it comes out the same."""

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest

from matir_nb.evaluation.runs.arrays import HitArrays
from matir_nb.evaluation.runs.curves import depth_of, judged_of, nearest_of, risk_of
from matir_nb.evaluation.runs.inks import ON_PAPER, ON_SLATE, for_file, for_page, variables
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA
from matir_nb.evaluation.runs.plots import Point, Series, Stages, draw_bars, draw_stages
from matir_nb.evaluation.runs.plotted import occurrences_plot, plots_of
from tests.evaluation.runs.sample_run import HOSTILE, N_IMAGES, sample_run

METRICS = ("R@1", "mAP@50", "mIoU")
STAGES = Stages(
    ("R@1", "mIoU"),
    (
        Series("stage1", 0, (Point(0.2, 0.1, 0.3), None)),
        Series("judge", 1, (Point(0.6, 0.5, 0.7), Point(0.5))),
    ),
    (Series("judge", 1, (Point(0.4, 0.2, 0.6), None)),),
    "stage1",
    {"R@1": 0.05},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sample_run(tmp_path_factory.mktemp("plots"))[0]


@pytest.fixture(scope="module")
def plots(run):
    return plots_of(run.queries, run.report, METRICS, n_images=N_IMAGES)


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own drawing


def texts(svg):
    return [element.text for element in parsed(svg).iter() if element.tag.endswith("text")]


def contrast(a, b):
    """Return the contrast of two colours by WCAG 2."""

    def light(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_plot_is_there_and_says_how_many(plots):
    assert list(plots) == ["stages", "sizes", "depth", "reliability", "risk", "hubness"]
    for plot in plots.values():
        parsed(plot.svg)
        assert re.search(r"\d", plot.caption)
        assert plot.alt


def test_the_same_numbers_give_the_same_bytes_whatever_the_user_has_set():
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        changed = draw_stages(STAGES)
    assert changed == draw_stages(STAGES)


def test_drawing_leaves_the_settings_of_the_user_alone():
    before = dict(mpl.rcParams)
    draw_stages(STAGES)
    assert dict(mpl.rcParams) == before


def test_names_metrics_and_chance_are_written_as_text():
    written = texts(draw_stages(STAGES))
    assert {"R@1", "mIoU", "stage1", "judge"} <= set(written)
    assert "value (dotted: chance)" in written
    assert "paired gain over stage1" in written


def test_arms_differ_in_marker_line_and_hatch_not_in_colour_alone():
    svg = draw_bars(
        ["a"], [Series("x", 0, (Point(0.5),)), Series("y", 1, (Point(0.7),))], label="v"
    )
    assert len(re.findall("<pattern", svg)) == 1  # the first arm is filled, the second hatched
    assert "stroke-dasharray" in for_page(draw_stages(STAGES), "s")


def test_hostile_names_stay_text_and_need_no_glyphs():
    arm = "_" + HOSTILE[:20] + "日本語 $x_1$"
    svg = draw_stages(Stages(("R@1",), (Series(arm, 0, (Point(0.5),)),)))
    assert "<script" not in svg
    assert not [e for e in parsed(svg).iter() if e.tag.endswith("script")]
    assert any("</td>" in (text or "") for text in texts(svg))


def test_plots_in_one_page_share_no_id_and_no_style(plots):
    pages = {name: for_page(plot.svg, name) for name, plot in plots.items()}
    ids = [found for svg in pages.values() for found in re.findall(r' id="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in pages.values():
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
        assert {a or b for a, b in used} <= set(ids)
        assert "<style" not in svg


def test_colours_are_variables_in_a_page_and_written_out_in_a_file(plots):
    for name, plot in plots.items():
        page, file = for_page(plot.svg, name), for_file(plot.svg)
        parsed(file)
        allowed = {"#ffffff", *ON_PAPER.values()}
        assert set(re.findall(r"#[0-9a-f]{6}\b", file)) <= allowed
        assert "var(" not in file
        assert not set(re.findall(r"(?<=[ :\"])#[0-9a-f]{6}\b", page))
        assert set(re.findall(r"--plot-\w+", page)) <= set(re.findall(r"--plot-\w+", variables()))


def test_lines_can_be_seen_on_both_grounds():
    for ground, colours in (("#ffffff", ON_PAPER), ("#16181b", ON_SLATE)):
        strong = [colour for mark, colour in colours.items() if mark != "#020202"]
        assert min(contrast(colour, ground) for colour in strong) >= 4.5


def hits(flags, scores=None, p=None):
    return [
        {
            "image_id": f"{i}",
            "rank": i + 1,
            "is_relevant": flag,
            "score": float((scores or range(9, 0, -1))[i]),
            "p_relevant": p[i] if p else None,
        }
        for i, flag in enumerate(flags)
    ]


def frame(*rows):
    about = {"arm": "a", "kind": "k", "n_gallery": 4, "targets": []}
    return pl.DataFrame(
        [
            about | {"query_id": f"{i}", "n_relevant": n, "hits": found}
            for i, (n, found) in enumerate(rows)
        ],
        schema_overrides={name: OBSERVED_SCHEMA[name] for name in ("hits", "targets")},
    )


def test_depth_is_worked_by_hand():
    # recall at 1, 2: (1/2 + 0) / 2, (1/2 + 1) / 2; precision: (1 + 0) / 2, (1/2 + 1/2) / 2
    rows = frame((2, hits([True, False])), (1, hits([False, True])), (0, hits([False])))
    found = depth_of(HitArrays(rows))
    np.testing.assert_allclose(found.recall, [0.25, 0.75])
    np.testing.assert_allclose(found.precision, [0.5, 0.5])
    np.testing.assert_allclose(found.chance_recall, [0.25, 0.5])
    assert found.chance_precision == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert found.n == 2


def test_hits_that_are_kept_for_their_verdict_only_have_no_depth():
    far = hits([True])[0] | {"rank": 7}
    rows = frame((2, [*hits([True, False]), far]), (1, hits([False, True])))
    np.testing.assert_allclose(depth_of(HitArrays(rows)).recall, [0.25, 0.75])
    longer = frame((2, hits([True, False, True])), (1, hits([False, True])))
    np.testing.assert_allclose(depth_of(HitArrays(longer, 2)).recall, [0.25, 0.75])


@pytest.mark.parametrize("rows", [frame((0, hits([False]))), frame((1, []))])
def test_nothing_to_find_and_nothing_found_have_no_depth(rows):
    assert depth_of(HitArrays(rows)) is None


def test_risk_is_of_the_first_hit_and_absence_is_always_wrong():
    # by score: right, wrong (absence), right -> risk 0, 1/2, 1/3
    rows = frame(
        (1, hits([True], scores=[3])),
        (0, hits([False], scores=[2])),
        (1, hits([True], scores=[1])),
    )
    found = risk_of(HitArrays(rows))
    np.testing.assert_allclose(found.coverage, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3])
    assert found.aurc == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert found.n == 3
    assert risk_of(HitArrays(frame((1, [])))) is None


def test_reliability_counts_the_hits_that_a_judge_saw():
    rows = frame((1, hits([True, False], p=[0.9, 0.3])), (1, hits([True])))
    found = judged_of(HitArrays(rows))
    assert found.n == 2
    assert found.ece == pytest.approx((0.1 + 0.3) / 2)
    assert judged_of(HitArrays(frame((1, hits([True]))))) is None


def test_occurrences_are_worked_by_hand():
    # image 0 is in both lists, image 1 in one, images 2 and 3 in none
    rows = frame((1, hits([True, False])), (1, hits([True])))
    found = nearest_of(HitArrays(rows), 4)
    assert found.counts.tolist() == [2, 1, 0, 0]
    assert found.unfound == 0.5
    assert found.n_queries == 2


def test_occurrences_are_of_whole_galleries_and_whole_lists():
    rows = frame((1, hits([True, False])), (1, hits([True])))
    assert nearest_of(HitArrays(rows), 5) is None  # four images were searched
    part = rows.with_columns(n_gallery=pl.Series([4, 3], dtype=pl.Int64))
    assert nearest_of(HitArrays(part), 4) is None
    assert nearest_of(HitArrays(rows, 2), 4) is None  # four could be recorded, two were


def test_the_plots_are_of_the_numbers_in_the_report(run, plots):
    def of_report(metric):
        rows = run.report.filter((pl.col("metric") == metric) & (pl.col("group") == "overall"))
        return dict(rows.select("arm", "value").iter_rows())

    for name, metric in (("reliability", "ECE"), ("risk", "AURC")):
        for arm, value in of_report(metric).items():
            assert f"{arm}: {metric} {value:.3f}" in plots[name].alt
    for arm, value in of_report("recall@10").items():
        depth = depth_of(HitArrays(run.queries.filter(pl.col("arm") == arm)))
        assert depth.recall[9] == pytest.approx(value)


def test_the_caption_says_how_many_images_are_never_found(run, plots):
    of_stage1 = HitArrays(run.queries.filter(pl.col("arm") == "stage1"))
    near = nearest_of(of_stage1, N_IMAGES)
    assert near.counts.sum() == 10 * near.n_queries
    assert f"Images in no list: stage1 {(near.counts == 0).mean():.0%}" in plots["hubness"].caption


def test_occurrences_are_left_out_where_they_tell_nothing(run):
    is_one = (pl.col("arm") == "stage1") & (pl.col("query_id") < "q03")
    few = HitArrays(run.queries.filter(is_one))
    assert nearest_of(few, N_IMAGES) is not None
    assert occurrences_plot({"stage1": few}, N_IMAGES) is None  # thirty places for sixty images
