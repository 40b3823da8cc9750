"""The vectorised truth of training equals the definition."""

import numpy as np

from matir_nb.scenes.draw import draw_gallery
from matir_nb.scenes.queries import entails
from training.alpha_clip import sample_queries
from training.truth import SceneTable, image_truth, object_codes, subject_truth


def test_image_truth_equals_entails() -> None:
    scenes = list(draw_gallery("train", 25))
    queries = sample_queries(np.random.default_rng(0), scenes, 120)
    truth = image_truth(queries, SceneTable.of(scenes))
    expected = [[entails(scene, query).is_relevant for scene in scenes] for query in queries]
    np.testing.assert_array_equal(truth, expected)


def test_subject_truth_equals_matches() -> None:
    scenes = list(draw_gallery("train", 10))
    items = [item for scene in scenes for item in scene.objects]
    queries = sample_queries(np.random.default_rng(1), scenes, 60)
    truth = subject_truth(queries, np.array([object_codes(item) for item in items]))
    for row, query in zip(truth, queries, strict=True):
        fits = [
            query.subject.matches(item) and not (query.without and query.without.matches(item))
            for item in items
        ]
        np.testing.assert_array_equal(row, fits)
