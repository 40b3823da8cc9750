"""8-bit linear layers: near float32, alike in every batch, refused where they are not."""

import logging

import numpy as np
import pytest
import torch
from tiny_encoders import SIZES, tiny_siglip
from torch import nn
from transformers import CLIPModel, CLIPVisionConfig, CLIPVisionModel

from matir_nb.errors import ConfigError
from matir_nb.geometry.masks import encode
from matir_nb.models import int8
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.dense_pool import DensePoolEncoder
from matir_nb.models.int8 import Int8Linear, quantise, quantise_if_faithful
from matir_nb.models.registry import WEIGHTS
from matir_nb.models.runtime import Runtime
from matir_nb.scenes.draw import draw_gallery

needs_vnni = pytest.mark.skipif(not int8.is_available(), reason="this CPU has no VNNI")


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


@needs_vnni
@pytest.mark.parametrize(("rows", "inner", "outer"), [(1, 5, 3), (197, 64, 96), (50, 200, 33)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_rounds_weights_by_channel_and_rows_by_their_largest(rows, inner, outer, bias) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(inner, outer, bias=bias)
    x = torch.randn(rows, inner)
    with torch.inference_mode():
        steps = linear.weight.abs().amax(1, keepdim=True) / 127
        weight = torch.round(linear.weight / steps) * steps
        step = x.abs().amax(1, keepdim=True) / 127
        by_hand = (torch.round(x / step) * step) @ weight.T + (linear.bias if bias else 0)
        ours, exact = Int8Linear(linear)(x), linear(x)
    torch.testing.assert_close(ours, by_hand, atol=2e-3, rtol=0)
    assert cosine(ours, exact) > 0.999


@needs_vnni
def test_a_row_is_rounded_alike_whatever_it_is_batched_with() -> None:
    """One row of huge values, as real encoders have them, must not blur the others."""
    torch.manual_seed(0)
    linear = nn.Linear(64, 32)
    x = torch.randn(3, 10, 64)
    x[1] *= 1000
    layer = Int8Linear(linear)
    with torch.inference_mode():
        together = layer(x)
        for row in range(3):
            torch.testing.assert_close(layer(x[row]), together[row], atol=0, rtol=0)
            assert cosine(together[row], linear(x[row])) > 0.9995
        zeros = layer(torch.zeros(2, 64))
    torch.testing.assert_close(zeros, linear.bias.detach().expand(2, -1))


@needs_vnni
def test_only_plain_linear_layers_are_replaced() -> None:
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2), nn.LayerNorm(8))
    assert quantise(blocks) is blocks
    assert isinstance(blocks[0], Int8Linear)
    assert isinstance(blocks[1].out_proj, nn.Linear)


def test_it_is_refused_where_it_cannot_compute() -> None:
    with pytest.raises(ConfigError, match=r"float32 on a CPU, got torch\.bfloat16 on cpu"):
        quantise(nn.Linear(4, 4).to(torch.bfloat16))
    with pytest.raises(ConfigError, match=r"got torch\.float32 on meta"):
        quantise(nn.Linear(4, 4, device="meta"))


@needs_vnni
def test_features_of_a_wide_encoder_stay_what_they_are() -> None:
    torch.manual_seed(0)
    sizes = {**SIZES, "hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4}
    model = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=64, patch_size=8)).eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        exact = model(pixels).pooler_output
        assert quantise_if_faithful(model.encoder, lambda: model(pixels).pooler_output)
        rounded = model(pixels).pooler_output
    cosines = nn.functional.cosine_similarity(exact, rounded)
    assert 0.999 <= float(cosines.min()) < 1 - 1e-7


@needs_vnni
def test_the_shipped_encoder_stays_what_it_is_on_scenes() -> None:
    scenes = list(draw_gallery("test", 12))
    masks = [[encode(s.visible_mask(i)) for i in range(len(s.objects))] for s in scenes]
    encoder = AlphaClipEncoder.from_pretrained(WEIGHTS / "alpha-clip")
    images = [scene.image for scene in scenes]
    exact = np.concatenate(encoder.embed_regions(images, masks))
    model = next(part for part in vars(encoder).values() if isinstance(part, CLIPModel))
    quantise(model.vision_model.encoder)
    rounded = np.concatenate(encoder.embed_regions(images, masks))
    assert float((exact * rounded).sum(axis=1).min()) >= 0.999
    assert np.abs(exact - rounded).max() > 1e-6


@needs_vnni
def test_weights_that_suffer_stay_float32(caplog: pytest.LogCaptureFixture) -> None:
    """One channel a thousand times the others: eight bits keep nothing of these."""
    torch.manual_seed(0)
    linear = nn.Linear(32, 32, bias=False)
    blocks = nn.Sequential(linear, nn.Tanh())
    with torch.no_grad():
        linear.weight[:, 0] = 0
    x = torch.randn(4, 32)
    x[:, 0] = 4000
    with caplog.at_level(logging.WARNING):
        assert not quantise_if_faithful(blocks, lambda: blocks(x))
    assert "computing in float32" in caplog.text
    assert blocks[0] is linear


def test_without_the_instructions_it_says_so(monkeypatch, caplog) -> None:
    monkeypatch.setattr(int8, "is_available", lambda: False)
    linear = nn.Sequential(nn.Linear(4, 4))
    with caplog.at_level(logging.WARNING):
        assert not quantise_if_faithful(linear, lambda: torch.ones(1, 4))
    assert "no fast 8-bit products" in caplog.text
    assert type(linear[0]) is nn.Linear


@needs_vnni
def test_dense_pooling_in_8_bits(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("matir_nb.models.int8.LEAST_COSINE", 0.9)
    folder = tiny_siglip(tmp_path)
    images = [np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)]
    exact = DensePoolEncoder.from_pretrained(folder)
    rounded = DensePoolEncoder.from_pretrained(folder, runtime=Runtime(is_int8=True))
    blocks = rounded._texts._model.vision_model
    assert any(isinstance(part, Int8Linear) for part in blocks.encoder.modules())
    assert not any(isinstance(part, Int8Linear) for part in blocks.head.modules())
    assert rounded.model_id == exact.model_id
    assert float(exact.embed_images(images)[0] @ rounded.embed_images(images)[0]) > 0.99
