"""Dense pooling with tiny random CLIP, SigLIP and SigLIP 2: its algebra, geometry and texts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import OracleMaskSource, scene_gallery
from tiny_encoders import tiny_clip, tiny_naflex, tiny_siglip
from transformers import CLIPModel, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from matir_nb import open as open_index
from matir_nb.config import EncodeConfig
from matir_nb.errors import (
    ConfigError,
    IndexMismatchError,
    ModelUnavailableError,
    QueryError,
)
from matir_nb.geometry.masks import encode
from matir_nb.index.build import build
from matir_nb.models.dense_pool import DensePoolEncoder, Options
from matir_nb.models.dense_towers import NAFLEX, SIGLIP, read_folder
from matir_nb.models.registry import find_weights, load_encoder
from matir_nb.models.runtime import Runtime
from matir_nb.presets import PRESETS

MAKERS = {"clip": tiny_clip, "siglip": tiny_siglip, "naflex": tiny_naflex}
SHAPES = ((40, 60), (70, 30), (32, 32))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {name: make(root / name) for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]


def boxed(shape, x0, y0, x1, y1):
    mask = np.zeros(shape[:2], bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def own_features(folder: Path, image: np.ndarray) -> np.ndarray:
    """Return what transformers' own classes make of a picture, squashed by their processors."""
    if folder.name == "naflex":
        inputs = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)(
            image, return_tensors="pt"
        )
    else:
        made = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}[folder.name]
        square = {"height": 32, "width": 32}
        inputs = made(size=square, do_center_crop=False)(image, return_tensors="pt")
    with torch.inference_mode():
        out = read_folder(folder).load().get_image_features(**inputs).pooler_output
    return torch.nn.functional.normalize(out, dim=-1)[0].numpy()


def test_a_full_mask_is_the_models_own_feature(folder: Path, images: list[np.ndarray]) -> None:
    encoder = DensePoolEncoder.from_pretrained(folder)
    full = [[encode(np.ones(image.shape[:2]))] for image in images]
    regions = np.concatenate(encoder.embed_regions(images, full))
    own = np.array([own_features(folder, image) for image in images])
    assert np.abs(own[0] - own[1]).max() > 1e-2
    np.testing.assert_allclose(regions, own, atol=1e-5)
    fresh = DensePoolEncoder.from_pretrained(folder)
    np.testing.assert_allclose(fresh.embed_images(images), own, atol=1e-5)


def test_every_number_of_blocks_agrees_on_the_whole(folders, images) -> None:
    wholes, parts = [], []
    for n_blocks in (1, 2, 3):
        encoder = DensePoolEncoder.from_pretrained(folders["clip"], options={"n_blocks": n_blocks})
        mask = boxed(images[0].shape, 0, 0, 20, 20)
        parts.append(encoder.embed_regions(images[:1], [[mask]])[0])
        wholes.append(encoder.embed_images(images[:1]))
    np.testing.assert_allclose(wholes[0], wholes[1], atol=1e-5)
    np.testing.assert_allclose(wholes[0], wholes[2], atol=1e-5)
    assert np.abs(parts[0] - parts[1]).max() > 1e-3


def test_batched_is_one_by_one(folder: Path, images: list[np.ndarray]) -> None:
    encoder = DensePoolEncoder.from_pretrained(folder)
    masks = [
        [boxed(image.shape, x, x, x + 9, x + 14) for x in range(0, 4 * n, 4)]
        for image, n in zip(images, (3, 0, 5), strict=True)
    ]
    together = encoder.embed_regions(images, masks)
    wholes = encoder.embed_images(images)
    assert [v.shape for v in together] == [(3, encoder.dim), (0, encoder.dim), (5, encoder.dim)]
    for image, own, vectors, whole in zip(images, masks, together, wholes, strict=True):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        for mask, vector in zip(own, vectors, strict=True):
            alone = encoder.embed_regions([image], [[mask]])[0][0]
            np.testing.assert_allclose(vector, alone, atol=1e-5)
        alone = DensePoolEncoder.from_pretrained(folder).embed_images([image])[0]
        np.testing.assert_allclose(whole, alone, atol=1e-5)
    assert encoder.embed_images([]).shape == (0, encoder.dim)
    assert encoder.embed_regions([], []) == []


def test_the_mask_decides_and_the_whole_lies_between(folder: Path, images) -> None:
    """Each half of a picture is nearer to the whole than to the other half."""
    encoder = DensePoolEncoder.from_pretrained(folder)
    shape = images[0].shape
    left, right = boxed(shape, 0, 0, 30, 40), boxed(shape, 30, 0, 60, 40)
    tiny = boxed(shape, 41, 21, 42, 22)
    a, b, speck = encoder.embed_regions(images[:1], [[left, right, tiny]])[0]
    whole = encoder.embed_images(images[:1])[0]
    assert a @ b < 0.999
    assert np.abs(speck - b).max() > 1e-3
    assert np.isfinite(speck).all()
    assert min(a @ whole, b @ whole) > a @ b


def test_an_empty_mask_stands_for_the_whole_picture(folder: Path, images) -> None:
    encoder = DensePoolEncoder.from_pretrained(folder)
    empty = encode(np.zeros(images[0].shape[:2]))
    vector = encoder.embed_regions(images[:1], [[empty]])[0][0]
    np.testing.assert_allclose(vector, encoder.embed_images(images[:1])[0], atol=1e-6)


def test_whole_pictures_come_out_of_the_regions_pass(folders, images, monkeypatch) -> None:
    encoder = DensePoolEncoder.from_pretrained(folders["siglip"])
    encoder.embed_regions(images, [[]] * 3)
    n_calls = []
    original = encoder._tower.tokens
    monkeypatch.setattr(encoder._tower, "tokens", lambda x: n_calls.append(len(x)) or original(x))
    first = encoder.embed_images(images)
    assert n_calls == []
    changed = images[0].copy()
    changed[:20] = 255 - changed[:20]
    second = encoder.embed_images([changed, images[1]])
    assert n_calls == [1]
    assert np.abs(second[0] - first[0]).max() > 1e-3
    np.testing.assert_array_equal(second[1], first[1])


@pytest.mark.parametrize("shape", [(48, 100), (100, 48)])
def test_padding_keeps_shapes_and_masks_leave_the_padding_out(folders, shape) -> None:
    """A picture padded by hand, with a mask on its own part, gives what "whole" gives."""
    picture = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)
    grey = np.full((100, 100, 3), 128, np.uint8)
    down, along = (100 - shape[0]) // 2, (100 - shape[1]) // 2
    grey[down : down + shape[0], along : along + shape[1]] = picture
    by_hand = np.zeros((100, 100), bool)
    by_hand[down : down + shape[0], along : along + shape[1]] = True
    plain = DensePoolEncoder.from_pretrained(folders["siglip"])
    whole = DensePoolEncoder.from_pretrained(folders["siglip"], encoding=EncodeConfig(view="whole"))
    expected = plain.embed_regions([grey], [[encode(by_hand)]])[0][0]
    np.testing.assert_allclose(whole.embed_images([picture])[0], expected, atol=1e-5)
    assert np.abs(plain.embed_images([picture])[0] - expected).max() > 1e-2
    assert '"geometry": "pad"' in whole.model_id
    assert '"geometry": "squash"' in plain.model_id


def test_the_processors_settings_of_the_folder_count(tmp_path: Path, images) -> None:
    folder = tiny_siglip(tmp_path / "siglip")
    usual = DensePoolEncoder.from_pretrained(folder)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.9, 0.8, 0.7], "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    encoder = DensePoolEncoder.from_pretrained(folder)
    assert encoder.model_id != usual.model_id
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, **settings)
    for image in images:
        expected = processor(image)["pixel_values"][0]
        ours = encoder._pixels.numbers(image, (32, 32))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_patch_that_does_not_divide_the_side(tmp_path: Path, images) -> None:
    """As siglip2-so400m-patch14-384: the encoder never sees the last pixels; masks there count."""
    encoder = DensePoolEncoder.from_pretrained(tiny_siglip(tmp_path, side=38, patch=8))
    corner = boxed(images[2].shape, 31, 31, 32, 32)
    last_patch = boxed(images[2].shape, 24, 24, 26, 26)
    vectors = encoder.embed_regions([images[2]], [[corner, last_patch]])[0]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_siglip_texts_are_lower_case_and_full_length_without_mask(folders) -> None:
    folder = folders["siglip"]
    encoder = DensePoolEncoder.from_pretrained(folder)
    ids = encoder._texts.padded("A small RED circle")
    assert len(ids) == 64
    n = ids.index(1)
    assert ids[n:] == [1] + [0] * (63 - n)
    assert 2 not in ids
    model = SiglipModel.from_pretrained(folder)
    with torch.inference_mode():
        out = model.get_text_features(input_ids=torch.tensor([ids])).pooler_output
    expected = torch.nn.functional.normalize(out, dim=-1).numpy()
    vectors = encoder.embed_texts(["a photo of a dog", "a small red circle", "A SMALL RED CIRCLE"])
    np.testing.assert_allclose(vectors[1:2], expected, atol=1e-5)
    np.testing.assert_allclose(vectors[2], vectors[1], atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-2
    assert encoder.embed_texts([]).shape == (0, 32)


def test_a_tokenizer_that_adds_a_start_and_no_end_is_put_right(tmp_path: Path) -> None:
    folder = tiny_siglip(tmp_path)
    right = DensePoolEncoder.from_pretrained(folder)._texts.padded("a dog")
    stored = json.loads((folder / "tokenizer.json").read_text())
    start = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    stored["post_processor"]["single"] = [start, {"Sequence": {"id": "A", "type_id": 0}}]
    known = {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}
    stored["post_processor"]["special_tokens"] = {"<bos>": known}
    stored["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    (folder / "tokenizer.json").write_text(json.dumps(stored))
    named = json.loads((folder / "tokenizer_config.json").read_text())
    named["pad_token"] = {"__type": "AddedToken", "content": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    assert DensePoolEncoder.from_pretrained(folder)._texts.padded("a dog") == right


def test_too_long_queries_are_refused_not_cut(folder: Path) -> None:
    encoder = DensePoolEncoder.from_pretrained(folder)
    with pytest.raises(QueryError, match=r"the text encoder reads (64|77)"):
        encoder.embed_texts(["red circle " * 80])


def test_log_odds(folders) -> None:
    siglip = DensePoolEncoder.from_pretrained(folders["siglip"])
    assert siglip.log_odds.scale == pytest.approx(np.exp(4.0), rel=1e-5)
    assert siglip.log_odds.bias == pytest.approx(-10.0)
    clip = DensePoolEncoder.from_pretrained(folders["clip"])
    assert clip.log_odds.scale == 100
    given = {"log_odds": {"scale": 3.0, "bias": -1.0}}
    assert DensePoolEncoder.from_pretrained(folders["clip"], options=given).log_odds.of(1) == 2


def test_precision_changes_digits_and_not_the_id(folder: Path, images) -> None:
    exact = DensePoolEncoder.from_pretrained(folder)
    runtime = Runtime(dtype=torch.bfloat16)
    half = DensePoolEncoder.from_pretrained(folder, runtime=runtime)
    assert half.model_id == exact.model_id
    masks = [[boxed(image.shape, 2, 2, 20, 20)] for image in images]
    pairs = zip(
        np.concatenate(exact.embed_regions(images, masks)),
        np.concatenate(half.embed_regions(images, masks)),
        strict=True,
    )
    cosines = [float(a @ b) for a, b in pairs]
    assert 0.97 < min(cosines) < 0.9999999
    assert half.embed_texts(["a dog"]).dtype == np.float32


def test_compiled_runs_the_compiled_tower(folders, images, monkeypatch) -> None:
    seen = []

    def compiled(function):
        return lambda pixels: seen.append(pixels.shape) or function(pixels)

    monkeypatch.setattr(torch, "compile", compiled)
    runtime = Runtime(is_compiled=True)
    DensePoolEncoder.from_pretrained(folders["clip"], runtime=runtime).embed_images(images)
    assert [tuple(shape) for shape in seen] == [(3, 3, 32, 32)]


def test_bin_weights_are_read_as_tensors_only(tmp_path: Path, images) -> None:
    folder = tiny_clip(tmp_path)
    expected = DensePoolEncoder.from_pretrained(folder).embed_images(images)
    state = CLIPModel.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    encoder = DensePoolEncoder.from_pretrained(folder)
    np.testing.assert_allclose(encoder.embed_images(images), expected, atol=1e-6)
    torch.save({**state, "logit_scale": Path("any object")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match="cannot be read as tensors"):
        DensePoolEncoder.from_pretrained(folder)


def test_a_folder_may_name_its_adapter_beside_its_options(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path)
    (folder / "matir.json").write_text('{"adapter": "dense_pool", "n_blocks": 1}')
    assert '"n_blocks": 1' in DensePoolEncoder.from_pretrained(folder).model_id
    (folder / "matir.json").write_text("{")
    with pytest.raises(ModelUnavailableError, match=r"matir\.json cannot be read"):
        DensePoolEncoder.from_pretrained(folder)


def test_missing_weights_are_named_not_drawn_at_random(tmp_path: Path) -> None:
    folder = tiny_siglip(tmp_path)
    model = SiglipModel.from_pretrained(folder)
    state = {k: v for k, v in model.state_dict().items() if "head.probe" not in k}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(ModelUnavailableError, match=r"lacks weights \(vision_model\.head\.probe"):
        DensePoolEncoder.from_pretrained(folder)


@pytest.mark.parametrize("view", ["crop", "both"])
def test_views_of_one_region_are_refused(folders, view: str) -> None:
    with pytest.raises(ConfigError, match=r"reads the picture once, give 'own'"):
        DensePoolEncoder.from_pretrained(folders["clip"], encoding=EncodeConfig(view=view))


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'geometry'"):
        Options.of({"geometri": "pad"})
    with pytest.raises(ConfigError, match="n_blocks = 0 is not allowed"):
        Options.of({"n_blocks": 0})


def test_geometries_are_those_of_the_model(folders) -> None:
    for kind, other in (("siglip", "keep"), ("naflex", "squash")):
        with pytest.raises(ConfigError, match=f"geometry = '{other}' is not allowed"):
            DensePoolEncoder.from_pretrained(folders[kind], options={"geometry": other})
    naflex = DensePoolEncoder.from_pretrained(folders["naflex"])
    assert '"most_patches": 16' in naflex.model_id
    assert read_folder(folders["siglip"]).kind == SIGLIP
    assert read_folder(folders["naflex"]).kind == NAFLEX


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"expected config\.json and model"):
        DensePoolEncoder.from_pretrained(tmp_path)
    folder = tiny_siglip(tmp_path / "siglip")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailableError, match=r"no tokenizer\.json"):
        DensePoolEncoder.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "blip"}))
    with pytest.raises(ModelUnavailableError, match="is 'blip'"):
        DensePoolEncoder.from_pretrained(folder)


def test_the_registry_loads_it_by_model_type(folder: Path) -> None:
    assert find_weights(str(folder), "encoder").adapter == "dense_pool"


def test_an_index_is_built_opened_and_searched(tmp_path: Path, folders) -> None:
    scenes = scene_gallery(tmp_path / "scenes", 4)
    encoder = DensePoolEncoder.from_pretrained(folders["siglip"])
    masks = OracleMaskSource(scenes)
    index = tmp_path / "i.matir"
    report = build(tmp_path / "scenes", index, masks=masks, encoder=encoder)
    assert report.n_images == 4
    again = DensePoolEncoder.from_pretrained(folders["siglip"])
    hits = open_index(index, encoder=again, judge="none").search("a red circle", k=3).hits
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert all(-1 <= hit.stage1_score <= 1 for hit in hits)
    other = DensePoolEncoder.from_pretrained(folders["siglip"], encoding=EncodeConfig("whole"))
    with pytest.raises(IndexMismatchError):
        open_index(index, encoder=other, judge="none")


def test_a_preset_names_the_folder(folders) -> None:
    preset = replace(PRESETS["open-cpu"], encoder=str(folders["siglip"]))
    encoder = load_encoder(preset, device="cpu")
    assert encoder.model_id.startswith("siglip@")
