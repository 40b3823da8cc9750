import errno
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from matir_nb.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError
from matir_nb.index.manifest import (
    BACKUP_NAME,
    FileStamp,
    Manifest,
    Segment,
    differences,
    fingerprint_of,
    read_manifest,
    write_manifest,
)


def a_manifest() -> Manifest:
    stamp = FileStamp(3, "00ff", 7)
    return Manifest(
        made_by={"segmenter": "s@1", "encoder": "e@1", "dim": 4, "masks": {"points_per_side": 8}},
        preset={"name": "p"},
        image_root="../photos",
        segments=(Segment("000001", 4, 5, {"a.npy": stamp}, dropped=(0, 2)),),
        skipped=(("bäd.jpg", "truncated"),),
    )


def test_what_was_written_is_read(tmp_path):
    write_manifest(tmp_path, a_manifest())
    assert read_manifest(tmp_path) == a_manifest()
    assert read_manifest(tmp_path, name=BACKUP_NAME) == a_manifest()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["manifest.backup.json", "manifest.json"]


def test_a_failed_write_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(tmp_path, a_manifest())

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matir_nb.index.disk.os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(tmp_path, replace(a_manifest(), image_root="elsewhere"))
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
    with pytest.raises(IndexCorruptError, match="checksum is wrong"):
        read_manifest(tmp_path)
    del document["checksum"]
    (tmp_path / "manifest.json").write_text(json.dumps(document | {"format_version": 1}))
    with pytest.raises(IndexCorruptError, match="fingerprint"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "../x"}, "no name of a segment"),
        ({"n_images": -1}, "no whole number"),
        ({"n_regions": 2.5}, "no whole number"),
        ({"dropped": [2, 1]}, "rows dropped wrongly"),
        ({"dropped": [4]}, "rows dropped wrongly"),
        ({"name": "1" * 19}, "no name of a segment"),
        *(
            ({"files": {name: {"bytes": 1, "sha256": ""}}}, "no name of a file")
            for name in ("../a.npy", "..", "", "a\0.npy", "a.npy\n", "A.npy", "a.json")
        ),
    ],
)
def test_a_segment_that_cannot_be_is_corrupt(tmp_path, changes, why):
    write_manifest(tmp_path, a_manifest())
    document = json.loads((tmp_path / "manifest.json").read_text())
    document["segments"][0] |= changes
    del document["checksum"]
    document["checksum"] = fingerprint_of(document)
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(IndexCorruptError, match=why):
        read_manifest(tmp_path)


def test_the_next_segment_is_beyond_all_there_were(tmp_path):
    assert a_manifest().next_segment == 2
    dropped = replace(a_manifest(), segments=())
    assert dropped.next_segment == 2
    write_manifest(tmp_path, dropped)
    assert read_manifest(tmp_path).next_segment == 2
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert document["next_segment"] == 2


def test_a_manifest_without_the_next_segment_counts_those_it_names(tmp_path):
    write_manifest(tmp_path, a_manifest())
    document = json.loads((tmp_path / "manifest.json").read_text())
    del document["checksum"], document["next_segment"]
    document["checksum"] = fingerprint_of(document)
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    assert read_manifest(tmp_path) == a_manifest()


def test_the_checksum_is_of_the_rest(tmp_path):
    write_manifest(tmp_path, a_manifest())
    document = json.loads((tmp_path / "manifest.json").read_text())
    checksum = document.pop("checksum")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert checksum == sha256(text.encode()).hexdigest()


def test_open_files_that_run_out_are_no_damage(tmp_path, monkeypatch):
    write_manifest(tmp_path, a_manifest())

    def refused(_path):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("matir_nb.index.open_files.raise_limit", lambda: False)
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(OSError, match="too many open files") as caught:
        read_manifest(tmp_path)
    assert not isinstance(caught.value, IndexCorruptError)


def test_a_newer_format_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format_version": 3, "surprise": 1}')
    with pytest.raises(IndexMismatchError, match=r"format version 3.*update matir_nb"):
        read_manifest(tmp_path)


def test_differences_name_each_value():
    old = {"encoder": "a", "dim": 4, "masks": {"n": 1, "m": 2}}
    new = {"encoder": "b", "dim": 4, "masks": {"n": 3, "m": 2}, "limits": 9}
    assert differences(old, new) == ["encoder: 'a' → 'b'", "limits: None → 9", "masks.n: 1 → 3"]
    assert differences(old, old) == []


def test_a_segment_without_rows_knows_what_is_left():
    segment = a_manifest().segments[0].without([3, 2])
    assert segment.dropped == (0, 2, 3)
    assert (segment.n_live, segment.n_bytes) == (1, 3)
