"""Every file of an index damaged in turn: found, said, repaired, and what is sound untouched."""

import json
import os
import shutil

import numpy as np
import polars as pl
import pytest
from fakes import OracleEncoder, OracleMaskSource, scene_gallery

from matir_nb.errors import (
    IndexCorruptError,
    IndexMismatchError,
    IndexNotFoundError,
    ModelUnavailableError,
)
from matir_nb.index import build as build_module
from matir_nb.index import columns, rows, update
from matir_nb.index import repair as repair_module
from matir_nb.index.build import build
from matir_nb.index.compact import compact
from matir_nb.index.lock import write_lock
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    fingerprint_of,
    manifest_text,
    read_manifest,
)
from matir_nb.index.repair import repair
from matir_nb.index.segments import FILES, KINDS, vector_files
from matir_nb.index.store import Index
from matir_nb.index.verify import verify

N = 6
CODES = [name for kind in KINDS for name in vector_files(kind)[1:]]
OTHERS = [name for name in FILES if name not in CODES]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder of scenes and an index of three segments of it, nothing of which is joined."""
    home = tmp_path_factory.mktemp("original")
    scenes = scene_gallery(home / "scenes", N)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MODEL_IMAGES", 1)
        patch.setattr(update, "SEGMENT_IMAGES", 2)
        patch.setattr("matir_nb.index.joining.JOIN_BYTES", 1)
        use(patch, scenes)
        for file in (home / "scenes").iterdir():
            os.utime(file, (1e9, 1e9))
        build(home / "scenes", home / "i.matir")
    return home, scenes


@pytest.fixture
def damaged(original, tmp_path, monkeypatch):
    """A copy of both, whose models are the scenes'; segments stay apart."""
    home, scenes = original
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    use(monkeypatch, scenes)
    monkeypatch.setattr("matir_nb.index.joining.JOIN_BYTES", 1)
    return tmp_path / "i.matir"


def use(patch, scenes):
    """Let the models of every preset be those that know `scenes`."""
    patch.setattr(build_module, "load_segmenter", lambda *_: OracleMaskSource(scenes))
    patch.setattr(build_module, "load_encoder", lambda *_: OracleEncoder(scenes))


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def content(path):
    index = Index.open(path)
    return {
        image_id: (
            index.ref_of(image_id).fingerprint,
            index.regions_of(image_id).masks,
            index.region_vectors_of(image_id).tobytes(),
            index.image_vector_of(image_id).tobytes(),
        )
        for image_id in sorted(index.image_ids)
    }


def files_of(path, segments):
    return {
        file.relative_to(path): file.read_bytes()
        for name in segments
        for file in (path / "segments" / name).iterdir()
    }


def test_a_sound_index_is_left_alone(damaged):
    before = {file: file.read_bytes() for file in damaged.rglob("*") if file.is_file()}
    report = verify(damaged)
    assert (report.is_sound, report.exit_code, report.n_segments) == (True, 0, 3)
    assert report.n_files == 3 * len(FILES)
    assert report.n_bytes == sum(f.stat().st_size for f in (damaged / "segments").rglob("*.*"))
    assert str(report).endswith("every digest is right")
    repaired = repair(damaged)
    assert (repaired.done, repaired.exit_code, repaired.built) == ((), 0, None)
    after = {file: file.read_bytes() for file in damaged.rglob("*") if file.is_file()}
    assert {file: after[file] for file in before} == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_every_file_of_a_segment_is_found_and_repaired(original, damaged, name, how):
    file = damaged / "segments" / "000002" / name
    if how == "flipped":
        flip(file, place=len(file.read_bytes()) // 2)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    else:
        file.unlink()
    sound = files_of(damaged, ["000001", "000003"])
    (broken,) = verify(damaged).broken
    assert (broken.segment, broken.file) == ("000002", name)
    words = {"flipped": "altered", "cut": "bytes instead of", "missing": "missing"}
    assert words[how] in broken.what
    report = repair(damaged)
    assert report.exit_code == 0
    if name in CODES:
        assert (report.n_dropped, report.built) == (0, None)
        assert report.done == (f"segment 000002: {name.split('_')[0]} codes are made again",)
    else:
        assert report.done == ("segment 000002 with 2 images is dropped",)
        assert report.n_dropped == report.built.n_added == 2
        assert len(report.dropped) == (0 if name == "images.arrow" else 2)
    assert verify(damaged).is_sound
    assert files_of(damaged, ["000001", "000003"]) == sound
    assert content(damaged) == content(original[0] / "i.matir")


def test_any_flipped_byte_of_a_segment_is_found(damaged):
    names = [f for f in (damaged / "segments" / "000001").iterdir() if f.stat().st_size]
    rng = np.random.default_rng(0)
    for file in names:
        for place in rng.integers(file.stat().st_size, size=5):
            flip(file, int(place))
            assert [item.file for item in verify(damaged).broken] == [file.name]
            flip(file, int(place))
    assert verify(damaged).is_sound


def test_a_reader_keeps_what_it_has_while_codes_are_made_again(damaged):
    index = Index.open(damaged)
    queries = np.eye(index.dim, dtype=np.float32)
    before = index.best_region_scores(queries)
    for name in CODES:
        flip(damaged / "segments" / "000001" / name)
    repair(damaged)
    np.testing.assert_array_equal(index.best_region_scores(queries), before)
    np.testing.assert_array_equal(Index.open(damaged).best_region_scores(queries), before)


@pytest.mark.parametrize("damage", [flip, lambda file: file.unlink(), lambda f: f.write_text("{")])
def test_a_damaged_manifest_comes_back_from_its_backup(original, damaged, damage):
    damage(damaged / MANIFEST_NAME)
    with pytest.raises((IndexCorruptError, IndexNotFoundError)):
        Index.open(damaged)
    (broken,) = verify(damaged).broken
    assert (broken.segment, broken.file) == (None, MANIFEST_NAME)
    report = repair(damaged)
    assert report.done == ("manifest.json is written again from its backup",)
    assert (report.exit_code, report.built.n_added) == (0, 0)
    assert verify(damaged).is_sound
    assert content(damaged) == content(original[0] / "i.matir")


def test_without_the_images_a_manifest_comes_back_all_the_same(original, damaged):
    flip(damaged / MANIFEST_NAME)
    (damaged.parent / "scenes").rename(damaged.parent / "elsewhere")
    report = repair(damaged)
    assert (report.exit_code, report.built) == (0, None)
    assert "not indexed again: what the backup may lack." in str(report)
    assert content(damaged) == content(original[0] / "i.matir")


def test_a_backup_that_is_older_brings_back_what_it_knows_and_the_rest_is_indexed(
    original, damaged
):
    manifest = read_manifest(damaged)
    older = manifest_text(type(manifest)(**_fields(manifest) | {"segments": manifest.segments[:2]}))
    (damaged / BACKUP_NAME).write_text(older)
    assert verify(damaged).is_sound
    flip(damaged / MANIFEST_NAME)
    report = repair(damaged)
    assert report.built.n_added == 2
    assert content(damaged) == content(original[0] / "i.matir")


def _fields(manifest):
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}


def test_a_damaged_backup_is_written_again(damaged):
    flip(damaged / BACKUP_NAME)
    assert [item.file for item in verify(damaged).broken] == [BACKUP_NAME]
    report = repair(damaged)
    assert (report.done, report.built) == (("manifest.backup.json is written again",), None)
    assert verify(damaged).is_sound


def test_both_manifests_damaged_is_said_and_nothing_is_touched(damaged):
    for name in (MANIFEST_NAME, BACKUP_NAME):
        flip(damaged / name)
    report = verify(damaged)
    assert [item.file for item in report.broken] == [MANIFEST_NAME, BACKUP_NAME]
    assert report.n_segments == 0
    with pytest.raises(IndexCorruptError, match=r"both damaged.*build the index again"):
        repair(damaged)
    assert len(list((damaged / "segments").iterdir())) == 3


def test_what_is_no_index_and_what_is_newer_is_refused(damaged, tmp_path):
    (tmp_path / "other").mkdir()
    for act in (verify, repair):
        with pytest.raises(IndexNotFoundError):
            act(tmp_path / "other")
        with pytest.raises(IndexNotFoundError):
            act(tmp_path / "absent")
    assert list((tmp_path / "other").iterdir()) == []
    text = json.loads((damaged / MANIFEST_NAME).read_text())
    del text["checksum"]
    newer = text | {"format_version": 99}
    text = newer | {"checksum": fingerprint_of(newer)}
    (damaged / MANIFEST_NAME).write_text(json.dumps(text))
    for act in (verify, repair):
        with pytest.raises(IndexMismatchError, match="format version 99"):
            act(damaged)


def state_of(path):
    """Return every file of an index but the lock's."""
    return {
        file: file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith("write.")
    }


def test_without_the_images_nothing_is_changed_and_it_says_what_to_do(original, damaged):
    (damaged.parent / "scenes").rename(damaged.parent / "elsewhere")
    flip(damaged / "segments" / "000002" / "regions.arrow")
    before = state_of(damaged)
    report = repair(damaged)
    assert (report.exit_code, report.n_kept, report.n_dropped) == (1, 2, 0)
    assert (report.done, report.dropped, report.built) == ((), (), None)
    assert "not repaired: segment 000002 with 2 images" in str(report)
    assert "--images FOLDER" in report.missing
    assert before.items() <= state_of(damaged).items()
    assert repair(damaged, images=damaged.parent / "elsewhere").exit_code == 0
    assert content(damaged) == content(original[0] / "i.matir")


def test_what_needs_no_image_is_repaired_beside_what_does(damaged):
    (damaged.parent / "scenes").rename(damaged.parent / "elsewhere")
    flip(damaged / "segments" / "000001" / CODES[0])
    flip(damaged / "segments" / "000002" / "regions.arrow")
    flip(damaged / BACKUP_NAME)
    report = repair(damaged)
    assert (report.exit_code, len(report.done)) == (1, 2)
    (broken,) = verify(damaged).broken
    assert (broken.segment, broken.file) == ("000002", "regions.arrow")


def test_what_cannot_be_indexed_again_can_be_given_up(damaged):
    (damaged.parent / "scenes").rename(damaged.parent / "elsewhere")
    flip(damaged / "segments" / "000002" / "regions.arrow")
    report = repair(damaged, drop=True)
    assert (report.exit_code, report.n_dropped, report.built) == (1, 2, None)
    assert all(name in str(report) for name in report.dropped)
    assert (verify(damaged).is_sound, Index.open(damaged).n_images) == (True, N - 2)
    build(damaged.parent / "elsewhere", damaged)
    assert Index.open(damaged).n_images == N


def test_a_folder_without_one_of_the_images_is_not_enough(damaged):
    gone = segment_names(damaged, 1)[0]
    (damaged.parent / "scenes" / gone).unlink()
    flip(damaged / "segments" / "000002" / "regions.arrow")
    report = repair(damaged)
    assert (report.exit_code, report.n_kept) == (1, 2)
    assert "1 of the 2 images of the damaged segments are not in" in report.missing
    assert gone in report.missing
    report = repair(damaged, drop=True)
    assert (report.exit_code, report.dropped, report.built.n_added) == (1, (gone,), 1)
    assert f"{gone}: it is not in the folder" in report.missing
    assert (verify(damaged).is_sound, Index.open(damaged).n_images) == (True, N - 1)


def test_an_image_that_is_refused_now_is_said_to_be_away(damaged):
    name = segment_names(damaged, 1)[0]
    (damaged.parent / "scenes" / name).write_bytes(b"no picture")
    flip(damaged / "segments" / "000002" / "regions.arrow")
    report = repair(damaged)
    assert (report.exit_code, report.dropped, report.built.n_added) == (1, (name,), 1)
    assert f"not indexed again: 1 images. {name}: " in report.missing


@pytest.mark.parametrize("how", ["models", "ctrl-c"])
def test_what_ends_the_indexing_says_what_was_dropped_and_the_next_one_brings_it_back(
    original, damaged, monkeypatch, how
):
    names = segment_names(damaged, 1)

    def fail(*_):
        raise ModelUnavailableError("no memory") if how == "models" else KeyboardInterrupt

    monkeypatch.setattr(OracleEncoder, "embed_images", fail)
    flip(damaged / "segments" / "000002" / "regions.arrow")
    if how == "models":
        report = repair(damaged)
        assert (report.exit_code, report.dropped) == (1, tuple(names))
        said = str(report)
    else:
        with pytest.raises(KeyboardInterrupt) as caught:
            repair(damaged)
        (said,) = caught.value.__notes__
    assert all(name in said for name in names)
    monkeypatch.undo()
    use(monkeypatch, original[1])
    assert build(damaged.parent / "scenes", damaged).n_added == 2
    assert content(damaged) == content(original[0] / "i.matir")


def test_other_models_than_the_indexes_are_refused_before_anything_goes(damaged, original):
    other = OracleEncoder(original[1])
    other.model_id = "another"
    flip(damaged / "segments" / "000002" / "regions.arrow")
    before = state_of(damaged)
    report = repair(damaged, encoder=other)
    assert (report.exit_code, report.n_kept) == (1, 2)
    assert "made otherwise" in report.missing
    assert before.items() <= state_of(damaged).items()


def segment_names(path, number):
    """Return the images of a sound segment."""
    segment = read_manifest(path).segments[number]
    return pl.read_ipc((path / "segments" / segment.name / "images.arrow").read_bytes())[
        "image_id"
    ].to_list()


def test_the_images_may_be_elsewhere(damaged):
    (damaged.parent / "scenes").rename(damaged.parent / "elsewhere")
    flip(damaged / "segments" / "000002" / "regions.arrow")
    report = repair(damaged, images=damaged.parent / "elsewhere")
    assert (report.exit_code, report.built.n_added) == (0, 2)


def test_images_that_are_gone_from_the_folder_stay_in_the_index(damaged):
    first = Index.open(damaged).image_ids[0]
    (damaged.parent / "scenes" / first).unlink()
    flip(damaged / "segments" / "000003" / "regions.arrow")
    assert repair(damaged).built.n_images == N
    assert Index.open(damaged).has_image(first)


def test_masks_of_its_users_are_asked_for(damaged, original, tmp_path):
    scenes = original[1]
    out = tmp_path / "own.matir"
    build(damaged.parent / "scenes", out, masks=OracleMaskSource(scenes))
    flip(out / "segments" / "000001" / "regions.arrow")
    report = repair(out)
    assert "masks of your own" in report.missing
    assert (report.exit_code, report.n_kept, report.n_dropped) == (1, N, 0)
    assert "--masks FILE" in report.missing
    assert repair(out, masks=OracleMaskSource(scenes)).built.n_added == N


def test_models_that_are_not_there_leave_the_index_as_it_is(damaged, monkeypatch):
    def absent(*_):
        message = "no weights"
        raise build_module.ConfigError(message)

    monkeypatch.setattr(build_module, "load_encoder", absent)
    flip(damaged / "segments" / "000002" / "regions.arrow")
    before = state_of(damaged)
    report = repair(damaged)
    assert (report.exit_code, "no weights" in report.missing) == (1, True)
    assert before.items() <= state_of(damaged).items()


def test_a_compaction_meanwhile_is_no_damage(damaged, monkeypatch):
    monkeypatch.setattr("matir_nb.index.joining.JOIN_BYTES", 1 << 30)
    seen = []

    def progress(n_read, _):
        if n_read == 1 and not seen:
            seen.append(compact(damaged))

    assert verify(damaged, progress=progress).is_sound
    assert seen
    (segment,) = read_manifest(damaged).segments
    flip(damaged / "segments" / segment.name / "regions.arrow")
    assert len(verify(damaged).broken) == 1


def test_files_of_the_user_are_put_aside_and_an_approximate_index_is_removed(damaged):
    names = Index.open(damaged).image_ids
    columns.add_columns(damaged, pl.DataFrame({"image_id": names, "x": range(N)}), names)
    (damaged / "calibration.json").write_text("{")
    (damaged / "approximate").mkdir()
    (damaged / "approximate" / "about.json").write_text("{")
    flip(damaged / columns.FILE, place=10)
    found = [item.file for item in verify(damaged).broken]
    assert found[:2] == ["columns.parquet", "calibration.json"]
    assert found[2].startswith("approximate/")
    report = repair(damaged)
    assert (len(report.done), report.exit_code, report.built) == (3, 0, None)
    assert verify(damaged).is_sound
    assert (damaged / "columns.broken.parquet").is_file()
    assert not (damaged / "approximate").exists()
    assert Index.open(damaged).n_images == N


def test_another_writer_is_not_disturbed(damaged):
    flip(damaged / "segments" / "000002" / "regions.arrow")
    with write_lock(damaged), pytest.raises(repair_module.ConfigError, match="writing"):
        repair(damaged)
    assert len(read_manifest(damaged).segments) == 3


def test_compacting_joins_and_forgets_what_was_dropped(original, damaged, monkeypatch):
    (damaged.parent / "scenes" / Index.open(damaged).image_ids[0]).unlink()
    monkeypatch.setattr("matir_nb.index.writer.DROPPED_SHARE", 1.0)
    build(damaged.parent / "scenes", damaged)
    before = content(damaged)
    assert [len(s.dropped) for s in read_manifest(damaged).segments] == [1, 0, 0]
    monkeypatch.setattr("matir_nb.index.joining.JOIN_BYTES", 1 << 30)
    reader = Index.open(damaged)
    report = compact(damaged)
    assert (report.n_segments, report.n_images, report.was_version) == ((3, 1), N - 1, 2)
    assert report.n_bytes[1] < report.n_bytes[0]
    assert "5 images: segments 3 → 1, " in str(report)
    assert content(damaged) == before
    assert reader.regions_of(reader.image_ids[0]).masks == before[reader.image_ids[0]][1]
    assert verify(damaged).is_sound
