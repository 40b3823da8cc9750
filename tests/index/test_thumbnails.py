"""Thumbnails beside an index: found again, never outdated, bounded, and safe to lose."""

import io
import logging
import os
import sqlite3

import numpy as np
import pytest
from fakes import oracle_index
from PIL import Image

from matir_nb.index import thumbnails as module
from matir_nb.index.pictures import IndexPictures
from matir_nb.index.store import Index
from matir_nb.index.thumbnails import FILE_NAME, Thumbnail, ThumbnailCache, key_of
from matir_nb.widgets.thumbnails import Thumbnails

SIDE = 64


@pytest.fixture
def settled(monkeypatch):
    """Take files for settled at once."""
    monkeypatch.setattr(module, "SETTLED_NS", -(10**12))


@pytest.fixture
def source(tmp_path, settled):
    _, path = oracle_index(tmp_path, 3)
    return IndexPictures(Index.open(path))


def colour_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB")).mean(axis=(0, 1))


def paint(path, colour):
    Image.new("RGB", (80, 60), colour).save(path, "BMP")


def loads(source, monkeypatch):
    """Return a list that grows with every picture that is decoded."""
    seen, load = [], source.load_image

    def watched(image_id, **options):
        seen.append(image_id)
        return load(image_id, **options)

    monkeypatch.setattr(source, "load_image", watched)
    return seen


def test_a_new_view_decodes_nothing_again(source, monkeypatch):
    image_id = source.index.image_ids[0]
    seen = loads(source, monkeypatch)
    first = Thumbnails().get(source, image_id, SIDE)
    assert seen == [image_id]
    assert Thumbnails().get(source, image_id, SIDE) == first
    assert Thumbnails().get(IndexPictures(source.index), image_id, SIDE) == first
    assert seen == [image_id]
    assert max(Thumbnails().get(source, image_id, 2 * SIDE)[1]) == 2 * SIDE
    assert seen == [image_id] * 2


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("new_view", [True, False])
def test_a_changed_picture_never_shows_its_old_thumbnail(source, in_place, new_view):
    image_id = source.index.image_ids[0]
    path = source.index.ref_of(image_id).path
    paint(path, (255, 0, 0))
    status = path.stat()
    view = Thumbnails()
    assert colour_of(view.get(source, image_id, SIDE)[0]) == pytest.approx([254, 0, 0], abs=2)
    target = path if in_place else path.with_name("other")
    with io.BytesIO() as file:
        Image.new("RGB", (80, 60), (0, 0, 255)).save(file, "BMP")
        content = file.getvalue()
    assert len(content) == status.st_size
    target.write_bytes(content)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))  # as cp -p does
    target.replace(path)
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    view = Thumbnails() if new_view else view
    assert colour_of(view.get(source, image_id, SIDE)[0]) == pytest.approx([0, 0, 254], abs=2)


def test_a_picture_of_this_moment_is_not_kept(tmp_path):
    paint(tmp_path / "a.png", "red")
    assert key_of(tmp_path / "a.png", "a.png", SIDE) is None
    assert key_of(tmp_path / "b.png", "b.png", SIDE) is None


def test_the_oldest_go_first_and_large_ones_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    cache = ThumbnailCache(tmp_path / "cache")
    made = Thumbnail(b"jpeg", 4, 3)
    for name in "abcde":
        cache.put(name, made)
    assert [name for name in "abcde" if cache.get(name) == made] == ["c", "d", "e"]
    cache.put("c", made)
    cache.put("f", made)
    assert [name for name in "abcdef" if cache.get(name)] == ["c", "e", "f"]
    cache.put("large", Thumbnail(bytes(module.MAX_BYTES + 1), 4, 3))
    assert cache.get("large") is None


@pytest.mark.parametrize(
    "content", [b"no database" * 100, b"SQLite format 3\x00" + bytes(4000), b""]
)
def test_a_damaged_file_costs_only_time(source, content, caplog):
    image_id = source.index.image_ids[0]
    first = Thumbnails().get(source, image_id, SIDE)
    folder = source.index.path / "cache"
    for file in folder.iterdir():
        file.unlink()
    (folder / FILE_NAME).write_bytes(content)
    again = IndexPictures(source.index)
    with caplog.at_level(logging.ERROR):
        assert Thumbnails().get(again, image_id, SIDE) == first
        assert Thumbnails().get(IndexPictures(source.index), image_id, SIDE) == first


def test_rows_of_another_kind_are_passed_over(source):
    image_id = source.index.image_ids[0]
    first = Thumbnails().get(source, image_id, SIDE)
    with sqlite3.connect(source.index.path / "cache" / FILE_NAME) as connection:
        connection.execute("UPDATE thumbnails SET jpeg = 'text', width = -1")
    connection.close()
    assert Thumbnails().get(source, image_id, SIDE) == first


def test_an_index_that_cannot_be_written_is_shown(source, monkeypatch, caplog):
    (source.index.path / "cache").write_text("a file in its place")
    assert Thumbnails().get(source, source.index.image_ids[0], SIDE)[1][0] > 0
    assert "thumbnails are not kept" in caplog.text
