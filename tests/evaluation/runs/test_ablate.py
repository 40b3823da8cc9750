"""A grid of options in one run: what is asked, what is shared, what it says."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource

from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.evaluation.runs.ablate import ABLATION_SCHEMA, EFFECT_SCHEMA, Ablation, ablate
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.grid import BASE, parse_grid, points_of
from matir_nb.evaluation.runs.shared_texts import with_shared_texts
from matir_nb.index.build import build
from matir_nb.opening import open_engine
from matir_nb.presets import PRESETS
from matir_nb.scenes.meaning import NounPhrase, Query
from matir_nb.scenes.queries import truth_of

EMBEDDED = PRESETS["embedded"]
N_IMAGES, N_QUERIES = 24, 5


class CountingEncoder(OracleEncoder):
    """Remembers every text that it was given."""

    def __init__(self, scenes):
        super().__init__(scenes)
        self.texts = []

    def embed_texts(self, texts):
        self.texts += texts
        return super().embed_texts(texts)


class CountingJudge(OracleJudge):
    """Remembers every pair of query and image that it was asked about."""

    def __init__(self):
        super().__init__()
        self.pairs = []

    def judge(self, query, inputs):
        self.pairs += [(query, item.candidate.image_id) for item in inputs]
        return super().judge(query, inputs)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with an index, its dataset and its encoder."""
    folder = tmp_path_factory.mktemp("ablate")
    scenes = write_gallery(folder / "images", N_IMAGES, split="test")
    encoder = CountingEncoder(scenes)
    build(folder / "images", folder / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    ids = [file_name(scene) for scene in scenes]
    items = {f"{o.colour} {o.shape}": o for o in (scene.objects[0] for scene in scenes)}
    queries = [
        truth_of(f"q{i}", text, Query("attribute", NounPhrase(o.colour, o.shape)), scenes, ids)
        for i, (text, o) in enumerate(list(items.items())[:N_QUERIES])
    ]
    source = Source("scenes", "", "CC0-1.0")
    return folder, Dataset("scenes", source, tuple(ids), tuple(queries)), encoder


@pytest.fixture(scope="module")
def judge():
    return CountingJudge()


@pytest.fixture(scope="module")
def found(place, judge):
    """Return an ablation of eight arms."""
    folder, dataset, encoder = place
    engine = open_engine(folder / "i.matir", judge=judge, encoder=encoder)
    encoder.texts.clear()
    grid = {
        "judge": ["default", "none"],
        "retrieve.region_weight": [0.9, 0.0],
        "n_judged": [4, 8],
    }
    return ablate(engine, dataset, out=folder / "run", grid=grid, has_pages=False)


def test_every_combination_is_asked_once_and_beside_the_preset(found):
    # without a judge, n_judged changes nothing: two of the eight are others
    assert found.run.arms == [
        "preset",
        "n_judged=4",
        "n_judged=8",
        "retrieve.region_weight=0 + n_judged=4",
        "retrieve.region_weight=0 + n_judged=8",
        "judge=none",
        "judge=none + retrieve.region_weight=0",
    ]
    assert found.table.schema == ABLATION_SCHEMA
    assert found.effects.schema == EFFECT_SCHEMA
    rows = found.run.queries.filter(pl.col("arm") == "n_judged=4")["hits"].to_list()
    assert {sum(hit["p_relevant"] is not None for hit in hits) for hits in rows} == {4}
    alone = found.run.queries.filter(pl.col("arm") == "judge=none")["hits"].to_list()
    assert all(hit["p_relevant"] is None for hits in alone for hit in hits)


def test_the_judge_is_asked_once_about_a_query_and_an_image(found, judge):
    # the preset's arm judges all images, and the others some of them
    assert len(judge.pairs) == N_IMAGES * N_QUERIES
    assert len(set(judge.pairs)) == len(judge.pairs)
    assert len(found.run.arms) == 7


def test_a_query_is_encoded_once_for_all_arms(found, place):
    _, dataset, encoder = place
    asked = {query.text for query in dataset.queries}
    assert sorted(text for text in encoder.texts if text in asked) == sorted(asked)
    assert len(found.run.arms) == 7


def test_the_table_stands_by_the_metric_and_compares_with_the_preset(found):
    assert found.metric == "mAP@50"
    assert found.table["value"].to_list() == sorted(found.table["value"], reverse=True)
    best = found.table.filter(pl.col("value") == found.table["value"][0])["arm"].to_list()
    assert BASE not in best[1:]
    values = {
        arm: found.run.queries.filter(pl.col("arm") == arm)["mAP@50"].to_numpy()
        for arm in found.run.arms
    }
    base = found.table.row(by_predicate=pl.col("arm") == BASE, named=True)
    assert base["difference"] is base["p"] is None
    for row in found.table.filter(pl.col("arm") != BASE).iter_rows(named=True):
        gaps = values[row["arm"]] - values[BASE]
        assert row["value"] == pytest.approx(values[row["arm"]].mean())
        assert row["difference"] == pytest.approx(gaps.mean())
        assert row["wins"] == (gaps > 1e-12).sum()
        assert row["low"] - 1e-9 <= row["difference"] <= row["high"] + 1e-9
        assert row["p_holm"] >= row["p"]


def test_main_effects_are_means_over_pairs_that_differ_in_nothing_else(found):
    values = {
        arm: found.run.queries.filter(pl.col("arm") == arm)["mAP@50"].to_numpy()
        for arm in found.run.arms
    }
    rows = {(r["option"], r["value"]): r for r in found.effects.to_dicts()}
    assert set(rows) == {
        ("judge", "none"),
        ("n_judged", "4"),
        ("n_judged", "8"),
        ("retrieve.region_weight", "0"),
    }
    weight = rows["retrieve.region_weight", "0"]
    assert (weight["own"], weight["n_pairs"]) == ("0.9", 3)
    pairs = [
        ("n_judged=4", "retrieve.region_weight=0 + n_judged=4"),
        ("n_judged=8", "retrieve.region_weight=0 + n_judged=8"),
        ("judge=none", "judge=none + retrieve.region_weight=0"),
    ]
    expected = np.mean([values[b] - values[a] for a, b in pairs])
    assert weight["difference"] == pytest.approx(expected)
    assert rows["judge", "none"]["n_pairs"] == 1


def test_it_is_the_same_from_its_folder(found):
    again = Ablation.of(Run.load(found.run.folder))
    assert again.table.equals(found.table)
    assert again.effects.equals(found.effects)
    other = Ablation.of(found.run, "R@1")
    assert other.metric == "R@1"
    with pytest.raises(ConfigError, match="unknown metric 'R@2': did you mean"):
        Ablation.of(found.run, "R@2")
    plain = replace(found.run, provenance={"dataset": {"name": "scenes"}})
    with pytest.raises(ConfigError, match="is no ablation"):
        Ablation.of(plain)


def test_the_page_says_what_matters_and_where_it_comes_from(found):
    folder = found.run.folder
    html, markdown = ((folder / f"ablation.{e}").read_text() for e in ("html", "md"))
    for page in (html, markdown):
        assert "Which switches matter" in page
        assert "Phipson" not in page
    assert "judge=none + retrieve.region_weight=0" in html.replace("<wbr>", "")
    assert "Benjamini &amp; Hochberg, 1995" in html
    assert pl.read_parquet(folder / "ablation.parquet").equals(found.table)
    text = str(found)
    assert "what matters" in text
    assert "n_judged=4" in text


def test_the_same_call_asks_nothing_again(found, place, judge):
    folder, dataset, encoder = place
    n_pairs, before = len(judge.pairs), len(encoder.texts)
    engine = open_engine(folder / "i.matir", judge=judge, encoder=encoder)
    again = ablate(engine, dataset, out=folder / "run", grid={"n_judged": [4]}, has_pages=False)
    assert again.run.arms == ["preset", "n_judged=4"]
    assert (len(judge.pairs), len(encoder.texts)) == (n_pairs, before)
    assert len(found.table) == 7


def test_a_wrong_metric_or_option_costs_nothing(place, tmp_path):
    folder, dataset, encoder = place
    engine = open_engine(folder / "i.matir", judge=None, encoder=encoder)
    before = len(encoder.texts)
    with pytest.raises(ConfigError, match="did you mean 'mAP@50'"):
        ablate(engine, dataset, out=tmp_path / "run", grid={"n_judged": [4]}, metric="mAP@5")
    with pytest.raises(ConfigError, match=r"did you mean 'judging\.weight'"):
        ablate(engine, dataset, out=tmp_path / "run", grid={"judging.wieght": [4]})
    assert not (tmp_path / "run").exists()
    assert len(encoder.texts) == before


def test_texts_are_remembered_across_presets(place):
    folder, _, encoder = place
    engine = open_engine(folder / "i.matir", judge=None, encoder=encoder)
    shared = with_shared_texts(engine)
    encoder.texts.clear()
    first = shared.encoder.embed_texts(["red ring", "blue disc", "red ring"])
    other = shared.with_preset(EMBEDDED).encoder.embed_texts(["blue disc", "red ring"])
    assert encoder.texts == ["red ring", "blue disc"]
    assert (first[[1, 0]] == other).all()
    assert shared.encoder.embed_texts([]).shape == (0, encoder.dim)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"retrieve.region_wight": [1]}, "did you mean 'retrieve.region_weight'"),
        ({"retrieve.region_weight": ["much"]}, "region_weight = 'much' is not allowed: give a num"),
        ({"retrieve.region_weight": [-1]}, "region_weight = -1.0 is not allowed"),
        ({"retrieve.region_weight": ["nan"]}, "region_weight = 'nan' is not allowed"),
        ({"retrieve.m_regions": ["1.5"]}, "give a whole number"),
        ({"judge": ["structred"]}, "unknown judge 'structred': did you mean 'structured'"),
        ({"align": ["of"]}, "unknown value of align 'of': did you mean 'off'"),
        ({"n_judged": [0]}, ">= 1 .judge=none is stage 1 alone"),
        ({"masks.points_per_side": [8]}, "decides what an index holds"),
        ({"judge": ["default"]}, "the grid holds the preset alone"),
        ({}, "the grid is empty"),
        ({"n_judged": range(1, 40), "retrieve.m_regions": range(1, 40)}, "1,521 combinations"),
    ],
)
def test_a_grid_that_cannot_be_asked_is_refused(grid, message):
    with pytest.raises(ConfigError, match=message):
        points_of(grid, EMBEDDED)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["judge"], "give --grid NAME=VALUE,VALUE"),
        (["=1"], "give --grid"),
        (["judge=,"], "give --grid"),
        (["judge=none", "judge=trained"], "two lists for 'judge'"),
    ],
)
def test_a_grid_on_the_command_line_is_name_and_values(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_grid(words)


def test_what_changes_nothing_is_no_arm():
    def names(**grid):
        grid = {name.replace("__", "."): values for name, values in grid.items()}
        return [point.arm.name for point in points_of(grid, EMBEDDED)]

    assert names(judge=["none"], align=["on", "off"]) == ["preset", "judge=none"]
    assert names(judge=["structured", "none"]) == ["preset", "judge=none"]
    assert names(retrieve__region_weight=["0.90", 0.5]) == ["preset", "retrieve.region_weight=0.5"]
    assert names(judging__n_judged=[400, 10]) == ["preset", "n_judged=10"]
    beta = {"retrieve__dehub_beta": [0, 20], "retrieve__dehub_phrases": [8, 256]}
    assert names(**beta) == [
        "preset",
        "retrieve.dehub_beta=20 + retrieve.dehub_phrases=8",
        "retrieve.dehub_beta=20",
    ]


def test_arms_answer_as_their_names_say():
    grid = {"judge": ["none", "trained", "structured"], "align": ["on", "off"]}
    arms = {p.arm.name: p.arm for p in points_of(grid, EMBEDDED, own_judge="structured")}
    assert arms["preset"].judge == "structured"
    assert arms["judge=none"].judge is False
    assert (arms["judge=trained"].judge, arms["judge=trained"].n_judged) == ("trained", 40)
    assert arms["align=off"].preset_of(EMBEDDED).align.min_align_iou == 1.0
    assert arms["align=off"].judge == "structured"
    more = points_of({"judge": ["trained"], "n_judged": [400]}, EMBEDDED)
    assert more[1].arm.n_judged == 400


def test_the_default_grid_has_every_switch_and_every_combination_of_stages():
    points = points_of(None, EMBEDDED)
    names = [point.arm.name for point in points]
    assert names[0] == BASE
    assert len(set(names)) == len(names) <= 24
    for name in ("judge=none", "judge=trained", "n_judged=100", "retrieve.region_weight=0"):
        assert name in names
    assert "judge=none + retrieve.dehub_beta=20 + retrieve.refine_weight=0.5" in names
    assert "align=off" not in names
    boxes = points_of(None, PRESETS["paper"])
    assert "align=off" in [point.arm.name for point in boxes]
