import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from matir_nb.errors import (
    ConfigError,
    ImageError,
    IndexCorruptError,
    IndexMismatchError,
    IndexNotFoundError,
    ShapeError,
)
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index import writer as writer_module
from matir_nb.index.changes import KnownFile
from matir_nb.index.manifest import FORMAT_VERSION, read_manifest, write_manifest
from matir_nb.index.segments import FILES, open_segment, write_segment
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.verify import verify
from matir_nb.index.writer import IndexWriter
from matir_nb.types import FileFacts, ImageRef

MADE_BY = {"segmenter": "s", "encoder": "e", "dim": 2, "masks": None}
AXES = np.eye(2, dtype=np.float32)


def an_image(root: Path, name: str, n_regions: int, *, fingerprint: str = "f1") -> IndexedImage:
    """Return a 5 x 4 image whose region i is its first i + 1 columns."""
    ref = ImageRef(name, root / name, 5, 4, fingerprint)
    masks = [encode(np.arange(5)[None].repeat(4, 0) <= i) for i in range(n_regions)]
    scores = np.linspace(0.5, 0.9, n_regions)
    vectors = np.tile([0.6, 0.8], (n_regions, 1)).astype(np.float32)
    return IndexedImage(ref, regions_from_masks(masks, scores, scores / 2), vectors, AXES[0])


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def a_writer(root: Path, **changes: object) -> IndexWriter:
    made_by = MADE_BY | changes
    path = root.parent / "photos.matir"
    return IndexWriter.create_or_resume(path, made_by=made_by, preset={"name": "p"}, root=root)


def test_everything_comes_back(root):
    batches = [[("b.png", 2), ("a.png", 0)], [("c.png", 1)]]
    with a_writer(root) as writer:
        for batch in batches:
            writer.add([an_image(root, name, n) for name, n in batch])
    index = Index.open(writer.path)
    assert index.image_ids == ("b.png", "a.png", "c.png")
    assert index.id_ranks.tolist() == [1, 0, 2]
    assert index.region_counts.tolist() == [2, 0, 1]
    assert (index.n_images, index.n_regions, index.dim) == (3, 3, 2)
    assert len(index.manifest.segments) == 2
    for name, n in (("b.png", 2), ("a.png", 0), ("c.png", 1)):
        expected, got = an_image(root, name, n), index.regions_of(name)
        assert index.ref_of(name) == expected.ref
        assert got.masks == expected.regions.masks
        for column in ("boxes_xyxy", "areas", "predicted_ious", "stability_scores"):
            np.testing.assert_array_equal(getattr(got, column), getattr(expected.regions, column))
        half = expected.region_vectors.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(index.region_vectors_of(name), half)


def test_places_may_be_text(root):
    with IndexWriter.create_or_resume(root / "i.matir", made_by=MADE_BY, preset={}, root=root):
        pass
    index = Index.open(str(root / "i.matir"), images=str(root))
    assert (index.path, index.image_root) == (root / "i.matir", root)


def test_scores_follow_the_rows(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
        writer.add([an_image(root, "b.png", 1)])
    index = Index.open(writer.path)
    np.testing.assert_allclose(index.best_region_scores(AXES), [[0.6] * 2, [0.8] * 2], atol=1e-3)
    assert index.whole_image_scores(AXES).tolist() == [[1, 1], [0, 0]]


def test_an_index_without_images_opens(root):
    with a_writer(root) as writer:
        pass
    index = Index.open(writer.path)
    assert (index.n_images, index.n_regions) == (0, 0)
    assert index.best_region_scores(AXES).shape == (2, 0)
    assert index.facts_table().is_empty()


def test_images_without_any_region_are_kept(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 0)])
    index = Index.open(writer.path)
    assert len(index.regions_of("a.png")) == 0
    assert index.region_vectors_of("a.png").shape == (0, 2)


def test_resuming_knows_what_is_there_and_removes_leftovers(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])
    write_segment(writer.path / "segments/000007", [an_image(root, "x.png", 1)], root=root, dim=2)
    (writer.path / "segments/000008").mkdir()
    with a_writer(root) as resumed:
        assert resumed.known == {"a.png": KnownFile("f1")}
        assert [f.name for f in (writer.path / "segments").iterdir()] == ["000001"]
        resumed.add([an_image(root, "b.png", 1)])
    assert Index.open(writer.path).image_ids == ("a.png", "b.png")


def test_joined_segments_hold_the_same(root):
    images = [an_image(root, f"{i}.png", i % 3) for i in range(7)]
    with a_writer(root) as writer:
        for image in images:
            writer.add([image])
        before = Index.open(writer.path)
        writer.finish([("z.png", "broken")])
    after = Index.open(writer.path)
    assert len(before.manifest.segments) == 7
    assert [s.name for s in after.manifest.segments] == ["000008"]
    assert [f.name for f in (writer.path / "segments").iterdir()] == ["000008"]
    assert after.manifest.skipped == (("z.png", "broken"),)
    assert after.image_ids == before.image_ids
    np.testing.assert_array_equal(after.region_counts, before.region_counts)
    for image in images:
        name = image.ref.image_id
        assert after.regions_of(name).masks == image.regions.masks
        np.testing.assert_array_equal(after.region_vectors_of(name), before.region_vectors_of(name))
    table = pl.read_ipc(writer.path / "segments/000008/regions.arrow")
    assert table["image_row"].to_list() == [1, 2, 2, 4, 5, 5]
    assert verify(after.path).is_sound


def test_segments_stay_apart_beyond_the_size(root, monkeypatch):
    with a_writer(root) as writer:
        for i in range(4):
            writer.add([an_image(root, f"{i}.png", 1)])
        size = writer._manifest.segments[0].n_bytes
        monkeypatch.setattr("matir_nb.index.joining.JOIN_BYTES", 2 * size + 1)
        writer.finish([])
    assert [s.n_images for s in Index.open(writer.path).manifest.segments] == [2, 2]


def test_dropped_images_are_gone_and_the_rest_is_intact(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1), an_image(root, "b.png", 2)])
        writer.add([an_image(root, "c.png", 3)])
        writer.drop({"a.png", "c.png"})
        assert writer.known == {"b.png": KnownFile("f1")}
        assert (writer.n_images, writer.n_regions) == (1, 2)
    index = Index.open(writer.path)
    assert [segment.dropped for segment in index.manifest.segments] == [(0,)]
    assert (index.n_images, index.n_regions) == (1, 2)
    assert not index.has_image("a.png")
    assert index.image_ids == ("b.png",)
    assert index.regions_of("b.png").masks == an_image(root, "b.png", 2).regions.masks


def test_an_open_index_outlives_joining_and_dropping(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2), an_image(root, "c.png", 0)])
        writer.add([an_image(root, "b.png", 1)])
        old = Index.open(writer.path)
        writer.drop({"a.png"})
        writer.compact()
    assert [s.name for s in Index.open(writer.path).manifest.segments] == ["000003"]
    assert old.facts_table()["image_id"].to_list() == ["a.png", "c.png", "b.png"]
    assert old.regions_of("a.png").masks == an_image(root, "a.png", 2).regions.masks
    assert old.best_region_scores(AXES).shape == (2, 3)


def test_a_full_disk_keeps_what_was_added(root, monkeypatch):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])

        def no_space(folder: Path, *_args: object, **_options: object) -> None:
            folder.mkdir()
            (folder / "images.arrow").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(writer_module, "write_segment", no_space)
            with pytest.raises(OSError, match="No space left"):
                writer.add([an_image(root, "b.png", 1)])
        assert Index.open(writer.path).image_ids == ("a.png",)
        writer.add([an_image(root, "b.png", 1)])
    assert Index.open(writer.path).image_ids == ("a.png", "b.png")
    assert len(list((writer.path / "segments").iterdir())) == 2


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_or_missing_file_is_corrupt(root, name):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
    file = writer.path / "segments/000001" / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(IndexCorruptError, match=rf"{name}' has \d+ bytes instead of \d+"):
        Index.open(writer.path)
    file.unlink()
    with pytest.raises(IndexCorruptError, match=f"{name}' is missing"):
        Index.open(writer.path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_manifest_does_not_name_is_corrupt(root, name):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
    manifest = read_manifest(writer.path)
    (segment,) = manifest.segments
    files = {key: stamp for key, stamp in segment.files.items() if key != name}
    write_manifest(writer.path, replace(manifest, segments=(replace(segment, files=files),)))
    with pytest.raises(IndexCorruptError, match=rf"names no {name}"):
        Index.open(writer.path)


def test_verify_finds_an_altered_byte(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
    assert verify(writer.path).is_sound
    file = writer.path / "segments/000001/image_vectors.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert list(verify(writer.path).broken_segments.items()) == [("000001", {file.name})]
    with pytest.raises(IndexCorruptError, match=r"image_vectors\.npy' was altered"):
        Index.open(writer.path)


def test_large_files_are_not_read_when_an_index_is_opened(root, monkeypatch):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
    monkeypatch.setattr("matir_nb.index.store.CHECKED_BYTES", 0)
    file = writer.path / "segments/000001/image_vectors.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert Index.open(writer.path).n_images == 1
    assert not verify(writer.path).is_sound


def test_garbage_of_the_right_size_is_corrupt(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2)])
    for name in ("images.arrow", "region_vectors.npy"):
        file = writer.path / "segments/000001" / name
        good = file.read_bytes()
        file.write_bytes(b"?" * len(good))
        with pytest.raises(IndexCorruptError, match=r"cannot be read|no table of an index"):
            Index.open(writer.path)
        file.write_bytes(good)


def test_resuming_with_other_models_says_what_differs(root):
    with a_writer(root):
        pass
    with pytest.raises(IndexMismatchError, match=r"encoder: 'e' → 'e2'; masks: None → \{'n': 3\}"):
        a_writer(root, encoder="e2", masks={"n": 3})


def test_only_an_index_is_written_into(root):
    (root / "holiday.jpg").touch()
    with pytest.raises(ConfigError, match="exists and is no index"):
        IndexWriter.create_or_resume(root, made_by=MADE_BY, preset={}, root=root)
    with pytest.raises(ConfigError, match="exists and is no index"):
        IndexWriter.create_or_resume(root / "holiday.jpg", made_by=MADE_BY, preset={}, root=root)


def test_an_index_cut_off_at_birth_can_be_begun_again(root):
    path = root.parent / "photos.matir"
    (path / "segments").mkdir(parents=True)
    (path / "manifest.json.tmp").write_text('{"form')
    with pytest.raises(IndexNotFoundError, match="no index at"):
        Index.open(path)
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])
    assert Index.open(path).image_ids == ("a.png",)


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_processes_cannot_write_at_once(root):
    code = (
        "from pathlib import Path; from matir_nb.index.writer import IndexWriter; import sys\n"
        f"IndexWriter.create_or_resume(Path(sys.argv[1]), made_by={MADE_BY!r}, preset={{}}, "
        "root=Path(sys.argv[2]))"
    )
    with a_writer(root) as writer:
        command = [sys.executable, "-c", code, str(writer.path), str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "wait for it, or end it" in done.stderr


def test_vectors_and_regions_must_pair_up(root):
    image = an_image(root, "a.png", 2)
    with pytest.raises(ShapeError, match=r"'a.png': expected \(2, 2\), got \(1, 2\)"):
        replace(image, region_vectors=AXES[:1])


def test_a_moved_folder_of_images_can_be_named(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    Image.fromarray(pixels).save(root / "a.png")
    np.testing.assert_array_equal(Index.open(writer.path).load_image("a.png"), pixels)
    moved = root.rename(root.parent / "elsewhere")
    with pytest.raises(ImageError, match=r"'a.png' is not in .*photos.* images=FOLDER"):
        Index.open(writer.path).load_image("a.png")
    index = Index.open(writer.path, images=moved)
    np.testing.assert_array_equal(index.load_image("a.png"), pixels)


def test_index_and_images_can_move_together(root, tmp_path):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])
    new = tmp_path / "new"
    new.mkdir()
    root.rename(new / "photos")
    path = writer.path.rename(new / "photos.matir")
    assert Index.open(path).ref_of("a.png").path == (new / "photos/a.png").resolve()


def test_an_image_of_a_known_id_replaces_it_in_one_step(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1), an_image(root, "b.png", 1)])
        writer.add([an_image(root, "a.png", 3, fingerprint="f2")], dropping={"b.png", "none.png"})
        assert writer.known == {"a.png": KnownFile("f2")}
    index = Index.open(writer.path)
    assert (index.image_ids, index.n_regions) == (("a.png",), 3)
    assert [segment.name for segment in index.manifest.segments] == ["000002"]


def test_the_name_of_a_segment_never_comes_back(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 1)])
        writer.drop({"a.png"})
    assert list((writer.path / "segments").iterdir()) == []
    with a_writer(root) as writer:
        writer.add([an_image(root, "b.png", 1)])
    index = Index.open(writer.path)
    assert [segment.name for segment in index.manifest.segments] == ["000002"]
    assert index.manifest.next_segment == 3


def test_the_content_of_a_segment_is_that_of_its_vectors(root):
    with a_writer(root) as writer:
        for name, n_regions in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
            writer.add([an_image(root, name, n_regions)])
    first, same, other = (part.content for part in Index.open(writer.path).parts)
    assert first == same != other


def test_stored_images_of_one_segment_are_read_of_one_opening(root, monkeypatch):
    opened = []

    def counted(folder, segment):
        opened.append(segment.name)
        return open_segment(folder, segment)

    names = ["a.png", "b.png", "c.png"]
    with a_writer(root) as writer:
        writer.add([an_image(root, name, 1) for name in names])
        monkeypatch.setattr(writer_module, "open_segment", counted)
        assert [writer.stored(name).ref.image_id for name in names] == names
        assert opened == ["000001"]
        writer.drop({"a.png"})
        assert writer.stored("b.png").ref.image_id == "b.png"
    assert opened == ["000001"] * 2


def test_a_stored_image_can_be_added_again_under_another_name(root):
    facts = FileFacts(n_bytes=9, modified=datetime(2024, 5, 1, tzinfo=UTC), iso=200)
    image = replace(an_image(root, "a.png", 2), copies=("z.png",))
    image = replace(image, ref=replace(image.ref, facts=facts))
    with a_writer(root) as writer:
        writer.add([image])
        before = Index.open(writer.path)
        stored = writer.stored("a.png")
        assert stored.ref == image.ref
        ref = replace(stored.ref, image_id="b/c.png", path=root / "b/c.png")
        writer.add([replace(stored, ref=ref, copies=())], dropping=["a.png"])
        assert writer.known == {"b/c.png": KnownFile("f1", 9, facts.modified)}
    index = Index.open(writer.path)
    assert index.ref_of("b/c.png").facts == facts
    assert (before.copies_of("a.png"), index.copies_of("b/c.png")) == (("z.png",), ())
    assert index.regions_of("b/c.png").masks == image.regions.masks
    vectors = before.region_vectors_of("a.png")
    np.testing.assert_array_equal(index.region_vectors_of("b/c.png"), vectors)
    table = index.facts_table()
    assert table.select("folder", "name", "iso").row(0) == ("b", "c.png", 200)


def test_compacting_leaves_no_dropped_rows(root):
    with a_writer(root) as writer:
        for i in range(3):
            writer.add([an_image(root, f"{i}{part}.png", 2) for part in "ab"])
        writer.drop({"0a.png", "2b.png"})
        before = Index.open(writer.path)
        writer.compact()
    after = Index.open(writer.path)
    assert [s.dropped for s in after.manifest.segments] == [()]
    assert after.image_ids == before.image_ids == ("0b.png", "1a.png", "1b.png", "2a.png")
    np.testing.assert_array_equal(after.best_region_scores(AXES), before.best_region_scores(AXES))
    assert verify(after.path).is_sound


def test_vectors_and_masks_of_format_1_are_lifted(root):
    with a_writer(root) as writer:
        writer.add([an_image(root, "a.png", 2), an_image(root, "b.png", 0)])
    new = Index.open(writer.path)
    masks, scores = new.regions_of("a.png").masks, new.best_region_scores(AXES)
    as_format_1(writer.path)
    with pytest.raises(IndexMismatchError, match=r"format version 1: lift it with matir compact"):
        Index.open(writer.path)
    with IndexWriter.resume(writer.path) as resumed:
        assert resumed.known == {"a.png": KnownFile("f1"), "b.png": KnownFile("f1")}
    lifted = Index.open(writer.path)
    assert verify(lifted.path).is_sound
    assert lifted.regions_of("a.png").masks == masks
    np.testing.assert_array_equal(lifted.best_region_scores(AXES), scores)
    assert lifted.manifest.version == FORMAT_VERSION


def as_format_1(path: Path) -> None:
    """Write the one segment of an index as format version 1 had it."""
    folder = path / "segments/000001"
    columns = "image_id path width height fingerprint first_region n_regions".split()
    pl.read_ipc(folder / "images.arrow").select(columns).write_ipc(folder / "images.arrow")
    regions = pl.read_ipc(folder / "regions.arrow")
    regions.write_ipc(folder / "regions.arrow", record_batch_size=1)
    kept = {"images.arrow", "regions.arrow", "region_vectors.npy", "image_vectors.npy"}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()
    document = json.loads((path / "manifest.json").read_text())
    segment = document["segments"][0]
    del document["checksum"], segment["dropped"]
    segment["files"] = {
        name: {
            "bytes": (folder / name).stat().st_size,
            "sha256": sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in kept
    }
    (path / "manifest.json").write_text(json.dumps(document | {"format_version": 1}))
    (path / "manifest.backup.json").unlink()
