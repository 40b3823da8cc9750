"""Scenes: the same arguments give the same picture, and the truth fits the pixels."""

import numpy as np
import pytest

from matir_nb.scenes.draw import MIN_VISIBLE, SIGNED_DISTANCE, Scene, draw_gallery, draw_scene
from matir_nb.scenes.vocabulary import (
    COLOURS,
    DIAMETERS,
    RGB,
    SHAPES,
    SIZES,
    SPLITS,
    TEXTURES,
    common_triples,
    held_out_triples,
)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(draw_gallery("test", 60))


def test_a_scene_is_reproducible_and_numbers_and_splits_differ() -> None:
    first, again = draw_scene("train", 3), draw_scene("train", 3)
    assert (first.image == again.image).all()
    assert first.objects == again.objects
    for other in (draw_scene("train", 4), draw_scene("test", 3), draw_scene("train", 3, seed=1)):
        assert other.image.shape != first.image.shape or (other.image != first.image).any()


@pytest.mark.parametrize("size_hw", [(96, 300), (311, 120), (64, 64)])
def test_any_resolution(size_hw: tuple[int, int]) -> None:
    scene = draw_scene("validation", 1, size_hw=size_hw)
    assert scene.image.shape == (*size_hw, 3)
    assert scene.image.dtype == np.uint8
    assert scene.labels.shape == size_hw


def test_labels_name_every_object_and_nothing_else(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert set(np.unique(scene.labels)) - {0} == set(range(1, len(scene.objects) + 1))
        for index, item in enumerate(scene.objects):
            assert scene.visible_mask(index).sum() >= MIN_VISIBLE * item.area - 1


def test_diameters_follow_the_size_class(scenes: list[Scene]) -> None:
    for scene in scenes:
        short = min(scene.labels.shape)
        for index, item in enumerate(scene.objects):
            if scene.covered[:, index].max() > 0:
                continue
            rows, columns = np.nonzero(scene.visible_mask(index))
            longer = max(np.ptp(rows), np.ptp(columns)) + 1
            low, high = DIAMETERS[item.size]
            assert 0.6 * low * short < longer < high * short * 1.03 + 2


def test_colours_are_what_they_are_called(scenes: list[Scene]) -> None:
    names = list(RGB)
    table = np.array([RGB[name] for name in names], float)
    right = []
    for scene in scenes:
        for index, item in enumerate(scene.objects):
            if item.texture == "plain":
                median = np.median(scene.image[scene.visible_mask(index)], axis=0)
                right.append(names[int(((table - median) ** 2).sum(1).argmin())] == item.colour)
    assert len(right) > 30
    assert np.mean(right) > 0.9


def test_galleries_show_the_whole_vocabulary(scenes: list[Scene]) -> None:
    items = [item for scene in scenes for item in scene.objects]
    assert {item.shape for item in items} == set(SHAPES)
    assert {item.colour for item in items} == set(COLOURS)
    assert {item.size for item in items} == set(SIZES)
    assert {item.texture for item in items} == set(TEXTURES)
    assert {len(scene.objects) for scene in scenes} >= set(range(1, 8))


def test_some_triples_are_seen_in_test_scenes_only() -> None:
    pools = {split: set(held_out_triples(split)) for split in SPLITS}
    assert not pools["test"] & pools["validation"]
    assert not (pools["test"] | pools["validation"]) & set(common_triples())
    for split in SPLITS:
        allowed = set(common_triples()) | pools[split]
        shown = {
            (item.colour, item.shape, item.texture)
            for scene in draw_gallery(split, 40)
            for item in scene.objects
        }
        assert shown <= allowed
        assert (shown & pools[split] != set()) == (split != "train")


def test_inside_and_overlapping_pairs_occur_and_agree_with_the_labels(scenes: list[Scene]) -> None:
    n_inside = 0
    for scene in scenes:
        for i, j in np.argwhere(scene.enclosed >= 0.99):
            n_inside += 1
            inner = np.argwhere(scene.visible_mask(int(i)))
            outer = np.argwhere(scene.visible_mask(int(j)))
            assert (inner.min(0) >= outer.min(0) - 1).all()
            assert (inner.max(0) <= outer.max(0) + 1).all()
    assert n_inside >= 5
    assert any(((scene.covered > 0.03) & (scene.enclosed < 0.9)).any() for scene in scenes)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fill_their_circle_and_stay_inside_it(shape: str) -> None:
    axis = np.linspace(-1.2, 1.2, 241)
    u, v = np.meshgrid(axis, axis)
    inside = SIGNED_DISTANCE[shape](u, v) < 0
    radius = np.hypot(u, v)[inside].max()
    assert 0.8 < radius < 1.15
    assert 0.1 < inside.mean() * 2.4**2 / np.pi < 1.0
