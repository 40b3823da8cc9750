"""One writer, four readers: no error, and every answer is the answer of one snapshot."""

import os
import sys
from dataclasses import replace

import pytest
from crash_scenario import MADE_BY, STAGES, answers, content, go_on
from crash_server import Server

from matir_nb.errors import IndexMismatchError
from matir_nb.index import store, writer
from matir_nb.index.manifest import SEGMENTS
from matir_nb.index.store import Index
from matir_nb.index.writer import IndexWriter

SECONDS = 60 if os.environ.get("MATIR_SLOW") == "1" else 6

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


def test_one_writer_and_four_readers(tmp_path):
    with Server() as server:
        reports, ended, _ = server.run("crash_crowd:crowd", tmp_path / "i.matir", tmp_path, SECONDS)
    assert ended == 0
    wrote = {(snapshot, digest) for what, snapshot, digest in of(reports, "wrote")}
    saw = [(snapshot, digest) for what, snapshot, digest in of(reports, "saw")]
    asked = [number for _, number in of(reports, "asked")]
    assert set(saw) <= wrote
    # and it was a crowd: a test that saw nothing proves nothing
    assert len({snapshot for snapshot, _ in wrote}) >= 3
    assert len(set(saw)) >= 5
    assert len(asked) == 4
    assert min(asked) >= 5


def test_segments_that_go_while_an_index_is_opened(tmp_path, monkeypatch):
    path, real = tmp_path / "i.matir", store.open_segment
    go_on(path, tmp_path, STAGES[0])
    before = content(Index.open(path))

    def slow(folder, segment):
        part = real(folder, segment)
        monkeypatch.setattr(store, "open_segment", real)
        go_on(path, tmp_path, replace(STAGES[0], is_compacted=True))
        assert not folder.exists()
        return part

    monkeypatch.setattr(store, "open_segment", slow)
    assert content(Index.open(path)) == before


def test_a_snapshot_outlives_its_segments(tmp_path):
    path = tmp_path / "i.matir"
    go_on(path, tmp_path, STAGES[0])
    held, lazy = Index.open(path), Index.open(path)
    before = content(held), answers(held)
    for stage in STAGES[1:]:
        go_on(path, tmp_path, stage)
    folders = [path / SEGMENTS / segment.name for segment in held.manifest.segments]
    assert not any(folder.exists() for folder in folders)
    assert (content(held), answers(held)) == before
    assert (content(lazy), answers(lazy)) == before
    assert lazy.facts_table().height == len(before[0])


def test_of_two_that_make_an_index_at_once_the_second_sees_the_first(tmp_path, monkeypatch):
    path, real = tmp_path / "i.matir", writer.write_lock

    def late(folder):
        monkeypatch.setattr(writer, "write_lock", real)
        go_on(path, tmp_path, STAGES[0])
        return real(folder)

    monkeypatch.setattr(writer, "write_lock", late)
    other = MADE_BY | {"encoder": "other"}
    with pytest.raises(IndexMismatchError, match="encoder: 'e' → 'other'"):
        IndexWriter.create_or_resume(path, made_by=other, preset={}, root=tmp_path)
    assert Index.open(path).manifest.made_by == MADE_BY


def of(reports, what):
    return [item for item in reports if item[0] == what]
