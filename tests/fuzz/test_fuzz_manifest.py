"""A manifest, and the smaller files beside it, in any state: an answer or one of our errors."""

import contextlib
import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from altered import changed, damaged, values
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from matir_nb.errors import ConfigError, IndexCorruptError, IndexMismatchError, MatirError
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.index.calibrations import FILE_NAME, Calibration, Calibrations
from matir_nb.index.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    fingerprint_of,
    parse_manifest,
    read_manifest,
)
from matir_nb.index.store import Index
from matir_nb.index.tables import IndexedImage
from matir_nb.index.writer import IndexWriter
from matir_nb.types import ImageRef

MADE_BY = {"segmenter": "s", "encoder": "e", "dim": 3, "masks": {"n": 1, "x": [1, None]}}
REFUSALS = (IndexCorruptError, IndexMismatchError)


def encoded(document):
    """Return a document as the file has it, with the checksum that it then has."""
    document = {key: value for key, value in document.items() if key != "checksum"}
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        document["fingerprint"] = fingerprint_of(document["made_by"])
    with contextlib.suppress(TypeError, ValueError):
        document["checksum"] = fingerprint_of(document)
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Return an index of two segments, with a row dropped."""
    root = tmp_path_factory.mktemp("photos")
    with IndexWriter.create_or_resume(
        root / "i.matir", made_by=MADE_BY, preset={"name": "p"}, root=root
    ) as writer:
        for names in (("a.png", "b.png"), ("c.png",)):
            writer.add([an_image(root, name) for name in names])
        writer.drop(["a.png"])
    return root / "i.matir"


def an_image(root, name):
    """Return a 5 x 4 image with two regions."""
    regions = regions_from_masks([encode(np.ones((4, 5))), encode(np.eye(4, 5))])
    ref = ImageRef(name, root / name, 5, 4, f"digest of {name}")
    vectors = np.eye(2, 3, dtype=np.float32)
    return IndexedImage(ref, regions, vectors, np.ones(3, np.float32) / np.float32(3**0.5))


def use(path):
    """Open an index and ask for all it has, as a search would."""
    opened = Index.open(path)
    for image_id in opened.image_ids:
        opened.ref_of(image_id)
        opened.regions_of(image_id)
        opened.region_vectors_of(image_id)
    queries = np.zeros((1, min(opened.dim, 1 << 16)), np.float32)
    return opened.best_region_scores(queries).shape, opened.facts_table().shape


@fuzzed
@given(data=st.data())
def test_a_manifest_of_other_values_is_read_or_refused(index, data):
    """The checksum is right: what a program that writes the format wrongly would leave."""
    document = json.loads((index / MANIFEST_NAME).read_bytes())
    content = encoded(data.draw(changed(document)))
    content = data.draw(st.one_of(st.just(content), damaged(content)))
    with contextlib.suppress(*REFUSALS), kept(index, MANIFEST_NAME, content):
        manifest = read_manifest(index)
        assert isinstance(manifest.image_root, str)
        assert all(segment.n_live >= 0 for segment in manifest.segments)
    with contextlib.suppress(MatirError), kept(index, MANIFEST_NAME, content):
        use(index)


@fuzzed
@given(data=st.data())
def test_a_manifest_of_other_bytes_is_the_same_or_refused(index, data):
    """The checksum is not made right: what a disk does."""
    good = (index / MANIFEST_NAME).read_bytes()
    content = data.draw(damaged(good))
    try:
        with kept(index, MANIFEST_NAME, content):
            found = read_manifest(index)
    except REFUSALS:
        return
    assert found == parse_manifest(good, "good")


@fuzzed
@given(st.one_of(st.binary(max_size=80), values.map(lambda value: json.dumps(value).encode())))
def test_anything_in_place_of_a_manifest_is_refused(index, content):
    with kept(index, MANIFEST_NAME, content), pytest.raises(REFUSALS):
        Index.open(index)
    with kept(index, BACKUP_NAME, content), pytest.raises(REFUSALS):
        read_manifest(index, name=BACKUP_NAME)


@pytest.mark.parametrize("piece", ["[", '{"a":', '"a', "1", "[[],", "-"])
def test_a_deep_or_endless_manifest_is_refused(index, piece):
    with kept(index, MANIFEST_NAME, (piece * 200_000).encode()), pytest.raises(IndexCorruptError):
        read_manifest(index)


@pytest.mark.parametrize("name", [".", "..", "../x", "/etc", "000001/..", "", "000001\x00"])
def test_no_manifest_names_a_file_elsewhere(index, name):
    document = json.loads((index / MANIFEST_NAME).read_bytes())
    for change in ("folder", "file"):
        bad = copy.deepcopy(document)
        segment = bad["segments"][0]
        if change == "folder":
            segment["name"] = name
        else:
            segment["files"][name] = segment["files"].pop("images.arrow")
        with kept(index, MANIFEST_NAME, encoded(bad)), pytest.raises(IndexCorruptError):
            Index.open(index)


@pytest.fixture(scope="module")
def calibrations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    Calibrations(folder).put(Calibration("j", 1.5, -0.5, 10, 20, 0.7, 0.6))
    return folder


@fuzzed
@given(data=st.data())
def test_a_calibration_is_read_or_refused(calibrations, data):
    document = json.loads((calibrations / FILE_NAME).read_bytes())
    content = json.dumps(data.draw(changed(document))).encode()
    content = data.draw(st.one_of(st.just(content), damaged(content)))
    with contextlib.suppress(ConfigError), kept(calibrations, FILE_NAME, content):
        for calibration in Calibrations(calibrations).all().values():
            assert str(calibration)
            assert replace(calibration, judge="x").scale > 0


@contextlib.contextmanager
def kept(folder: Path, name: str, content: bytes):
    """Let a file have other bytes for a while."""
    file, aside = folder / name, folder.parent / f"{name}.aside"
    shutil.copyfile(file, aside)
    try:
        file.write_bytes(content)
        yield
    finally:
        aside.replace(file)
