"""The conversions against the real packages, where those are installed.

They are no dependencies of this package: ``pip install supervision fiftyone`` in an environment
of its own brings them in, and without them their tests are skipped. What a `fiftyone.Dataset`
needs beyond samples is a MongoDB server (FIFTYONE_DATABASE_URI, or the one that fiftyone brings
along); MATIR_TEST_MONGODB=1 says that there is one.
"""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.exports import others
from matir_nb.exports.others import samples, to_fiftyone, to_supervision
from matir_nb.geometry.masks import decode, encode
from tests.exports.examples import SQUARE, MadeUpSource, hit, result

FOUND = hit(
    image_id="a/b.png",
    path="a/b.png",
    final_score=2.0,
    p_relevant=0.75,
    judge_rank=1,
    answer="there",
    judged_box_xyxy=(8.0, 4.0, 48.0, 24.0),
    box_xyxy=(20.0, 10.0, 40.0, 30.0),
)
NOTHING = hit(2, mask=None)
SHOWN = result(FOUND, NOTHING)


@pytest.fixture
def supervision():
    return pytest.importorskip("supervision")


@pytest.fixture
def fiftyone(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    return pytest.importorskip("fiftyone")


# what these packages deprecate in their own dependencies is not ours to know
real = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@real
def test_a_hit_is_one_detection_of_supervision(supervision):
    found = to_supervision(SHOWN)
    assert list(found) == ["a/b.png", "image-2.png"]
    one = found["a/b.png"]
    assert isinstance(one, supervision.Detections)
    assert one.xyxy.tolist() == [[20, 10, 40, 30]]
    assert one.mask.dtype == bool
    assert (one.mask[0] == SQUARE).all()
    assert one.confidence.round(4).tolist() == pytest.approx([0.8808], abs=1e-4)
    assert one.class_id.tolist() == [0]
    assert one.data["class_name"].tolist() == ["a blue square"]
    assert one.data["p_relevant"].tolist() == [0.75]
    assert one.data["align_iou"].tolist() == [None]


@real
def test_supervision_can_filter_merge_and_draw_them(supervision):
    found = to_supervision(result(FOUND, hit(3, image_id="c.png")))
    merged = supervision.Detections.merge(list(found.values()))
    assert merged.data["rank"].tolist() == [1, 3]
    assert merged.data["p_relevant"].tolist() == [0.75, None]
    assert merged[merged.confidence > 0.85].data["image_id"].tolist() == ["a/b.png"]
    picture = np.zeros((40, 80, 3), np.uint8)
    drawn = supervision.MaskAnnotator().annotate(picture.copy(), found["a/b.png"])
    assert (drawn.any(axis=-1) == SQUARE).all()
    labelled = supervision.LabelAnnotator().annotate(picture.copy(), found["a/b.png"])
    assert labelled.any()


@real
def test_a_hit_without_a_mask_has_no_detection(supervision):
    none = to_supervision(SHOWN)["image-2.png"]
    assert len(none) == 0
    assert none.mask.shape == (0, 40, 80)
    assert none.is_empty()
    assert len(supervision.Detections.merge([none, to_supervision(SHOWN)["a/b.png"]])) == 1


@real
def test_samples_are_fiftyones_own(fiftyone, tmp_path):
    first, second = samples(SHOWN, images=tmp_path, marks={"image-2.png": "unsure"})
    assert isinstance(first, fiftyone.Sample)
    check_samples(first, second, tmp_path)


@real
@pytest.mark.skipif("MATIR_TEST_MONGODB" not in os.environ, reason="needs a MongoDB server")
def test_a_dataset_of_fiftyone_holds_them(fiftyone, tmp_path):
    dataset = to_fiftyone(SHOWN, images=tmp_path, marks={"image-2.png": "unsure"})
    try:
        assert dataset.info["query"] == "a blue square"
        assert dataset.values("image_id") == ["a/b.png", "image-2.png"]
        check_samples(*dataset, tmp_path)
        assert dataset.match_tags("unsure").count() == 1
        assert dataset.count("found.detections") == 1
        assert len(to_fiftyone(result(), images=tmp_path)) == 0
    finally:
        dataset.delete()


def check_samples(first, second, root):
    assert first.filepath == str((root / "a/b.png").resolve())
    assert (first.metadata.width, first.metadata.height) == (80, 40)
    assert (first.image_id, first.rank, first.p_relevant) == ("a/b.png", 1, 0.75)
    assert first.answer == "there"
    (detection,) = first.found.detections
    assert detection.label == "a blue square"
    assert detection.bounding_box == [0.25, 0.25, 0.25, 0.5]
    assert detection.mask.shape == (20, 20)
    assert detection.mask.all()
    assert detection.confidence == pytest.approx(0.8808, abs=1e-4)
    (judged,) = first.judged_box.detections
    assert judged.bounding_box == [0.1, 0.1, 0.5, 0.5]
    assert second.found is None
    assert second.judged_box is None
    assert second.p_relevant is None
    assert (first.tags, second.tags) == ([], ["unsure"])


class Recorded(SimpleNamespace):
    """An object with the attributes that it was made of."""


class RecordedDataset:
    """The part of `fiftyone.Dataset` that is used."""

    def __init__(self, name=None):
        self.name = name or "made up"
        self.info = {}
        self.samples = []
        self.is_saved = False

    def add_samples(self, samples, *, progress):
        assert samples, "fiftyone refuses an empty list"
        assert progress is False
        self.samples += samples

    def save(self):
        self.is_saved = True


@pytest.fixture
def stand_in(monkeypatch):
    """Stand in for fiftyone: the constructors keep their arguments."""
    module = ModuleType("fiftyone")
    for name in ("Sample", "Detection", "Detections", "ImageMetadata"):
        setattr(module, name, Recorded)
    module.Dataset = RecordedDataset
    monkeypatch.setitem(sys.modules, "fiftyone", module)


def test_the_dataset_has_all_hits_and_says_where_they_come_from(stand_in, tmp_path):
    dataset = to_fiftyone(SHOWN, images=tmp_path, marks={"image-2.png": "unsure"}, name="n")
    check_samples(*dataset.samples, tmp_path)
    assert dataset.name == "n"
    assert dataset.info["query"] == "a blue square"
    assert dataset.info["index_fingerprint"] == "f00d"
    assert dataset.is_saved
    assert to_fiftyone(result(), images=tmp_path).samples == []


def test_a_mask_goes_with_its_own_tight_box(stand_in, tmp_path):
    ring = np.zeros((40, 80), bool)
    ring[4:9, 8:24] = True
    ring[6, 10:20] = False
    odd_box = hit(mask=encode(ring), box_xyxy=(0.0, 0.0, 80.0, 40.0))
    (sample,) = samples(result(odd_box), images=tmp_path)
    (detection,) = sample.found.detections
    assert detection.bounding_box == [0.1, 0.1, 0.2, 0.125]
    assert (detection.mask == ring[4:9, 8:24]).all()
    assert (decode(odd_box.mask)[4:9, 8:24] == detection.mask).all()


def test_an_empty_mask_is_nothing_found(stand_in, tmp_path):
    (sample,) = samples(result(hit(mask=encode(np.zeros((40, 80), bool)))), images=tmp_path)
    assert sample.found is None


def test_the_images_are_where_the_index_says(stand_in, tmp_path):
    source = MadeUpSource()
    source.image_root = tmp_path / "photos"
    (sample,) = samples(result(hit(path="x.png"), source=source))
    assert sample.filepath == str(tmp_path / "photos" / "x.png")
    with pytest.raises(ConfigError, match=r"FiftyOne needs the image files.*images=FOLDER"):
        samples(result(hit()))


@pytest.mark.parametrize("name", ["supervision", "fiftyone"])
def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    convert = getattr(others, f"to_{name}")
    with pytest.raises(ModelUnavailableError, match=f"needs {name} .*: pip install {name}$"):
        convert(SHOWN)
