import errno
import stat
from pathlib import Path

import polars as pl
import pytest

from matir_nb.errors import ConfigError, ImageError
from matir_nb.exports.atomic import whole_file


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(path, error):
    with whole_file(path, overwrite=True) as file:
        file.write_text("half")
        raise error


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as file:
        file.write_text("whole")
        assert not path.exists()
        assert file.parent == tmp_path
    assert path.read_text() == "whole"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, ImageError])
def test_what_is_interrupted_leaves_everything_as_it_was(tmp_path, stop):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(stop):
        write_and_raise(path, stop("now"))
    assert path.read_text() == "before"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_full_disk_is_said_in_words_and_leaves_no_half_file(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ConfigError, match=r"cannot write '.*a.txt': No space left on device"):
        write_and_raise(tmp_path / "a.txt", full)
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_polars_own_error_of_a_full_disk_is_said_in_one_line(tmp_path):
    refused = pytest.raises(ConfigError, match=r"cannot write '.*a.parquet': .*No space left")
    with refused as caught, whole_file(tmp_path / "a.parquet") as file:
        file.symlink_to("/dev/full")
        pl.DataFrame({"a": range(100)}).write_parquet(file)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    refused = pytest.raises(ConfigError, match=r"'.*a.txt' is there already: .*overwrite=True")
    with refused, whole_file(path):
        pytest.fail("the work was done in vain")
    with whole_file(path, overwrite=True) as file:
        file.write_text("after")
    assert path.read_text() == "after"


def test_a_file_that_comes_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ConfigError, match="is there already"), whole_file(path):
        path.write_text("another's")
    assert path.read_text() == "another's"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone/a.txt", "there is no folder '.*gone'"),
        (".", "is a folder"),
        ("a" * 300 + ".txt", "cannot write '.*': File name too long"),
    ],
)
def test_a_path_that_cannot_be_is_refused_before_the_work(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message), whole_file(tmp_path / name):
        pytest.fail("the work was done in vain")


def test_the_file_has_the_rights_that_any_new_file_has(tmp_path):
    ordinary = Path(tmp_path / "b.txt")
    ordinary.touch()
    with whole_file(tmp_path / "a.txt") as file:
        file.touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1
