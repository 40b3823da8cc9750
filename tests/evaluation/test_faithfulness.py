"""The truth about explanations, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from matir_nb.evaluation.faithfulness import (
    LEXICON,
    NEAR_MISS,
    ONE_SHARED,
    attribute_queries,
    attribute_words,
    meaning_of,
    occlusion_order,
    only_lacking,
    only_shared,
    oracle_order,
    point_at,
    random_orders,
    region_cases,
    shown_objects,
    truth_curve,
    word_case,
)
from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.scenes import phrases
from matir_nb.scenes.draw import Scene, SceneObject, draw_gallery
from matir_nb.scenes.meaning import NounPhrase, Query
from matir_nb.scenes.queries import describe, entails
from matir_nb.scenes.vocabulary import SPLITS

RED_RING = SceneObject("ring", "red", "small", "plain", (2.5, 2.5), 16.0)
BLUE_STAR = SceneObject("star", "blue", "large", "dotted", (8.0, 2.0), 6.0)
WORDS = ("find", "a", "small", "red", "star")


def pixels(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


RING = pixels("#####.....", "#...#.....", "#...#.....", "#...#.....", "#####.....")
DISC = pixels("#####.....", "#####.....", "#####.....", "#####.....", "#####.....")
BAR = pixels("......####", "......####", "..........", "..........", "..........")
NOTHING = np.zeros((5, 10), bool)


def scene_of(*masks):
    labels = np.zeros((5, 10), np.uint8)
    for index, mask in enumerate(masks):
        labels[mask] = index + 1
    none = np.zeros((2, 2), np.float32)
    image = np.zeros((5, 10, 3), np.uint8)
    return Scene("by-hand", image, labels, (RED_RING, BLUE_STAR), none, none)


@pytest.mark.parametrize(
    ("region", "targets", "expected"),
    [
        # the middle of a ring is its hole; its inmost pixel is not
        (RING, [RING], (1.0, True, False, True)),
        (DISC, [RING], (16 / 25, True, False, False)),
        (BAR, [RING], (0.0, False, False, False)),
        (BAR, [RING, BAR], (1.0, True, True, True)),
        (BAR | RING, [BAR], (8 / 24, False, False, False)),
        (BAR[:, ::-1], [DISC], (8 / 25, False, True, True)),
        (NOTHING, [RING], (0.0, False, False, False)),
        (None, [RING], (0.0, False, False, False)),
        (RING, [], (0.0, False, False, False)),
    ],
)
def test_pointing_by_hand(region, targets, expected):
    found = point_at(None if region is None else encode(region), [encode(t) for t in targets])
    assert (found.has_iou, found.centre_on_target, found.inmost_on_target) == expected[1:]
    assert found.iou == pytest.approx(expected[0])


def test_the_inmost_pixel_outlasts_the_others_and_the_centre_does_not():
    # peeled twice, the block is its middle; the arm draws the centre of mass to (50/35, 145/35)
    pan = pixels("###############", *["#####.........."] * 4)
    inmost, centre = np.zeros_like(pan), np.zeros_like(pan)
    inmost[2, 2] = centre[1, 4] = True
    for target, expected in ((inmost, (True, False)), (centre, (False, True))):
        found = point_at(encode(pan), [encode(target)])
        assert (found.inmost_on_target, found.centre_on_target) == expected


def test_a_region_shows_the_object_that_it_covers_best_or_none():
    half_bar = pixels("......####", *[".........."] * 4)
    regions = regions_from_masks([encode(m) for m in (BAR, DISC, half_bar, BAR | RING)])
    assert shown_objects(regions, scene_of(RING, BAR)) == (1, 0, 1, 0)
    thin = regions_from_masks([encode(pixels("......#...", *[".........."] * 4))])
    assert shown_objects(thin, scene_of(RING, BAR)) == (None,)
    assert shown_objects(regions_from_masks([]), scene_of(RING, BAR)) == ()


def test_every_wording_of_an_attribute_query_is_read_back():
    rng = np.random.default_rng(0)
    items = [item for scene in draw_gallery("train", 12) for item in scene.objects]
    for split in SPLITS:
        for item in items:
            wanted = describe(rng, item)
            text = phrases.say(Query("attribute", wanted), rng, split)
            assert meaning_of(text.split()) == wanted, text
            named = {a for a in ("colour", "shape", "size", "texture") if getattr(wanted, a)}
            assert attribute_words(text.split()).keys() == named, text


def test_words_of_the_frame_are_no_attributes():
    frame = "find there is in it a an the picture image of with somewhere shape object figure that"
    assert not set(frame.split()) & LEXICON.keys()
    assert attribute_words(["A", "Tiny,", "Star!"]) == {"size": 1, "shape": 2}


@pytest.mark.parametrize(
    ("wanted", "item", "lacking", "shared"),
    [
        (NounPhrase("red", "ring"), RED_RING, None, None),
        (NounPhrase("red", "star"), RED_RING, "shape", "colour"),
        (NounPhrase("blue", "ring", "small"), RED_RING, "colour", None),
        (NounPhrase("blue", "ring", "large"), RED_RING, None, "shape"),
        (NounPhrase("blue", "star", "large", "dotted"), RED_RING, None, None),
        (NounPhrase(texture="dotted"), RED_RING, "texture", None),
    ],
)
def test_what_an_object_lacks_and_shares(wanted, item, lacking, shared):
    assert only_lacking(wanted, item) == lacking
    assert only_shared(wanted, item) == shared


def test_the_word_that_adds_least_should_be_the_one_that_is_wrong():
    # "find" adds even less, but names no attribute
    right = word_case(NEAR_MISS, 3, RED_RING, WORDS, [-9, 0, 0.1, 0.2, -0.3])
    assert (right.region_id, right.true_word, right.named_word, right.n_words) == (3, 4, 4, 3)
    assert right.is_right
    assert right.chance == pytest.approx(1 / 3)
    wrong = word_case(NEAR_MISS, 3, RED_RING, WORDS, [0, 0, -0.4, 0.2, -0.3])
    assert (wrong.named_word, wrong.is_right) == (2, False)


def test_the_word_that_adds_most_should_be_the_only_one_that_fits():
    words = ("large", "striped", "circle", "with", "red")
    right = word_case(ONE_SHARED, 0, RED_RING, words, [-0.1, 0, 0, 9, 0.2])
    assert (right.true_word, right.is_right, right.n_words) == (4, True, 4)
    assert not word_case(ONE_SHARED, 0, RED_RING, words, [0.3, 0, 0, 9, 0.2]).is_right


@pytest.mark.parametrize(
    ("game", "item", "words"),
    [
        (NEAR_MISS, BLUE_STAR, WORDS),  # lacks two
        (ONE_SHARED, RED_RING, WORDS),  # shares two
        (NEAR_MISS, RED_RING, ("a", "red", "ring")),  # lacks none
        (NEAR_MISS, RED_RING, ("a", "blue", "shape")),  # one word: nothing to choose
        (NEAR_MISS, RED_RING, ("a", "picture")),
    ],
)
def test_games_that_cannot_be_played(game, item, words):
    assert word_case(game, 0, item, words, [0.0] * len(words)) is None


def test_orders_by_hand():
    # 2 drops most; of the rest the higher cosine, then the earlier row comes first
    drops, cosines = [0.0, 0.0, 0.3, 0.0], [0.2, 0.4, 0.9, 0.4]
    assert occlusion_order(drops, cosines).tolist() == [2, 1, 3, 0]
    assert oracle_order([0.0, 0.7, 0.0, 0.9]).tolist() == [3, 1, 0, 2]
    assert occlusion_order([], []).tolist() == []


def test_random_orders_are_permutations_fixed_by_the_seed():
    orders = random_orders(5, 4, seed=(1, 2))
    assert [sorted(order.tolist()) for order in orders] == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(order) for order in orders}) > 1
    again = random_orders(5, 4, seed=(1, 2))
    assert all((a == b).all() for a, b in zip(orders, again, strict=True))


def test_the_truth_ends_with_the_last_region_of_a_target():
    ious = [0.9, 0.1, 0.5, 0.49]
    assert truth_curve(ious, np.array([0, 1, 2, 3])) == (1.0, 1.0, 1.0, 0.0, 0.0)
    assert truth_curve(ious, np.array([2, 0, 1, 3])) == (1.0, 1.0, 0.0, 0.0, 0.0)
    assert truth_curve([0.2], np.array([0])) == (0.0, 0.0)
    assert truth_curve([], np.array([], int)) == (0.0,)


def test_queries_are_different_true_and_not_of_too_many_images():
    scenes = list(draw_gallery("test", 40))
    ids = [f"{scene.scene_id}.png" for scene in scenes]
    queries = attribute_queries(scenes, 30, split="test", seed=2, image_ids=ids)
    assert len({q.query_id for q in queries}) == len(queries) == 30
    meanings = [meaning_of(q.text.split()) for q in queries]
    assert len(set(meanings)) == 30
    for query, wanted in zip(queries, meanings, strict=True):
        asked = Query("attribute", wanted)
        answers = {i: entails(scene, asked) for i, scene in zip(ids, scenes, strict=True)}
        assert query.relevant == {i for i, answer in answers.items() if answer.is_relevant}
        assert 1 <= len(query.relevant) <= 12
        for image_id in query.relevant:
            assert len(query.masks[image_id]) == len(answers[image_id].targets)
    other = attribute_queries(scenes, 30, split="test", seed=3, image_ids=ids)
    assert [q.text for q in other] != [q.text for q in queries]


def test_the_region_of_a_word_is_one_that_shows_it():
    words = ["a", "red", "circle"]
    items = (
        RED_RING,
        replace(BLUE_STAR, colour="red"),
        replace(RED_RING, colour="blue", shape="circle"),
    )
    shown = (0, 1, 2, None)
    scores = np.array([[9.0, 0, 0, 0], [0.1, 0.2, 0.4, 0.3], [0.0, 0.5, 0.1, 0.2]])
    cases = region_cases(words, scores, items, shown)
    named = [(case.true_word, case.region_id, case.is_right) for case in cases]
    assert named == [(1, 2, False), (2, 1, False)]
    assert [case.chance for case in cases] == [0.5, 0.25]
    better = np.array([[0.0] * 4, [0.3, 0.2, 0.1, 0.0], [0.0, 0.0, 0.9, 0.1]])
    assert [case.is_right for case in region_cases(words, better, items, shown)] == [True, True]
    assert region_cases(words, scores[:, :1], items, (0,)) == []
