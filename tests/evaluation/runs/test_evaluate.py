"""Whole evaluations with models that know the truth: what they score, and how they go on."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource
from PIL import Image

from matir_nb.engine import Engine
from matir_nb.errors import (
    AnnotationError,
    ConfigError,
    IndexMismatchError,
    ModelUnavailableError,
    QueryError,
)
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.readers import read_dataset
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.evaluation.runs import parts
from matir_nb.evaluation.runs.arms import Arm
from matir_nb.evaluation.runs.asking import sampled
from matir_nb.evaluation.runs.evaluate import evaluate
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA, REPORT_SCHEMA
from matir_nb.evaluation.runs.opened import Opening, open_for
from matir_nb.evaluation.runs.parts import fingerprints
from matir_nb.geometry.masks import encode
from matir_nb.index.build import build
from matir_nb.index.calibrations import Calibration, Calibrations
from matir_nb.opening import open_engine
from matir_nb.scenes.meaning import NounPhrase, Query
from matir_nb.scenes.queries import truth_of
from matir_nb.types import QueryTruth

STAGE1 = Arm("stage1", judge=False)
JUDGED = Arm("judged", n_judged=12)
OF_RIGHT_RANKINGS = (
    *("R@1", "R@5", "R@10", "R@50", "recall@100", "MRR", "nDCG@10", "nDCG@50"),
    *("mAP@50", "mAP@50/relevant", "mAP@50/found"),
)
OF_RIGHT_MASKS = (
    *("mIoU", "P@0.5", "P@0.7", "P@0.9", "mAP@50@50", "pixel mAP", "pixel mAP/released"),
    *(f"BR@{k},{tau}" for k in (1, 5, 10) for tau in (0.5, 0.7, 0.9)),
)


@pytest.fixture(autouse=True)
def pages(monkeypatch):
    """Return the runs whose pages would be written: they are tested beside this."""
    written = []
    name = "matir_nb.evaluation.runs.evaluate.write_pages"
    monkeypatch.setattr(name, lambda *given: written.append(given))
    return written


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Return scenes, an engine that knows them by heart, and queries about them."""
    folder = tmp_path_factory.mktemp("evaluate")
    scenes = write_gallery(folder / "images", 24, split="test")
    encoder = OracleEncoder(scenes)
    build(folder / "images", folder / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    engine = open_engine(folder / "i.matir", judge=OracleJudge(), encoder=encoder)
    ids = [file_name(scene) for scene in scenes]
    asked = {f"{o.colour} {o.shape}": o for scene in scenes for o in scene.objects}
    queries = [
        truth_of(f"q{i}", text, Query("attribute", NounPhrase(o.colour, o.shape)), scenes, ids)
        for i, (text, o) in enumerate(list(asked.items())[:10])
    ]
    return engine, Dataset("small", Source("", "", ""), tuple(ids), tuple(queries))


def value(run, metric, arm="stage1", group="overall"):
    rows = run.report.filter(arm=arm, group=group, metric=metric)
    return rows["value"].item() if len(rows) else None


@pytest.fixture
def asked(monkeypatch):
    """Return the list of (query, judge) that engines are asked; `stop_at` ends it with Ctrl-C."""
    calls = []
    whole = Engine.searches

    def searches(self, queries, **options):
        for query, result in zip(queries, whole(self, queries, **options), strict=True):
            if len(calls) == getattr(searches, "stop_at", None):
                raise KeyboardInterrupt
            calls.append((query, options["judge"]))
            yield result

    monkeypatch.setattr(Engine, "searches", searches)
    return calls, searches


def test_an_oracle_is_right_everywhere_and_a_shuffled_truth_is_not(gallery, tmp_path):
    engine, dataset = gallery
    run = evaluate(engine, dataset, arms=[STAGE1, JUDGED], out=tmp_path / "run")
    assert run.queries.schema.items() >= OBSERVED_SCHEMA.items()
    assert run.report.schema == REPORT_SCHEMA
    for arm in ("stage1", "judged"):
        for metric in (*OF_RIGHT_RANKINGS, *OF_RIGHT_MASKS):
            assert value(run, metric, arm) == pytest.approx(1.0), (arm, metric)
    texts = [query.text for query in dataset.queries]
    mixed = replace(
        dataset,
        queries=tuple(
            replace(query, text=text)
            for query, text in zip(dataset.queries, texts[1:] + texts[:1], strict=True)
        ),
    )
    wrong = evaluate(engine, mixed, arms=[STAGE1], out=tmp_path / "mixed")
    assert value(wrong, "mAP@50") < 0.6
    assert value(wrong, "mAP@50@50") < value(wrong, "mAP@50")


def test_a_judge_that_is_shown_nothing_is_told_of(gallery, tmp_path):
    engine, dataset = gallery
    idle = Arm("idle", n_judged=0)
    run = evaluate(engine, dataset, arms=[STAGE1, idle, JUDGED], out=tmp_path / "run", n_queries=4)
    told = [notice for notice in run.provenance["notices"] if "judges no candidate" in notice]
    assert told == ["idle judges no candidate (n_judged = 0), so it answers as stage 1 does"]
    assert run.provenance["arms"]["idle"]["n_judged"] == 0
    assert told[0] in str(run)
    first = run.queries.filter(pl.col("arm") == "stage1")["mAP@50"]
    assert run.queries.filter(pl.col("arm") == "idle")["mAP@50"].to_list() == first.to_list()


def corner_of(size):
    """Return a mask of one pixel."""
    pixels = np.zeros(size, bool)
    pixels[0, 0] = True
    return encode(pixels)


def test_a_right_image_that_shows_the_wrong_object_loses_the_joint_score_only(gallery, tmp_path):
    engine, dataset = gallery
    query = dataset.queries[0]
    elsewhere = {name: (corner_of(masks[0].size),) for name, masks in query.masks.items()}
    wrong = replace(dataset, queries=(replace(query, masks=elsewhere),))
    run = evaluate(engine, wrong, arms=[STAGE1], out=tmp_path)
    assert (value(run, "mAP@50"), value(run, "mAP@50@50")) == (1.0, 0.0)
    assert value(run, "mIoU") < 0.1


def test_a_run_goes_on_where_ctrl_c_stopped_it_and_asks_nothing_twice(gallery, tmp_path, asked):
    engine, dataset = gallery
    calls, searches = asked
    arms = [STAGE1, JUDGED]
    whole = evaluate(engine, dataset, arms=arms, out=tmp_path / "whole")
    n = len(calls)
    assert n == 2 * len(dataset.queries)
    calls.clear()
    searches.stop_at = n // 2 + 3
    with pytest.raises(KeyboardInterrupt):
        evaluate(engine, dataset, arms=arms, out=tmp_path / "cut")
    with pytest.raises(ConfigError, match="not finished"):
        Run.load(tmp_path / "cut")
    searches.stop_at = None
    cut = evaluate(engine, dataset, arms=arms, out=tmp_path / "cut")
    assert len(calls) == len(set(calls)) == n
    assert cut.queries.drop("seconds").equals(whole.queries.drop("seconds"))
    assert cut.report.equals(whole.report)
    assert not (tmp_path / "cut" / "parts").exists()


def test_a_finished_run_is_not_asked_again_and_a_new_arm_is(gallery, tmp_path, asked, pages):
    engine, dataset = gallery
    calls, _ = asked
    first = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path)
    calls.clear()
    again = evaluate(engine, dataset, arms=[STAGE1, JUDGED], out=tmp_path)
    assert [run for run, _, _ in pages] == [first, again]
    assert {judge for _, judge in calls} == {None}
    assert (
        again.queries.filter(arm="stage1")
        .drop("seconds")
        .equals(first.queries.drop("seconds").select(again.queries.drop("seconds").columns))
    )


def test_rows_that_were_lost_are_asked_again_and_damaged_ones_too(
    gallery, tmp_path, asked, monkeypatch
):
    engine, dataset = gallery
    calls, searches = asked
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 2)
    searches.stop_at = 8
    with pytest.raises(KeyboardInterrupt):
        evaluate(engine, dataset, arms=[STAGE1], out=tmp_path / "run")
    files = sorted((tmp_path / "run" / "parts").iterdir())
    assert len(files) == 4
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    searches.stop_at = None
    calls.clear()
    run = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path / "run")
    assert len(calls) == len(dataset.queries) - 4
    whole = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path / "whole")
    assert run.queries.drop("seconds").equals(whole.queries.drop("seconds"))


def test_another_run_that_finishes_in_the_folder_takes_no_row_away(gallery, tmp_path, monkeypatch):
    engine, dataset = gallery
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 2)
    writes = parts.Parts._write

    def write(self):
        writes(self)
        shutil.rmtree(tmp_path / "run" / "parts")

    monkeypatch.setattr(parts.Parts, "_write", write)
    run = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path / "run")
    assert run.queries["hits"].list.len().to_list() == [24] * len(dataset.queries)


def test_rows_of_other_options_another_truth_or_another_judge_are_never_mixed(
    gallery, tmp_path, asked
):
    engine, dataset = gallery
    calls, _ = asked
    n = len(dataset.queries)
    evaluate(engine, dataset, arms=[STAGE1], out=tmp_path)
    first = dataset.queries[0]
    others = [
        (dataset, Arm("stage1", judge=False, options={"retrieve.region_weight": 0.5})),
        (replace(dataset, depth=7), STAGE1),
        (dataset, Arm("stage1", n_judged=3)),
        (replace(dataset, queries=(replace(first, kind="x"), *dataset.queries[1:])), STAGE1),
        (replace(dataset, queries=(replace(first, masks={}), *dataset.queries[1:])), STAGE1),
    ]
    for other, arm in others:
        calls.clear()
        evaluate(engine, other, arms=[arm], out=tmp_path)
        assert len(calls) == n, (other.depth, arm)


def test_a_finished_run_that_would_be_lost_is_kept(gallery, tmp_path):
    engine, dataset = gallery
    first = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path)
    more = evaluate(engine, dataset, arms=[STAGE1, JUDGED], out=tmp_path)
    assert more.provenance["earlier"] is None
    fewer = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path, n_queries=2)
    assert fewer.provenance["earlier"] == "earlier-1"
    assert "another run was in this folder: it is kept in earlier-1" in str(fewer)
    kept = Run.load(tmp_path / "earlier-1")
    assert kept.queries.equals(more.queries)
    assert len(Run.load(tmp_path).queries) == 2
    again = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path)
    assert again.provenance["earlier"] == "earlier-2"
    assert again.queries.drop("seconds").equals(first.queries.drop("seconds"))


def test_masks_that_do_not_fit_their_picture_are_left_out_and_said(gallery, tmp_path):
    engine, dataset = gallery
    wanted = next(query for query in dataset.queries if len(query.masks) > 1)
    image_id = min(wanted.masks)
    small = encode(np.ones((2, 3), bool))
    shrunk = replace(wanted, masks={**wanted.masks, image_id: (small,)})
    run = evaluate(engine, replace(dataset, queries=(shrunk,)), arms=[STAGE1], out=tmp_path)
    (told,) = [text for text in run.provenance["notices"] if "another size" in text]
    assert told.endswith(f"in 1 of the images: {image_id}")
    targets = {target["image_id"]: target for target in run.queries["targets"][0]}
    assert targets[image_id]["n_targets"] == 0
    assert len(targets) == len(wanted.relevant)
    alone = replace(wanted, masks={image_id: (small,)}, boxes_xyxy={})
    message = f"no mask of {dataset.name} fits its picture.*'{image_id}' it is of 3 x 2 pixels"
    with pytest.raises(AnnotationError, match=message):
        evaluate(engine, replace(dataset, queries=(alone,)), arms=[STAGE1], out=tmp_path)


def test_only_judged_images_are_searched(gallery, tmp_path):
    engine, dataset = gallery
    query = dataset.queries[0]
    wrong = sorted(set(dataset.image_ids) - query.relevant)[:4]
    judged = replace(query, judged=query.relevant | set(wrong))
    free = replace(query, query_id="free")
    asked = replace(dataset, queries=(judged, free))
    run = evaluate(engine, asked, arms=[STAGE1, JUDGED], out=tmp_path)
    for row in run.queries.iter_rows(named=True):
        found = {hit["image_id"] for hit in row["hits"]}
        expected = judged.judged if row["query_id"] == query.query_id else set(dataset.image_ids)
        assert found == set(expected)
        assert row["n_gallery"] == len(expected)
        assert [hit["rank"] for hit in row["hits"]] == list(range(1, len(expected) + 1))


def test_images_that_are_not_in_the_index_cost_recall_and_are_named(gallery, tmp_path):
    engine, dataset = gallery
    query = dataset.queries[0]
    more = replace(
        dataset,
        image_ids=(*dataset.image_ids, "gone.png"),
        queries=(replace(query, relevant=query.relevant | {"gone.png"}),),
    )
    run = evaluate(engine, more, arms=[STAGE1], out=tmp_path)
    n = len(query.relevant)
    assert value(run, "recall@100") == pytest.approx(n / (n + 1))
    assert run.provenance["index"]["missing"] == ["gone.png"]
    assert "1 image of the dataset is not in the index" in str(run)
    assert "not in the index: gone.png" in str(run)
    only = QueryTruth(
        "q", "red circle", "k", frozenset({"gone.png"}), judged=frozenset({"gone.png"})
    )
    alone = evaluate(engine, replace(more, queries=(only,)), arms=[STAGE1], out=tmp_path / "b")
    assert alone.queries["hits"].list.len().to_list() == [0]
    assert value(alone, "R@1") == 0.0
    strangers = Dataset(
        "d", Source("", "", ""), ("x.png",), (replace(only, judged=None, relevant=frozenset()),)
    )
    with pytest.raises(AnnotationError, match="none of the 1 images of d is there"):
        evaluate(engine, strangers, arms=[STAGE1], out=tmp_path / "c")


def test_an_index_of_more_images_is_searched_in_the_gallery_only(gallery, tmp_path):
    engine, dataset = gallery
    query = dataset.queries[0]
    few = frozenset(sorted(set(dataset.image_ids) - query.relevant)[:3]) | query.relevant
    part = replace(dataset, image_ids=tuple(sorted(few)), queries=(query,))
    run = evaluate(engine, part, arms=[STAGE1], out=tmp_path)
    (hits,) = run.queries["hits"].to_list()
    assert {hit["image_id"] for hit in hits} == few


def test_a_copy_of_a_picture_is_found_where_its_original_is(tmp_path):
    images = tmp_path / "images"
    scenes = write_gallery(images, 6, split="test")
    names = [file_name(scene) for scene in scenes]
    shutil.copy(images / names[0], images / "zz.png")
    encoder = OracleEncoder(scenes)
    build(images, tmp_path / "i.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    engine = open_engine(tmp_path / "i.matir", judge=None, encoder=encoder)
    item = scenes[0].objects[0]
    text = f"{item.colour} {item.shape}"
    both = frozenset({names[0], "zz.png"})
    judged = frozenset({"zz.png", names[1]})
    queries = (
        QueryTruth("both", text, "k", both),
        QueryTruth("copy", text, "k", frozenset({"zz.png"}), judged=judged),
    )
    dataset = Dataset("d", Source("", "", ""), (*names, "zz.png"), queries)
    run = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path / "run")
    assert run.provenance["index"]["n_missing"] == 0
    first, second = run.queries["hits"].to_list()
    assert [h["image_id"] for h in first[:2]] == [names[0], "zz.png"]
    assert {h["image_id"] for h in second} == judged
    assert run.queries["recall@100"].to_list() == [1.0, 1.0]


def test_an_absence_query_records_all_that_the_judge_saw(gallery, tmp_path):
    engine, dataset = gallery
    queries = tuple(replace(query, kind="absence") for query in dataset.queries[:2])
    asked = replace(dataset, queries=queries, depth=5)
    run = evaluate(engine, asked, arms=[STAGE1, JUDGED], out=tmp_path)
    judged = run.queries.filter(arm="judged")["hits"].to_list()[0]
    assert sum(hit["p_relevant"] is not None for hit in judged) == 12
    assert value(run, "rejection", "judged") == value(run, "acceptance", "judged") == 1.0
    assert value(run, "rejection") is None
    assert run.queries.filter(arm="stage1")["hits"].list.len().to_list() == [5, 5]


def test_an_arm_without_its_model_is_left_out_and_said(gallery, tmp_path, monkeypatch):
    engine, dataset = gallery

    def no_weights(*_):
        raise ModelUnavailableError("no weights of 'big'")

    monkeypatch.setattr("matir_nb.models.judges.load_judge", no_weights)
    big = Arm("big", judge="big")
    run = evaluate(engine, dataset, arms=[STAGE1, big], out=tmp_path / "run")
    assert run.arms == ["stage1"]
    assert run.provenance["unavailable"] == {"big": "no weights of 'big'"}
    with pytest.raises(ModelUnavailableError, match="no arm has its model: no weights"):
        evaluate(engine, dataset, arms=[big], out=tmp_path / "none")


def test_wrong_arms_and_numbers_are_refused(gallery, tmp_path):
    engine, dataset = gallery
    with pytest.raises(ConfigError, match="two arms are called 'stage1'"):
        evaluate(engine, dataset, arms=[STAGE1, STAGE1], out=tmp_path)
    with pytest.raises(ConfigError, match="there are no arms"):
        evaluate(engine, dataset, arms=[], out=tmp_path)
    with pytest.raises(ConfigError, match="k = 0"):
        evaluate(engine, dataset, arms=[STAGE1], out=tmp_path, k=0)
    with pytest.raises(ConfigError, match="n_queries = 0"):
        evaluate(engine, dataset, arms=[STAGE1], out=tmp_path, n_queries=0)


def test_a_sample_is_drawn_by_its_seed(gallery):
    _, dataset = gallery
    some = sampled(dataset, 4, seed=1)
    assert len(some.queries) == 4
    assert some.image_ids == dataset.image_ids
    assert some == sampled(dataset, 4, seed=1)
    assert any(some != sampled(dataset, 4, seed=seed) for seed in (2, 3))
    assert sampled(dataset, 99) == dataset


def test_a_query_that_a_model_cannot_read_is_not_found_and_said(gallery, tmp_path, monkeypatch):
    engine, dataset = gallery
    whole = type(engine.encoder).embed_texts

    def short_only(self, texts):
        if any(len(text) > 60 for text in texts):
            raise QueryError("too long")
        return whole(self, texts)

    monkeypatch.setattr(type(engine.encoder), "embed_texts", short_only)
    first, *rest = dataset.queries
    long, empty = (
        replace(first, query_id=name, text=text)
        for name, text in (("long", "a dog " * 20), ("empty", " "))
    )
    queries = (*rest[:3], long, *rest[3:], empty, replace(first, judged=first.relevant))
    asked = replace(dataset, queries=queries)
    run = evaluate(engine, asked, arms=[STAGE1], out=tmp_path)
    found = dict(run.queries.select("query_id", "R@1").iter_rows())
    assert found == {q.query_id: float(q not in (long, empty)) for q in queries}
    assert run.provenance["unread"] == {"stage1": ["long", "empty"]}
    assert "2 queries are empty or longer than the models of stage1 read" in str(run)
    again = evaluate(engine, asked, arms=[STAGE1], out=tmp_path)
    assert again.provenance["unread"] == run.provenance["unread"]


def test_another_k_is_another_depth_and_pages_can_be_left_out(gallery, tmp_path, pages):
    engine, dataset = gallery
    run = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path, k=3, has_pages=False)
    assert not pages
    assert run.queries["hits"].list.len().unique().to_list() == [3]
    assert run.provenance["dataset"]["depth"] == 3
    assert "only 3 hits of a query are recorded" in str(run)
    assert value(run, "R@1") == 1.0
    assert value(run, "mAP@50") is value(run, "oIoU") is value(run, "hubness") is None


@pytest.fixture(scope="module")
def coco(matir_data, tmp_path_factory):
    """Return photographs with an oracle of their annotations, and the dataset."""
    out = tmp_path_factory.mktemp("coco")
    dataset = read_dataset("coco", matir_data / "annotations" / "coco_open" / "instances.json")
    images = matir_data / "photos" / "coco_open"
    return open_for(dataset, Opening(out, images=images, is_oracle=True)), dataset


def test_an_oracle_of_photographs_is_right_wherever_that_is_defined(coco, tmp_path):
    engine, dataset = coco
    run = evaluate(engine, dataset, arms=[STAGE1], out=tmp_path)
    for metric in (*OF_RIGHT_RANKINGS, *OF_RIGHT_MASKS):
        assert value(run, metric) == pytest.approx(1.0, abs=1e-6), metric
    chance = run.report.filter(metric="R@1")["chance"].item()
    assert chance == pytest.approx(
        run.queries.select(pl.col("n_relevant") / pl.col("n_gallery")).mean().item()
    )
    assert "oracle: made from the annotations, not a model" in str(run)
    assert run.provenance["models"]["encoder"].startswith("oracle:")


def test_without_images_or_with_others_nothing_is_indexed(coco, tmp_path):
    _, dataset = coco
    with pytest.raises(ConfigError, match="give their folder as --images"):
        open_for(dataset, Opening(tmp_path / "out"))
    (tmp_path / "x").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "x" / "other.png")
    with pytest.raises(AnnotationError, match="none of the 58 images of coco is there"):
        open_for(dataset, Opening(tmp_path / "out", images=tmp_path / "x"))
    assert not (tmp_path / "out").exists()


def test_rows_of_a_judge_with_other_weights_are_not_mixed(gallery, monkeypatch):
    engine, dataset = gallery
    arm = Arm("mine", judge="weights")
    found = []
    for digest in ("old", "old", "new"):
        judge = OracleJudge()
        judge.model_id = f"mine@{digest}"
        fresh = engine.with_preset(engine.preset)
        fresh._judges = type(engine._judges)(engine.encoder, "cpu")
        monkeypatch.setattr("matir_nb.models.judges.load_judge", lambda *_, judge=judge: judge)
        found.append(fingerprints(fresh, dataset, [arm])["mine"])
    assert found[0] == found[1] != found[2]


def test_rows_stay_when_only_the_times_of_files_were_noted_anew(tmp_path):
    scenes = write_gallery(tmp_path / "images", 3, split="test")
    ids = tuple(file_name(scene) for scene in scenes)
    query = QueryTruth("q", "text", "k", frozenset(ids[:1]))
    dataset = Dataset("d", Source("", "", ""), ids, (query,))
    opening = Opening(tmp_path / "out", images=tmp_path / "images", is_oracle=True)
    first = open_for(dataset, opening)
    for name in ids:  # as an update does that follows the drawing of pictures at once
        (tmp_path / "images" / name).touch()
    again = open_for(dataset, opening)
    assert again.index.manifest.segments != first.index.manifest.segments
    known = [fingerprints(engine, dataset, [STAGE1]) for engine in (first, again)]
    assert known[0] == known[1]
    (tmp_path / "images" / ids[0]).rename(tmp_path / "images" / "renamed.png")
    assert fingerprints(open_for(dataset, opening), dataset, [STAGE1]) != known[0]


def test_rows_of_another_calibration_are_not_mixed(gallery, tmp_path):
    engine, dataset = gallery
    before = fingerprints(engine, dataset, [JUDGED])
    kept = Calibrations(engine.index.path)
    kept.put(Calibration("oracle-judge", 0.5, 0.25, 3, 4, 0.7, 0.6))
    try:
        assert fingerprints(engine, dataset, [JUDGED]) != before
    finally:
        kept.forget("oracle-judge")
    assert fingerprints(engine, dataset, [JUDGED]) == before


def test_an_index_of_other_models_is_made_again_only_of_generated_pictures(tmp_path):
    scenes = write_gallery(tmp_path / "images", 3, split="test")
    ids = tuple(file_name(scene) for scene in scenes)
    one, two = (
        Dataset("d", Source("", "", ""), ids, (QueryTruth("q", text, "k", frozenset(ids[:1])),))
        for text in ("one", "two")
    )
    opening = Opening(tmp_path / "out", images=tmp_path / "images", is_oracle=True)
    first = open_for(one, opening)
    with pytest.raises(IndexMismatchError, match="or give another --out"):
        open_for(two, opening)
    assert open_for(one, opening).encoder.model_id == first.encoder.model_id
    again = open_for(two, replace(opening, is_generated=True))
    assert again.encoder.model_id != first.encoder.model_id
