"""Small files that are never half written."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from matir_nb.errors import ConfigError
from matir_nb.home.folder import home, read_json, write_json


def test_the_home_can_be_named_and_has_a_place_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MATIR_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("MATIR_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "matir_nb"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home().parts[-3:] == ("Library", "Application Support", "matir_nb")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert home() == tmp_path / "local" / "matir_nb"


def test_what_is_written_is_read_and_nothing_is_left_over(tmp_path):
    file = tmp_path / "new" / "x.json"
    assert read_json(file, holds="x") == {}
    write_json(file, {"ü": 1})
    assert read_json(file, holds="x") == {"ü": 1}
    assert [path.name for path in file.parent.iterdir()] == ["x.json"]


def test_a_home_that_is_no_folder_is_not_called_damaged(tmp_path):
    (tmp_path / "home").write_text("")
    file = tmp_path / "home" / "x.json"
    for use in (partial(read_json, holds="x"), partial(write_json, document={})):
        with pytest.raises(ConfigError, match=r"^cannot .*\(.*\): set MATIR_HOME to a folder"):
            use(file)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"x\.json', which keeps the settings, is damaged"):
        read_json(file, holds="the settings")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})

    def broken(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(ConfigError, match=r"No space left on device.*set MATIR_HOME"):
        write_json(file, {"a": 2})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_names_given_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import sys; from pathlib import Path; from matir_nb.home import registered\n"
        "for i in range(10): registered.add(Path(f'/x/{sys.argv[1]}-{i}.matir'))"
    )
    env = {**os.environ, "MATIR_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen([*command, name], env=env) for name in ("a", "b", "c")]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    document = json.loads((tmp_path / "indexes.json").read_text())
    assert len(document["indexes"]) == 30
