import hashlib

import numpy as np
import pytest

from matir_nb.config import MOST_EXTRA
from matir_nb.errors import ConfigError
from matir_nb.explain.neutral import (
    BANKS,
    MIN_UNRELATED,
    N_PHRASES,
    bank,
    content_words,
    unknown_words,
    unrelated,
)
from matir_nb.presets import PRESETS
from matir_nb.scenes.draw import draw_gallery
from matir_nb.scenes.phrases import WORDS, all_words
from matir_nb.scenes.queries import make_queries
from matir_nb.scenes.vocabulary import SHAPES, SPLITS

DIGESTS = {
    "everyday": "feace55abdea850f",
    "scenes": "d4facf7bc710ff58",
}


@pytest.mark.parametrize("name", BANKS)
def test_a_bank_is_stored_as_a_rule_that_gives_the_same_phrases_everywhere(name):
    phrases = bank(name)
    assert hashlib.sha256("\n".join(phrases).encode()).hexdigest()[:16] == DIGESTS[name]


@pytest.mark.parametrize("name", BANKS)
def test_phrases_are_distinct_of_varied_length_and_short_enough_for_any_encoder(name):
    phrases = bank(name)
    assert len(set(phrases)) == len(phrases) == N_PHRASES
    lengths = {len(phrase.split()) for phrase in phrases}
    assert len(lengths) >= 5
    assert max(lengths) <= 12
    assert not any(f" a {vowel}" in f" {phrase}" for phrase in phrases for vowel in "aeiou")


def test_captions_of_scenes_use_their_words_only_and_are_true_of_no_object():
    known = {word for text in all_words() for word in text.split()}
    shapes = {word: shape for shape in SHAPES for word in WORDS[shape]}
    for phrase in bank("scenes"):
        words = phrase.split()
        assert set(words) <= known
        assert len({shapes[word] for word in words if word in shapes}) == 2


def test_captions_of_photographs_share_no_word_with_scenes():
    scene_words = {word for text in all_words() for word in content_words(text)}
    shared = {word for phrase in bank("everyday") for word in content_words(phrase)} & scene_words
    assert not shared


@pytest.mark.parametrize("name", ["everyday", "scenes"])
def test_a_bank_goes_on_as_long_as_options_can_ask_for(name):
    many = bank(name, N_PHRASES + MOST_EXTRA)
    assert len(set(many)) == N_PHRASES + MOST_EXTRA
    assert many[:N_PHRASES] == bank(name)
    assert many[N_PHRASES : N_PHRASES + 5] == bank(name, 5, skip=N_PHRASES)


def test_an_unknown_bank_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="unknown neutral 'scene': did you mean 'scenes'"):
        bank("scene")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_preset_names_a_bank(preset):
    assert preset.neutral in BANKS


def test_phrases_that_share_a_word_by_meaning_are_left_out():
    phrases = bank("scenes")
    words = [content_words(phrase) for phrase in phrases]
    kept = unrelated("two tiny discs with stripes", words)
    assert MIN_UNRELATED <= kept.sum() < N_PHRASES
    banned = {"small", "tiny", "little", "disc", "circle", "striped", "stripy"}
    for phrase, is_kept in zip(phrases, kept, strict=True):
        assert is_kept == banned.isdisjoint(phrase.split()), phrase


def test_a_query_that_shares_words_with_nearly_all_keeps_all():
    words = [content_words(phrase) for phrase in bank("scenes")]
    assert unrelated(" ".join(SHAPES), words).all()
    few = [frozenset({"x"})] * (MIN_UNRELATED - 1) + [frozenset({"y"})]
    assert unrelated("y", few).all()
    assert np.flatnonzero(~unrelated("y", [frozenset({"x"}), *few])).tolist() == [MIN_UNRELATED]


@pytest.mark.parametrize("split", SPLITS)
def test_the_language_of_scenes_knows_every_query_about_scenes(split):
    scenes = list(draw_gallery(split, 25))
    queries = make_queries(scenes, 150, split=split)
    assert len(queries) > 100
    assert {
        q.text: unknown_words(q.text, "scenes") for q in queries if unknown_words(q.text, "scenes")
    } == {}


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("a dusty carpet", ("dusty", "carpet")),
        ("a Dog left of the red circle", ("dog",)),
        ("five medium-sized hoops", ()),
        ("a hoop underneath the moon", ()),
        ("the left-most star", ()),
        ("a red cirlce, not shiny", ("cirlce", "shiny")),
        ("show me a photograph with no grey stars", ("grey",)),
        ("un cercle rouge", ("un", "cercle", "rouge")),
        ("красный круг", ("красный", "круг")),
        ("!!!", ("!!!",)),
        (" 🙂 ", ("🙂",)),
        ("a red 🙂 star", ("🙂",)),
    ],
)
def test_words_that_scenes_never_have_are_named(query, unknown):
    assert unknown_words(query, "scenes") == unknown
    assert unknown_words(query, "everyday") == ()


def test_no_caption_of_a_photograph_is_taken_for_a_scene():
    assert all(unknown_words(phrase, "scenes") for phrase in bank("everyday"))
