import errno
import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from fakes import OracleEncoder, OracleMaskSource, scene_gallery
from PIL import Image

from matir_nb import image_process
from matir_nb.errors import (
    ConfigError,
    IndexMismatchError,
    MatirError,
    ModelUnavailableError,
    ShapeError,
)
from matir_nb.geometry.masks import decode
from matir_nb.images import ImageLimits, SkippedImage
from matir_nb.index import build as build_module
from matir_nb.index import rows, update, writer
from matir_nb.index.build import build
from matir_nb.index.columns import add_columns
from matir_nb.index.folder import Folder
from matir_nb.index.store import Index
from matir_nb.index.verify import verify
from matir_nb.models import batches
from matir_nb.models.registry import WEIGHTS
from matir_nb.presets import PRESETS
from matir_nb.types import FileFacts

N = 12


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery") / "scenes"
    return folder, scene_gallery(folder, N)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(rows, "MODEL_IMAGES", 2)
    monkeypatch.setattr(update, "SEGMENT_IMAGES", 4)


def models(scenes, **changes):
    return {"masks": OracleMaskSource(scenes), "encoder": OracleEncoder(scenes)} | changes


def content(index: Index) -> dict[str, tuple]:
    """Return all that the index holds, by image id."""
    return {
        image_id: (
            index.ref_of(image_id).fingerprint,
            index.regions_of(image_id).masks,
            index.region_vectors_of(image_id).tobytes(),
            index.image_vector_of(image_id).tobytes(),
            index.copies_of(image_id),
        )
        for image_id in index.image_ids
    }


def test_every_object_becomes_a_region(gallery, tmp_path):
    folder, scenes = gallery
    report = build(folder, tmp_path / "i.matir", **models(scenes))
    index = Index.open(tmp_path / "i.matir")
    assert report.n_images == index.n_images == N
    assert report.n_regions == index.n_regions == sum(len(s.objects) for s in scenes)
    assert report.skipped == ()
    assert report.path == tmp_path / "i.matir"
    assert report.runtime == ""
    assert set(report.seconds) == {"read", "masks", "embed", "store", "total"}
    assert report.seconds["total"] >= report.seconds["masks"] > 0
    assert index.image_ids == tuple(f"{scene.scene_id}.png" for scene in scenes)
    for scene in scenes:
        regions = index.regions_of(f"{scene.scene_id}.png")
        areas = [scene.visible_mask(i).sum() for i in range(len(scene.objects))]
        assert regions.areas.tolist() == areas
    assert verify(index.path).is_sound


def test_the_manifest_says_what_made_it(gallery, tmp_path):
    folder, scenes = gallery
    build(folder, tmp_path / "i.matir", **models(scenes))
    manifest = Index.open(tmp_path / "i.matir").manifest
    assert manifest.made_by["segmenter"] == "oracle-masks"
    assert manifest.made_by["encoder"] == "oracle-encoder"
    assert manifest.preset["name"] == "embedded"
    assert not Path(manifest.image_root).is_absolute()


def test_broken_files_are_reported_and_end_nothing(gallery, tmp_path):
    folder, scenes = gallery
    mixed = tmp_path / "mixed"
    (mixed / "sub").mkdir(parents=True)
    shutil.copy(folder / f"{scenes[0].scene_id}.png", mixed / "sub" / "good.png")
    (mixed / "empty.jpg").touch()
    (mixed / "text.png").write_text("not a picture")
    (mixed / "notes.txt").write_text("not even named like one")
    report = build(mixed, tmp_path / "i.matir", **models(scenes))
    assert report.n_images == 1
    assert [item.image_id for item in report.skipped] == ["empty.jpg", "text.png"]
    assert all(item.reason for item in report.skipped)
    index = Index.open(tmp_path / "i.matir")
    assert index.image_ids == ("sub/good.png",)
    assert index.manifest.skipped == tuple((s.image_id, s.reason) for s in report.skipped)


def test_an_image_without_regions_is_kept(gallery, tmp_path):
    _, scenes = gallery
    folder = tmp_path / "plain"
    folder.mkdir()
    Image.new("RGB", (20, 10), "white").save(folder / "white.png")
    report = build(folder, tmp_path / "i.matir", **models(scenes))
    assert (report.n_images, report.n_regions) == (1, 0)
    ref = Index.open(tmp_path / "i.matir").ref_of("white.png")
    assert (ref.width, ref.height) == (20, 10)


def test_an_image_that_the_models_refuse_is_skipped_alone(gallery, tmp_path):
    folder, scenes = gallery

    class Picky(OracleMaskSource):
        def generate(self, images):
            if any(np.array_equal(image, scenes[3].image) for image in images):
                raise ShapeError("masks: too odd")
            return super().generate(images)

    report = build(folder, tmp_path / "i.matir", **models(scenes, masks=Picky(scenes)))
    assert report.skipped == (SkippedImage(f"{scenes[3].scene_id}.png", "masks: too odd"),)
    assert report.n_images == N - 1


class Refusing(OracleMaskSource):
    """Refuses all pictures but those of the scenes in `takes`."""

    takes = ()

    def generate(self, images):
        for image in images:
            if not any(np.array_equal(image, scene.image) for scene in self.takes):
                raise ShapeError("masks: 3 channels, not 4")
        return super().generate(images)


def test_models_that_refuse_every_picture_are_an_error(gallery, tmp_path):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    (work / "broken.jpg").touch()
    masks = Refusing(scenes)
    message = f"the models refuse all {N} pictures in this folder that can be read: masks: 3 chan"
    with pytest.raises(MatirError, match=message):
        build(work, tmp_path / "i.matir", **models(scenes, masks=masks))
    masks.takes = scenes[:1]
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert (report.n_images, len(report.skipped)) == (1, N)
    masks.takes = ()
    assert build(work, tmp_path / "i.matir", **models(scenes, masks=masks)).n_images == 1


def test_models_may_refuse_for_several_reasons(gallery, tmp_path):
    folder, scenes = gallery

    class Moody(Refusing):
        def generate(self, images):
            if np.array_equal(images[0], scenes[3].image):
                raise ShapeError("masks: too odd")
            return super().generate(images)

    message = f"all {N} pictures .* read, {N - 1} of them for this reason: masks: 3 channels"
    with pytest.raises(MatirError, match=message):
        build(folder, tmp_path / "i.matir", **models(scenes, masks=Moody(scenes)))


def test_pictures_that_cannot_be_decoded_are_not_the_models_fault(gallery, tmp_path):
    _, scenes = gallery
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "empty.jpg").touch()
    report = build(folder, tmp_path / "i.matir", **models(scenes, masks=Refusing(scenes)))
    assert (report.n_images, len(report.skipped)) == (0, 1)


def test_what_can_be_refused_for_the_least_is_loaded_first(gallery, tmp_path, monkeypatch):
    folder, _ = gallery
    asked = []

    def refuse(what):
        def load(*_):
            asked.append(what)
            raise ConfigError(what)

        return load

    monkeypatch.setattr(build_module, "load_encoder", refuse("encoder"))
    monkeypatch.setattr(build_module, "load_segmenter", refuse("segmenter"))
    with pytest.raises(ConfigError, match="encoder"):
        build(folder, tmp_path / "i.matir")
    with pytest.raises(ConfigError, match="masks = 3 cannot be used"):
        build(folder, tmp_path / "i.matir", masks=3)
    assert asked == ["encoder"]


class Hungry(OracleMaskSource):
    """Fits `fits` pixels into memory."""

    def __init__(self, scenes, fits, error=None):
        super().__init__(scenes)
        self.fits = fits
        self.error = error or MemoryError()

    def generate(self, images):
        if sum(image.shape[0] * image.shape[1] for image in images) > self.fits:
            raise self.error
        return super().generate(images)


def test_images_that_do_not_fit_together_are_taken_one_by_one(gallery, tmp_path):
    folder, scenes = gallery
    most = max(scene.labels.size for scene in scenes)
    for number, error in enumerate((MemoryError(), torch.OutOfMemoryError("CUDA out of memory"))):
        out = tmp_path / f"{number}.matir"
        report = build(folder, out, **models(scenes, masks=Hungry(scenes, most, error)))
        assert (report.n_images, report.skipped) == (N, ())


def test_models_that_do_not_fit_with_one_image_end_the_build(gallery, tmp_path, small_batches):
    folder, scenes = gallery

    class LaterHungry(Hungry):
        def generate(self, images):
            self.fits = 0 if self.n_calls == 2 else self.fits
            return super().generate(images)

    height, width = scenes[4].labels.shape
    message = f"do not fit into memory with one picture of {width} x {height} .*smaller preset"
    masks = LaterHungry(scenes, 10**9)
    with pytest.raises(ModelUnavailableError, match=message):
        build(folder, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert Index.open(tmp_path / "i.matir").n_images == 4


def test_one_image_too_large_for_the_models_costs_itself(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    work = tmp_path / "work"
    shutil.copytree(folder, work)
    Image.new("RGB", (600, 500)).save(work / "huge.png")
    most = max(scene.labels.size for scene in scenes)
    monkeypatch.setattr(rows, "MODEL_PIXELS", most)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=Hungry(scenes, most)))
    reason = "600 x 500 pixels: the models need more memory for it than there is"
    assert report.skipped == (SkippedImage("huge.png", reason),)
    assert report.n_images == N


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ModelUnavailableError("no file")])
def test_what_is_not_an_images_fault_ends_the_build(gallery, tmp_path, error):
    folder, scenes = gallery
    with pytest.raises(type(error), match=str(error)):
        build(folder, tmp_path / "i.matir", **models(scenes, masks=Hungry(scenes, 0, error)))


def test_images_are_decoded_while_the_models_work(gallery, tmp_path, small_batches, monkeypatch):
    folder, scenes = gallery
    asked, original = [], image_process.DecodingProcess.read

    def read(self, path):
        asked.append(path)
        return original(self, path)

    monkeypatch.setattr(image_process.DecodingProcess, "read", read)
    behind = []

    class Watching(OracleMaskSource):
        def generate(self, images):
            n_given = 2 * (self.n_calls + 1)
            end = time.monotonic() + 20
            while len(asked) < min(n_given + 4, N) and time.monotonic() < end:
                time.sleep(0.01)
            behind.append(len(asked) - n_given)
            return super().generate(images)

    limits = ImageLimits(n_workers=2)
    build(folder, tmp_path / "i.matir", limits=limits, **models(scenes, masks=Watching(scenes)))
    assert behind[0] >= 4
    index = Index.open(tmp_path / "i.matir")
    assert content(index) == content(fresh(folder, tmp_path / "fresh.matir", scenes))


def test_the_models_are_gone_after_a_build(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    loaded, freed = [], []

    class Cyclic(OracleMaskSource):
        def __init__(self):
            super().__init__(scenes)
            self.itself = self

    def load(options, device):
        source = Cyclic()
        loaded.append(weakref.ref(source))
        return source

    def remember():
        gc.collect()
        freed.append([source() is None for source in loaded])

    monkeypatch.setattr(build_module, "load_segmenter", load)
    monkeypatch.setattr(batches, "free_memory", remember)
    report = build(folder, tmp_path / "i.matir", device="cpu", encoder=OracleEncoder(scenes))
    assert freed == [[True]]
    assert report.runtime == "cpu fp32"


def test_a_second_build_has_nothing_to_do(gallery, tmp_path):
    folder, scenes = gallery
    first = build(folder, tmp_path / "i.matir", **models(scenes))
    source = OracleMaskSource(scenes)
    second = build(folder, tmp_path / "i.matir", **models(scenes, masks=source))
    assert source.n_calls == 0
    assert (second.n_images, second.n_regions) == (first.n_images, first.n_regions)


def test_new_changed_and_removed_files_are_followed(gallery, tmp_path):
    folder, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    names = [f"{scene.scene_id}.png" for scene in scenes]
    for name in names[:5]:
        shutil.copy(folder / name, work / name)
    build(work, tmp_path / "i.matir", **models(scenes))
    (work / names[0]).unlink()
    shutil.copy(folder / names[7], work / names[1])
    shutil.copy(folder / names[6], work / names[6])
    (work / names[2]).write_bytes(b"broken")
    report = build(work, tmp_path / "i.matir", **models(scenes))
    index = Index.open(tmp_path / "i.matir")
    assert sorted(index.image_ids) == [names[1], names[3], names[4], names[6]]
    assert len(index.regions_of(names[1])) == len(scenes[7].objects)
    assert [item.image_id for item in report.skipped] == [names[2]]
    assert content(index) == content(fresh(work, tmp_path / "fresh.matir", scenes))


def test_the_report_says_what_changed(gallery, tmp_path):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work", ignore=lambda _, names: sorted(names)[6:])
    names = [f"{scene.scene_id}.png" for scene in scenes]
    first = build(work, tmp_path / "i.matir", **models(scenes))
    assert counts(first) == {"added": 6}
    (work / names[0]).unlink()
    shutil.copy(folder / names[8], work / names[1])
    (work / names[2]).rename(work / "moved.png")
    shutil.copy(work / names[3], work / "a copy.png")
    shutil.copy(work / names[4], work / "z copy.png")
    shutil.copy(folder / names[9], work / names[9])
    source = OracleMaskSource(scenes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MODEL_IMAGES", 1)
        second = build(work, tmp_path / "i.matir", **models(scenes, masks=source))
    wanted = {"added": 1, "changed": 1, "moved": 2, "unchanged": 2, "dropped": 1, "copies": 2}
    assert counts(second) == wanted
    assert source.n_calls == 2
    index = Index.open(tmp_path / "i.matir")
    assert index.copies_of("a copy.png") == (names[3],)
    assert index.copies_of(names[4]) == ("z copy.png",)
    assert not index.has_image(names[3])
    assert content(index) == content(fresh(work, tmp_path / "fresh.matir", scenes))


def counts(report):
    names = ("added", "changed", "moved", "unchanged", "dropped", "copies")
    found = {name: getattr(report, f"n_{name}") for name in names}
    return {name: n for name, n in found.items() if n}


def bytes_of(index_folder):
    """Return the bytes of every file of a segment."""
    files = sorted((index_folder / "segments").rglob("*.*"))
    return {file.relative_to(index_folder): file.read_bytes() for file in files}


def settle(folder, seconds=10):
    """Let all files of a folder be written `seconds` ago."""
    then = time.time() - seconds
    for file in folder.rglob("*"):
        os.utime(file, (then, then))


def test_what_did_not_change_is_not_touched_and_not_read(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    settle(work)
    build(work, tmp_path / "i.matir", **models(scenes))
    before = bytes_of(tmp_path / "i.matir")
    monkeypatch.setattr(Folder, "digest_of", lambda _, image_id: pytest.fail(image_id))
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert counts(report) == {"unchanged": N}
    assert bytes_of(tmp_path / "i.matir") == before


def test_a_touched_file_gets_its_time_without_models(gallery, tmp_path):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    settle(work)
    build(work, tmp_path / "i.matir", **models(scenes))
    name = f"{scenes[0].scene_id}.png"
    os.utime(work / name, (1_000_000_000, 1_000_000_000))
    source = OracleMaskSource(scenes)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=source))
    assert (counts(report), source.n_calls) == ({"unchanged": N}, 0)
    modified = Index.open(tmp_path / "i.matir").ref_of(name).facts.modified
    assert modified == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


def test_a_change_that_left_size_and_time_is_found_when_asked_for(gallery, tmp_path):
    _, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    one, other = (Image.new("RGB", (8, 8), colour) for colour in ("red", "lime"))
    one.save(work / "a.bmp")
    settle(work)
    build(work, tmp_path / "i.matir", **models(scenes))
    times = (work / "a.bmp").stat()
    other.save(work / "a.bmp")
    os.utime(work / "a.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert counts(build(work, tmp_path / "i.matir", **models(scenes))) == {"unchanged": 1}
    report = build(work, tmp_path / "i.matir", rehash=True, **models(scenes))
    assert counts(report) == {"changed": 1}


def test_what_an_older_index_did_not_ask_its_files_is_read_without_models(
    gallery, tmp_path, monkeypatch
):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    monkeypatch.setattr(update.Update, "_ref", lambda _, ref, _id: replace(ref, facts=FileFacts()))
    build(work, tmp_path / "i.matir", **models(scenes))
    monkeypatch.undo()
    index = Index.open(tmp_path / "i.matir")
    assert {index.ref_of(name).facts for name in index.image_ids} == {FileFacts()}
    source = OracleMaskSource(scenes)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=source))
    assert (counts(report), source.n_calls) == ({"unchanged": N}, 0)
    index = Index.open(tmp_path / "i.matir")
    for name in index.image_ids:
        facts = index.ref_of(name).facts
        assert (facts.format, facts.n_bytes) == ("PNG", (work / name).stat().st_size)


def test_files_that_change_places_keep_their_rows(gallery, tmp_path):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    build(work, tmp_path / "i.matir", **models(scenes))
    a, b, c = (work / f"{scene.scene_id}.png" for scene in scenes[:3])
    a.rename(work / "aside")
    b.rename(a)
    c.rename(b)
    (work / "aside").rename(c)
    source = OracleMaskSource(scenes)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=source))
    assert counts(report) == {"moved": 3, "unchanged": N - 3}
    assert source.n_calls == 0
    index = Index.open(tmp_path / "i.matir")
    assert content(index) == content(fresh(work, tmp_path / "fresh.matir", scenes))


def test_of_copies_that_cannot_all_be_read_the_first_that_can_is_indexed(gallery, tmp_path):
    _, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (work / name).write_bytes(b"no picture")
    Image.fromarray(scenes[0].image).save(work / "c.png")
    shutil.copy(work / "c.png", work / "d.png")
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert [item.image_id for item in report.skipped] == ["a.jpg", "b.jpg"]
    assert counts(report) == {"added": 1, "copies": 1}
    assert Index.open(tmp_path / "i.matir").copies_of("c.png") == ("d.png",)


def test_what_the_models_refuse_they_refuse_in_every_copy(gallery, tmp_path):
    _, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    for name, scene in (("a.png", 0), ("b.png", 0), ("c.png", 1)):
        Image.fromarray(scenes[scene].image).save(work / name)
    masks = Refusing(scenes)
    masks.takes = scenes[1:2]
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert [item.image_id for item in report.skipped] == ["a.png", "b.png"]
    assert counts(report) == {"added": 1}


def test_a_file_that_changes_while_it_is_read_is_no_copy(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    names = [f"{scene.scene_id}.png" for scene in scenes]
    for name in ("a.png", "b.png"):
        shutil.copy(folder / names[0], work / name)
    hashed = Folder.digest_of

    def digest_of(self, image_id):
        digest = hashed(self, image_id)
        if image_id == "b.png":
            shutil.copy(folder / names[1], work / "a.png")
        return digest

    monkeypatch.setattr(Folder, "digest_of", digest_of)
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert counts(report) == {"added": 2}
    monkeypatch.undo()
    index = Index.open(tmp_path / "i.matir")
    assert content(index) == content(fresh(work, tmp_path / "fresh.matir", scenes))


@pytest.mark.parametrize("when", ["hashed", "decoded"])
def test_a_file_that_vanishes_meanwhile_is_reported(gallery, tmp_path, monkeypatch, when):
    folder, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(folder / f"{scenes[0].scene_id}.png", work / name)
    hashed = Folder.digest_of

    def digest_of(self, image_id):
        if when == "hashed":
            (work / "a.png").unlink(missing_ok=True)
        digest = hashed(self, image_id)
        if image_id == "c.png":
            (work / "a.png").unlink(missing_ok=True)
        return digest

    monkeypatch.setattr(Folder, "digest_of", digest_of)
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert report.skipped == (SkippedImage("a.png", "the file is gone"),)
    assert counts(report) == {"added": 1, "copies": 1}
    assert Index.open(tmp_path / "i.matir").copies_of("b.png") == ("c.png",)


def test_images_in_a_folder_that_cannot_be_listed_stay(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work" / "sub").parent
    shutil.copy(folder / f"{scenes[0].scene_id}.png", work / "z.png")
    (work / "gone.png").write_bytes((work / "z.png").read_bytes())
    build(work, tmp_path / "i.matir", **models(scenes))
    (work / "gone.png").unlink()
    listed = Path.iterdir

    def iterdir(self):
        if self.name == "sub":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert [item.image_id for item in report.skipped] == ["sub"]
    assert report.n_images >= N
    assert report.n_dropped == 0


def linked(gallery, tmp_path, n=3):
    """Return a folder of links to scenes on another disk, that disk, and an index of them."""
    folder, scenes = gallery
    disk, work = tmp_path / "disk", tmp_path / "work"
    disk.mkdir()
    work.mkdir()
    for scene in scenes[:n]:
        name = f"{scene.scene_id}.png"
        shutil.copy(folder / name, disk / name)
        (work / name).symlink_to(disk / name)
    settle(disk)
    build(work, tmp_path / "i.matir", **models(scenes))
    return work, disk


def test_files_on_a_disk_that_is_not_there_now_stay_as_they_were(gallery, tmp_path):
    work, disk = linked(gallery, tmp_path)
    scenes = gallery[1]
    before = content(Index.open(tmp_path / "i.matir"))
    disk.rename(tmp_path / "away")
    (work / "new.png").symlink_to(disk / "new.png")
    (work / min(before)).unlink()
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert counts(report) == {"unchanged": 2, "dropped": 1}
    reasons = {item.image_id: item.reason for item in report.skipped}
    kept = sorted(before)[1:]
    assert set(reasons) == {*kept, "new.png"}
    assert {reasons[name] for name in kept} == {
        "a link that leads to no file now: kept as it was indexed"
    }
    (tmp_path / "away").rename(disk)
    (work / "new.png").unlink()
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert (counts(report), report.skipped) == ({"unchanged": 2}, ())
    assert content(Index.open(tmp_path / "i.matir")) == {name: before[name] for name in kept}


def test_a_folder_on_a_disk_that_is_not_there_now_stays_as_it_was(gallery, tmp_path):
    folder, scenes = gallery
    disk = shutil.copytree(folder, tmp_path / "disk")
    work = tmp_path / "work"
    work.mkdir()
    (work / "album").symlink_to(disk)
    build(work, tmp_path / "i.matir", **models(scenes))
    disk.rename(tmp_path / "away")
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert (counts(report), report.n_images) == ({"unchanged": N}, N)
    assert [item.image_id for item in report.skipped] == ["album"]


@pytest.mark.parametrize("what", ["stat", "open", "read"])
@pytest.mark.parametrize("error", [errno.ESTALE, errno.EACCES, errno.EIO])
def test_a_known_file_that_cannot_be_read_for_a_moment_stays(
    gallery, tmp_path, monkeypatch, what, error
):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    settle(work)
    build(work, tmp_path / "i.matir", **models(scenes))
    before = content(Index.open(tmp_path / "i.matir"))
    name = min(before)

    def failing(act):
        def acts(self, *args, **options):
            is_it = getattr(self, "name", "").endswith(f"work/{name}") or self == work / name
            if is_it and options.get("follow_symlinks", True):
                raise OSError(error, os.strerror(error))
            return act(self, *args, **options)

        return acts

    if what == "read":
        monkeypatch.setattr(hashlib, "file_digest", failing(hashlib.file_digest))
    else:
        monkeypatch.setattr(Path, what, failing(getattr(Path, what)))
    report = build(work, tmp_path / "i.matir", rehash=True, **models(scenes))
    assert counts(report) == {"unchanged": N}
    ((image_id, reason),) = [(item.image_id, item.reason) for item in report.skipped]
    assert (image_id, reason.endswith(": kept as it was indexed")) == (name, True)
    monkeypatch.undo()
    assert content(Index.open(tmp_path / "i.matir")) == before
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert (counts(report), report.skipped) == ({"unchanged": N}, ())


def test_a_copy_that_cannot_be_read_now_stays_a_copy(gallery, tmp_path):
    scenes = gallery[1]
    work, disk = linked(gallery, tmp_path, n=1)
    name = f"{scenes[0].scene_id}.png"
    (work / "zoo.png").symlink_to(disk / name)
    shutil.copy(disk / name, work / "a.png")
    build(work, tmp_path / "i.matir", **models(scenes))
    disk.rename(tmp_path / "away")
    (work / "a.png").unlink()
    report = build(work, tmp_path / "i.matir", **models(scenes))
    assert {item.image_id for item in report.skipped} == {name, "zoo.png"}
    assert report.n_images == report.n_copies == 1
    assert Index.open(tmp_path / "i.matir").copies_of(name) == ("zoo.png",)


class Wild(OracleEncoder):
    """Gives a number that cannot be kept for the picture `of`."""

    of, number, kind = None, 0.0, "images"

    def embed_images(self, images):
        return self._spoilt("images", images, super().embed_images(images))

    def embed_regions(self, images, masks):
        return self._spoilt("regions", images, super().embed_regions(images, masks))

    def _spoilt(self, kind, images, vectors):
        vectors = [np.array(array) for array in vectors]
        for image, array in zip(images, vectors, strict=True):
            if kind == self.kind and np.array_equal(image, self.of):
                array.flat[1] = self.number
        return vectors


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 65520.0, 1e30])
@pytest.mark.parametrize("kind", ["images", "regions"])
def test_a_picture_whose_vectors_are_not_finite_costs_itself(gallery, tmp_path, number, kind):
    folder, scenes = gallery
    wild = Wild(scenes)
    wild.of, wild.number, wild.kind = scenes[3].image, number, kind
    report = build(folder, tmp_path / "i.matir", **models(scenes, encoder=wild))
    ((image_id, reason),) = [(item.image_id, item.reason) for item in report.skipped]
    assert image_id == f"{scenes[3].scene_id}.png"
    assert "numbers for it that are not finite: NaN, infinite, or beyond 65504" in reason
    index = Index.open(tmp_path / "i.matir")
    assert index.n_images == N - 1
    assert np.isfinite(index.best_region_scores(np.eye(index.dim, dtype=np.float32))).all()


def test_the_largest_number_that_can_be_kept_is_kept(gallery, tmp_path):
    folder, scenes = gallery
    wild = Wild(scenes)
    wild.of, wild.number = scenes[3].image, 65504.0
    assert build(folder, tmp_path / "i.matir", **models(scenes, encoder=wild)).skipped == ()


def test_masks_by_name_make_every_name_an_image(gallery, tmp_path):
    folder, scenes = gallery
    work = tmp_path / "work"
    work.mkdir()
    name = f"{scenes[2].scene_id}.png"
    for own in (name, "copy.png", "moves.png"):
        shutil.copy(folder / name, work / own)
    masks = coco_file(tmp_path / "masks.json", scenes[2], name)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert (counts(report), report.n_regions) == ({"added": 3}, 1)
    (work / "moves.png").rename(work / "moved.png")
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert counts(report) == {"added": 1, "unchanged": 2, "dropped": 1}


def test_images_whose_file_is_gone_can_be_kept(gallery, tmp_path):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    build(work, tmp_path / "i.matir", **models(scenes))
    (work / f"{scenes[0].scene_id}.png").unlink()
    report = build(work, tmp_path / "i.matir", keep_gone=True, **models(scenes))
    assert (counts(report), report.n_images) == ({"unchanged": N}, N)


def test_ctrl_c_between_rewrites_loses_nothing(gallery, tmp_path, monkeypatch):
    folder, scenes = gallery
    work = shutil.copytree(folder, tmp_path / "work")
    build(work, tmp_path / "i.matir", **models(scenes))
    for file in sorted(work.iterdir()):
        file.rename(work / f"moved {file.name}")
    monkeypatch.setattr(update, "REWRITTEN_IMAGES", 2)
    real, n_calls = writer.write_segment, []

    def interrupted(*args, **options):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_segment", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(work, tmp_path / "i.matir", **models(scenes))
    index = Index.open(tmp_path / "i.matir")
    assert index.n_images == N
    assert sum(name.startswith("moved") for name in index.image_ids) == 4
    source = OracleMaskSource(scenes)
    report = build(work, tmp_path / "i.matir", **models(scenes, masks=source))
    assert (counts(report), source.n_calls) == ({"moved": N - 4, "unchanged": 4}, 0)


def fresh(folder: Path, out: Path, scenes) -> Index:
    build(folder, out, **models(scenes))
    return Index.open(out)


def test_ctrl_c_keeps_all_that_was_finished(gallery, tmp_path, small_batches):
    folder, scenes = gallery

    class Interrupted(OracleMaskSource):
        def generate(self, images):
            if self.n_calls == 3:
                raise KeyboardInterrupt
            return super().generate(images)

    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path / "i.matir", **models(scenes, masks=Interrupted(scenes)))
    index = Index.open(tmp_path / "i.matir")
    assert index.n_images == 6
    source = OracleMaskSource(scenes)
    build(folder, tmp_path / "i.matir", **models(scenes, masks=source))
    assert source.n_calls == 3
    again = content(Index.open(tmp_path / "i.matir"))
    assert again == content(fresh(folder, tmp_path / "fresh.matir", scenes))


def test_a_full_disk_says_what_is_kept(gallery, tmp_path, small_batches, monkeypatch):
    folder, scenes = gallery
    real, calls = writer.write_segment, []

    def fills_up(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_segment", fills_up)
        with pytest.raises(OSError, match="No space left") as caught:
            build(folder, tmp_path / "i.matir", **models(scenes))
    assert "can be opened with 4 images; build again" in caught.value.__notes__[0]
    assert Index.open(tmp_path / "i.matir").n_images == 4
    assert build(folder, tmp_path / "i.matir", **models(scenes)).n_images == N


KILLED = """
import os, signal, sys
from pathlib import Path
from fakes import OracleEncoder, OracleMaskSource
from matir_nb.index import build as module, rows, update
from matir_nb.scenes.draw import draw_gallery

class Killed(OracleMaskSource):
    def generate(self, images):
        if self.n_calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(images)

rows.MODEL_IMAGES, update.SEGMENT_IMAGES = 2, 4
scenes = list(draw_gallery("test", int(sys.argv[3])))
module.build(sys.argv[1], sys.argv[2], masks=Killed(scenes), encoder=OracleEncoder(scenes))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_build_opens_and_goes_on(gallery, tmp_path):
    folder, scenes = gallery
    out = tmp_path / "i.matir"
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, str(Path(tests).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", KILLED, str(folder), str(out), str(N)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == -signal.SIGKILL
    index = Index.open(out)
    assert verify(index.path).is_sound
    assert index.image_ids == tuple(f"{scene.scene_id}.png" for scene in scenes[:4])
    report = build(folder, out, **models(scenes))
    assert report.n_images == N
    again = content(Index.open(out))
    assert again == content(fresh(folder, tmp_path / "fresh.matir", scenes))


def test_other_models_are_refused_with_what_differs(gallery, tmp_path):
    folder, scenes = gallery
    build(folder, tmp_path / "i.matir", **models(scenes))
    other = OracleEncoder(scenes, model_id="other-encoder")
    with pytest.raises(IndexMismatchError, match="encoder: 'oracle-encoder' → 'other-encoder'"):
        build(folder, tmp_path / "i.matir", **models(scenes, encoder=other))


def test_no_folder_and_no_images_are_said(gallery, tmp_path):
    _, scenes = gallery
    out = tmp_path / "i.matir"
    with pytest.raises(ConfigError, match="absent' does not exist: give a folder"):
        build(tmp_path / "absent", out, **models(scenes))
    (tmp_path / "file.png").touch()
    with pytest.raises(ConfigError, match=r"file\.png' is a file: give a folder"):
        build(tmp_path / "file.png", out, **models(scenes))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(ConfigError, match=r"no images in .*empty': give a folder with"):
        build(tmp_path / "empty", out, **models(scenes))
    assert not out.exists()


def test_an_unknown_preset_offers_the_nearest(gallery, tmp_path):
    folder, _ = gallery
    with pytest.raises(ConfigError, match="'embeded': did you mean 'embedded'"):
        build(folder, tmp_path / "i.matir", preset="embeded")
    assert "embedded" in PRESETS


def test_every_file_is_counted_and_nothing_is_written_when_nobody_looks(gallery, tmp_path, capsys):
    folder, scenes = gallery
    for _ in range(2):  # the second time the images are known
        steps = []
        build(
            folder,
            tmp_path / "a.matir",
            progress=lambda *step, steps=steps: steps.append(step),
            **models(scenes),
        )
        assert steps[-1] == (N, N)
        assert steps == sorted(steps)
    build(folder, tmp_path / "a.matir", **models(scenes))
    assert capsys.readouterr().err == ""


def coco_file(path: Path, scene, file_name: str) -> Path:
    """Write COCO instances with object 0 of the scene as its only annotation."""
    height, width = scene.labels.shape
    runs = np.diff(np.flatnonzero(np.diff(scene.visible_mask(0).T.ravel(), prepend=False)))
    first = int(np.flatnonzero(scene.visible_mask(0).T.ravel())[0])
    counts = [first, *runs.tolist()]
    counts.append(height * width - sum(counts))
    image = {"id": 1, "file_name": file_name, "height": height, "width": width}
    mask = {"size": [height, width], "counts": counts}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": mask}
    document = {"images": [image], "annotations": [annotation], "categories": []}
    path.write_text(json.dumps(document))
    return path


def test_masks_that_the_user_has_replace_the_segmenters(gallery, tmp_path):
    folder, scenes = gallery
    name = f"{scenes[2].scene_id}.png"
    masks = coco_file(tmp_path / "masks.json", scenes[2], name)
    report = build(folder, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert (report.n_images, report.n_regions) == (N, 1)
    index = Index.open(tmp_path / "i.matir")
    (mask,) = index.regions_of(name).masks
    np.testing.assert_array_equal(decode(mask), scenes[2].visible_mask(0))
    assert index.manifest.made_by["masks"] is None
    digest = hashlib.sha256(masks.read_bytes()).hexdigest()
    assert index.manifest.made_by["segmenter"] == f"given-masks:coco-instances:{digest}"


def test_the_hash_of_the_embedded_weights_is_in_the_manifest(gallery, tmp_path):
    folder, scenes = gallery
    masks = coco_file(tmp_path / "masks.json", scenes[2], f"{scenes[2].scene_id}.png")
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(folder / f"{scenes[2].scene_id}.png", work)
    report = build(work, tmp_path / "i.matir", masks=masks, device="cpu")
    made_by = Index.open(tmp_path / "i.matir").manifest.made_by
    weights = WEIGHTS / "alpha-clip" / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest()[:12] in made_by["encoder"]
    assert report.runtime == "cpu fp32"


def test_masks_of_other_images_are_noticed(gallery, tmp_path, caplog):
    folder, scenes = gallery
    masks = coco_file(tmp_path / "masks.json", scenes[2], "elsewhere.png")
    report = build(folder, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert report.n_regions == 0
    assert "has a mask in" in caplog.text


def test_masks_of_another_size_skip_that_image_only(gallery, tmp_path):
    folder, scenes = gallery
    other = next(s for s in scenes if s.labels.shape != scenes[2].labels.shape)
    masks = coco_file(tmp_path / "masks.json", scenes[2], f"{other.scene_id}.png")
    report = build(folder, tmp_path / "i.matir", **models(scenes, masks=masks))
    assert [item.image_id for item in report.skipped] == [f"{other.scene_id}.png"]
    assert report.n_images == N - 1


def test_the_users_columns_follow_a_file_that_moves(gallery, tmp_path):
    work, path = tmp_path / "scenes", tmp_path / "i.matir"
    shutil.copytree(gallery[0], work)
    build(work, path, **models(gallery[1]))
    ids = Index.open(path).image_ids
    stars = pl.DataFrame({"image_id": ids, "stars": range(len(ids))})
    add_columns(path, stars, ids)
    (work / ids[0]).rename(work / "best.png")
    report = build(work, path, **models(gallery[1]))
    assert (report.n_moved, report.moved) == (1, {ids[0]: "best.png"})
    table = Index.open(path).facts_table()
    found = dict(table.select("image_id", "stars").iter_rows())
    assert found["best.png"] == 0
    assert sorted(found.values()) == list(range(len(ids)))


def test_a_picture_that_pillow_refuses_to_reshape_is_skipped(gallery, tmp_path):
    class Square(OracleEncoder):
        def embed_images(self, images):
            if len(images) > 1 or images[0].shape[0] == 7:
                raise Image.DecompressionBombError("196000000 pixels")
            return super().embed_images(images)

    work = tmp_path / "scenes"
    shutil.copytree(gallery[0], work)
    Image.new("RGB", (90, 7)).save(work / "wide.png")
    changed = models(gallery[1], encoder=Square(gallery[1]))
    report = build(work, tmp_path / "i.matir", **changed)
    wanted = SkippedImage("wide.png", "90 x 7 pixels: too long and narrow for the models")
    assert (report.n_images, report.skipped) == (N, (wanted,))
