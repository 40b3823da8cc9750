"""The structured judge: probabilities worked by hand, and meaning with perfect region scores."""

import numpy as np
import pytest

from matir_nb.geometry.masks import encode, regions_from_masks
from matir_nb.models.clauses import parse
from matir_nb.models.structured import count_distribution, decide
from matir_nb.scenes.draw import draw_gallery
from matir_nb.scenes.meaning import KINDS
from matir_nb.scenes.phrases import say
from matir_nb.scenes.queries import entails, sample_query
from matir_nb.types import Regions


def regions(*corners: tuple[int, int]) -> Regions:
    masks = []
    for x, y in corners:
        mask = np.zeros((100, 200), bool)
        mask[y : y + 10, x : x + 10] = True
        masks.append(encode(mask))
    return regions_from_masks(masks)


THREE = regions((10, 10), (100, 40), (150, 80))


def verdict(query: str, *rows: list[float]) -> tuple[float, int | None]:
    found = decide(parse(query), np.array(rows, np.float32), THREE, width=200, height=100)
    return found.p, found.region


def test_count_distribution() -> None:
    chances = count_distribution(np.array([0.9, 0.5, 0.2]))
    assert chances.tolist() == pytest.approx([0.04, 0.41, 0.46, 0.09])
    assert count_distribution(np.array([])).tolist() == [1.0]


def test_attribute_takes_the_best_region() -> None:
    assert verdict("a dog", [0.2, 0.7, 0.1]) == (pytest.approx(0.7), 1)


def test_relation_takes_the_best_pair() -> None:
    p, region = verdict("a dog left of a bench", [0.8, 0.9, 0.1], [0.1, 0.1, 0.5])
    assert (p, region) == (pytest.approx(0.45, abs=0.001), 1)
    p, _ = verdict("a dog right of a bench", [0.8, 0.0, 0.0], [0.0, 0.9, 0.9])
    assert p < 0.001


def test_a_region_is_not_related_to_itself() -> None:
    p, _ = verdict("a dog below a dog", [0.9, 0.0, 0.0], [0.9, 0.0, 0.0])
    assert p == 0


def test_counts_are_exact() -> None:
    p, region = verdict("two dogs", [0.9, 0.8, 0.1])
    assert p == pytest.approx(0.9 * 0.8 * 0.9 + 0.9 * 0.2 * 0.1 + 0.1 * 0.8 * 0.1)
    assert region == 0
    assert verdict("four dogs", [0.9, 0.9, 0.9])[0] == 0


def test_none_and_without() -> None:
    assert verdict("no dog", [0.1, 0.2, 0.0]) == (pytest.approx(0.72), None)
    assert verdict("a dog without a leash", [0.9, 0.8, 0.0], [0.9, 0.1, 0.0]) == (
        pytest.approx(0.72),
        1,
    )


@pytest.mark.parametrize(
    ("word", "region"),
    [("leftmost", 0), ("rightmost", 1), ("topmost", 0), ("bottommost", 1)],
)
def test_superlative_chooses_among_the_likely(word: str, region: int) -> None:
    p, found = verdict(f"the {word} dog", [0.8, 0.9, 0.1])
    assert (p, found) == (pytest.approx([0.8, 0.9][region]), region)


def test_an_image_without_regions_shows_nothing_and_lacks_everything() -> None:
    empty = regions()
    scores = np.zeros((1, 0), np.float32)
    assert decide(parse("a dog"), scores, empty, width=9, height=9).p == 0
    assert decide(parse("no dog"), scores, empty, width=9, height=9).p == 1


def test_duplicate_regions_count_once() -> None:
    twice = regions((10, 10), (10, 11), (100, 40))
    scores = np.array([[0.95, 0.95, 0.95]], np.float32)
    assert decide(parse("two dogs"), scores, twice, width=200, height=100).p > 0.9
    assert decide(parse("three dogs"), scores, twice, width=200, height=100).p == 0


def test_with_perfect_scores_it_tells_the_truth_about_scenes() -> None:
    rng = np.random.default_rng(4)
    scenes = list(draw_gallery("test", 30))
    right: list[bool] = []
    for number in range(300):
        query = sample_query(rng, scenes[int(rng.integers(30))], KINDS[number % len(KINDS)])
        if query is None:
            continue
        clauses = parse(say(query, rng, "test"))
        scene = scenes[int(rng.integers(30))]
        phrases = [query.subject, query.other] if query.other else [query.subject]
        rows = [[0.98 if p.matches(o) else 0.01 for o in scene.objects] for p in phrases]
        if query.without is not None:
            fits = [query.without.matches(o) for o in scene.objects]
            rows.append([0.98 if fit else 0.01 for fit in fits])
        found = regions_from_masks(
            [encode(scene.visible_mask(i)) for i in range(len(scene.objects))]
        )
        height, width = scene.labels.shape
        said = decide(clauses, np.array(rows, np.float32), found, width=width, height=height)
        answer = entails(scene, query)
        right.append((said.p > 0.5) == answer.is_relevant)
        if answer.targets and said.p > 0.5:
            right.append(said.region in answer.targets)
    assert np.mean(right) > 0.98
