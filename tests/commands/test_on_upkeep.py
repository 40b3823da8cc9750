"""`matir verify`, with and without --repair, `matir compact`, and what `matir index` says."""

import os
import shutil

import pytest
from fakes import OracleEncoder, OracleMaskSource, scene_gallery

from matir_nb import cli
from matir_nb.home import settings
from matir_nb.index import build as build_module

N = 4


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upkeep") / "photos"
    scenes = scene_gallery(folder, N)
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    return folder, scenes


@pytest.fixture
def photos(original, tmp_path, monkeypatch):
    """A folder of photos, whose index is the current one; the models know them by heart."""
    monkeypatch.setenv("MATIR_HOME", str(tmp_path / "home"))
    for key in settings.KEYS:
        monkeypatch.delenv(settings.variable_of(key), raising=False)
    scenes = original[1]
    monkeypatch.setattr(build_module, "load_segmenter", lambda *_: OracleMaskSource(scenes))
    monkeypatch.setattr(build_module, "load_encoder", lambda *_: OracleEncoder(scenes))
    folder = shutil.copytree(original[0], tmp_path / "photos")
    assert cli.main(["index", str(folder)]) == 0
    return folder


@pytest.fixture
def run(photos, capsys):
    """Return a function that runs a command: exit code, lines of result, lines of remark."""
    capsys.readouterr()

    def command(*argv):
        code = cli.main([str(word) for word in argv])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return command


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def broken_segment(photos, name="regions.arrow"):
    (segment,) = (photos.with_suffix(".matir") / "segments").iterdir()
    flip(segment / name)
    return segment.name


def test_index_says_in_one_line_what_changed(photos, run):
    names = sorted(file.name for file in photos.iterdir())
    (photos / names[0]).unlink()
    (photos / names[1]).rename(photos / "zebra.png")
    shutil.copy(photos / names[2], photos / "zoo.png")
    code, out, _ = run("index", photos)
    assert code == 0
    line = "0 added, 0 changed, 1 moved, 2 unchanged, 1 dropped; 1 file is a copy of another"
    assert out[1] == line
    (photos / "zoo.png").unlink()
    assert run("index", photos)[1][1] == "0 added, 0 changed, 0 moved, 3 unchanged, 0 dropped"


def test_index_reads_everything_again_when_asked(photos, run, monkeypatch):
    read = []
    digest_of = build_module.Folder.digest_of
    monkeypatch.setattr(
        build_module.Folder, "digest_of", lambda self, i: read.append(i) or digest_of(self, i)
    )
    run("index", photos)
    assert read == []
    run("index", photos, "--rehash")
    assert len(read) == N


def test_a_sound_index_is_said_to_be(photos, run):
    code, (line,), _ = run("verify")
    assert code == 0
    assert line.endswith("every digest is right")
    assert run("verify", "--repair")[:2] == (0, [line])


def test_what_is_broken_is_named_with_its_segment_and_repaired(photos, run):
    segment = broken_segment(photos)
    code, out, _ = run("verify")
    assert code == 1
    assert out[1:] == [
        f"  segment {segment}: regions.arrow was altered",
        f"matir verify --repair -i {str(photos.with_suffix('.matir'))!r} repairs it",
    ]
    code, out, _ = run("verify", "--repair")
    assert code == 0
    assert out[-2:] == [
        f"repaired: segment {segment} with {N} images is dropped",
        f"indexed again: {N} images",
    ]
    assert run("verify")[0] == 0


def test_what_cannot_be_repaired_now_is_an_exit_code(photos, run):
    broken_segment(photos)
    photos.rename(photos.with_name("moved"))
    code, out, _ = run("verify", "--repair")
    assert code == 1
    assert out[-1].startswith(f"not repaired: segment 000001 with {N} images, which stays")
    assert "--images FOLDER" in out[-1]
    code, out, _ = run("verify", "--repair", "--images", photos.with_name("moved"))
    assert (code, out[-1]) == (0, f"indexed again: {N} images")


def test_the_images_are_looked_for_where_it_is_said(photos, run):
    broken_segment(photos)
    photos.rename(photos.with_name("moved"))
    assert run("verify", "--repair", "--images", photos.with_name("moved"))[0] == 0


def test_options_of_the_repair_need_it(photos, run):
    code, _, (line,) = run("verify", "--images", photos)
    assert code == 2
    assert "--images is of use with --repair only" in line


def test_status_verifies_with_the_same_words(photos, run):
    assert run("status", "--verify")[0] == 0
    segment = broken_segment(photos, "image_codes.npy")
    code, _, (line,) = run("status", "--verify")
    assert code == 2
    assert f"segment {segment}: image_codes.npy was altered: matir verify --repair" in line


def test_compact_says_what_it_came_to(photos, run):
    min(photos.iterdir()).unlink()
    run("index", photos)
    code, (line,), _ = run("compact", "-i", photos.with_suffix(".matir"))
    assert code == 0
    assert f"{N - 1} images: segments 1 → 1, 0.0 MB → 0.0 MB" in line
