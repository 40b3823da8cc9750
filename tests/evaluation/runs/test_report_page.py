"""The pages of a run: what they say, what they must not do, and what they lack without extras."""

import base64
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from matir_nb.evaluation.runs.chapters import notices_of, page_of, summary_of
from matir_nb.evaluation.runs.gains import gain_of, winner_of
from matir_nb.evaluation.runs.page import html_of, write_pages
from matir_nb.evaluation.runs.summary import summarise
from matir_nb.evaluation.runs.tables import NOTHING, headline_table, kinds_table
from matir_nb.evaluation.runs.worst import (
    MAX_SHEET_BYTES,
    MAX_SHEETS,
    Album,
    album_of,
    sheets_of,
    worst_of,
)
from tests.evaluation.runs.sample_run import ENGINE, HOSTILE, sample_dataset, sample_run

OLD = ("plots/hubness.svg", "plots/of-another.svg", "sheets/9-gone-1.jpg")


class Outline(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all_of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A run whose arm and query are named to do harm, with its pages and their files."""
    folder = tmp_path_factory.mktemp("pages")
    for name in OLD:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("old")
    run, dataset = sample_run(folder, second=HOSTILE)
    return run, dataset, write_pages(run, ENGINE, dataset)


@pytest.fixture(scope="module")
def html(sample):
    return (sample[0].folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(html):
    return Outline(html)


def test_the_files_are_there_and_no_others(sample):
    run, _, files = sample
    names = [path.relative_to(run.folder).as_posix() for path in files]
    assert names[:2] == ["report.html", "report.md"]
    there = {p.relative_to(run.folder).as_posix() for p in run.folder.rglob("*") if p.is_file()}
    assert there == {*names, "plots/of-another.svg"}
    assert "sheets/9-gone-1.jpg" not in names
    assert {"plots/stages.svg", "plots/reliability.svg", "sheets/1-stage1-1.jpg"} <= there
    assert all(re.fullmatch(r"[\w./-]+", name) for name in names)


def test_every_file_that_the_markdown_names_is_there(sample):
    run = sample[0]
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(((?:plots|sheets)/[^)]+)\)", text)
    assert len(linked) == len(set(linked)) > 8
    assert all((run.folder / name).is_file() for name in linked)


def test_the_page_runs_nothing_and_fetches_nothing(outline, html):
    policy = next(a["content"] for a in outline.all_of("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert not {"script", "link", "iframe", "object", "base", "form"} & {
        t for t, _ in outline.elements
    }
    for _, attrs in outline.elements:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "url(http" not in html
    assert "@import" not in html


def test_hostile_names_are_shown_as_text(outline):
    assert "<script>globalThis.pwned=1</script>|*x*" in outline.text
    assert "\\u202e" in outline.text
    assert "\u202e" not in outline.text


def test_the_page_can_be_read_by_everybody(outline):
    headings = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert set(headings[1:]) == {2}
    assert len(outline.all_of("table")) == len(outline.all_of("caption"))
    assert all(attrs.get("scope") for attrs in outline.all_of("th"))
    assert all(attrs.get("alt") for attrs in outline.all_of("img"))
    assert all(attrs.get("aria-label") for attrs in outline.all_of("svg"))
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in outline.all_of("a")} <= set(ids)


def test_both_colour_schemes_are_served(html):
    assert "color-scheme:light dark" in html
    assert "--plot-010101:light-dark(" in html
    assert "var(--plot-0a0202)" in html


def test_sheets_are_bounded_and_in_the_page(sample, outline):
    files = [path for path in sample[2] if path.suffix == ".jpg"]
    assert 0 < len(files) <= MAX_SHEETS
    assert max(path.stat().st_size for path in files) <= MAX_SHEET_BYTES
    shown = [base64.b64decode(a["src"].partition(",")[2]) for a in outline.all_of("img")]
    assert shown == [path.read_bytes() for path in files]


def test_what_a_reader_must_know_comes_first(outline):
    text = outline.text
    assert text.index("Embedded models:") < text.index("Dataset and protocol")
    assert "(embedded models)" in text
    for told in ("Made-up photographs (Nobody, 2026)", "CC0-1.0", "has at least one instance"):
        assert told in text
    assert "matir eval sample" in text
    assert "somebody" not in text


def test_an_oracle_says_so_loudest():
    models = {"encoder": "oracle:12", "judges": {"a": "embedded:judge"}}
    told = notices_of({"models": models, "notices": ["oracle: made from the annotations", "other"]})
    assert any(notice.startswith("Oracle run") for notice in told)
    assert any(notice.startswith("Embedded models") for notice in told)
    assert "other" in told
    assert "oracle: made from the annotations" not in told
    preset = {"segmenter": "embedded:sam2", "encoder": "embedded:alpha-clip", "judge": "structured"}
    alone = notices_of({"models": {"encoder": "oracle:12", "judges": {}}, "preset": preset})
    assert len(alone) == 1
    assert "Stage 1 alone reaches 1, but where" in alone[0]
    judged = {"encoder": "oracle:12", "judges": {"trained": "judge@12"}}
    assert len(notices_of({"models": judged, "preset": preset})) == 2
    missing = notices_of({"unavailable": {"default": "not fetched"}})
    assert missing == ("Arm default did not run: not fetched",)


def test_without_matplotlib_there_are_tables_and_a_hint(sample, tmp_path, monkeypatch):
    run = replace(sample[0], folder=tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files = write_pages(run)
    assert [path.name for path in files] == ["report.html", "report.md"]
    html = files[0].read_text(encoding="utf-8")
    assert "pip install &quot;matir_nb[eval]&quot;" in html
    assert "<table>" in html
    assert "<svg" not in html


def test_a_dataset_of_other_images_costs_the_truth_only(sample):
    dataset = sample[1]
    assert len(album_of(ENGINE.index, dataset).truths) == len(dataset.queries)
    query = replace(dataset.queries[0], relevant=frozenset(), masks={})
    other = replace(dataset, image_ids=("elsewhere.jpg",), queries=(query,))
    assert album_of(ENGINE.index, other).truths == {}
    assert album_of(ENGINE.index, None).mask_of("photos/001.jpg", 0) is not None
    assert album_of(ENGINE.index, None).mask_of("photos/001.jpg", 5) is None
    assert album_of(ENGINE.index, None).mask_of("gone.jpg", 0) is None


def queries_of(**arms):
    """Return a frame with R@1 of each arm, query by query."""
    return pl.DataFrame(
        [
            {"arm": arm, "query_id": f"q{i}", "kind": "k", "n_relevant": 1, "R@1": value}
            for arm, values in arms.items()
            for i, value in enumerate(values)
        ],
        schema_overrides={"R@1": pl.Float64},
    )


def report_of(queries):
    means = queries.group_by("arm", maintain_order=True).agg(pl.col("R@1").mean())
    return pl.DataFrame(
        [
            {"arm": arm, "group": "overall", "metric": "R@1", "value": value}
            | {"low": 0.0, "high": 1.0, "n": 4, "chance": 0.25}
            for arm, value in means.iter_rows()
        ]
    )


def test_a_lead_is_bold_only_where_the_pairs_support_it():
    clear = queries_of(stage1=[0.0, 0.1, 0.2, 0.3], judge=[0.5, 0.6, 0.7, 0.8])
    assert winner_of(clear, report_of(clear), "R@1") == "judge"
    unclear = queries_of(stage1=[0.0, 1.0, 0.2, 0.3], judge=[1.0, 0.0, 0.7, 0.3])
    assert winner_of(unclear, report_of(unclear), "R@1") is None
    table = headline_table(clear, report_of(clear), ["R@1"], caption="c")
    assert [(row[0].text, row[1].text, row[1].is_strong) for row in table.rows] == [
        ("stage1", "0.150", False),
        ("judge", "0.650", True),
        ("chance", "0.250", False),
        ("n", "4", False),
    ]


def test_a_gain_is_over_the_queries_that_both_answer():
    frame = queries_of(stage1=[0.0, None, 0.5, 0.25], judge=[0.5, 1.0, 0.5, None])
    gain = gain_of(frame, "R@1", "judge", "stage1")
    assert (gain.value, gain.n) == (0.25, 2)  # (0.5 + 0) / 2
    assert gain_of(frame, "no such metric", "judge", "stage1") is None
    nothing = queries_of(stage1=[None], judge=[0.5])
    assert gain_of(nothing, "R@1", "judge", "stage1") is None


def test_worst_are_losses_first_then_the_lowest():
    frame = queries_of(stage1=[0.9, 0.1, 0.5, 1.0], judge=[0.4, 0.2, 0.5, 1.0])
    base = worst_of(frame, "stage1", "R@1", 9)
    assert [bad.row["query_id"] for bad in base] == ["q1", "q2", "q0"]
    assert {bad.loss for bad in base} == {None}
    judge = worst_of(frame, "judge", "R@1", 9)
    assert [(bad.row["query_id"], bad.loss) for bad in judge] == [
        ("q0", pytest.approx(-0.5)),
        ("q1", pytest.approx(0.1)),
        ("q2", 0.0),
    ]
    absent = frame.with_columns(n_relevant=pl.lit(0))
    assert worst_of(absent, "judge", "R@1", 9) == []


def test_many_arms_share_the_sheets(sample):
    run = sample[0]
    arms = [run.queries.with_columns(arm=pl.lit(f"arm/{i}")) for i in range(20)]
    many = pl.concat([arm.unique("query_id", maintain_order=True) for arm in arms])

    picture = ENGINE.index.load_image("photos/001.jpg")
    album = Album(lambda _: picture, lambda *_: None, {})
    sheets = sheets_of(many, "mAP@50", album)
    names = [sheet.name for of_arm in sheets.values() for sheet in of_arm]
    assert len(names) == len(set(names)) == MAX_SHEETS
    assert all("/" not in name for name in names)


def test_the_summary_says_whether_the_queries_resolve_it(tmp_path):
    clear, _ = sample_run(tmp_path, boosts=(1.0, 2.4))
    assert "do not resolve" not in summary_of(clear, ["mAP@50"])
    assert "structured reaches mAP@50" in summary_of(clear, ["mAP@50"])
    alike, _ = sample_run(tmp_path, boosts=(1.0, 1.0))
    said = summary_of(alike, ["mAP@50"])
    assert "and no other arm does better" in said
    assert "a random order gives" in said
    rows = alike.queries.with_columns(
        pl.when(pl.col("arm") == "stage1", pl.col("query_id") == "q02")
        .then(pl.col("mAP@50") - 0.01)
        .otherwise("mAP@50")
        .alias("mAP@50")
    )
    slight = replace(alike, queries=rows, report=summarise(rows, sample_dataset()))
    assert "a difference that these queries do not resolve" in summary_of(slight, ["mAP@50"])


def test_kinds_without_numbers_are_left_out(tmp_path):
    run, _ = sample_run(tmp_path)
    table = kinds_table(run.report, ["R@1"], caption="c")
    assert {row[0].text for row in table.rows} == {"attribute", "relation"}
    assert not [cell for row in table.rows for cell in row if cell.text == NOTHING]


def test_a_perfect_run_has_no_worst_queries(tmp_path):
    run, _ = sample_run(tmp_path)
    whole = run.queries.with_columns(
        pl.when(pl.col("mAP@50").is_not_null()).then(1.0).alias("mAP@50")
    )
    html = html_of(page_of(replace(run, queries=whole), {}, {}))
    assert "None: every query that has something to find reaches mAP@50 = 1." in html
