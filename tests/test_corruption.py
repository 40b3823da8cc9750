"""Flipped bits are found or do no harm: never another answer, never a crash."""

import os
import sys

import crash_flips
import pytest
from crash_scenario import open_writer
from crash_server import Server

from matir_nb.errors import IndexCorruptError
from matir_nb.index.manifest import SEGMENTS, read_manifest
from matir_nb.index.verify import verify

IS_SLOW = os.environ.get("MATIR_SLOW") == "1"
VECTORS = "region_vectors.npy"
CHECKED, LARGE = "1", "0"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


@pytest.mark.parametrize(
    ("kind", "n_per_file"), [(CHECKED, 2000 if IS_SLOW else 40), (LARGE, 600 if IS_SLOW else 20)]
)
def test_every_region_of_every_file(tmp_path, kind, n_per_file):
    index = tmp_path / "i.matir"
    crash_flips.make(index, tmp_path)
    with Server() as server:
        reports, ended, _ = server.run("crash_flips:flip", index, n_per_file, kind)
    assert ended == 0, f"the process died after {reports[-1:]}"
    assert [report for report in reports if report[0] == "wrong"] == []
    places = {name for what, name, *_ in reports if what == "at"}
    files = (item for item in index.rglob("*") if item.is_file() and item.stat().st_size)
    assert places == {str(file.relative_to(index)) for file in files}
    _, n_flips, n_found = reports[-1]
    assert n_flips >= 10 * len(places)
    assert n_found > (0.9 if kind == CHECKED else 0.5) * n_flips


def test_damage_is_never_written_anew(tmp_path, caplog):
    path = tmp_path / "i.matir"
    crash_flips.make(path, tmp_path)
    segment = read_manifest(path).segments[0]
    file = path / SEGMENTS / segment.name / VECTORS
    crash_flips.put(file, file.read_bytes(), file.stat().st_size - 1, 0x01)
    with open_writer(path, tmp_path) as writer:
        with pytest.raises(IndexCorruptError, match=f"{VECTORS}' was altered: matir verify"):
            writer.compact()
        with pytest.raises(IndexCorruptError, match=f"{VECTORS}' was altered: matir verify"):
            writer.stored("0.png")
        writer.finish(())  # what is new is there; the tidying is not worth an error
    assert "stay apart" in caplog.text
    assert [(item.segment, item.file) for item in verify(path).broken] == [(segment.name, VECTORS)]
