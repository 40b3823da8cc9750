import json

import pytest
from observed_rows import hits_of, rows

from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.runs.folder import VERSION, Run
from matir_nb.evaluation.runs.measures import measured
from matir_nb.evaluation.runs.summary import summarise
from matir_nb.types import QueryTruth


@pytest.fixture
def run(tmp_path):
    queries = measured(rows({"hits": hits_of("x."), "text": "<b>\x1b[31m"}))
    asked = QueryTruth("q0", "t", "k", frozenset())
    dataset = Dataset("d", Source("", "", ""), ("i1", "i2"), (asked,))
    provenance = {
        "version_of_run": VERSION,
        "dataset": {"name": "d", "headline": ["mAP@50"], "protocol": {"gallery": "<all>"}}
        | {"n_queries": 1, "n_images": 2, "depth": 100},
        "index": {"n_regions": 2, "missing": ["a\x1b.png"], "n_missing": 3, "skipped": {}},
        "arms": {"stage1": {"n_judged": 0}, "big": {"n_judged": 5}},
        "notices": ["oracle: made from the annotations, not a model"],
        "unavailable": {"big": "no weights"},
        "default_is": "stage1",
    }
    made = Run(tmp_path / "run", queries, summarise(queries, dataset), provenance)
    made.save()
    return made


def test_what_is_saved_is_loaded(run):
    (run.folder / "parts").mkdir()
    run.save()
    again = Run.load(str(run.folder))
    assert again.queries.equals(run.queries)
    assert again.report.equals(run.report)
    assert again.provenance == run.provenance
    assert (again.dataset_name, again.arms) == ("d", ["stage1"])
    assert not (run.folder / "parts").exists()
    assert "d, 1 queries, arms: stage1" in repr(again)


def test_its_text_says_what_must_be_known_and_cannot_move_the_cursor(run):
    text = str(run)
    for words in (
        "mAP@50",
        "chance",
        "note: oracle: made from the annotations, not a model",
        "big: not available: no weights",
        "not in the index: a\\x1b.png, and 2 more",
        "candidates judged: big 5",
    ):
        assert words in text
    assert "\x1b" not in text
    assert "&lt;all&gt;" in run._repr_html_()


def test_a_folder_without_a_whole_run_says_so(run, tmp_path):
    with pytest.raises(ConfigError, match="there is no run in"):
        Run.load(tmp_path / "elsewhere")
    (run.folder / "run.json").unlink()
    (run.folder / "parts").mkdir()
    with pytest.raises(ConfigError, match="is not finished: give the same matir eval again"):
        Run.load(run.folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"version_of_run": 99}', "\x00"])
def test_a_damaged_provenance_is_one_error(run, content):
    (run.folder / "run.json").write_text(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        Run.load(run.folder)


def test_damaged_or_foreign_tables_are_one_error(run):
    (run.folder / "report.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read"):
        Run.load(run.folder)
    run.save()
    run.queries.drop("hits").write_parquet(run.folder / "queries.parquet")
    with pytest.raises(ConfigError, match="its tables have other columns"):
        Run.load(run.folder)


def test_no_flipped_bit_gets_as_far_as_polars(run):
    file = run.folder / "queries.parquet"
    whole = file.read_bytes()
    for place in range(4, len(whole), len(whole) // 12):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(ConfigError, match="cannot be read"):
            Run.load(run.folder)


def test_while_it_is_saved_the_old_run_is_no_run(run, monkeypatch):
    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matir_nb.evaluation.runs.folder.write_frame", stop)
    with pytest.raises(ConfigError, match=r"cannot write the run to .* No space left"):
        run.save()
    assert not (run.folder / "run.json").exists()


def test_the_provenance_is_readable_json(run):
    assert json.loads((run.folder / "run.json").read_text()) == run.provenance
