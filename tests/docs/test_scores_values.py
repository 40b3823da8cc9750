"""docs/scores.md: ranges, formulas and the worked example are true of real results."""

import re
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scores_page as pages
from fakes import bare_hit
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox import at_home
from scores_page import PAGE, computed, names_of, out_of_range

import matir_nb
from matir_nb.config import JudgeConfig, RetrieveConfig
from matir_nb.explain.entries import entries as ledger_of
from matir_nb.explain.null_band import percentile
from matir_nb.hit_table import row_of
from matir_nb.index.vectors import fuse
from matir_nb.models.answers import sigmoid
from matir_nb.presets import PRESETS
from matir_nb.review.progress import ADVICE
from matir_nb.stages.align import final_score
from matir_nb.types import LogOdds
from matir_nb.widgets.together import review_text

TEXT = PAGE.read_text(encoding="utf-8")
ENTRIES = pages.entries_of(TEXT)
QUERIES = ("a small striped ring", "two green stars", "no circle", "a zebra", "a red shape")
WEIGHTS = RetrieveConfig(region_weight=0.7, image_weight=0.3, m_regions=2)
ADJUSTED = RetrieveConfig(dehub_beta=20.0, refine_weight=0.1, n_references=8)
CALIBRATED = JudgeConfig(n_judged=9, calibration_scale=0.5, calibration_bias=-0.25, max_logit=1.0)


@pytest.fixture(scope="module")
def index_path(made_once, tmp_path_factory):
    """A copy of the sandbox's index and its pictures: searches write into its cache."""
    folder = tmp_path_factory.mktemp("scores")
    for name in ("photos", "photos.matir"):
        shutil.copytree(made_once / name, folder / name)
    with at_home(folder):
        yield folder / "photos.matir"


@pytest.fixture(scope="module")
def engine(index_path):
    return matir_nb.open(index_path)


@pytest.fixture(scope="module")
def engines(index_path, engine):
    """The embedded models under several options."""
    embedded = PRESETS["embedded"]
    others = [
        replace(embedded, retrieve=WEIGHTS, judging=replace(CALIBRATED, calibration_bias=3.0)),
        replace(embedded, retrieve=ADJUSTED, judging=replace(CALIBRATED, max_logit=12.0)),
        replace(embedded, judging=CALIBRATED),
    ]
    return [engine, *(matir_nb.open(index_path, preset=preset) for preset in others)]


@pytest.fixture(scope="module")
def results(engines):
    found = [one.search(query, k=24) for one in engines for query in QUERIES]
    return [*found, engines[0].search(QUERIES[0], k=24, judge=False)]


FROM_COLUMNS = ("stage1_score", "final_score", "p_relevant")
FROM_LEDGER = (
    "runner-up region",
    "winning margin",
    "winning region",
    "whole image",
    "de-hubbing",
    "references",
    "encoder bias",
    "judge",
    "calibration",
    "clip",
)


def wrong_columns(results, entries):
    """Return (query, column, told, is) where a formula gives something else; and how many agree."""
    wrong, right = [], dict.fromkeys(FROM_COLUMNS, 0)
    for result in results:
        for row in result.to_polars().rows(named=True):
            for column in FROM_COLUMNS:
                told = computed(entries[column].formula, names_of(row, result.provenance.config))
                if row[column] is None:
                    continue
                if told is None or abs(told - row[column]) > 1e-6:
                    wrong.append((result.query, column, told, row[column]))
                else:
                    right[column] += 1
    return wrong, right


def test_formulas_give_the_columns_of_real_results(results):
    wrong, right = wrong_columns(results, ENTRIES)
    assert wrong == []
    assert min(right.values()) > 200
    other = TEXT.replace("`region_weight * best_region_score +", "`best_region_score +")
    assert wrong_columns(results[:1], pages.entries_of(other))[0]


def wrong_entries(results, entries):
    """Return (entry, told, is) where a formula gives another contribution; and the names seen."""
    wrong, seen = [], set()
    for result in results:
        rows = result.to_polars().rows(named=True)
        for row in rows:
            names = names_of(row, result.provenance.config)
            for line in result.ledger(row["rank"]).rows(named=True):
                name, adds = line["name"], line["contribution"]
                told = computed(entries[name].formula, names) if name in FROM_LEDGER else adds
                seen.add(name)
                if told is None or abs(told - adds) > 1e-6:
                    wrong.append((name, told, adds))
    return wrong, seen


def test_formulas_give_the_ledgers_of_real_results(results):
    wrong, seen = wrong_entries(results, ENTRIES)
    assert wrong == []
    assert set(FROM_LEDGER) <= seen
    other = TEXT.replace("`-stage1_weight * scale * hub_score`", "`stage1_weight * hub_score`")
    assert wrong_entries(results[10:11], pages.entries_of(other))[0]


def test_the_formula_of_an_image_without_regions(results):
    config = results[0].provenance.config
    hit = bare_hit(stage1_score=0.5, whole_image_score=0.5, logit=None)
    (line,) = (one for one in ledger_of(hit, config) if one.name == "whole image as only region")
    told = computed(ENTRIES[line.name].formula, names_of(row_of(hit), config))
    assert told == pytest.approx(line.contribution)
    assert out_of_range(ENTRIES[line.name], [line.value]) == []


def test_formulas_of_a_cut_are_those_of_the_code(results):
    for result in results:
        config = result.provenance.config
        names = {**config["judging"], **config["cut"]}
        told = computed(ENTRIES["min_p"].formula, names)
        assert told == (None if names["min_logit"] is None else pytest.approx(names["min_p"]))
    lower, equal, n = 2, 1, 4
    names = {"n_lower": lower, "n_equal": equal, "n_phrases": n}
    null = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    assert computed(ENTRIES["null_percentile"].formula, names) == percentile(0.3, null)


def frames(engine, result):
    """Yield every table of numbers that a result gives."""
    yield result.to_polars()
    yield result.words(1).to_polars()
    yield result.occlusion(1, judge=result.provenance.config["n_judged_done"] is not None)
    yield engine.trace(result.query, result.hits[-1].image_id, k=2).to_polars()
    yield result.compare(engine.search("a blue shape", k=5, judge=False)).to_polars()
    review = matir_nb.Review("Ada")
    review.see(result, range(len(result)))
    marks = zip(result.hits, ("relevant", "not relevant", "unsure") * 3, strict=False)
    review.mark(result, {hit.image_id: mark for hit, mark in marks})
    yield from (review.to_polars(), review.events(), review.progress())


def test_the_line_of_a_review_is_told(results):
    review = matir_nb.Review("Ada")
    review.see(results[0], range(8))
    review.mark(results[0], {results[0].hits[2].image_id: "relevant"})
    line, _ = review_text(review, results[0]).split("\n")
    *numbers, advice = (part.split()[0] for part in line.split(" · "))
    told = [part for e in ENTRIES.values() for label in e.labels for part in label.split(" · ")]
    assert len(numbers) == 4
    assert advice in {word.split()[0] for word in ADVICE}
    assert [word for word in numbers if not any(label.startswith(word) for label in told)] == []


def misstated(found, entries):
    """Return (column, values) outside of what the page says, or null where it says never."""
    wrong = []
    for entry in entries.values():
        for column in set(entry.columns) & set(found.columns):
            values = found[column].cast(pl.Float64).to_list()
            outside = out_of_range(entry, values)
            is_never = (
                entry.says["Null"].startswith("never") and "comparison" not in entry.says["Null"]
            )
            missing = [None] if is_never and None in values else []
            wrong += [(column, outside + missing)] if outside + missing else []
    return wrong


WORDS = st.sampled_from(["red", "green", "striped", "small", "large", "ring", "star", "dog", "no"])


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(0, 3), st.booleans())
@settings(max_examples=12)
def test_ranges_hold_for_real_results(engines, words, which, with_judge):
    engine = engines[which]
    result = engine.search(" ".join(words), k=9, judge=None if with_judge else False)
    adjusted = {"stage1_score"} if engine.preset.retrieve.is_adjusted else set()
    for found in frames(engine, result):
        assert [row for row in misstated(found, ENTRIES) if row[0] not in adjusted] == []
    for rank in range(1, len(result) + 1):
        for line in result.ledger(rank).rows(named=True):
            assert out_of_range(ENTRIES[line["name"]], [line["value"]]) == []


def test_a_wrong_range_is_found(results):
    found = results[0].to_polars()
    narrow = TEXT.replace(
        "−1 to 1, cosine; higher is better\n- **Formula:** `max(",
        "0.3 to 1, cosine; higher is better\n- **Formula:** `max(",
    )
    assert narrow != TEXT
    assert misstated(found, pages.entries_of(narrow))
    never = TEXT.replace("- **Null:** not judged\n", "- **Null:** never\n")
    assert misstated(results[-1].to_polars(), pages.entries_of(never))


def test_ranges_hold_for_all_regions(engine):
    for image_id in engine.index.image_ids:
        regions = engine.regions_of(image_id)
        columns = {
            "predicted_iou": regions.predicted_ious,
            "stability_score": regions.stability_scores,
            "area": regions.areas,
        }
        for name, values in columns.items():
            assert out_of_range(ENTRIES[name], values.tolist()) == []
    measured = engine.mask_sensitivity(n_images=2).to_polars()
    assert misstated(measured, ENTRIES) == []


def test_the_worked_hit_is_what_the_functions_give(results):
    told, adds = pages.worked_hit(TEXT), pages.worked_ledger(TEXT)
    config = results[0].provenance.config
    retrieve, odds = RetrieveConfig(**config["retrieve"]), LogOdds(**config["log_odds"])
    best, whole = (np.array([told[f"{name}_score"]]) for name in ("best_region", "whole_image"))
    assert fuse(best, whole, retrieve)[0] == pytest.approx(told["stage1_score"], abs=1e-6)
    assert sigmoid(told["logit"]) == pytest.approx(told["p_relevant"], abs=1e-6)
    judging = JudgeConfig(**config["judging"])
    score = final_score(told["stage1_score"], told["logit"], odds, judging)
    assert score == pytest.approx(told["final_score"], abs=1e-5)
    lines = ledger_of(bare_hit(judge_rank=1, **told), config)
    given_now = {line.name: line.contribution for line in lines if line.contribution}
    assert given_now == pytest.approx(adds, abs=1e-5)
    assert sum(adds.values()) == pytest.approx(told["final_score"], abs=1e-5)


def test_the_worked_hit_is_a_real_one(results):
    told, hit = pages.worked_hit(TEXT), results[0].hits[0]
    assert results[0].query in TEXT
    assert {name: getattr(hit, name) for name in told} == pytest.approx(told, abs=0.02)


def test_options_are_those_of_the_embedded_preset(results):
    config = results[0].provenance.config
    options = {**config["retrieve"], **config["judging"], **config["log_odds"]}
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|.*\| ([^|]+) \|$", TEXT, re.MULTILINE)
    told = {}
    for names, values in rows:
        told |= dict(zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True))
    assert {"region_weight", "bias", "calibration_bias", "max_logit"} < told.keys()
    assert {n: float(v.replace("−", "-")) for n, v in told.items()} == {n: options[n] for n in told}
