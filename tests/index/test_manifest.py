import json

import pytest

from matir_nb.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError
from matir_nb.index.manifest import (
    FileStamp,
    Manifest,
    Segment,
    differences,
    read_manifest,
    stamp_of,
    write_manifest,
)


def a_manifest() -> Manifest:
    stamp = FileStamp(3, "00ff")
    return Manifest(
        made_by={"encoder": "e@1", "dim": 4, "masks": {"points_per_side": 8}},
        preset={"name": "p"},
        image_root="../photos",
        segments=(Segment("000001", 2, 5, {"a.npy": stamp}),),
        skipped=(("bäd.jpg", "truncated"),),
    )


def test_what_was_written_is_read(tmp_path):
    write_manifest(tmp_path, a_manifest())
    assert read_manifest(tmp_path) == a_manifest()
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_failed_write_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(tmp_path, a_manifest())

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matir_nb.index.manifest.os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(tmp_path, Manifest({}, {}, "elsewhere"))
    assert read_manifest(tmp_path) == a_manifest()


def test_no_index_says_how_to_make_one(tmp_path):
    with pytest.raises(IndexNotFoundError, match=r"no index at .*matir_nb.build"):
        read_manifest(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexNotFoundError, match="no index at"):
        read_manifest(tmp_path / "file")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}', "\xff"])
def test_a_broken_manifest_is_corrupt(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(IndexCorruptError, match="is damaged"):
        read_manifest(tmp_path)


def test_an_altered_origin_is_corrupt(tmp_path):
    write_manifest(tmp_path, a_manifest())
    document = json.loads((tmp_path / "manifest.json").read_text())
    document["made_by"]["encoder"] = "other"
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(IndexCorruptError, match="fingerprint"):
        read_manifest(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format_version": 2, "surprise": 1}')
    with pytest.raises(IndexMismatchError, match=r"format version 2.*update matir_nb"):
        read_manifest(tmp_path)


def test_differences_name_each_value():
    old = {"encoder": "a", "dim": 4, "masks": {"n": 1, "m": 2}}
    new = {"encoder": "b", "dim": 4, "masks": {"n": 3, "m": 2}, "limits": 9}
    assert differences(old, new) == ["encoder: 'a' → 'b'", "limits: None → 9", "masks.n: 1 → 3"]
    assert differences(old, old) == []


def test_a_stamp_is_size_and_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert stamp_of(tmp_path / "abc") == FileStamp(3, digest)
