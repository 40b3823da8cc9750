"""Alpha-CLIP: the architecture with random weights, and the shipped weights' meaning."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from matir_nb.errors import ModelUnavailableError, QueryError
from matir_nb.geometry.masks import encode
from matir_nb.models.alpha_clip import AlphaClipEncoder, Options, normalise
from matir_nb.models.registry import WEIGHTS
from matir_nb.models.views import View
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.scenes.meaning import NounPhrase
from matir_nb.types import LogOdds

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


def padded_one_by_one(encoder: AlphaClipEncoder, texts: list[str]) -> np.ndarray:
    """Return what the text encoder gives for each text alone, padded to its full length."""
    vectors = []
    for text in texts:
        length = encoder._model.config.text_config.max_position_embeddings
        batch = encoder._tokenizer(
            text, padding="max_length", max_length=length, return_tensors="pt"
        )
        assert batch["input_ids"].shape == (1, length)
        with torch.inference_mode():
            out = encoder._model.get_text_features(**batch).pooler_output
        vectors.append(torch.nn.functional.normalize(out, dim=-1).numpy()[0])
    return np.array(vectors)


def random_clip() -> AlphaClipEncoder:
    """Return a random model of CLIP's own text length with the shipped tokenizer."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    vision = {**sizes, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    text = {
        **sizes,
        "num_attention_heads": 2,
        "vocab_size": len(tokenizer) + 1,
        "max_position_embeddings": 77,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=16))
    options = Options(View(), 1, LogOdds(1.0, 0.0))
    return AlphaClipEncoder(model, tokenizer, options=options, model_id="random")


def test_texts_cut_at_their_length_are_what_full_padding_gives(
    encoder: AlphaClipEncoder,
) -> None:
    long = "there is a small striped red circle to the left of the large blue square"
    texts = [long, "ring", *(f"{long[:n]} star" for n in range(0, len(long), 3)), "a star " * 9]
    lengths = {len(encoder._tokens(text)) for text in texts}
    assert min(lengths) <= 4
    assert max(lengths) >= 16
    for model in (encoder, random_clip()):
        together = model.embed_texts(texts)
        assert np.abs(together - padded_one_by_one(model, texts)).max() < 1e-5
        assert np.abs(together[0] - together[1]).max() > 1e-2


def test_more_texts_than_a_batch_holds_keep_their_order(
    encoder: AlphaClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["ring", "a small striped red ring", "star", "a picture of a blue star", "heart"]
    expected = encoder.embed_texts(texts)
    shapes = []
    original = encoder._model.get_text_features

    def watched(**batch):
        shapes.append(tuple(batch["input_ids"].shape))
        return original(**batch)

    monkeypatch.setattr("matir_nb.models.alpha_clip.TEXTS_PER_BATCH", 2)
    monkeypatch.setattr(encoder._model, "get_text_features", watched)
    np.testing.assert_allclose(encoder.embed_texts(texts), expected, atol=1e-6)
    widths = [width for _, width in shapes]
    assert [rows for rows, _ in shapes] == [2, 2, 1]
    assert widths == sorted(widths)
    assert widths[0] == len(encoder._tokens("ring"))


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
