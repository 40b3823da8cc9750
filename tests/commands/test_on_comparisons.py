"""matir compare on runs and on results, and matir ablate."""

from pathlib import Path

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from matir_nb.commands.on_comparisons import ABLATION
from matir_nb.evaluation.runs.compare import RunComparison
from matir_nb.evaluation.runs.folder import Run
from matir_nb.evaluation.runs.observed import OBSERVED_SCHEMA, REPORT_SCHEMA
from matir_nb.notebook.face import Told


def saved_run(folder, *, name="coco", **arms):
    """Save a run whose queries have these values of mAP@50, and return its folder."""
    frames = []
    for arm, values in arms.items():
        n = len(values)
        columns = {
            "arm": [arm] * n,
            "query_id": [f"q{i}" for i in range(n)],
            "text": [f"text {i}" for i in range(n)],
            "kind": ["plain"] * n,
            "n_relevant": [1] * n,
            "n_gallery": [9] * n,
            "seconds": [0.1] * n,
            "hits": [[]] * n,
            "targets": [[]] * n,
        }
        frame = pl.DataFrame(columns, OBSERVED_SCHEMA)
        frames.append(frame.with_columns(pl.Series("mAP@50", values, pl.Float64)))
    told = {
        "version_of_run": 1,
        "dataset": {"name": name, "protocol": {}, "headline": ["mAP@50"]},
        "index": {"path": str(folder / "gone.matir")},
    }
    Run(folder, pl.concat(frames), pl.DataFrame(schema=REPORT_SCHEMA), told).save()
    return folder


@pytest.fixture
def two(tmp_path):
    return saved_run(tmp_path / "two", stage1=[0.1, 0.2, 0.3], structured=[0.5, 0.6, 0.2])


@pytest.fixture
def other(tmp_path):
    return saved_run(tmp_path / "other", stage1=[0.2, 0.2, 0.9], structured=[0.4, 0.4, 0.4])


def test_two_arms_of_one_run(two, told):
    code, out, err = told("compare", two)
    assert code == 0
    assert "A: stage1    B: structured" in out
    assert "+0.233" in out
    assert "2 / 0 / 1" in out
    assert "no pictures: " in err
    folder = two / "compared" / "stage1-structured"
    assert str(folder) in out
    assert "Wins by mAP@50" in (folder / "compare.html").read_text()
    assert (folder / "compare.md").is_file()


def test_two_runs_and_their_arms(two, other, told, tmp_path):
    code, out, _ = told("compare", two, other)
    assert code == 0
    assert "A: two    B: other" in out
    options = ("--arms", "stage1", "structured", "--out", tmp_path / "page", "--metric", "mAP@50")
    code, out, _ = told("compare", two, other, *options)
    assert code == 0
    assert "A: two: stage1    B: other: structured" in out
    assert (tmp_path / "page" / "compare.html").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("compare two z.parquet", "is a run and 'z.parquet' none: compare two runs, or two resul"),
        ("compare nowhere two", "there is no 'nowhere': give the folder of another run"),
        ("compare x.parquet", "'x.parquet' is no run, so it has no arms"),
        ("compare x.parquet y.parquet --metric R@1", "--metric is for runs of matir eval"),
        ("compare x.parquet y.parquet --arms a b", "--arms is for runs of matir eval"),
        ("compare two two --arms stage1 stage2", "unknown arm 'stage2': did you mean 'stage1'"),
        ("compare two --metric mAP@5", "did you mean 'mAP@50'"),
        ("compare two empty", "there is no run in 'empty'"),
        ("compare two lvis", "different datasets, 'coco' and 'lvis'"),
        ("compare two --arms stage1", "expected 2 arguments"),
        ("compare two -i nowhere", "nowhere"),
        ("ablate scenes --grid judge=structred", "did you mean 'structured'"),
        ("ablate scenes --grid judge", "give --grid NAME=VALUE"),
        ("ablate scenes --grid retrieve.region_wight=1", "did you mean 'retrieve.region_weight'"),
        ("ablate scenes --grid retrieve.region_weight=-1", "is not allowed"),
        ("ablate scenes --metric mAP", "unknown metric of single queries 'mAP'"),
        ("ablate scnes", "did you mean 'scenes'"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    line, message, two, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "z.parquet").touch()
    saved_run(tmp_path / "lvis", name="lvis", stage1=[0.1], structured=[0.2])
    code, out, err = told(*line.split())
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not out
    assert not Path("build").exists()


def test_runs_in_variables_of_a_notebook(two, tmp_path, monkeypatch):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    config = Config(HistoryManager={"enabled": False})
    shell = InteractiveShell(config=config)
    try:
        shell.run_line_magic("load_ext", "matir_nb")
        shell.user_ns["run"] = Run.load(two)
        shell.user_ns["told"] = Told(shell.user_ns["run"], "as %matir eval gives it")
        found = shell.run_line_magic("matir", "compare run --arms structured stage1")
        again = shell.run_line_magic("matir", "compare told --arms structured stage1")
    finally:
        InteractiveShell.clear_instance()
    assert isinstance(found, RunComparison)
    assert isinstance(again, RunComparison)
    assert (found.a.name, found.b.name) == ("structured", "stage1")


def test_an_ablation_on_generated_scenes(told, tmp_path, monkeypatch):
    # the pages of its run are tested where they are made
    monkeypatch.setattr("matir_nb.evaluation.runs.evaluate.write_pages", lambda *_: [])
    options = "--oracle --n-images 6 --n-queries 3 --grid judge=structured"
    grid = ("--grid", "retrieve.image_weight=0")
    code, out, err = told("ablate", "scenes", *options.split(), *grid, "--out", tmp_path)
    assert code == 0, err
    assert "what matters: pairs of arms that differ in nothing else" in out
    assert "judge=structured + retrieve.image_weight=0" in out
    folder = tmp_path / ABLATION
    assert (folder / "ablation.html").is_file()
    assert Run.load(folder).arms == ["preset", "judge=structured + retrieve.image_weight=0"]
    assert (tmp_path / "index.matir").is_dir()
    code, out, _ = told("compare", folder)
    assert code == 0
    name = "preset-judge-structured---retrieve.image_weight-0"
    assert (folder / "compared" / name / "compare.html").is_file()
