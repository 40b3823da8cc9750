"""Alpha-CLIP: the architecture with random weights, and the shipped weights' meaning."""

from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPConfig, CLIPModel

from matir_nb.errors import ModelUnavailableError, QueryError
from matir_nb.geometry.masks import encode
from matir_nb.models.alpha_clip import AlphaClipEncoder, normalise
from matir_nb.models.registry import WEIGHTS
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.scenes.meaning import NounPhrase

SHIPPED = WEIGHTS / "alpha-clip"


@pytest.fixture(scope="module")
def encoder() -> AlphaClipEncoder:
    return AlphaClipEncoder.from_pretrained(SHIPPED)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(draw_gallery("test", 30))


def test_weights_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"expected model\.safetensors"):
        AlphaClipEncoder.from_pretrained(tmp_path)


def test_plain_clip_is_refused(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    vision = {**sizes, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    text = {**sizes, "num_attention_heads": 2, "vocab_size": 50, "eos_token_id": 49}
    config = CLIPConfig(vision_config=vision, text_config=text)
    CLIPModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailableError, match="num_channels = 4"):
        AlphaClipEncoder.from_pretrained(tmp_path)


def test_normalise_gives_the_published_alpha_values() -> None:
    views = np.zeros((1, 2, 2, 4), np.uint8)
    views[0, 0, 0] = 255
    x = normalise(views)
    assert x.shape == (1, 4, 2, 2)
    assert float(x[0, 3, 0, 0]) == pytest.approx(1.923, abs=1e-3)
    assert float(x[0, 3, 1, 1]) == pytest.approx(-1.923, abs=1e-3)
    assert float(x[0, 0, 0, 0]) == pytest.approx((1 - 0.48145466) / 0.26862954, abs=1e-5)


def test_vectors_have_length_one_and_batching_changes_nothing(
    encoder: AlphaClipEncoder, scenes: list[Scene]
) -> None:
    images = [scene.image for scene in scenes[:3]]
    masks = [[encode(s.visible_mask(i)) for i in range(len(s.objects))] for s in scenes[:3]]
    together = encoder.embed_regions(images, masks)
    for image, own, vectors in zip(images, masks, together, strict=True):
        assert vectors.shape == (len(own), encoder.dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        alone = np.concatenate([encoder.embed_regions([image], [[m]])[0] for m in own])
        np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert encoder.embed_regions([images[0]], [[]])[0].shape == (0, encoder.dim)
    assert encoder.embed_images(images).shape == (3, encoder.dim)


def test_the_mask_decides(encoder: AlphaClipEncoder, scenes: list[Scene]) -> None:
    scene = next(s for s in scenes if len(s.objects) >= 2)
    two = [encode(scene.visible_mask(i)) for i in range(2)]
    vectors = encoder.embed_regions([scene.image], [two])[0]
    assert float(vectors[0] @ vectors[1]) < 0.99


def test_texts_batch_and_word_order(encoder: AlphaClipEncoder) -> None:
    texts = ["a small striped red ring", "ring that is red"]
    together = encoder.embed_texts(texts)
    alone = np.concatenate([encoder.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert encoder.embed_texts([]).shape == (0, encoder.dim)
    orders = encoder.embed_texts(["a striped red ring", "a red striped ring", "a blue ring"])
    assert orders[0] @ orders[1] > 0.95
    assert orders[0] @ orders[2] < 0.8


def test_a_long_query_is_refused_not_cut(encoder: AlphaClipEncoder) -> None:
    with pytest.raises(QueryError, match=r"the text encoder reads \d+"):
        encoder.embed_texts(["red circle " * 40])


def test_shipped_weights_know_unseen_scenes(encoder: AlphaClipEncoder, scenes: list[Scene]) -> None:
    """Each single attribute separates its regions from all others (mean AUC)."""
    masks = [[encode(s.visible_mask(i)) for i in range(len(s.objects))] for s in scenes]
    vectors = np.concatenate(encoder.embed_regions([s.image for s in scenes], masks))
    items = [item for scene in scenes for item in scene.objects]
    for attribute, values, bar in (
        ("colour", ("red", "green", "blue"), 0.98),
        ("shape", ("circle", "star", "cross", "heart"), 0.95),
        ("texture", ("striped", "dotted"), 0.95),
        ("size", ("small", "large"), 0.95),
    ):
        for value in values:
            phrase = NounPhrase(**{attribute: value})
            text = f"a {value}" if attribute == "shape" else f"a {value} shape"
            scores = vectors @ encoder.embed_texts([text])[0]
            fits = np.array([phrase.matches(item) for item in items])
            wins = (scores[fits][:, None] > scores[~fits][None]).mean()
            assert wins > bar, (value, wins)


def test_shipped_weights_are_small_and_half_precision() -> None:
    assert (SHIPPED / "model.safetensors").stat().st_size <= 6_000_000
    assert (SHIPPED / "README.md").is_file()
