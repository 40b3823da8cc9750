"""Explanations of models that know the scenes by heart: right everywhere, and by chance if mixed.

The tables that the numbers are summed up from are worked by hand.
"""

import json
from itertools import product

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource

from matir_nb import cli
from matir_nb.errors import ConfigError
from matir_nb.evaluation import explain_report, explain_rounds, scene_gallery
from matir_nb.evaluation.explain_curves import CURVES, ORDERS
from matir_nb.evaluation.explain_report import ExplainEvalConfig, evaluate_explanations
from matir_nb.evaluation.explain_rounds import (
    ALONE,
    CURVE_SCHEMA,
    EXPLANATIONS,
    POINTING_SCHEMA,
    WAYS,
    WORD_SCHEMA,
    Rounds,
    play,
)
from matir_nb.evaluation.explain_summary import CRITERIA, share, summarise
from matir_nb.evaluation.explain_text import cell, format_report
from matir_nb.evaluation.faithfulness import GAMES, LEXICON, REGION_OF_WORD, attribute_queries
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.index.build import build
from matir_nb.opening import open_engine

N = 40


def plain(text):
    """Return the usual words of the attributes that `text` names."""
    words = (word.strip(",") for word in text.split())
    return " ".join(LEXICON[word][1] for word in words if word in LEXICON)


class WellRead(OracleEncoder):
    """Knows the synonyms, too."""

    def embed_texts(self, texts):
        return super().embed_texts([plain(text) for text in texts])


class WellReadJudge(OracleJudge):
    """Knows the synonyms, too."""

    def judge(self, query, inputs):
        return super().judge(plain(query), inputs)


class Mixed(WellRead):
    """Gives each image's vectors to the wrong regions: as good a ranking, no good reason."""

    def embed_regions(self, images, masks):
        rng = np.random.default_rng(0)
        return [rng.permutation(v) for v in super().embed_regions(images, masks)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    return folder, write_gallery(folder / "images", N, split="test")


def engine_of(scenes, encoder, name):
    folder, drawn = scenes
    path = folder / f"{name}.matir"
    build(folder / "images", path, masks=OracleMaskSource(drawn), encoder=encoder)
    return open_engine(path, judge=WellReadJudge(), encoder=encoder)


def played(scenes, encoder, name, n=25):
    drawn = scenes[1]
    ids = [file_name(scene) for scene in drawn]
    queries = attribute_queries(drawn, n, split="test", seed=0, image_ids=ids)
    by_id = dict(zip(ids, drawn, strict=True))
    return play(engine_of(scenes, encoder, name), queries, by_id, seed=0)


@pytest.fixture(scope="module")
def oracle(scenes):
    return played(scenes, WellRead(scenes[1]), "oracle")


def test_an_oracle_names_every_cause(oracle):
    found = summarise(oracle)
    for depth in ("top 1", "top 10"):
        for explanation in EXPLANATIONS:
            by_name = found["pointing"][depth][explanation]
            assert by_name["IoU"]["value"] == by_name["inmost"]["value"] == 1.0
        assert found["pointing"][depth]["chance"]["IoU"]["value"] < 0.7
    # the centre of a ring or a crescent is not on it
    assert 0.5 < found["pointing"]["top 10"]["occlusion"]["centre"]["value"] < 1.0
    assert found["pointing"]["top 10"]["shown"]["IoU"]["n"] > 100
    for way, game in product(WAYS, GAMES):
        played = found["words"][way][game]
        # where the rest of the query does not fit, one word more can count for more
        is_exact = way == ALONE or game != REGION_OF_WORD
        assert played["accuracy"]["value"] == pytest.approx(1.0, abs=0.0 if is_exact else 0.2)
        assert played["accuracy"]["n"] > 30
        assert played["chance"]["value"] < 0.6
        assert played["gain"]["interval"][0] > 0.2
    assert all(bar["holds"] for bar in found["bars"])
    assert found["wrong"]["pointing"] == []
    assert {(row["way"], row["game"]) for row in found["wrong"]["words"]} <= {
        ("left out", REGION_OF_WORD)
    }


def test_an_oracle_loses_its_reason_as_fast_as_can_be(oracle):
    found = summarise(oracle)["curves"]
    assert tuple(found) == CURVES
    for curve in CURVES:
        deletion, insertion = found[curve]["deletion"], found[curve]["insertion"]
        assert deletion["occlusion - random"]["interval"][1] < 0
        assert insertion["occlusion - random"]["interval"][0] > 0
        assert set(ORDERS) < set(deletion)
    # a cosine order goes on falling where the truth has ended
    assert found["stage 1"]["deletion"]["occlusion - oracle"]["value"] < 0
    for curve in ("truth", "judge"):
        assert found[curve]["deletion"]["occlusion - oracle"]["value"] == pytest.approx(0)
    assert found["truth"]["deletion"]["occlusion"]["n"] > found["judge"]["deletion"]["random"]["n"]


def test_reasons_given_at_random_are_right_by_chance(scenes):
    rounds = played(scenes, Mixed(scenes[1]), "mixed")
    near = summarise(rounds)["pointing"]["top 10"]
    assert near["occlusion"]["IoU"]["n"] > 100
    chance = near["chance"]["IoU"]["value"]
    assert near["occlusion"]["IoU"]["value"] == pytest.approx(chance, abs=0.12)
    assert near["words"]["IoU"] == near["occlusion"]["IoU"]
    found = summarise(rounds)
    assert [bar["holds"] for bar in found["bars"][:4]] == [False] * 4
    assert len(found["wrong"]["pointing"]) > 50
    truth = found["curves"]["truth"]["deletion"]
    assert truth["occlusion - random"]["value"] == pytest.approx(0, abs=0.08)
    assert truth["occlusion - oracle"]["interval"][0] > 0


def test_a_row_says_what_was_explained(oracle):
    assert oracle.pointing.schema == POINTING_SCHEMA
    assert oracle.words.schema == WORD_SCHEMA
    assert oracle.curves.schema == CURVE_SCHEMA
    assert set(oracle.pointing["explanation"]) == set(EXPLANATIONS)
    assert oracle.pointing["rank"].max() == 10
    for row in oracle.words.iter_rows(named=True):
        assert row["true_word"] in row["text"]
        names_it = row["true_word"] == row["named_word"]
        assert names_it if row["game"] == REGION_OF_WORD else row["is_right"] == names_it
        assert row["game"] == GAMES[0] or row["rank"] <= 10


def test_the_judge_is_asked_about_few_best_hits_only(scenes, monkeypatch):
    monkeypatch.setattr(explain_rounds, "N_JUDGED", 3)
    curves = played(scenes, WellRead(scenes[1]), "few", n=8).curves
    judged = curves.filter(pl.col("curve") == "judge")
    assert judged["query_id"].n_unique() == 3
    assert set(judged["rank"]) == {1}
    assert curves["query_id"].n_unique() == 8


def pointing(query, rank, explanation, *, iou, chance=0.5):
    right = iou >= 0.5
    return {
        "query_id": query,
        "text": "t",
        "image_id": f"{rank}.png",
        "rank": rank,
        "explanation": explanation,
        "region_id": 0,
        "iou": iou,
        "has_iou": right,
        "centre_on_target": False,
        "inmost_on_target": right,
        "chance": chance,
    }


def word(query, game, *, right):
    return {
        "query_id": query,
        "text": "red ring",
        "image_id": "a",
        "rank": 1,
        "way": "left out",
        "game": game,
        "region_id": 0,
        "true_word": "red",
        "named_word": "red" if right else "ring",
        "is_right": right,
        "chance": 0.5,
    }


def curve(query, order, deletion, insertion):
    about = {"query_id": query, "text": "t", "image_id": "a", "rank": 1, "curve": "stage 1"}
    return about | {"order": order, "deletion": deletion, "insertion": insertion}


def test_shares_by_hand():
    rows = [
        pointing(query, rank, explanation, iou=iou)
        for query, rank, iou in (("a", 1, 0.9), ("a", 4, 0.2), ("b", 2, 0.6), ("b", 3, 0.7))
        for explanation in EXPLANATIONS
    ]
    words = [word("a", "near miss", right=r) for r in (True, True, False)]
    words.append(word("b", "near miss", right=True))
    areas = [
        curve(query, order, deletion, 1 - deletion)
        for query, values in (("a", (0.1, 0.5, 0.2)), ("b", (0.3, 0.4, 0.2)))
        for order, deletion in zip(ORDERS, values, strict=True)
    ]
    found = summarise(
        Rounds(
            pl.DataFrame(rows, schema=POINTING_SCHEMA),
            pl.DataFrame(words, schema=WORD_SCHEMA),
            pl.DataFrame(areas, schema=CURVE_SCHEMA),
        )
    )
    top1, top10 = found["pointing"]["top 1"]["occlusion"], found["pointing"]["top 10"]["occlusion"]
    assert (top1["IoU"]["value"], top1["IoU"]["n"], top1["centre"]["value"]) == (1.0, 1, 0.0)
    assert (top10["IoU"]["value"], top10["IoU"]["n"], top10["IoU"]["n_queries"]) == (0.75, 4, 2)
    assert top10["IoU"]["interval"] == (0.5, 1.0)
    near = found["words"]["left out"]["near miss"]
    assert (near["accuracy"]["value"], near["chance"]["value"]) == (0.75, 0.5)
    assert near["gain"]["value"] == 0.25
    assert found["words"]["left out"]["one shared"]["accuracy"]["value"] is None
    areas = found["curves"]["stage 1"]
    assert areas["deletion"]["occlusion - random"]["value"] == pytest.approx(-0.25)
    assert areas["insertion"]["occlusion - random"]["value"] == pytest.approx(0.25)
    assert areas["deletion"]["occlusion - oracle"]["value"] == pytest.approx(0.0)
    assert found["curves"]["judge"]["deletion"]["occlusion"]["value"] is None
    assert {row["rank"] for row in found["wrong"]["pointing"]} == {4}
    assert [row["query_id"] for row in found["wrong"]["words"]] == ["a"]


def test_a_bar_is_missed_where_the_interval_reaches_zero_and_open_where_nothing_was_measured():
    rows = [pointing("a", 1, explanation, iou=0.1) for explanation in EXPLANATIONS]
    areas = [
        curve(query, order, value, 0.0)
        for query, values in (("a", (0.1, 0.5)), ("b", (0.5, 0.4)))
        for order, value in zip(ORDERS, values, strict=False)
    ]
    found = summarise(
        Rounds(
            pl.DataFrame(rows, schema=POINTING_SCHEMA),
            WORD_SCHEMA.to_frame(),
            pl.DataFrame(areas, schema=CURVE_SCHEMA),
        )
    )
    verdicts = {bar["bar"]: bar["holds"] for bar in found["bars"]}
    assert verdicts["top 1, occlusion: region names the cause >= 0.90"] is False
    assert verdicts["stage 1: deletion area below random, interval apart from 0"] is False
    assert verdicts["judge: deletion area below random, interval apart from 0"] is None
    assert verdicts["near miss, left out: above chance, interval apart from 0"] is None


def test_an_empty_share_has_no_value():
    empty = share(POINTING_SCHEMA.to_frame(), "has_iou")
    assert empty == {"value": None, "interval": None, "n": 0, "n_queries": 0}
    assert cell(empty) == cell(None) == "-"


@pytest.fixture
def fixed(scenes, monkeypatch):
    """Let the report find the gallery and the models that know it."""
    folder, drawn = scenes
    encoder = WellRead(drawn)
    engine_of(scenes, encoder, "report")
    monkeypatch.setattr(scene_gallery, "write_gallery", lambda *_, **__: drawn)
    monkeypatch.setattr("matir_nb.opening.load_encoder", lambda *_: encoder)
    monkeypatch.setattr("matir_nb.opening.load_judge", lambda *_: WellReadJudge())
    return folder / "report.matir"


def test_the_command_prints_and_writes_the_same_report_each_time(fixed, tmp_path, capsys):
    file = tmp_path / "explain.json"
    numbers = ["--n-images", str(N), "--n-queries", "6", "--index", str(fixed)]
    assert cli.main(["eval", "explain", *numbers, "--json", str(file)]) == 0
    out, _ = capsys.readouterr()
    report = json.loads(file.read_text())
    assert (report["n_images"], report["n_queries"], report["split"]) == (N, 6, "test")
    assert report["bars"][0]["holds"] is True
    for word_ in (*EXPLANATIONS, *CRITERIA, *GAMES, *WAYS, *CURVES, "chance", "occlusion - random"):
        assert word_ in out
    assert f"--n-images {N} --n-queries 6 --seed 0" in out
    assert report["absence"].keys() == {"default", "stage1"}
    alarms = [bar for bar in report["bars"] if "absent" in bar["bar"]]
    kinds = [found for arm in report["absence"].values() for found in (arm["near"], arm["far"])]
    assert [bar["value"] for bar in alarms] == [found["alarms"] for found in kinds]
    assert [bar["holds"] for bar in alarms] == [found["alarms"] <= 0.1 for found in kinds]
    assert "right images above" in out
    again = evaluate_explanations(ExplainEvalConfig(n_images=N, n_queries=6, index=fixed))
    measured = ("pointing", "words", "curves", "absence", "bars", "wrong")
    same = json.loads(json.dumps({name: again[name] for name in measured}))
    assert same == {name: report[name] for name in measured}
    assert format_report(again) == out.strip()


def test_what_cannot_be_measured_is_refused(fixed, scenes, monkeypatch):
    with pytest.raises(ConfigError, match="n_queries = 0"):
        ExplainEvalConfig(n_queries=0)
    with pytest.raises(ConfigError, match="'training' is not allowed"):
        ExplainEvalConfig(split="training")
    monkeypatch.setattr(scene_gallery, "write_gallery", lambda *_, **__: scenes[1][:-1])
    with pytest.raises(ConfigError, match=r"is not of this gallery \(1 images differ"):
        evaluate_explanations(ExplainEvalConfig(n_images=N - 1, index=fixed))
    monkeypatch.setattr(explain_report, "attribute_queries", lambda *_, **__: [])
    monkeypatch.setattr(scene_gallery, "write_gallery", lambda *_, **__: scenes[1])
    with pytest.raises(ConfigError, match="no attribute query"):
        evaluate_explanations(ExplainEvalConfig(n_images=N, index=fixed))
