"""Alpha-CLIP: the architecture with random weights, and the shipped weights' meaning."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from matir_nb.config import VIEWS, EncodeConfig
from matir_nb.errors import ModelUnavailableError, QueryError
from matir_nb.geometry.masks import encode
from matir_nb.models.alpha_clip import AlphaClipEncoder, Options, normalise
from matir_nb.models.batches import Batches
from matir_nb.models.clip_text import CLIP_LOG_ODDS
from matir_nb.models.int8 import Int8Linear, is_available
from matir_nb.models.registry import WEIGHTS
from matir_nb.models.runtime import Runtime
from matir_nb.models.views import CROP, cut_regions
from matir_nb.scenes.draw import Scene, draw_gallery
from matir_nb.scenes.meaning import NounPhrase
from matir_nb.types import LogOdds, MaskRLE

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


@pytest.fixture
def region() -> tuple[np.ndarray, MaskRLE]:
    """Return a picture that is not square, and a mask near its edge."""
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    mask = np.zeros((40, 70), bool)
    mask[8:20, 50:69] = True
    return image, encode(mask)


def shipped(tmp_path: Path, **options: object) -> Path:
    """Return a copy of the shipped folder with other options."""
    folder = tmp_path / "m"
    shutil.copytree(SHIPPED, folder)
    (folder / "matir.json").write_text(json.dumps(options))
    return folder


def test_which_view_is_stored_is_in_the_id(region: tuple[np.ndarray, MaskRLE]) -> None:
    image, mask = region
    made = {
        view: AlphaClipEncoder.from_pretrained(SHIPPED, encoding=EncodeConfig(view))
        for view in VIEWS
    }
    ids = {view: encoder.model_id.partition(" ")[2] for view, encoder in made.items()}
    assert json.loads(ids["own"]) == {"n_turns": 4, "view": {"power": 0.5, "scale": 1.0}}
    crop = {"scale": 1.5, "power": 0.0, "outside": 255}
    assert json.loads(ids["crop"]) == {"n_turns": 4, "view": crop}
    assert json.loads(ids["whole"]) == {"n_turns": 4, "view": "whole"}
    assert json.loads(ids["both"]) == {"n_turns": 4, "view": [crop, "whole"]}
    vectors = {
        view: encoder.embed_regions([image], [[mask]])[0][0] for view, encoder in made.items()
    }
    assert vectors["crop"] @ vectors["whole"] < 0.999
    assert vectors["crop"] @ vectors["own"] < 0.999


def test_both_is_the_mean_of_the_two_unit_vectors(region: tuple[np.ndarray, MaskRLE]) -> None:
    image, mask = region
    crop, whole, both = (
        AlphaClipEncoder.from_pretrained(
            SHIPPED, encoding=EncodeConfig(view), options={"n_turns": 1}
        ).embed_regions([image], [[mask]])[0]
        for view in ("crop", "whole", "both")
    )
    mean = (crop + whole) / 2
    np.testing.assert_allclose(both, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_folder_without_options_is_used_as_published(tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    (folder / "matir.json").unlink()
    encoder = AlphaClipEncoder.from_pretrained(folder, name="mine")
    name, _, options = encoder.model_id.partition(" ")
    assert name == "mine@8c45a242e051"
    assert json.loads(options)["n_turns"] == 1
    assert json.loads(options)["view"]["scale"] == 1.5
    assert encoder.log_odds == CLIP_LOG_ODDS
    same = AlphaClipEncoder.from_pretrained(folder, name="mine", encoding=EncodeConfig("crop"))
    assert same.model_id == encoder.model_id


@pytest.mark.parametrize(
    "options",
    [{"view": "all"}, {"view": {"zoom": 2}}, {"n_turns": 0}, {"log_odds": {"scale": 1.0}}],
)
def test_options_that_cannot_be_used_are_named(tmp_path: Path, options: dict[str, object]) -> None:
    folder = shipped(tmp_path, **options)
    with pytest.raises(ModelUnavailableError, match=r"matir\.json' cannot be used: "):
        AlphaClipEncoder.from_pretrained(folder)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    save_file({n: v for n, v in tensors.items() if "layers.2.mlp" not in n}, weights)
    with pytest.raises(ModelUnavailableError, match=r"lack .*layers\.2\.mlp\.fc1\.bias"):
        AlphaClipEncoder.from_pretrained(folder)
    weights.write_bytes(b"not a model")
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        AlphaClipEncoder.from_pretrained(folder)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("was run"),)


def test_weights_in_pytorchs_own_format_are_read_without_their_code(
    encoder: AlphaClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    read = AlphaClipEncoder.from_pretrained(folder)
    assert (read.embed_texts(["ring"]) == encoder.embed_texts(["ring"])).all()
    monkeypatch.chdir(tmp_path)
    torch.save(tensors | {"logit_scale": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match="cannot be loaded: they hold code, or"):
        AlphaClipEncoder.from_pretrained(folder)
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.999), (torch.float16, 0.9999)])
def test_half_precision_gives_float32_vectors_of_the_same_model(
    encoder: AlphaClipEncoder, scenes: list[Scene], dtype: torch.dtype, least: float
) -> None:
    half = AlphaClipEncoder.from_pretrained(SHIPPED, runtime=Runtime(dtype=dtype))
    scene = scenes[0]
    masks = [[encode(scene.visible_mask(i)) for i in range(len(scene.objects))]]
    for ours, exact in (
        (
            half.embed_regions([scene.image], masks)[0],
            encoder.embed_regions([scene.image], masks)[0],
        ),
        (half.embed_images([scene.image]), encoder.embed_images([scene.image])),
        (half.embed_texts(["a red ring"]), encoder.embed_texts(["a red ring"])),
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
        assert (ours * exact).sum(1).min() > least
        assert (ours != exact).any()
    assert half.model_id == encoder.model_id


@pytest.mark.skipif(not is_available(), reason="this processor has no fast 8-bit products")
def test_8_bits_are_for_the_blocks_of_the_image_side(
    encoder: AlphaClipEncoder, scenes: list[Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matir_nb.models.int8.LEAST_COSINE", 0.9)
    eight = AlphaClipEncoder.from_pretrained(SHIPPED, runtime=Runtime(is_int8=True))
    kinds = {name for name, m in eight._model.named_modules() if isinstance(m, Int8Linear)}
    assert len(kinds) == 4 * 6
    assert all(name.startswith("vision_model.encoder.layers.") for name in kinds)
    scene = scenes[0]
    masks = [[encode(scene.visible_mask(i)) for i in range(len(scene.objects))]]
    exact = encoder.embed_regions([scene.image], masks)[0]
    assert (eight.embed_regions([scene.image], masks)[0] * exact).sum(1).min() > 0.99
    assert (eight.embed_texts(["ring"]) == encoder.embed_texts(["ring"])).all()
    assert eight.model_id == encoder.model_id


def test_the_image_side_is_compiled_when_asked(
    encoder: AlphaClipEncoder, region: tuple[np.ndarray, MaskRLE], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    original = torch.nn.Module.compile

    def watched(module):
        compiled.append(module)
        original(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", watched)
    fast = AlphaClipEncoder.from_pretrained(SHIPPED, runtime=Runtime(is_compiled=True))
    assert compiled == [fast._model.vision_model]
    image, mask = region
    ours, plain = (e.embed_regions([image], [[mask] * 2])[0] for e in (fast, encoder))
    np.testing.assert_allclose(ours, plain, atol=1e-5)


def watched_features(
    encoder: AlphaClipEncoder, monkeypatch: pytest.MonkeyPatch, *, fits: int
) -> list[int]:
    """Return a list that will hold the batches' sizes; more than `fits` runs out of memory."""
    sizes: list[int] = []
    original = encoder._model.get_image_features

    def watched(pixels):
        sizes.append(len(pixels))
        if len(pixels) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(pixels)

    monkeypatch.setattr(encoder._model, "get_image_features", watched)
    return sizes


def test_batches_that_do_not_fit_are_halved(
    encoder: AlphaClipEncoder,
    region: tuple[np.ndarray, MaskRLE],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    image, mask = region
    other = encode(np.eye(40, 70, dtype=bool))
    masks = [[mask, other, mask], [], [other] * 4]
    expected = encoder.embed_regions([image] * 3, masks)
    monkeypatch.setattr(encoder, "_batches", Batches("regions", 64))
    sizes = watched_features(encoder, monkeypatch, fits=2)
    vectors = encoder.embed_regions([image] * 3, masks)
    assert [len(own) for own in vectors] == [3, 0, 4]
    for ours, plain in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)
    assert sizes == [7, 3, *[1] * 28]
    assert len(caplog.records) == 2
    sizes.clear()
    encoder.embed_images([image] * 3)
    assert sizes == [1, 1, 1]


def test_views_are_made_batch_by_batch(
    encoder: AlphaClipEncoder, region: tuple[np.ndarray, MaskRLE], monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 masks of each of 8 pictures would be 925 MB at 336 pixels."""
    image, mask = region
    monkeypatch.setattr(encoder, "_batches", Batches("regions", 2))
    events: list[str] = []
    original = encoder._features

    def cutting(regions, *args, **options):
        events.append(f"cut {len(regions)}")
        return cut_regions(regions, *args, **options)

    def features(views):
        events.append("see")
        return original(views)

    monkeypatch.setattr("matir_nb.models.alpha_clip.cut_regions", cutting)
    monkeypatch.setattr(encoder, "_features", features)
    encoder.embed_regions([image, image], [[mask] * 2, [mask]])
    assert events == ["cut 2", *["see"] * 4, "cut 1", *["see"] * 4]


def test_bytes_are_sent_and_turned_into_numbers_on_the_device(
    region: tuple[np.ndarray, MaskRLE], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def send(self, tensor):
        sent.append((tensor.dtype, tensor.is_contiguous()))
        return tensor

    monkeypatch.setattr(Runtime, "send", send)
    encoder = AlphaClipEncoder.from_pretrained(SHIPPED)
    encoder.embed_regions([region[0]], [[region[1]]])
    assert sent == [(torch.uint8, True)] * 4


def test_threads_cut_the_views_for_another_device(
    encoder: AlphaClipEncoder, region: tuple[np.ndarray, MaskRLE]
) -> None:
    image, mask = region
    other = AlphaClipEncoder(
        encoder._model,
        encoder._texts.tokenizer,
        options=encoder._options,
        model_id="x",
        runtime=Elsewhere(device="elsewhere"),
    )
    vectors = other.embed_regions([image], [[mask] * 3])[0]
    np.testing.assert_array_equal(vectors, encoder.embed_regions([image], [[mask] * 3])[0])


class Elsewhere(Runtime):
    """Stands for a GPU: its tensors stay where they are."""

    def send(self, tensor):
        return tensor


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
        length = encoder._texts.n_tokens
        batch = encoder._texts.tokenizer(
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
    options = Options((CROP,), 1, LogOdds(1.0, 0.0))
    return AlphaClipEncoder(model, tokenizer, options=options, model_id="random")


def test_texts_cut_at_their_length_are_what_full_padding_gives(
    encoder: AlphaClipEncoder,
) -> None:
    long = "there is a small striped red circle to the left of the large blue square"
    texts = [long, "ring", *(f"{long[:n]} star" for n in range(0, len(long), 3)), "a star " * 9]
    lengths = {len(encoder._texts.tokens(text)) for text in texts}
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

    monkeypatch.setattr(encoder._texts, "_batches", Batches("texts", 2))
    monkeypatch.setattr(encoder._model, "get_text_features", watched)
    np.testing.assert_allclose(encoder.embed_texts(texts), expected, atol=1e-6)
    widths = [width for _, width in shapes]
    assert [rows for rows, _ in shapes] == [2, 2, 1]
    assert widths == sorted(widths)
    assert widths[0] == len(encoder._texts.tokens("ring"))


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
