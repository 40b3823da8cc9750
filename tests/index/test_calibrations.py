"""The file of calibrations beside an index."""

import json
from pathlib import Path

import pytest

from matir_nb.config import JudgeConfig
from matir_nb.errors import ConfigError
from matir_nb.index.calibrations import FILE_NAME, Calibration, Calibrations

ONE = Calibration("a judge", 0.5, -1.25, 30, 12, log_loss_before=0.9, log_loss_after=0.4)
OTHER = Calibration("another", 2.0, 0.5, 20, 22, log_loss_before=0.8, log_loss_after=0.7)


def test_what_is_kept_comes_back_by_judge(tmp_path):
    kept = Calibrations(tmp_path)
    assert (kept.all(), kept.get("a judge")) == ({}, None)
    kept.put(ONE)
    kept.put(OTHER)
    again = Calibrations(tmp_path)
    assert again.all() == {"a judge": ONE, "another": OTHER}
    kept.put(Calibration("a judge", 1.5, 0.0, 1, 1, log_loss_before=0.0, log_loss_after=0.0))
    assert again.get("a judge").scale == 1.5
    assert kept.forget("a judge")
    assert not kept.forget("a judge")
    assert again.all() == {"another": OTHER}
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


def test_the_options_and_the_words_of_a_calibration():
    config = ONE.of(JudgeConfig(n_judged=7))
    assert (config.n_judged, config.calibrated(4.0)) == (7, 0.75)
    assert str(ONE) == (
        "p = sigmoid(0.5 × log-odds - 1.25) for a judge\n"
        "from 42 marks (30 relevant); log loss on them 0.9000 → 0.4000"
    )


def written(folder, change):
    Calibrations(folder).put(ONE)
    document = json.loads((folder / FILE_NAME).read_text())
    del document["checksum"]  # as before there was one
    change(document)
    (folder / FILE_NAME).write_text(json.dumps(document))


def test_an_altered_number_is_found(tmp_path):
    Calibrations(tmp_path).put(ONE)
    file = tmp_path / FILE_NAME
    file.write_text(file.read_text().replace("0.5", "0.6"))
    with pytest.raises(ConfigError, match=r"cannot be read .its checksum is wrong"):
        Calibrations(tmp_path).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("judges"), "cannot be read .'judges'.: remove it, calibrate again"),
        (lambda d: d["judges"]["a judge"].update(scale=-1), "calibration_scale = -1"),
        (lambda d: d["judges"]["a judge"].update(scale="1"), "cannot be read"),
        (lambda d: d["judges"]["a judge"].update(colour=1), "cannot be read"),
        (lambda d: d.update(version=99), "written by a newer matir_nb: update"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, change, message):
    written(tmp_path, change)
    with pytest.raises(ConfigError, match=message):
        Calibrations(tmp_path).all()


def test_a_file_that_breaks_off_is_named_and_not_written_over(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"version": 1, "jud')
    with pytest.raises(ConfigError, match="remove it, calibrate again"):
        Calibrations(tmp_path).put(ONE)
    assert (tmp_path / FILE_NAME).read_text().endswith("jud")


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch):
    kept = Calibrations(tmp_path)
    kept.put(ONE)
    with monkeypatch.context() as patch:

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "write_text", full)
        with pytest.raises(ConfigError, match="No space left on device"):
            kept.put(OTHER)
    assert kept.all() == {"a judge": ONE}
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
