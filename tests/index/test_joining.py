import logging

import numpy as np
import pytest

from matir_nb.errors import IndexCorruptError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index.joining import JOIN_BYTES, JOIN_COUNT, ripe, waiting
from matir_nb.index.manifest import FileStamp, Segment, write_manifest
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.verify import verify
from matir_nb.index.writer import IndexWriter
from matir_nb.types import ImageRef

MADE_BY = {"segmenter": "s", "encoder": "e", "dim": 2, "masks": None}


def segments(sizes, *, dropped=()):
    return [
        Segment(f"{number:06d}", 8, 0, {"a.npy": FileStamp(size, "")}, dropped)
        for number, size in enumerate(sizes, start=1)
    ]


def sizes(groups):
    return [[segment.n_bytes for segment in group] for group in groups]


def settled(batches):
    """Return sizes of segments after batches of these sizes, and bytes that joining wrote."""
    found, written = [], 0
    for size in batches:
        found.append(size)
        while groups := ripe(segments(found)):
            for group in sizes(groups):
                start = place(found, group)
                found[start : start + len(group)] = [sum(group)]
                written += sum(group)
    return found, written


def place(found, group):
    """Return where the last run of these sizes begins."""
    starts = range(len(found) - len(group), -1, -1)
    return next(start for start in starts if found[start : start + len(group)] == group)


def test_sixteen_alike_are_joined_and_fifteen_are_not():
    assert ripe(segments([5] * 15)) == []
    assert sizes(ripe(segments([5] * 16))) == [[5] * 16]
    assert sizes(ripe(segments([800, *[5] * 16]))) == [[5] * 16]


def test_a_large_one_waits_for_others_of_its_kind():
    assert ripe(segments([*[1] * 14, 100, 1])) == []
    assert sizes(ripe(segments([*[1] * 12, *[100] * 4]))) == [[*[1] * 12, *[100] * 4]]


@pytest.mark.parametrize("kind", ["alike", "mixed", "random"])
def test_segments_stay_few_and_are_seldom_written_again(kind):
    rng = np.random.default_rng(0)
    n = 2000
    batches = {
        "alike": [10_000] * n,
        "mixed": [1_000_000 if i % 16 == 0 else 10_000 for i in range(n)],
        "random": rng.integers(1_000, 300_000, n).tolist(),
    }[kind]
    found, written = settled(batches)
    assert sum(found) == sum(batches)
    assert len(found) <= 64
    assert written <= 4 * sum(batches)


def test_large_segments_stay_apart():
    assert ripe(segments([JOIN_BYTES // 2 + 1] * 40)) == []
    third = JOIN_BYTES // 3
    assert sizes(ripe(segments([third] * 16))) == [[third] * 3] * 5


def test_at_the_end_all_neighbours_are_joined_that_fit():
    assert sizes(waiting(segments([9, 1, 1]), dropped_share=0.25)) == [[9, 1, 1]]
    assert sizes(waiting(segments([1] * 17), dropped_share=0.25)) == [[1] * JOIN_COUNT]
    assert waiting(segments([JOIN_BYTES] * 2), dropped_share=0.25) == []
    many_dropped = segments([JOIN_BYTES], dropped=(0, 1, 2))
    assert waiting(many_dropped, dropped_share=0.25) == [many_dropped]
    assert waiting(many_dropped, dropped_share=0.5) == []


def an_image(root, number):
    ref = ImageRef(f"{number}.png", root / f"{number}.png", 5, 4, f"f{number}")
    regions = regions_from_masks([encode(np.ones((4, 5)))] * (number % 3))
    vectors = np.full((number % 3, 2), 0.5**0.5, np.float32)
    return IndexedImage(ref, regions, vectors, np.eye(2, dtype=np.float32)[number % 2])


def a_writer(root):
    return IndexWriter.create_or_resume(root / "i.matir", made_by=MADE_BY, preset={}, root=root)


def test_segments_are_joined_while_an_index_is_written(tmp_path):
    with a_writer(tmp_path) as writer:
        for number in range(JOIN_COUNT - 1):
            writer.add([an_image(tmp_path, number)] + [an_image(tmp_path, 99)] * (number == 3))
        before = Index.open(writer.path)
        assert len(before.parts) == JOIN_COUNT - 1
        writer.add([an_image(tmp_path, 15)], dropping={"99.png"})
        (part,) = Index.open(writer.path).parts
        assert [f.name for f in (writer.path / "segments").iterdir()] == [part.name] == ["000017"]
        assert writer.stored("4.png").ref == before.ref_of("4.png")
        writer.drop({"5.png"})
        writer.add([an_image(tmp_path, 16)])
    after = Index.open(writer.path)
    kept = [number for number in range(17) if number != 5]
    assert after.image_ids == tuple(f"{number}.png" for number in kept)
    assert after.region_counts.tolist() == [number % 3 for number in kept]
    assert len(after.parts) == 2
    assert before.has_image("99.png")
    assert verify(after.path).is_sound


def test_a_disk_that_refuses_to_join_loses_nothing(tmp_path, monkeypatch):
    def refuse(path, manifest):
        if len(manifest.segments) == 1:
            monkeypatch.undo()
            raise OSError(28, "No space left on device")
        write_manifest(path, manifest)

    with a_writer(tmp_path) as writer:
        for number in range(JOIN_COUNT - 1):
            writer.add([an_image(tmp_path, number)])
        monkeypatch.setattr("matir_nb.index.writer.write_manifest", refuse)
        writer.add([an_image(tmp_path, 15)])
        assert len(Index.open(writer.path).parts) == JOIN_COUNT
        assert writer.stored("2.png").ref.image_id == "2.png"
        writer.drop({"3.png"})
        writer.add([an_image(tmp_path, 4)])
    ids = Index.open(writer.path).image_ids
    assert sorted(ids) == sorted(f"{number}.png" for number in range(16) if number != 3)


def test_a_damaged_segment_stays_apart_and_what_is_added_stays(tmp_path, caplog):
    with a_writer(tmp_path) as writer, caplog.at_level(logging.WARNING):
        writer.add([an_image(tmp_path, 0)])
        file = writer.path / "segments/000001/image_vectors.npy"
        file.write_bytes(file.read_bytes()[:-1] + b"\x01")
        for number in range(1, 20):
            writer.add([an_image(tmp_path, number)])
        assert writer.n_images == 20
    assert caplog.text.count("stay apart") == 1
    with pytest.raises(IndexCorruptError, match=r"image_vectors\.npy' was altered"):
        Index.open(writer.path)
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    assert Index.open(writer.path).n_images == 20
