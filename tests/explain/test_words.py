"""Word × mask: the numbers are differences of cosines, from one batch of texts."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import OracleEncoder, OracleMaskSource, oracle_index, scene_gallery

from matir_nb.errors import ConfigError, QueryError
from matir_nb.explain.phrases import NEUTRAL
from matir_nb.explain.words import WORDS_SCHEMA, texts_of, word_matrix
from matir_nb.index.build import build
from matir_nb.opening import open_engine

N = 8


class CountingEncoder(OracleEncoder):
    """Remembers the batches of texts that it was given."""

    batches: list

    def embed_texts(self, texts):
        self.batches.append(list(texts))
        return super().embed_texts(texts)


@pytest.fixture(scope="module")
def scenes_and_path(tmp_path_factory):
    return oracle_index(tmp_path_factory.mktemp("words"), N)


@pytest.fixture
def engine(scenes_and_path):
    scenes, path = scenes_and_path
    encoder = CountingEncoder(scenes)
    encoder.batches = []
    return open_engine(path, encoder=encoder, judge=None)


def test_the_region_with_the_attribute_gains_from_its_word(scenes_and_path, engine):
    scenes, _ = scenes_and_path
    scene = scenes[0]
    colour = scene.objects[0].colour
    matrix = word_matrix(f"a {colour} shape", f"{scene.scene_id}.png", engine)
    own = {i for i, item in enumerate(scene.objects) if item.colour == colour}
    assert matrix.words == ("a", colour, "shape")
    assert matrix.top_region(1) in own
    assert matrix.top_region(colour.upper()) == matrix.top_region(1)
    assert {r for r, adds in enumerate(matrix.by_word[1]) if adds > 0.1} == own
    assert not matrix.by_word[[0, 2]].any()
    assert matrix.top_word(matrix.top_region(1)) == 1


def test_every_entry_is_a_difference_of_two_cosines(scenes_and_path, engine):
    query = "a picture of a red circle, without dotted stripes"
    image_id = engine.index.image_ids[0]
    matrix = word_matrix(query, image_id, engine)
    vectors = engine.index.region_vectors_of(image_id)
    assert matrix.base.shape == (len(vectors),)
    assert matrix.by_word.shape == (9, len(vectors))
    assert matrix.by_phrase.shape == (3, len(vectors))
    for rows, whole, cut in (
        (matrix.by_word, matrix.whole_image_by_word, words_cut(query)),
        (matrix.by_phrase, matrix.whole_image_by_phrase, phrases_cut(query)),
    ):
        texts = engine.encoder.embed_texts([query, *cut])
        expected = vectors @ texts.T
        np.testing.assert_allclose(rows, (expected[:, :1] - expected[:, 1:]).T, atol=1e-6)
        wholes = texts @ engine.index.image_vector_of(image_id)
        np.testing.assert_allclose(whole, wholes[0] - wholes[1:], atol=1e-6)
        assert matrix.whole_image == pytest.approx(float(wholes[0]), abs=1e-6)


def words_cut(query):
    assert query == "a picture of a red circle, without dotted stripes"
    return [
        "picture of a red circle, without dotted stripes",
        "a object of a red circle, without dotted stripes",
        "a picture a red circle, without dotted stripes",
        "a picture of red circle, without dotted stripes",
        "a picture of a circle, without dotted stripes",
        "a picture of a red object, without dotted stripes",
        "a picture of a red circle, dotted stripes",
        "a picture of a red circle, without stripes",
        "a picture of a red circle, without dotted object",
    ]


def phrases_cut(query):
    assert query == "a picture of a red circle, without dotted stripes"
    return [
        "of a red circle, without dotted stripes",
        "a picture, without dotted stripes",
        "a picture of a red circle",
    ]


def test_all_texts_are_one_batch_and_other_images_need_none(engine):
    query = "a red circle left of a star"
    first, second = engine.index.image_ids[:2]
    word_matrix(query, first, engine)
    word_matrix(query, second, engine)
    assert len(engine.encoder.batches) == 1
    batch = engine.encoder.batches[0]
    left_out, own = texts_of(query)
    assert len(left_out) == 1 + 7 + 2
    assert len(own) == 7 + 2
    assert len(batch) == len(set(batch)) == len({*left_out, *own})


def test_a_result_is_asked_by_rank(engine):
    result = engine.search("striped red star", k=3)
    matrix = result.words(2)
    assert matrix.query == "striped red star"
    assert matrix.image_id == result.hits[1].image_id
    np.testing.assert_allclose(matrix.base.max(), result.hits[1].best_region_score, atol=1e-3)
    assert matrix.whole_image == pytest.approx(result.hits[1].whole_image_score, abs=1e-3)
    with pytest.raises(ConfigError, match="rank = 4 is not allowed: give 1 to 3"):
        result.words(4)
    with pytest.raises(ConfigError, match=r"give it, result\.with_source"):
        replace(result, source=None).words(1)


def test_the_frame_has_each_number_once(engine):
    matrix = word_matrix("a red circle left of a star", engine.index.image_ids[0], engine)
    frame = matrix.to_polars()
    n = len(matrix.base)
    assert frame.schema == WORDS_SCHEMA
    assert len(frame) == (7 + 2) * (n + 1)
    assert frame.filter(unit="word", region_id=1)["adds"].to_list() == matrix.by_word[:, 1].tolist()
    phrase = frame.filter(unit="phrase", position=1)
    assert set(phrase["text"]) == {"left of a star"}
    assert phrase["region_id"].to_list() == [*range(n), None]
    assert phrase["adds"][-1] == matrix.whole_image_by_phrase[1]
    assert phrase["query_score"].to_list() == [*matrix.base.tolist(), matrix.whole_image]
    apart = frame.filter(unit="word", position=1)["contrast"].to_list()
    mean = matrix.by_word[1].mean()
    assert apart[:-1] == pytest.approx((matrix.by_word[1] - mean).tolist(), abs=1e-6)
    assert apart[-1] is None
    own = frame.filter(unit="word", position=2)["alone"].to_list()
    by_itself = engine.text_scores_of(["a circle"], matrix.image_id)[0][0]
    assert own == [*by_itself.tolist(), None]
    np.testing.assert_array_equal(matrix.word_alone[2], by_itself)
    by_itself = engine.text_scores_of(["left of a star"], matrix.image_id)[0][0]
    np.testing.assert_array_equal(matrix.phrase_alone[1], by_itself)
    np.testing.assert_allclose(matrix.word_contrast[1], apart[:-1], atol=1e-6)
    np.testing.assert_allclose(matrix.phrase_contrast.mean(axis=1), 0, atol=1e-6)


def test_one_word_is_compared_with_the_neutral_phrase(engine):
    image_id = engine.index.image_ids[0]
    matrix = word_matrix("red!", image_id, engine)
    scores = engine.text_scores_of(["red!", NEUTRAL], image_id)[0]
    np.testing.assert_allclose(matrix.by_word, [scores[0] - scores[1]])
    np.testing.assert_allclose(matrix.by_phrase, matrix.by_word)
    assert not word_matrix(NEUTRAL, image_id, engine).by_phrase.any()


def test_punctuation_alone_and_images_without_regions(tmp_path, engine):
    matrix = word_matrix("?!", engine.index.image_ids[0], engine)
    assert (matrix.words, matrix.phrases) == ((), ())
    assert matrix.by_word.shape == (0, len(matrix.base))
    assert matrix.top_word(0) is None
    assert matrix.to_polars().schema == WORDS_SCHEMA
    images = tmp_path / "images"
    scenes = scene_gallery(images, 1)
    stranger = OracleEncoder([])
    build(images, tmp_path / "x.matir", masks=OracleMaskSource([]), encoder=stranger)
    bare = open_engine(tmp_path / "x.matir", encoder=stranger, judge=None)
    matrix = word_matrix("red star", f"{scenes[0].scene_id}.png", bare)
    assert matrix.by_word.shape == (2, 0)
    assert matrix.top_region("star") is None
    assert matrix.to_polars()["region_id"].to_list() == [None] * 3


def test_what_is_not_there_is_refused_with_what_is(engine):
    matrix = word_matrix("a red circle", engine.index.image_ids[0], engine)
    with pytest.raises(ConfigError, match=r"no word 'cirle': did you mean 'circle'\?"):
        matrix.top_region("cirle")
    with pytest.raises(ConfigError, match="word 3 is not allowed: the query has 3"):
        matrix.top_region(3)
    with pytest.raises(ConfigError, match="phrase 1 is not allowed"):
        matrix.top_region_of_phrase(1)
    with pytest.raises(ConfigError, match="region 99 is not allowed"):
        matrix.top_word(99)
    with pytest.raises(QueryError, match="words: use"):
        word_matrix("red " * 40, engine.index.image_ids[0], engine)


def test_a_matrix_shows_itself_best_regions_first_and_escaped(engine):
    image_id = engine.index.image_ids[0]
    matrix = word_matrix("a <red> circle", image_id, engine)
    n = len(matrix.base)
    assert repr(matrix) == f"WordMatrix('a <red> circle', 3 words × {n} regions of {image_id!r})"
    html = matrix._repr_html_()
    left_out, alone = html.split("</table>")[:2]
    best = int(matrix.base.argmax())
    assert f"<tr><td>{best}</td><td>{matrix.base[best]:.3f}</td>" in left_out
    row = "".join(f"<td>{score:.3f}</td>" for score in matrix.word_alone[:, best])
    assert row in alone.split("</tr>")[2 - 1]
    assert "<red>" not in html
