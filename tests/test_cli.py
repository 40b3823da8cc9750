"""The console, with models that know the scenes: results, and one line for every wrong input."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleJudge, OracleMaskSource, scene_gallery
from PIL import Image

from matir_nb import cli
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.evaluation.datasets import scenes as scenes_dataset
from matir_nb.evaluation.gallery import file_name, write_gallery
from matir_nb.evaluation.runs.arms import ARMS
from matir_nb.evaluation.runs.folder import Run
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.home import settings
from matir_nb.index.manifest import fingerprint_of
from matir_nb.presets import PRESETS
from matir_nb.results import SearchResult
from matir_nb.scenes.draw import draw_scene

N = 20
QUERY = ["orange", "crescent"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Keep names and settings of the tests away from the user's."""
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    return folder, scene_gallery(folder / "images", N)


def judge_for(name, *_):
    if name == "trained":
        raise ModelUnavailableError("no model weights at 'embedded:judge'")
    if name not in ("structured", "none"):
        message = f"unknown judge {name!r}: choose from structured, trained, none"
        raise ConfigError(message)
    return OracleJudge() if name == "structured" else None


@pytest.fixture
def models(gallery, monkeypatch):
    """Replace the models that presets name."""
    _, scenes = gallery
    encoder = OracleEncoder(scenes)
    monkeypatch.setattr("matir_nb.index.build.load_segmenter", lambda *_: OracleMaskSource(scenes))
    monkeypatch.setattr("matir_nb.index.build.load_encoder", lambda *_: encoder)
    monkeypatch.setattr("matir_nb.opening.load_encoder", lambda *_: encoder)
    monkeypatch.setattr("matir_nb.opening.load_judge", judge_for)
    monkeypatch.setattr("matir_nb.models.judges.load_judge", judge_for)
    return encoder


@pytest.fixture
def index(gallery, models, capsys):
    """Return the path of the gallery's index; built once."""
    path = gallery[0] / "scenes.matir"
    assert cli.main(["index", str(gallery[0] / "images"), "--out", str(path)]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def fails(capsys):
    """Return a function that runs a wrong command line and gives its one line of error."""

    def run(*argv):
        code = cli.main([str(word) for word in argv])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("matir: ")
        return lines[0]

    return run


def test_index_says_what_it_did_and_what_the_models_cannot_know(gallery, models, tmp_path, capsys):
    argv = ["index", str(gallery[0] / "images"), "--out", str(tmp_path / "x.matir")]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    n_regions = sum(len(scene.objects) for scene in gallery[1])
    assert f"{N} images, {n_regions} regions" in out
    assert "masks" in out
    assert err.count("on photographs their scores mean nothing") == 1


def test_the_table_shows_every_stage_and_the_notice_once(gallery, index, capsys):
    assert cli.main(["search", *QUERY, "--index", str(index), "-k", "3"]) == 0
    out, err = capsys.readouterr()
    head, _, *rows = out.splitlines()
    wanted = "rank image final stage1# stage1 region image_cos judge# p logit region_id mask_box"
    assert set(wanted.split()) <= set(head.split())
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert err.count("note:") == 1
    scene = next(s for s in gallery[1] if f"{s.scene_id}.png" == rows[0].split()[1])
    assert ("orange", "crescent") in {(item.colour, item.shape) for item in scene.objects}


def test_without_a_judge_its_columns_are_left_out(index, capsys):
    assert cli.main(["search", *QUERY, "--index", str(index), "--no-judge"]) == 0
    out, _ = capsys.readouterr()
    assert "stage1#" in out
    assert "logit" not in out.splitlines()[0]
    assert len(out.splitlines()) == 2 + settings.Settings().k


def test_json_csv_and_parquet_hold_the_same_hits(index, tmp_path, capsys):
    search = ["search", *QUERY, "--index", str(index), "-k", "4"]
    assert cli.main([*search, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert cli.main([*search, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert cli.main([*search, "-o", str(tmp_path / "hits.parquet")]) == 0
    table = pl.read_parquet(tmp_path / "hits.parquet")
    ids = table["image_id"].to_list()
    assert [hit["image_id"] for hit in document["hits"]] == ids
    assert [row["image_id"] for row in rows] == ids
    assert document["query"] == "orange crescent"
    box = document["hits"][0]["box_xyxy"]
    assert [float(rows[0][f"box_{c}"]) for c in ("x0", "y0", "x1", "y1")] == box
    counts = document["hits"][0]["mask"]["counts"]
    assert rows[0]["mask_counts"] == counts == table["mask_counts"][0].decode()
    assert table.schema == HIT_SCHEMA


def test_the_output_file_decides_the_format(index, tmp_path, capsys):
    target = tmp_path / "hits.json"
    assert cli.main(["search", *QUERY, "--index", str(index), "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(target.read_text())["query"] == "orange crescent"


def test_a_sheet_of_a_search_and_of_its_saved_result_are_alike(index, tmp_path, capsys):
    saved, one, two, last = (tmp_path / f"{n}" for n in ("r.parquet", "1.png", "2.png", "3.png"))
    search = ["search", *QUERY, "--index", str(index), "-k", "3"]
    assert cli.main([*search, "-o", str(saved)]) == 0
    assert cli.main([*search, "-o", str(one)]) == 0
    assert cli.main(["show", str(saved), "-i", str(index), "-o", str(two)]) == 0
    assert cli.main(["show", "LAST", "-i", str(index), "-o", str(last)]) == 0
    assert capsys.readouterr().out.count("3 hits") == 2
    pictures = [np.asarray(Image.open(path)) for path in (one, two, last)]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] == pictures[2]).all()


def test_show_of_one_rank_is_a_sheet_of_one_hit(index, tmp_path):
    cli.main(["search", *QUERY, "-k", "3"])
    for argv in (["--rank", "2"], []):
        assert cli.main(["show", "LAST", *argv, "-o", str(tmp_path / f"{len(argv)}.png")]) == 0
    with Image.open(tmp_path / "2.png") as one, Image.open(tmp_path / "0.png") as three:
        assert one.width == three.width
        cli.main(["search", *QUERY, "-k", "8"])
        cli.main(["show", "LAST", "--columns", "2", "-o", str(tmp_path / "narrow.png")])
        with Image.open(tmp_path / "narrow.png") as narrow:
            assert narrow.height > three.height
            assert narrow.width < three.width


def test_explain_adds_up_and_names_every_region(gallery, index, capsys):
    cli.main(["search", *QUERY, "-k", "3"])
    capsys.readouterr()
    assert cli.main(["explain", "LAST", "--rank", "2"]) == 0
    out, _ = capsys.readouterr()
    blocks = out.split("\n\n")
    for block in (blocks[2], blocks[4]):
        adds = [line.split()[-1] for line in block.splitlines()]
        *values, whole = [float(w.replace("−", "-")) for w in adds if w[0] in "+−" and "." in w]
        assert len(values) >= 2
        assert sum(values) == pytest.approx(whole, abs=3e-3)
    assert "gap to the next hit: " in blocks[4]
    scene_id = out.split(".png")[0]
    scene = next(s for s in gallery[1] if s.scene_id == scene_id)
    rows = blocks[5].splitlines()[2:-1]
    assert len(rows) == len(scene.objects)
    assert sum(row.lstrip().startswith("*") for row in rows) == 1
    assert "answer: 'yes, region" in out


def test_flow_lists_ranks_and_seconds_by_stage(index, tmp_path, capsys):
    saved = tmp_path / "r.parquet"
    cli.main(["search", *QUERY, "-k", "3", "-o", str(saved)])
    capsys.readouterr()
    assert cli.main(["flow", "LAST"]) == 0
    out, _ = capsys.readouterr()
    result = SearchResult.load(saved)
    rows = [line.split() for line in out.splitlines()[2:5]]
    assert [row[:3] for row in rows] == [
        [str(h.stage1_rank), str(h.judge_rank), str(h.rank)] for h in result
    ]
    assert [line.split()[0] for line in out.splitlines()[6:]] == ["retrieve", "judge", "align"]


def test_export_writes_by_the_ending_and_replaces_only_when_told(index, fails, tmp_path, capsys):
    cli.main(["search", *QUERY, "-k", "3"])
    capsys.readouterr()
    target = tmp_path / "hits.csv"
    assert cli.main(["export", "LAST", str(target)]) == 0
    assert capsys.readouterr().out == f"3 hits: {target}\n"
    first = target.read_text()
    assert len(list(csv.DictReader(io.StringIO(first)))) == 3
    target.write_text("mine")
    line = fails("export", "LAST", target)
    assert "is there already: give another name, or --overwrite" in line
    assert target.read_text() == "mine"
    assert cli.main(["export", "LAST", str(target), "--overwrite"]) == 0
    assert target.read_text() == first


# names


def test_an_indexed_folder_has_a_name_and_is_current(gallery, models, tmp_path, capsys):
    images = gallery[0] / "images"
    out = ["--out", str(tmp_path / "my scenes.matir")]
    assert cli.main(["index", str(images), *out]) == 0
    assert cli.main(["index", str(images), "--out", str(tmp_path / "b.matir"), "--name", "B"]) == 0
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
        ("B", "yes", str(N), "yes"),
        ("my-scenes", "no", str(N), "yes"),
    ]
    assert cli.main(["open", "my-scenes"]) == 0
    assert cli.main(["status"]) == 0
    assert str(tmp_path / "my scenes.matir") in capsys.readouterr().out
    assert cli.main(["search", *QUERY, "-k", "1"]) == 0
    assert cli.main(["search", *QUERY, "-k", "1", "-i", "B"]) == 0
    assert (tmp_path / "my scenes.matir/cache/last.parquet").is_file()
    assert (tmp_path / "b.matir/cache/last.parquet").is_file()


def test_the_index_is_put_beside_the_folder(gallery, models, tmp_path, capsys):
    folder = tmp_path / "holidays"
    folder.mkdir()
    picture = next(iter((gallery[0] / "images").iterdir()))
    (folder / picture.name).write_bytes(picture.read_bytes())
    assert cli.main(["index", str(folder)]) == 0
    assert "current index: holidays" in capsys.readouterr().out
    assert (tmp_path / "holidays.matir/manifest.json").is_file()


def test_a_name_can_be_forgotten_and_an_index_that_is_gone_is_listed_as_such(
    index, tmp_path, capsys
):
    copy = copied(index, tmp_path)
    assert cli.main(["open", str(copy), "--name", "copy"]) == 0
    (copy / "manifest.json").unlink()
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    (row,) = [ln.split() for ln in capsys.readouterr().out.splitlines() if ln.startswith("copy")]
    assert row[:5] == ["copy", "yes", "-", "-", "no"]
    assert cli.main(["list", "--forget", "copy"]) == 0
    out, err = capsys.readouterr()
    assert "copy" not in out
    assert str(copy) in err


def test_a_name_of_another_index_is_refused_before_the_work(index, fails, gallery, models):
    images = gallery[0] / "images"
    argv = ["index", images, "--out", images.parent / "other.matir", "--name", "scenes"]
    assert "the name 'scenes' belongs to the index at" in fails(*argv)
    assert not (images.parent / "other.matir").exists()


def test_a_home_that_cannot_be_written_costs_only_the_name(gallery, models, tmp_path, capsys, home):
    home.write_text("a file, no folder")
    argv = ["index", str(gallery[0] / "images"), "--out", str(tmp_path / "x.matir")]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert f"{N} images" in out
    assert "the index has no name" in err


def test_a_result_that_cannot_be_kept_as_last_is_said(index, tmp_path, capsys):
    copy = copied(index, tmp_path)
    if (copy / "cache").exists():
        shutil.rmtree(copy / "cache")
    (copy / "cache").write_text("a file, no folder")
    assert cli.main(["search", *QUERY, "-i", str(copy), "--no-judge", "-k", "1"]) == 0
    out, err = capsys.readouterr()
    assert "rank" in out
    assert "LAST is not kept for later" in err


# settings


def test_a_setting_is_kept_and_used(index, capsys, monkeypatch):
    assert cli.main(["config", "k", "5"]) == 0
    assert capsys.readouterr().out.split() == ["k", "5"]
    cli.main(["search", *QUERY, "--stage", "1"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + 5
    monkeypatch.setenv("MATIR_K", "4")
    assert cli.main(["config", "k", "6"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["k", "4"]
    assert "MATIR_K=4 in the environment wins" in err


def test_status_lists_models_and_every_skipped_file(gallery, models, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    first = next(iter((gallery[0] / "images").iterdir()))
    (folder / first.name).write_bytes(first.read_bytes())
    (folder / "broken\x1b[31m.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    argv = ["index", str(folder), "--out", str(tmp_path / "m.matir")]
    assert cli.main(argv) == 0
    out, _ = capsys.readouterr()
    assert "not indexed: 1" in out
    assert "\nseconds on cpu fp32: read " in out
    assert cli.main(["status", str(tmp_path / "m.matir"), "--verify"]) == 0
    out, _ = capsys.readouterr()
    assert "oracle-encoder" in out
    assert "\nview        own\n" in out
    assert "broken\\x1b[31m.jpg: " in out
    assert "\x1b" not in out
    assert cli.main(["status", str(tmp_path / "m.matir"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["n_images"], facts["images_are_there"], facts["is_verified"]) == (1, True, False)
    assert facts["skipped"].keys() == {"broken\x1b[31m.jpg"}


def test_view_and_precision_replace_the_presets(gallery, models, tmp_path, monkeypatch, capsys):
    seen = []

    def load_encoder(preset, *_):
        seen.append((preset.name, preset.encoding.view, preset.compute))
        return models

    monkeypatch.setattr("matir_nb.index.build.load_encoder", load_encoder)
    argv = ["index", str(gallery[0] / "images"), "--preset", "open-cpu", "--out"]
    assert cli.main([*argv, str(tmp_path / "a.matir")]) == 0
    more = ["--view", "whole", "--precision", "fp32"]
    assert cli.main([*argv, str(tmp_path / "b.matir"), *more]) == 0
    own = PRESETS["open-cpu"].compute
    assert own.precision != "fp32"
    changed = replace(own, precision="fp32")
    assert seen == [("open-cpu", "own", own), ("open-cpu", "whole", changed)]
    capsys.readouterr()
    assert cli.main(["status", str(tmp_path / "b.matir")]) == 0
    assert "\nview        whole\n" in capsys.readouterr().out


def test_eval_prints_and_writes_every_arm(gallery, models, tmp_path, capsys, monkeypatch):
    # the fake models know exactly these scenes
    monkeypatch.setattr(scenes_dataset, "write_gallery", lambda *_, **__: gallery[1])
    index = gallery[0] / "scenes.matir"
    assert cli.main(["index", str(gallery[0] / "images"), "--out", str(index)]) == 0
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images").symlink_to(gallery[0] / "images")
    report = tmp_path / "scores.json"
    numbers = ["--n-images", str(N), "--n-queries", "10", "--n-judged", "5"]
    argv = ["eval", "scenes", *numbers, "--index", str(index), "--json", str(report)]
    capsys.readouterr()
    assert cli.main([*argv, "--out", str(tmp_path / "out")]) == 0
    out, _ = capsys.readouterr()
    document = json.loads(report.read_text())
    arms = document["arms"]
    assert set(arms) == set(ARMS) - {"default"}
    assert document["default_is"] == "structured"
    assert arms["trained"] is None
    assert "trained" in document["unavailable"]
    kinds = {"overall", "attribute", "relation", "count", "absence", "superlative"}
    assert kinds <= set(arms["stage1"])
    for kind in kinds - {"absence"}:
        assert {"R@1", "R@10", "mAP@50", "mIoU", "mAP@50@50"} <= set(arms["stage1"][kind])
    assert "rejection" not in arms["stage1"]["absence"]
    assert 0 <= arms["structured"]["absence"]["rejection"] <= 1
    assert "mAP@50" in document["gains_over_stage1"]["structured"]["intervals"]
    assert document["dataset"]["n_queries"] == 10
    for word in ("stage1", "structured", "mAP@50@50", "rejection", "superlative", "chance"):
        assert word in out
    assert "trained: not available" in out
    assert Run.load(tmp_path / "out").arms == ["stage1", "structured"]


def test_eval_counts_images_that_an_index_lacks_and_refuses_one_of_others(index, fails, capsys):
    folder = index.parent / "more"
    argv = ["eval", "scenes", "--n-images", N + 1, "--n-queries", 5, "--stages", "stage1"]
    argv += ["--out", folder, "--index", index]
    assert cli.main([str(word) for word in argv]) == 0
    out, _ = capsys.readouterr()
    assert "1 image of the dataset is not in the index, and counts as not found" in out
    assert f"not in the index: {file_name(draw_scene('test', N))}" in out
    argv[argv.index(N + 1)] = 3
    line = fails(*argv[:-4], "--split", "validation", "--out", folder.with_name("v"), "-i", index)
    assert "none of the 3 images of scenes is there" in line


def test_doctor_reports_and_its_exit_code_says_whether_all_can_run(capsys, monkeypatch):
    code = cli.main(["doctor", "--device", "cpu"])
    out, err = capsys.readouterr()
    assert err == ""
    assert "transformers" in out
    assert "embedded: search" in out
    assert code == (1 if "\nNO" in out else 0)
    monkeypatch.setattr("matir_nb.doctor.NEEDED", ("numpy", "no-such-package"))
    assert cli.main(["doctor", "--device", "cpu"]) == 1
    out, _ = capsys.readouterr()
    assert "pip install no-such-package" in out
    assert "cannot run: no-such-package" in out


def test_doctor_names_a_torchvision_that_breaks_transformers(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    fault = "raise RuntimeError('operator torchvision::nms does not exist')"
    (broken / "__init__.py").write_text(fault)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert cli.main(["doctor", "--device", "cpu"]) == 1
    out, _ = capsys.readouterr()
    assert "operator torchvision::nms does not exist" in out
    assert "pip uninstall torchvision" in out


def test_demo_can_be_repeated(gallery, models, tmp_path, capsys, monkeypatch):
    first_n = lambda folder, _n, **kw: write_gallery(folder, N, **kw)  # noqa: E731
    monkeypatch.setattr("matir_nb.demo.write_gallery", first_n)
    monkeypatch.setattr("matir_nb.demo.K", 3)
    for _ in range(2):
        assert cli.main(["demo", "--out", str(tmp_path)]) == 0
        out, _ = capsys.readouterr()
        assert out.count("final") == 3
    for kind in ("attribute", "relation", "absence"):
        assert str(tmp_path / f"{kind}.png") in out
        assert (tmp_path / f"{kind}.png").is_file()


# bad input


def test_an_empty_folder_and_one_without_images(fails, models, tmp_path):
    out = ["--out", tmp_path / "x.matir"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    for name in ("empty", "texts"):
        assert "no images in" in fails("index", tmp_path / name, *out)


def test_a_folder_that_does_not_exist(fails, models, tmp_path):
    line = fails("index", tmp_path / "nowhere", "--out", tmp_path / "x.matir")
    assert "does not exist" in line


def test_an_index_that_does_not_exist(fails, models, tmp_path):
    for argv in (["search", "red", "--index"], ["status"]):
        assert "no index at" in fails(*argv, tmp_path / "nowhere.matir")


def test_mask_files_that_do_not_exist(fails, models, gallery, tmp_path):
    out = ["--out", tmp_path / "x.matir", "--masks", tmp_path / "masks.json"]
    assert "masks.json" in fails("index", gallery[0] / "images", *out)


@pytest.mark.parametrize("query", ["", "  ", "\n"])
def test_an_empty_query(fails, index, query):
    assert "the query is empty" in fails("search", query, "--index", index)


def test_a_query_longer_than_the_encoder_reads(fails, index):
    assert "31 words" in fails("search", *["red"] * 31, "--index", index)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one(fails, index, k):
    assert f"k = {k}" in fails("search", *QUERY, "--index", index, "-k", k)


def test_k_beyond_the_gallery(fails, index):
    line = fails("search", *QUERY, "--index", index, "-k", N + 1)
    assert f"k = {N + 1} is more than the {N} images" in line


def test_an_unknown_preset_is_answered_with_the_nearest(fails, gallery, tmp_path):
    out = ["--out", tmp_path / "x.matir", "--preset", "embeded"]
    assert "did you mean 'embedded'?" in fails("index", gallery[0] / "images", *out)
    assert "'embedded'" in fails("eval", "scenes", "--preset", "embeded")


def test_an_index_made_by_other_models(fails, index, models):
    models.model_id = "another-encoder"
    line = fails("search", *QUERY, "--index", index)
    assert "oracle-encoder" in line
    assert "another-encoder" in line


def copied(index, tmp_path):
    files = [path for path in index.rglob("*") if path.is_file()]
    for path in files:
        target = tmp_path / "copy.matir" / path.relative_to(index)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path / "copy.matir"


def test_an_index_made_by_a_newer_version(fails, index, tmp_path):
    copy = copied(index, tmp_path)
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format_version": 99}
    del manifest["checksum"]
    sealed = manifest | {"checksum": fingerprint_of(manifest)}
    (copy / "manifest.json").write_text(json.dumps(sealed))
    assert "99" in fails("search", *QUERY, "--index", copy)


def test_a_truncated_index(fails, index, tmp_path):
    copy = copied(index, tmp_path)
    biggest = max((copy / "segments").rglob("*.*"), key=lambda path: path.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[:-7])
    assert str(copy) in fails("search", *QUERY, "--index", copy)
    (copy / "manifest.json").write_text('{"format_version": 1')
    assert "damaged" in fails("status", copy)


def test_an_unknown_judge_and_one_that_is_not_there(fails, index):
    assert "unknown judge 'best'" in fails("search", "red", "--index", index, "--judge", "best")
    line = fails("search", "red", "--index", index, "--judge", "trained")
    assert "no model weights" in line


def test_an_output_that_cannot_be_written(fails, index, tmp_path):
    search = ["search", *QUERY, "--index", index, "-o"]
    assert "no folder" in fails(*search, tmp_path / "no" / "hits.csv")
    assert "is a folder" in fails(*search, tmp_path)


def test_a_saved_result_that_is_none(fails, tmp_path):
    (tmp_path / "r.parquet").write_bytes(b"PAR1 no PAR1")
    for name in ("r.parquet", "gone.parquet"):
        assert "no saved result" in fails("show", tmp_path / name, "-o", tmp_path / "x.png")


def test_a_result_of_another_index(fails, index, models, gallery, tmp_path, capsys):
    folder = tmp_path / "few"
    folder.mkdir()
    for picture in sorted((gallery[0] / "images").iterdir())[:2]:
        (folder / picture.name).write_bytes(picture.read_bytes())
    cli.main(["search", *QUERY, "-i", str(index), "-o", str(tmp_path / "r.parquet")])
    cli.main(["index", str(folder)])
    capsys.readouterr()
    line = fails("flow", tmp_path / "r.parquet")
    assert "open the index that was searched, with -i" in line
    assert "-i NAME|PATH" in line


def test_a_result_without_an_index_has_ranks_but_no_pictures(fails, index, home, tmp_path, capsys):
    saved = tmp_path / "r.parquet"
    cli.main(["search", *QUERY, "-k", "2", "-i", str(index), "-o", str(saved)])
    (home / "indexes.json").unlink()
    capsys.readouterr()
    assert cli.main(["flow", str(saved)]) == 0
    assert cli.main(["explain", str(saved)]) == 0
    assert "regions: not known without the index" in capsys.readouterr().out
    for command in (["show", saved, "-o"], ["export", saved]):
        assert "needs its images" in fails(*command, tmp_path / "x.png")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["serach", "red"], "did you mean 'search'?"),
        (["eval", "scene"], "did you mean 'scenes'?"),
        (["eval"], "give a command: scenes, coco"),
        (["eval", "coco", "--images", "x"], "--annotations"),
        (["eval", "coco", "--images", "x", "--annotations", "nowhere.json"], "nowhere.json"),
        (["eval", "d3", "--annotations", "x", "--language", "fr"], "unknown language 'fr'"),
        (["eval", "scenes", "--stages", "stage1,strctured"], "did you mean 'structured'?"),
        (["eval", "scenes", "--n-images", "0"], "n_scenes = 0"),
        (["--versoin"], "did you mean '--version'?"),
        (["search", "red", "--idnex", "x"], "did you mean '--index'?"),
        (["search", "red", "--ind", "x"], "did you mean '--index'?"),
        (["search", "red"], "no index is current"),
        (["search"], "the query is empty"),
        (["search", "--red"], "go last, after --"),
        (["search", "red", "-o", "hits"], "the ending says what is written"),
        (["search", "red", "--stage", "3"], "unknown stage '3'"),
        (["search", "red", "--stage", "1", "--judge", "y"], "not allowed with"),
        (["help", "serach"], "did you mean 'search'?"),
        (["config", "tile"], "did you mean 'tile_px'?"),
        (["config", "k", "none"], "k = 'none' is not allowed"),
        (["open", "x"], "no index is known by name yet"),
        (["explain", "LSAT"], "did you mean 'LAST'?"),
        (["explain", "LAST"], "no index is current"),
        (["search", "red", "--index", "x", "--format", "jsn"], "did you mean 'json'?"),
        (["search", "red", "--index", "x", "-k", "many"], "invalid int value: 'many'"),
        (["search", "red", "--index", "x", "--format", "parquet"], "-o FILE.parquet"),
        (["search", "red", "--index", "x", "--no-judge", "--judge", "y"], "not allowed with"),
        (["search", "red", "--index", "x", "circle"], "keep a query's words together"),
        (["show", "LAST"], "say where, with -o FILE.png"),
        (["show", "LAST", "-o", "x.jpg"], "give a name that ends in .png"),
        (["show", "the", "ring", "-o", "x.png"], "do not know what to do with 'ring': see matir"),
        (["eval", "scenes", "--arm", "stage2"], "did you mean 'stage1'?"),
        (["eval", "scenes", "--n-queries", "0"], "n_queries = 0"),
        (["search", "a\x1b[2J", "--index", "x\x1b[31m"], "x\\x1b[31m"),
    ],
)
def test_a_wrong_command_line_gets_one_line_that_teaches(fails, argv, expected):
    line = fails(*argv)
    assert expected in line
    assert "\x1b" not in line


def test_help_and_version_are_answers(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("matir 0.")
    helps = ([], ["help"], ["--help"], ["search", "-h"], ["help", "search"])
    for argv in (*helps, ["eval", "scenes", "--help"]):
        assert cli.main(argv) == 0
        out, err = capsys.readouterr()
        assert out.startswith("usage: matir")
        assert err == ""


def test_a_query_that_starts_with_a_dash_follows_two_dashes(index, capsys):
    assert cli.main(["search", "--index", str(index), "--no-judge", "--", "--red", "circle"]) == 0
    assert "rank" in capsys.readouterr().out


def test_an_interrupt_is_one_line_and_130(index, monkeypatch, capsys):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("matir_nb.opening.open_engine", interrupted)
    assert cli.main(["search", "red", "--index", str(index)]) == 130
    assert capsys.readouterr().err.splitlines() == [
        "matir: interrupted; what was finished is kept, the same command goes on"
    ]


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m matir_nb.cli search --help | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    assert done.stdout == "usage: mat"
    assert done.stderr == ""


def test_the_tree_of_commands_needs_no_heavy_package():
    code = (
        "import sys, matir_nb.commands.tree as c; c.build_parser(); "
        "print(sorted({'torch', 'transformers', 'polars', 'PIL', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_commands_give_their_result_back(index, tmp_path):
    from matir_nb.commands.tree import run

    console = cli.Console(io.StringIO(), io.StringIO())
    result = run(["search", *QUERY, "--index", str(index)], console)
    assert isinstance(result, SearchResult)
    assert "rank" in console.out.getvalue()
