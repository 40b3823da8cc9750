"""An index of format version 1 is lifted only where it is what was written."""

import json
import shutil
from hashlib import sha256

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleMaskSource, scene_gallery
from polars.exceptions import PanicException
from test_store import as_format_1

from matir_nb.errors import IndexCorruptError
from matir_nb.index import build as build_module
from matir_nb.index import migrate
from matir_nb.index.build import build
from matir_nb.index.compact import compact
from matir_nb.index.repair import repair
from matir_nb.index.store import Index
from matir_nb.index.verify import verify

N = 3
FILES = ["images.arrow", "regions.arrow", "region_vectors.npy", "image_vectors.npy"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    home = tmp_path_factory.mktemp("old")
    scenes = scene_gallery(home / "scenes", N)
    build(
        home / "scenes",
        home / "i.matir",
        masks=OracleMaskSource(scenes),
        encoder=OracleEncoder(scenes),
    )
    as_format_1(home / "i.matir")
    return home, scenes


@pytest.fixture
def old(original, tmp_path):
    """A copy of an index of format version 1, and of its pictures."""
    shutil.copytree(original[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "i.matir"


def names_of(path):
    return {file.relative_to(path) for file in path.rglob("*") if not file.name.startswith("write")}


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_gets_a_new_digest(old, name):
    file = old / "segments/000001" / name
    before = names_of(old)
    for place in np.random.default_rng(0).integers(file.stat().st_size, size=8).tolist():
        flip(file, place)
        with pytest.raises(
            IndexCorruptError, match=rf"segment 000001 .*{name} was altered.*--repa"
        ):
            compact(old)
        assert json.loads((old / "manifest.json").read_text())["format_version"] == 1
        assert names_of(old) == before
        flip(file, place)
    compact(old)
    assert verify(old).is_sound
    assert Index.open(old).n_images == N


@pytest.mark.parametrize("error", [PanicException("oh"), pl.exceptions.ComputeError("oh")])
def test_what_polars_makes_of_a_table_is_said_in_our_words(old, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(migrate.pl, "read_ipc", fail)
    with pytest.raises(IndexCorruptError, match=r"segment 000001 .*cannot be read \(oh\)"):
        compact(old)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table_and_no_array_is_said_in_our_words(old, name):
    content = b"\x93NUMPY" + bytes(200)
    (old / "segments/000001" / name).write_bytes(content)
    document = json.loads((old / "manifest.json").read_text())
    stamp = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    document["segments"][0]["files"][name] = stamp
    (old / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(IndexCorruptError, match=r"segment 000001 .*cannot be read"):
        compact(old)


def test_a_damaged_one_waits_for_its_pictures(old, original, monkeypatch):
    scenes = original[1]
    flip(old / "segments/000001" / FILES[1], 100)
    before = names_of(old)
    report = repair(old)
    assert (report.exit_code, report.n_kept, report.done) == (1, N, ())
    assert names_of(old) == before
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "load_encoder", lambda *_: OracleEncoder(scenes))
        report = repair(old, masks=OracleMaskSource(scenes))
    assert (report.exit_code, report.built.n_added) == (0, N)
    assert verify(old).is_sound
    assert Index.open(old).n_images == N
