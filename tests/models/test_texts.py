import numpy as np
import pytest
from fakes import OracleEncoder

from matir_nb.errors import QueryError
from matir_nb.models.texts import RememberedTexts


@pytest.fixture
def encoder():
    return OracleEncoder([])


def test_texts_are_encoded_once_and_together(encoder, monkeypatch):
    asked = []
    embed = encoder.embed_texts
    monkeypatch.setattr(encoder, "embed_texts", lambda t: asked.append(list(t)) or embed(t))
    texts = RememberedTexts(encoder)
    found = texts.vectors(["red", "blue", "red"])
    np.testing.assert_array_equal(found, embed(["red", "blue", "red"]))
    texts.vectors(["blue", "green"])
    assert asked == [["red", "blue"], ["green"]]
    assert texts.vectors([]).shape == (0, encoder.dim)


def test_a_text_too_long_is_refused_and_nothing_is_lost(encoder):
    texts = RememberedTexts(encoder)
    with pytest.raises(QueryError, match="words: use"):
        texts.vectors(["red", "red " * 40])
    assert texts.vectors(["red"]).shape == (1, encoder.dim)


def test_only_so_many_are_remembered(encoder, monkeypatch):
    monkeypatch.setattr("matir_nb.models.texts.MAX_TEXTS", 3)
    asked = []
    embed = encoder.embed_texts
    monkeypatch.setattr(encoder, "embed_texts", lambda t: asked.append(list(t)) or embed(t))
    texts, wanted = RememberedTexts(encoder), ["red", "blue", "green", "star"]
    first = texts.vectors(wanted)
    assert first.shape == (4, encoder.dim)
    np.testing.assert_array_equal(texts.vectors(wanted), first)
    assert asked == [wanted, ["red"]]
