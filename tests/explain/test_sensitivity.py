"""Mask sensitivity: what moves, what it says of encoders, and that it is measured once."""

import json
import logging

import numpy as np
import pytest
from fakes import OracleMaskSource, scene_gallery
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from matir_nb.errors import ConfigError, ImageError
from matir_nb.explain.sensitivity import (
    FILE,
    MAX_COSINE,
    REGIONS_PER_IMAGE,
    SENSITIVITY_SCHEMA,
    mask_sensitivity,
    moved_masks,
    stored_warning,
)
from matir_nb.geometry.masks import decode, encode, tight_box_xyxy
from matir_nb.index.build import build
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.registry import WEIGHTS
from matir_nb.opening import open_engine
from matir_nb.types import LogOdds

N = 5


class StandIn:
    """An encoder of brightness and place: under the mask, or blindly in its whole box."""

    dim = 4
    log_odds = LogOdds(10.0, 0.0)

    def __init__(self, *, looks_at_masks):
        self.looks_at_masks = looks_at_masks
        self.model_id = f"stand-in looking={looks_at_masks}"
        self.n_regions = 0

    def embed_regions(self, images, masks):
        return [
            np.array([self._one(image, mask) for mask in own], np.float32).reshape(-1, self.dim)
            for image, own in zip(images, masks, strict=True)
        ]

    def embed_images(self, images):
        return np.tile(np.float32([1, 0, 0, 0]), (len(images), 1))

    def embed_texts(self, texts):
        return np.tile(np.float32([0, 1, 0, 0]), (len(texts), 1))

    def _one(self, image, mask):
        self.n_regions += 1
        x0, y0, x1, y1 = map(int, tight_box_xyxy(mask))
        inside = decode(mask)
        if not self.looks_at_masks:
            inside[y0:y1, x0:x1] = True
        y, x = (places.mean() for places in np.nonzero(inside))
        off = np.array([(x - x0) / (x1 - x0), (y - y0) / (y1 - y0)]) - 0.5
        vector = np.array([0.5, image[inside].mean() / 255, *4 * off])
        return vector / np.linalg.norm(vector)


def opened(folder, encoder, n=N):
    scenes = scene_gallery(folder / "images", n)
    build(folder / "images", folder / "x.matir", masks=OracleMaskSource(scenes), encoder=encoder)
    return open_engine(folder / "x.matir", encoder=encoder, judge=None)


def test_an_encoder_that_ignores_masks_is_found_and_searches_say_so(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=False))
    before = engine.search("red").provenance.notices
    found = engine.mask_sensitivity()
    assert found.median == pytest.approx(0, abs=1e-5)
    assert "hardly looks at the masks" in found.warning
    assert "cosine of 1.000" in found.warning
    for same in (engine, open_engine(tmp_path / "x.matir", encoder=engine.encoder, judge=None)):
        notices = same.search("red").provenance.notices
        assert set(notices) - set(before) == {found.warning}
        assert len(notices) == len(before) + 1


def test_an_encoder_that_looks_gets_no_warning(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=True))
    before = engine.search("red").provenance.notices
    found = mask_sensitivity(engine)
    assert found.median > 1 - MAX_COSINE
    assert found.warning == ""
    assert stored_warning(engine.index) == ""
    assert engine.search("red").provenance.notices == before


def test_each_number_is_one_less_the_mean_cosine(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=True))
    image_id = engine.index.image_ids[1]
    frame = mask_sensitivity(engine, image_ids=[image_id, image_id]).to_polars()
    regions = engine.regions_of(image_id)
    assert frame.schema == SENSITIVITY_SCHEMA
    assert set(frame["image_id"]) == {image_id}
    assert frame["region_id"].to_list() == list(range(len(regions)))
    image = engine.load_image(image_id)
    for region_id, value in frame.select("region_id", "sensitivity").iter_rows():
        mask = regions.masks[region_id]
        own, *moved = engine.encoder.embed_regions([image], [[mask, *moved_masks(mask)]])[0]
        assert value == pytest.approx(1 - np.mean([own @ v for v in moved]), abs=1e-3)


def test_the_sample_is_drawn_by_seed_and_measured_once(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=True))
    first = mask_sensitivity(engine, n_images=2).regions
    assert first["image_id"].n_unique() == 2
    n_measured = engine.encoder.n_regions
    assert mask_sensitivity(engine, n_images=2).regions.equals(first)
    other_engine = open_engine(tmp_path / "x.matir", encoder=engine.encoder, judge=None)
    assert mask_sensitivity(other_engine, n_images=2).regions.equals(first)
    assert engine.encoder.n_regions == n_measured
    seeds = [mask_sensitivity(engine, n_images=2, seed=s).regions["image_id"] for s in range(6)]
    assert len({tuple(ids.unique().sort()) for ids in seeds}) > 1
    assert mask_sensitivity(engine, n_images=2).regions.equals(first)
    assert mask_sensitivity(engine, n_images=100).regions["image_id"].n_unique() == N


def test_given_images_are_not_kept_and_have_all_regions(tmp_path, monkeypatch):
    engine = opened(tmp_path, StandIn(looks_at_masks=False))
    assert max(len(engine.regions_of(i)) for i in engine.index.image_ids) > 2
    monkeypatch.setattr("matir_nb.explain.sensitivity.REGIONS_PER_IMAGE", 2)
    given_ids = mask_sensitivity(engine, image_ids=engine.index.image_ids).regions
    assert len(given_ids) == engine.index.n_regions
    assert not (engine.index.path / FILE).exists()
    sampled = mask_sensitivity(engine).regions
    assert sampled.group_by("image_id").len()["len"].max() == 2
    keys = ["image_id", "region_id", "sensitivity"]
    assert len(sampled.join(given_ids, on=keys, how="anti")) == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 1, "fingerprint": "FINGERPRINT", "regions": {"image_id": [1, 2]}}',
        '{"version": 1, "fingerprint": "FINGERPRINT", "regions": 3}',
        "\udcff",
    ],
)
def test_a_damaged_file_is_thrown_away_and_measured_again(tmp_path, caplog, content):
    engine = opened(tmp_path, StandIn(looks_at_masks=False), n=2)
    expected = mask_sensitivity(engine).regions
    file = engine.index.path / FILE
    content = content.replace("FINGERPRINT", engine.index.fingerprint)
    file.write_bytes(content.encode(errors="surrogateescape"))
    with caplog.at_level(logging.WARNING):
        assert engine.search("red").hits
        assert "thrown away" in caplog.text
        assert not file.exists()
    assert mask_sensitivity(engine).regions.equals(expected)
    assert file.exists()


def test_damaged_regions_are_measured_again(tmp_path, caplog):
    engine = opened(tmp_path, StandIn(looks_at_masks=False), n=2)
    expected = mask_sensitivity(engine).regions
    file = engine.index.path / FILE
    document = json.loads(file.read_text())
    for regions in (3, {"image_id": [1, 2]}, {**document["regions"], "sensitivity": ["a"]}):
        file.write_text(json.dumps(document | {"regions": regions}))
        with caplog.at_level(logging.WARNING):
            assert mask_sensitivity(engine).regions.equals(expected)
        assert "thrown away" in caplog.text
        caplog.clear()


def test_images_that_are_gone_are_measured_anew(tmp_path):
    encoder = StandIn(looks_at_masks=False)
    engine = opened(tmp_path, encoder, n=3)
    gone = mask_sensitivity(engine).regions["image_id"][0]
    (tmp_path / "images" / gone).unlink()
    build(tmp_path / "images", tmp_path / "x.matir", masks=OracleMaskSource([]), encoder=encoder)
    smaller = open_engine(tmp_path / "x.matir", encoder=encoder, judge=None)
    assert smaller.index.n_images == 2
    assert gone not in set(mask_sensitivity(smaller).regions["image_id"])


def test_a_smaller_sample_does_not_replace_a_larger_one(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=False), n=3)
    for n_images, kept in ((2, 2), (1, 2), (3, 3), (2, 3)):
        found = mask_sensitivity(engine, n_images=n_images)
        assert found.regions["image_id"].n_unique() == n_images
        assert json.loads((engine.index.path / FILE).read_text())["asked"]["n_images"] == kept


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"version": 99}])
def test_what_other_models_or_versions_measured_does_not_count(tmp_path, change):
    engine = opened(tmp_path, StandIn(looks_at_masks=False), n=2)
    mask_sensitivity(engine)
    assert stored_warning(engine.index)
    file = engine.index.path / FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert stored_warning(engine.index) == ""


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, caplog):
    engine = opened(tmp_path, StandIn(looks_at_masks=False), n=2)
    cache = (engine.index.path / FILE).parent
    cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert mask_sensitivity(engine).warning
    assert "not kept" in caplog.text
    assert cache.is_file()
    assert engine.search("red").hits


def test_bad_options_are_refused(tmp_path):
    engine = opened(tmp_path, StandIn(looks_at_masks=True), n=2)
    with pytest.raises(ConfigError, match="n_images = 0 is not allowed"):
        mask_sensitivity(engine, n_images=0)
    with pytest.raises(ConfigError, match=r"this index has no image 'no\.png'"):
        mask_sensitivity(engine, image_ids=["no.png"])
    with pytest.raises(ConfigError, match=r"image_ids = 'no\.png' is no list"):
        mask_sensitivity(engine, image_ids="no.png")
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with pytest.raises(ImageError, match=r"images=FOLDER"):
        mask_sensitivity(engine)


def test_an_index_without_regions_has_no_median(tmp_path):
    encoder = StandIn(looks_at_masks=True)
    scene_gallery(tmp_path / "images", 2)
    build(tmp_path / "images", tmp_path / "x.matir", masks=OracleMaskSource([]), encoder=encoder)
    engine = open_engine(tmp_path / "x.matir", encoder=encoder, judge=None)
    found = mask_sensitivity(engine)
    assert (found.median, found.warning, len(found.regions)) == (None, "", 0)
    assert mask_sensitivity(engine, image_ids=engine.index.image_ids).median is None


def test_the_embedded_encoder_looks_at_masks(tmp_path):
    encoder = AlphaClipEncoder.from_pretrained(WEIGHTS / "alpha-clip")
    found = mask_sensitivity(opened(tmp_path, encoder))
    assert 0.25 < found.median < 0.75
    assert found.warning == ""
    assert len(found.regions) <= N * REGIONS_PER_IMAGE


@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_moved_masks_keep_the_tight_box(mask):
    if not mask.any():
        mask[0, 0] = True
    rle = encode(mask)
    x0, y0, x1, y1 = map(int, tight_box_xyxy(rle))
    dx, dy = max((x1 - x0) // 2, 1), max((y1 - y0) // 2, 1)
    moves = [(0, -dx), (0, dx), (-dy, 0), (dy, 0)]
    ys, xs = np.nonzero(mask)
    for moved, (down, right) in zip(moved_masks(rle), moves, strict=True):
        assert tight_box_xyxy(moved) == tight_box_xyxy(rle)
        expected = np.zeros_like(mask)
        for y, x in zip(ys + down, xs + right, strict=True):
            if y0 <= y < y1 and x0 <= x < x1:
                expected[y, x] = True
        expected[y0, x0] = expected[y1 - 1, x1 - 1] = True
        assert (decode(moved) == expected).all()
