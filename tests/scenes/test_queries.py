"""Truth of queries: worked by hand on scenes of known objects."""

from dataclasses import replace

import numpy as np
import pytest

from matir_nb.geometry.masks import decode
from matir_nb.scenes.draw import Scene, SceneObject, draw_gallery
from matir_nb.scenes.meaning import KINDS, NounPhrase, Query
from matir_nb.scenes.phrases import TEMPLATES, say
from matir_nb.scenes.queries import entails, holds, make_queries


def scene_of(*objects: SceneObject) -> Scene:
    n = len(objects)
    labels = np.zeros((100, 200), np.uint8)
    for index, item in enumerate(objects):
        x, y = (int(c) for c in item.centre_xy)
        labels[y - 4 : y + 4, x - 4 : x + 4] = index + 1
    nothing = np.zeros((n, n), np.float32)
    image = np.zeros((100, 200, 3), np.uint8)
    return Scene("by-hand", image, labels, objects, nothing, nothing)


RED_CIRCLE = SceneObject("circle", "red", "small", "dotted", (40.0, 50.0), 64.0)
BLUE_SQUARE = SceneObject("square", "blue", "large", "plain", (120.0, 50.0), 64.0)
RED_STAR = SceneObject("star", "red", "small", "plain", (160.0, 20.0), 64.0)
SCENE = scene_of(RED_CIRCLE, BLUE_SQUARE, RED_STAR)
RED, CIRCLE, SQUARE = (
    NounPhrase(colour="red"),
    NounPhrase(shape="circle"),
    NounPhrase(shape="square"),
)


@pytest.mark.parametrize(
    ("query", "is_relevant", "targets"),
    [
        (Query("attribute", RED), True, (0, 2)),
        (Query("attribute", NounPhrase(colour="red", shape="square")), False, ()),
        (Query("relation", CIRCLE, relation="left", other=SQUARE), True, (0,)),
        (Query("relation", SQUARE, relation="left", other=CIRCLE), False, ()),
        (Query("relation", RED, relation="right", other=SQUARE), True, (2,)),
        (Query("relation", RED, relation="above", other=SQUARE), True, (2,)),
        (Query("relation", RED, relation="below", other=RED), True, (0,)),
        (Query("relation", SQUARE, relation="larger", other=RED), True, (1,)),
        (Query("relation", CIRCLE, relation="smaller", other=NounPhrase(shape="star")), False, ()),
        (Query("count", RED, count=2), True, (0, 2)),
        (Query("count", RED, count=3), False, ()),
        (Query("count", NounPhrase(), count=2), False, ()),
        (Query("absence", NounPhrase(shape="ring"), is_none=True), True, ()),
        (Query("absence", CIRCLE, is_none=True), False, ()),
        (Query("absence", RED, without=NounPhrase(texture="dotted")), True, (2,)),
        (Query("absence", CIRCLE, without=NounPhrase(texture="dotted")), False, ()),
        (Query("superlative", RED, superlative="leftmost"), True, (0,)),
        (Query("superlative", RED, superlative="topmost"), True, (2,)),
        (Query("superlative", NounPhrase(), superlative="largest"), True, (1,)),
        (Query("superlative", RED, superlative="smallest"), True, (0, 2)),
        (Query("superlative", NounPhrase(shape="ring"), superlative="largest"), False, ()),
    ],
)
def test_entails(query: Query, *, is_relevant: bool, targets: tuple[int, ...]) -> None:
    answer = entails(SCENE, query)
    assert answer.is_relevant is is_relevant
    assert answer.targets == targets


def test_side_relations_need_a_margin() -> None:
    near = replace(BLUE_SQUARE, centre_xy=(40.0 + 0.05 * 200, 50.0))
    far = replace(BLUE_SQUARE, centre_xy=(40.0 + 0.07 * 200, 50.0))
    assert not holds(scene_of(RED_CIRCLE, near), "left", 0, 1)
    assert holds(scene_of(RED_CIRCLE, far), "left", 0, 1)


def test_inside_and_overlapping_exclude_each_other() -> None:
    both = np.array([[0, 1], [0, 0]], np.float32)
    inside = replace(SCENE, objects=(RED_CIRCLE, BLUE_SQUARE), covered=both, enclosed=both)
    assert holds(inside, "inside", 0, 1)
    assert not holds(inside, "inside", 1, 0)
    assert not holds(inside, "overlapping", 0, 1)
    touching = replace(inside, covered=both * 0.2, enclosed=both * 0.2)
    assert holds(touching, "overlapping", 0, 1)
    assert holds(touching, "overlapping", 1, 0)


@pytest.fixture(scope="module")
def gallery() -> list[Scene]:
    return list(draw_gallery("test", 80))


def test_query_sets_have_every_kind_and_exact_truth(gallery: list[Scene]) -> None:
    queries = make_queries(gallery, 60, split="test")
    assert len(queries) == 60
    assert {query.kind for query in queries} == set(KINDS)
    assert [q.text for q in make_queries(gallery, 60, split="test")] == [q.text for q in queries]
    assert [q.text for q in make_queries(gallery, 60, split="test", seed=1)] != [
        q.text for q in queries
    ]
    by_id = {f"{scene.scene_id}.png": scene for scene in gallery}
    for query in queries:
        assert query.relevant
        for image_id in query.relevant:
            masks, boxes = query.masks[image_id], query.boxes_xyxy[image_id]
            assert len(masks) == len(boxes)
            for mask, box in zip(masks, boxes, strict=True):
                pixels = decode(mask)
                assert pixels.shape == by_id[image_id].labels.shape
                rows, columns = np.nonzero(pixels)
                tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert tuple(box) == tight


def test_no_template_is_in_two_splits_and_no_test_sentence_is_a_training_one() -> None:
    for frames in TEMPLATES.values():
        train, validation, test = (set(frames[s]) for s in ("train", "validation", "test"))
        assert not train & validation
        assert not train & test
        assert not validation & test


def test_words_vary_but_meaning_stays() -> None:
    rng = np.random.default_rng(0)
    phrase = NounPhrase(colour="red", shape="circle", size="small", texture="striped")
    said = {say(Query("attribute", phrase), rng, "train") for _ in range(200)}
    assert len(said) > 60
    for sentence in said:
        assert "red" in sentence
        assert "circle" in sentence or "disc" in sentence
        assert any(word in sentence for word in ("small", "little", "tiny"))
        assert "strip" in sentence


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Query("count", CIRCLE, count=2), ("circles", "discs")),
        (Query("absence", CIRCLE, is_none=True), ("no ", "without ")),
        (Query("superlative", CIRCLE, superlative="leftmost"), ("leftmost", "furthest left")),
        (
            Query("relation", CIRCLE, relation="inside", other=SQUARE),
            ("inside", "within", "in the"),
        ),
    ],
)
def test_each_kind_says_what_it_means(query: Query, words: tuple[str, ...]) -> None:
    rng = np.random.default_rng(1)
    for split in ("train", "validation", "test"):
        for _ in range(20):
            sentence = say(query, rng, split)
            assert any(word in sentence for word in words), sentence
