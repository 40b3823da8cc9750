"""Released Alpha-CLIP checkpoints: converted, they compute what the paper's equations say."""

import hashlib
import json
import math
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import conv2d, layer_norm
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from matir_nb.errors import ModelUnavailableError
from matir_nb.geometry.masks import encode
from matir_nb.models.alpha_clip import AlphaClipEncoder
from matir_nb.models.alpha_clip_checkpoint import convert, visual_shapes
from matir_nb.models.clip_text import CLIP_LOG_ODDS
from matir_nb.models.views import CROP, cut_regions

Weights = dict[str, torch.Tensor]
RGB = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Size:
    """An image side, as its authors describe it; heads are 64 wide (tiny: 16)."""

    side: int
    patch: int
    width: int
    layers: int
    heads: int
    out: int


TINY = Size(side=32, patch=8, width=32, layers=2, heads=2, out=16)
B16 = Size(side=224, patch=16, width=768, layers=12, heads=12, out=512)
L14_336 = Size(side=336, patch=14, width=1024, layers=24, heads=16, out=768)


def released(size: Size, seed: int = 0) -> Weights:
    """Return random weights under the names of `model.visual.state_dict()` in SunzeY/AlphaCLIP.

    Each is a part of one long row of random numbers, begun anywhere: 304 million take seconds.
    """
    rng = np.random.default_rng(seed)
    row = torch.from_numpy(rng.standard_normal(5_000_000 if size == L14_336 else 2_500_000, "f4"))

    def normal(*shape: int, std: float) -> torch.Tensor:
        n = math.prod(shape)
        start = int(rng.integers(len(row) - n))
        return (row[start : start + n] * std).view(shape)

    width, patch = size.width, size.patch
    n_positions = (size.side // patch) ** 2 + 1
    weights = {
        "class_embedding": normal(width, std=0.5),
        "positional_embedding": normal(n_positions, width, std=0.5),
        "proj": normal(width, size.out, std=width**-0.5),
        "conv1.weight": normal(width, 3, patch, patch, std=(3 * patch**2) ** -0.5),
        "conv1_alpha.weight": normal(width, 1, patch, patch, std=patch**-1.0),
    }
    norms = ["ln_pre", "ln_post"]
    for i in range(size.layers):
        block = f"transformer.resblocks.{i}"
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        for name, rows, columns in (
            ("attn.in_proj", 3 * width, width),
            ("attn.out_proj", width, width),
            ("mlp.c_fc", 4 * width, width),
            ("mlp.c_proj", width, 4 * width),
        ):
            weights[f"{block}.{name}.weight"] = normal(rows, columns, std=columns**-0.5)
            weights[f"{block}.{name}.bias"] = normal(rows, std=0.1)
    for norm in norms:
        weights[f"{norm}.weight"] = 1 + normal(width, std=0.1)
        weights[f"{norm}.bias"] = normal(width, std=0.1)
    return weights


def reference(weights: Weights, views: np.ndarray, heads: int) -> torch.Tensor:
    """Return the (n, out) features of (n, side, side, 4) uint8, from the papers' equations.

    Radford et al. 2021 and Dosovitskiy et al. 2021; Sun et al. 2024 add one convolution of alpha.
    """
    x = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in RGB)
    rgb, alpha = (x[:, :3] - mean) / std, (x[:, 3:] - 0.5) / 0.26
    colours, mask = weights["conv1.weight"], weights["conv1_alpha.weight"]
    patch = colours.shape[-1]
    x = conv2d(rgb, colours, stride=patch) + conv2d(alpha, mask, stride=patch)
    x = x.flatten(2).transpose(1, 2)
    first = weights["class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + weights["positional_embedding"]
    x = normed(x, weights, "ln_pre")
    n_blocks = len([name for name in weights if name.endswith("mlp.c_fc.bias")])
    for i in range(n_blocks):
        block = f"transformer.resblocks.{i}"
        x = x + attention(normed(x, weights, f"{block}.ln_1"), weights, f"{block}.attn", heads)
        inner = linear(normed(x, weights, f"{block}.ln_2"), weights, f"{block}.mlp.c_fc")
        x = x + linear(inner * torch.sigmoid(1.702 * inner), weights, f"{block}.mlp.c_proj")
    return normed(x[:, 0], weights, "ln_post") @ weights["proj"]


def linear(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def normed(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-5)


def attention(x: torch.Tensor, weights: Weights, name: str, heads: int) -> torch.Tensor:
    n, length, width = x.shape
    joined = linear(x, weights, f"{name}.in_proj").view(n, length, 3, heads, width // heads)
    queries, keys, values = joined.permute(2, 0, 3, 1, 4)
    shares = (queries @ keys.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1)
    return linear((shares @ values).transpose(1, 2).reshape(x.shape), weights, f"{name}.out_proj")


def clip_config(size: Size, **vision: Any) -> CLIPConfig:
    sizes = {
        "hidden_size": size.width,
        "intermediate_size": 4 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "image_size": size.side,
        "patch_size": size.patch,
    }
    text = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 64,
        "bos_token_id": 62,
        "eos_token_id": 63,
        "pad_token_id": 63,
    }
    return CLIPConfig(vision_config=sizes | vision, text_config=text, projection_dim=size.out)


def plain_clip(folder: Path, size: Size = TINY) -> CLIPModel:
    """Write a CLIP as OpenAI's lie on the hub: config, pytorch_model.bin, vocabulary and merges.

    Their files hold the positions' numbers, too, which later versions of transformers do not. The
    image side in them is not used, and here always tiny.
    """
    torch.manual_seed(1)
    model = CLIPModel(clip_config(replace(TINY, out=size.out))).eval()
    state = model.state_dict()
    for name in ("text_model", "vision_model"):
        n = state[f"{name}.embeddings.position_embedding.weight"].shape[0]
        state[f"{name}.embeddings.position_ids"] = torch.arange(n)[None]
    clip_config(size).save_pretrained(folder)
    torch.save(state, folder / "pytorch_model.bin")
    save_tokenizer(folder)
    return model


def save_tokenizer(folder: Path) -> None:
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += [f"<|{n}|>" for n in range(62 - len(pieces))] + ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
    tokenizer.save_pretrained(folder)


def views_of(size: Size, n: int, seed: int = 0) -> np.ndarray:
    """Return (n, side, side, 4) uint8 noise whose masks are rectangles."""
    rng = np.random.default_rng(seed)
    views = rng.integers(0, 256, (n, size.side, size.side, 4), dtype=np.uint8)
    views[..., 3] = 0
    for view in views:
        y, x = rng.integers(0, size.side // 2, 2)
        view[y : y + size.side // 2, x : x + size.side // 3, 3] = 255
    return views


@dataclass(frozen=True)
class Made:
    """A released file, the CLIP it belongs to, and what they became."""

    checkpoint: Path
    clip: Path
    out: Path
    weights: Weights
    base: CLIPModel


def make(folder: Path, size: Size = TINY, change: Callable[[Weights], Any] = lambda w: w) -> Made:
    """Write a checkpoint, as `change` leaves it, and a CLIP; they are not converted yet."""
    weights = released(size)
    checkpoint, clip = folder / "clip_visual.pth", folder / "clip"
    torch.save(change(dict(weights)), checkpoint)
    clip.mkdir()
    return Made(checkpoint, clip, folder / "out", weights, plain_clip(clip, size))


def converted(made: Made) -> AlphaClipEncoder:
    convert(made.checkpoint, made.clip, made.out)
    return AlphaClipEncoder.from_pretrained(made.out)


def largest_difference(encoder: AlphaClipEncoder, weights: Weights, size: Size, n: int) -> float:
    views = views_of(size, n)
    expected = reference(weights, views, size.heads)
    assert 0.5 < float(expected.abs().max()) < 10
    return float((encoder._features(views) - expected).abs().max())


@pytest.fixture
def emptied(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder for gigabytes, which pytest would keep for three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(("size", "n"), [(TINY, 5), (B16, 2), (L14_336, 1)])
def test_features_are_those_of_the_equations(emptied: Path, size: Size, n: int) -> None:
    """The largest takes about 21 seconds of one core, and 2.5 GB of disk while it runs."""
    made = make(emptied, size)
    assert largest_difference(converted(made), made.weights, size, n) <= 1e-5


def test_the_mask_changes_the_features(tmp_path: Path) -> None:
    made = make(tmp_path)
    encoder = converted(made)
    views = views_of(TINY, 3)
    flipped = views.copy()
    flipped[..., 3] = 255 - views[..., 3]
    difference = encoder._features(views) - encoder._features(flipped)
    assert float(difference.abs().amax(1).min()) > 0.1


def test_the_sides_are_those_of_the_clip_and_of_the_checkpoint(tmp_path: Path) -> None:
    """OpenAI's own image side, renamed by hand, with a mask that weighs nothing, is plain CLIP."""
    made = make(tmp_path)
    names = {
        "class_embedding": "embeddings.class_embedding",
        "positional_embedding": "embeddings.position_embedding.weight",
        "conv1.weight": "embeddings.patch_embedding.weight",
    }
    parts = {"ln_pre": "pre_layrnorm", "ln_post": "post_layernorm"}
    for i in range(TINY.layers):
        theirs, ours = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
        for a, b in (
            ("ln_1", "layer_norm1"),
            ("ln_2", "layer_norm2"),
            ("attn.out_proj", "self_attn.out_proj"),
            ("mlp.c_fc", "mlp.fc1"),
            ("mlp.c_proj", "mlp.fc2"),
        ):
            parts[f"{theirs}.{a}"] = f"{ours}.{b}"
    for a, b in parts.items():
        names |= {f"{a}.{end}": f"{b}.{end}" for end in ("weight", "bias")}
    state = made.base.state_dict()
    visual = {a: state[f"vision_model.{b}"] for a, b in names.items()}
    for i in range(TINY.layers):
        for end in ("weight", "bias"):
            layer = f"vision_model.encoder.layers.{i}.self_attn"
            joined = torch.cat([state[f"{layer}.{letter}_proj.{end}"] for letter in "qkv"])
            visual[f"transformer.resblocks.{i}.attn.in_proj.{end}"] = joined
    visual["proj"] = state["visual_projection.weight"].T
    visual["conv1_alpha.weight"] = torch.zeros(TINY.width, 1, TINY.patch, TINY.patch)
    torch.save(visual, made.checkpoint)
    encoder = converted(made)
    views = views_of(TINY, 3)
    x = torch.from_numpy(views[..., :3]).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in RGB)
    with torch.inference_mode():
        plain = made.base.get_image_features((x - mean) / std).pooler_output
    assert float((encoder._features(views) - plain).abs().max()) < 1e-6
    words = ["a b", "f g"]
    ids = [encoder._texts.tokens(word) for word in words]
    with torch.inference_mode():
        texts = made.base.get_text_features(torch.tensor(ids)).pooler_output
    expected = torch.nn.functional.normalize(texts, dim=-1).numpy()
    np.testing.assert_allclose(encoder.embed_texts(words), expected, atol=1e-6)


def test_regions_are_shown_as_in_the_coco_evaluation(tmp_path: Path) -> None:
    """From picture and mask to vector, by the equations; the picture is not square."""
    made = make(tmp_path)
    encoder = converted(made)
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[20:40, 70:88] = True
    views = cut_regions([(Image.fromarray(image), encode(mask))], CROP, TINY.side)
    expected = torch.nn.functional.normalize(reference(made.weights, views, TINY.heads), dim=-1)
    vectors = encoder.embed_regions([image], [[encode(mask)]])[0]
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)


def test_what_is_written_says_what_it_was_made_from(tmp_path: Path) -> None:
    made = make(tmp_path)
    encoder = converted(made)
    there = {path.name for path in made.out.iterdir()}
    assert {"config.json", "model.safetensors", "matir.json", "README.md"} <= there
    assert "tokenizer.json" in there or {"vocab.json", "merges.txt"} <= there
    options = json.loads((made.out / "matir.json").read_text())
    digest = hashlib.sha256(made.checkpoint.read_bytes()).hexdigest()
    assert options["made_from"]["checkpoint"] == {"file": "clip_visual.pth", "sha256": digest}
    digest = hashlib.sha256((made.clip / "pytorch_model.bin").read_bytes()).hexdigest()
    assert options["made_from"]["clip"] == {"file": "pytorch_model.bin", "sha256": digest}
    assert (options["view"], options["n_turns"], encoder.log_odds) == ("crop", 1, CLIP_LOG_ODDS)
    card = (made.out / "README.md").read_text()
    assert "research use only" in card
    assert "CC BY-NC 4.0" in card
    assert "CVPR 2024" in card
    assert encoder.model_id.startswith("out@")
    assert json.loads((made.out / "config.json").read_text())["model_type"] == "clip"


def test_a_second_conversion_is_the_same_and_replaces_the_first(tmp_path: Path) -> None:
    made = make(tmp_path)
    first = converted(made).model_id
    (made.out / "left over").touch()
    assert converted(made).model_id == first
    assert not (made.out / "left over").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "clip_visual.pth", "out"]


def test_nothing_is_left_of_a_conversion_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path)

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matir_nb.models.alpha_clip_checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        convert(made.checkpoint, made.clip, made.out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "clip_visual.pth"]


@pytest.mark.parametrize(
    "change",
    [
        lambda w: {f"module.{name}": value for name, value in w.items()},
        lambda w: {f"visual.{name}": value for name, value in w.items()},
        lambda w: {f"module.visual.{name}": value for name, value in w.items()},
        lambda w: {name.replace("in_proj.", "in_proj_"): value for name, value in w.items()},
        OrderedDict,
    ],
)
def test_names_may_be_those_of_the_whole_model_or_of_openai(
    tmp_path: Path, change: Callable[[Weights], Any]
) -> None:
    made = make(tmp_path, change=change)
    assert largest_difference(converted(made), made.weights, TINY, 2) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    made = make(tmp_path, change=lambda w: {name: value.to(dtype) for name, value in w.items()})
    rounded = {name: value.to(dtype).float() for name, value in made.weights.items()}
    assert largest_difference(converted(made), rounded, TINY, 2) <= 1e-5


def test_files_older_than_zip_are_read(tmp_path: Path) -> None:
    made = make(tmp_path)
    torch.save(made.weights, made.checkpoint, _use_new_zipfile_serialization=False)
    assert largest_difference(converted(made), made.weights, TINY, 2) <= 1e-5


def test_a_clip_in_safetensors_gives_the_same_model(tmp_path: Path) -> None:
    made = make(tmp_path)
    first = converted(made).model_id
    state = torch.load(made.clip / "pytorch_model.bin", weights_only=True)
    (made.clip / "pytorch_model.bin").unlink()
    save_file(
        {name: value.contiguous() for name, value in state.items()}, made.clip / "model.safetensors"
    )
    assert converted(made).model_id == first


def test_sizes_may_stand_twice_in_the_configuration(tmp_path: Path) -> None:
    """Older configurations repeat the image side's sizes; they must not bring back 3 channels."""
    made = make(tmp_path)
    path = made.clip / "config.json"
    config = json.loads(path.read_text())
    config["vision_config_dict"] = dict(config["vision_config"])
    config["text_config_dict"] = None
    path.write_text(json.dumps(config))
    assert largest_difference(converted(made), made.weights, TINY, 2) <= 1e-5


# ---- what is refused -----------------------------------------------------------------------


def without(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: v for name, v in weights.items() if name not in names}


LAST = "transformer.resblocks.1.mlp.c_proj.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv1_alpha.weight"), "no conv1_alpha.weight: it is a plain CLIP"),
        (without(LAST, "ln_post.bias"), f"missing ln_post.bias, {LAST}:"),
        (
            lambda w: w | {"transformer.resblocks.2.ln_1.bias": w["proj"]},
            r"unknown transformer\.resblocks\.2\.ln_1\.bias",
        ),
        (lambda w: w | {"proj": w["proj"].T}, r"proj expected \(32, 16\), got \(16, 32\)"),
        (lambda w: w | {"proj": w["proj"].long()}, r"proj expected floats, got torch\.int64"),
        (
            lambda w: {f"visual.{n}": v for n, v in w.items()} | {"logit_scale": torch.ones(())},
            r"missing class_embedding, .* and \d+ more; unknown logit_scale, visual\.",
        ),
        (lambda w: {"state_dict": w}, "no named tensors"),
        (lambda w: list(w.values()), "no named tensors"),
        (lambda w: w | {"proj": "a string"}, "no named tensors"),
        (lambda w: w | {"proj": w["proj"].to_sparse()}, "no named tensors"),
        (lambda w: w | {"epoch": Size}, "holds code, which is never run"),
    ],
)
def test_other_checkpoints_are_refused(
    tmp_path: Path, change: Callable[[Weights], Any], message: str
) -> None:
    made = make(tmp_path, change=change)
    with pytest.raises(ModelUnavailableError, match=message):
        convert(made.checkpoint, made.clip, made.out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "clip_visual.pth"]


def test_a_checkpoint_of_another_size_is_refused_and_both_sizes_named(tmp_path: Path) -> None:
    made = make(tmp_path)
    large = replace(TINY, side=48, width=64, heads=4)
    torch.save(released(large), made.checkpoint)
    with pytest.raises(ModelUnavailableError, match="of the same size") as caught:
        convert(made.checkpoint, made.clip, made.out)
    message = str(caught.value)
    assert "width 32, patch 8 and 32 pixels" in message
    assert "class_embedding expected (32,), got (64,)" in message
    assert "conv1.weight expected (32, 3, 8, 8), got (64, 3, 8, 8)" in message
    assert message.count("expected") == 3


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("was run"),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_pickled_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, as_zip: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make(tmp_path)
    torch.save({"proj": Evil()}, made.checkpoint, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(ModelUnavailableError, match="holds code, which is never run"):
        convert(made.checkpoint, made.clip, made.out)
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><title>Google Drive</title>", b"PK\x03\x04 cut off"]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    made = make(tmp_path)
    made.checkpoint.write_bytes(content)
    with pytest.raises(ModelUnavailableError, match="a saved web page is no checkpoint"):
        convert(made.checkpoint, made.clip, made.out)
    made.checkpoint.unlink()
    with pytest.raises(ModelUnavailableError, match="there is no file"):
        convert(made.checkpoint, made.clip, made.out)


def test_a_download_that_broke_off_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path)
    content = made.checkpoint.read_bytes()
    made.checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelUnavailableError, match="download it again"):
        convert(made.checkpoint, made.clip, made.out)


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"num_channels": 4}, "'clip' with 4 channels"),
        ({"hidden_act": "gelu"}, "3 channels and 'gelu': give OpenAI's CLIP"),
    ],
)
def test_the_clip_must_be_openais(tmp_path: Path, vision: dict[str, Any], message: str) -> None:
    made = make(tmp_path)
    clip_config(TINY, **vision).save_pretrained(made.clip)
    with pytest.raises(ModelUnavailableError, match=message):
        convert(made.checkpoint, made.clip, made.out)


def test_the_clip_must_be_whole(tmp_path: Path) -> None:
    made = make(tmp_path)
    weights = made.clip / "pytorch_model.bin"
    state = torch.load(weights, weights_only=True)
    torch.save(without("logit_scale")(state), weights)
    with pytest.raises(ModelUnavailableError, match="lacks logit_scale"):
        convert(made.checkpoint, made.clip, made.out)
    torch.save(state, weights)
    for name in ("tokenizer.json", "vocab.json"):
        (made.clip / name).unlink(missing_ok=True)
    with pytest.raises(ModelUnavailableError, match="no tokenizer in"):
        convert(made.checkpoint, made.clip, made.out)
    (made.clip / "config.json").write_text("[]")
    with pytest.raises(ModelUnavailableError, match=r"config\.json cannot be used"):
        convert(made.checkpoint, made.clip, made.out)


def test_the_names_of_the_published_sizes() -> None:
    """Five of their own, two norms of two, and twelve in each block."""
    shapes = visual_shapes(clip_config(B16))
    assert len(shapes) == 5 + 4 + 12 * 12
    assert shapes["positional_embedding"] == (197, 768)
    assert shapes["transformer.resblocks.11.attn.in_proj.weight"] == (2304, 768)
    shapes = visual_shapes(clip_config(L14_336))
    assert shapes["positional_embedding"] == (577, 1024)
    assert shapes["conv1_alpha.weight"] == (1024, 1, 14, 14)
    assert sum(np.prod(shape) for shape in shapes.values()) == 304_293_888 + 1024 * 14 * 14
