import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam2Model

from matir_nb.errors import ConfigError, ModelUnavailableError, ShapeError
from matir_nb.geometry.masks import decode, decode_many, encode_many, mask_iou
from matir_nb.models import sam2
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.models.sam2_decoder import draw_masks, encode_images, read_prompts
from matir_nb.models.sam2_masks import boxes_of, full_size, pixel_counts, stability_scores
from matir_nb.presets import preset_named
from matir_nb.scenes.draw import draw_scene

WEIGHTS = Path(str(files("matir_nb") / "weights" / "sam2"))
CONFIG = preset_named("embedded").masks


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def source():
    return Sam2MaskSource.from_pretrained(WEIGHTS, CONFIG)


@pytest.fixture(scope="module")
def model():
    return Sam2Model.from_pretrained(WEIGHTS).float().eval()


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene("test", index) for index in range(12)]


@pytest.fixture(scope="module")
def found(source, scenes):
    return source.generate([scene.image for scene in scenes])


def truth_of(scene):
    return encode_many(np.stack([scene.visible_mask(i) for i in range(len(scene.objects))]))


def with_options(source, **options):
    """Return a quick source: few points, boundaries as the model draws them."""
    quick = replace(CONFIG, points_per_side=6, boundary_cells=0)
    return Sam2MaskSource(source._model, replace(quick, **options), revision="test")


# --- pure parts


def test_stability_is_the_iou_of_two_cuts():
    logits = torch.tensor([[[-2.0, 0.5], [1.5, 3.0]]])
    assert stability_scores(logits, 1.0).tolist() == pytest.approx([2 / 3])


def test_a_mask_that_is_empty_at_both_cuts_is_not_stable():
    assert stability_scores(torch.full((1, 2, 2), -5.0), 1.0).tolist() == [0.0]


def test_boxes_are_tight_and_half_open():
    masks = torch.zeros((3, 4, 6), dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 0, 0] = masks[1, 3, 5] = True
    assert boxes_of(masks).tolist() == [[2, 1, 5, 3], [0, 0, 6, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize("width", [7, 1 << 15])
def test_pixels_are_counted_in_rows_of_any_length(width):
    masks = torch.ones((2, 3, width), dtype=torch.bool)
    masks[1, 0, 0] = False
    assert pixel_counts(masks).tolist() == [3 * width, 3 * width - 1]


def test_full_size_logits_come_in_parts_that_make_the_whole(monkeypatch):
    monkeypatch.setattr("matir_nb.models.sam2_masks.FULL_SIZE_PIXELS", 13)
    logits = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    parts = list(full_size(logits, 2, 3))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat(parts), logits)
    assert list(full_size(logits[:0], 2, 3)) == []


# --- decoder


@pytest.mark.parametrize("kind", ["points", "boxes"])
def test_decoder_gives_the_numbers_of_transformers(model, kind):
    generator = torch.Generator().manual_seed(0)
    side = model.config.prompt_encoder_config.image_size
    pixels = torch.randn(2, 3, side, side, generator=generator)
    corners = torch.rand(2, 3, 2, generator=generator) * side / 2
    prompts = (
        {"points": corners}
        if kind == "points"
        else {"boxes": torch.cat([corners, corners + side / 4], -1)}
    )
    asked = (
        {
            "input_points": corners[:, :, None],
            "input_labels": torch.ones(2, 3, 1, dtype=torch.int),
        }
        if kind == "points"
        else {"input_boxes": prompts["boxes"]}
    )
    with torch.no_grad():
        expected = model(pixel_values=pixels, multimask_output=True, **asked)
        features = encode_images(model, pixels)
        answers = read_prompts(model, features, **prompts)
        masks = draw_masks(model, features, answers, torch.tensor([4, 0]))
    torch.testing.assert_close(answers.predicted_ious, expected.iou_scores, atol=1e-4, rtol=0)
    wanted = expected.pred_masks.flatten(0, 1)[[4, 0]]
    torch.testing.assert_close(masks, wanted, atol=2e-3, rtol=1e-4)


def test_no_masks_are_drawn_for_no_prompts(model):
    side = model.config.prompt_encoder_config.image_size
    with torch.no_grad():
        features = encode_images(model, torch.zeros(1, 3, side, side))
        answers = read_prompts(model, features, points=torch.zeros(1, 2, 2))
        masks = draw_masks(model, features, answers, torch.zeros(0, dtype=torch.long))
    assert masks.shape == (0, 3, side // 4, side // 4)


# --- generator


def test_finds_the_objects_of_unseen_scenes(found, scenes):
    pairs = zip(scenes, found, strict=True)
    best = np.concatenate([mask_iou(truth_of(s), r.masks).max(1, initial=0) for s, r in pairs])
    assert (best >= 0.5).mean() >= 0.88
    assert best.mean() >= 0.82
    assert np.mean([len(regions) for regions in found]) <= 12


def test_regions_are_measured_on_the_masks_and_best_rated_first(found, scenes):
    pairs = zip(scenes, found, strict=True)
    scene, regions = next(p for p in pairs if p[0].image.shape[0] != p[0].image.shape[1])
    masks = decode_many(regions.masks)
    assert masks.shape[1:] == scene.image.shape[:2]
    assert (np.diff(regions.predicted_ious) <= 0).all()
    assert masks.sum((1, 2)).tolist() == regions.areas.tolist()
    y, x = np.nonzero(masks[0])
    assert regions.boxes_xyxy[0].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert (regions.predicted_ious > CONFIG.pred_iou_thresh).all()
    assert (regions.stability_scores > CONFIG.stability_score_thresh).all()


def test_a_batch_gives_what_single_images_give(source, found, scenes):
    (alone,) = source.generate([scenes[3].image])
    assert len(alone) == len(found[3])
    assert mask_iou(alone.masks, found[3].masks).diagonal().min() > 0.99


def test_the_grid_reaches_the_whole_of_a_narrow_picture(source, scenes, monkeypatch):
    asked = []

    def spy(model, features, *, points):
        asked.append(points)
        return read_prompts(model, features, points=points)

    monkeypatch.setattr(sam2, "read_prompts", spy)
    options = with_options(source, points_per_side=4, points_per_batch=6)
    options.generate([np.ascontiguousarray(scenes[0].image[:, :40])])
    side = source._side
    points = torch.cat(asked, 1)[0] + 0.5
    expected = [side / 8, side * 3 / 8, side * 5 / 8, side * 7 / 8]
    assert len(points) == 16
    for axis in (0, 1):
        assert points[:, axis].unique().tolist() == pytest.approx(expected)


def test_limits_on_area_and_number_hold(source, scenes):
    image = scenes[0].image
    pixels = image.shape[0] * image.shape[1]
    (regions,) = with_options(
        source, min_mask_area=900, max_area_fraction=0.1, pred_iou_thresh=0.0
    ).generate([image])
    assert len(regions) > 0
    assert regions.areas.min() >= 900
    assert regions.areas.max() <= 0.1 * pixels
    (few,) = with_options(source, max_regions=1, pred_iou_thresh=0.0).generate([image])
    assert len(few) == 1


def test_near_duplicates_are_suppressed_by_box_iou(source, scenes):
    image = scenes[0].image
    (strict,) = with_options(source, box_nms_thresh=0.3).generate([image])
    (loose,) = with_options(source, box_nms_thresh=1.0, max_regions=500).generate([image])
    assert len(strict) < len(loose)
    assert strict.predicted_ious[0] == loose.predicted_ious[0]


def test_crops_give_masks_in_pixels_of_the_whole_image(source, scenes):
    tile = np.ascontiguousarray(scenes[1].image[:160, :160])
    canvas = np.full((320, 320, 3), 128, np.uint8)
    canvas[160:, 160:] = tile
    options = {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0, "max_regions": 5000}
    (alone,) = with_options(source, **options).generate([tile])
    layered = with_options(source, crop_n_layers=1, crop_overlap_ratio=0.0, **options)
    (regions,) = layered.generate([canvas])
    # The canvas falls into four crops, one of which is the tile; its left and upper edge are inner.
    whole = ~(alone.boxes_xyxy[:, :2] <= 20).any(1)
    wanted = np.zeros((int(whole.sum()), 320, 320), bool)
    wanted[:, 160:, 160:] = decode_many(alone.masks)[whole]
    assert len(wanted) > 0
    assert mask_iou(encode_many(wanted), regions.masks).max(1).min() > 0.95


def test_nothing_passes_an_impossible_filter(source, scenes):
    (regions,) = with_options(source, pred_iou_thresh=1.0).generate([scenes[0].image])
    assert len(regions) == 0
    assert regions.boxes_xyxy.shape == (0, 4)
    assert source.generate([]) == []


def test_a_box_prompt_masks_the_object_in_the_box(source, scenes):
    ious = []
    for scene in scenes[:4]:
        for i, rle in enumerate(truth_of(scene)):
            y, x = np.nonzero(scene.visible_mask(i))
            mask = source.from_box(scene.image, (x.min(), y.min(), x.max() + 1, y.max() + 1))
            ious.append(mask_iou([rle], [mask])[0, 0])
    assert np.mean(ious) > 0.75
    assert decode(mask).shape == scenes[3].image.shape[:2]


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (30, 10, 20, 20)])
def test_an_empty_box_is_refused(source, scenes, box):
    with pytest.raises(ConfigError, match="is empty: give x0 < x1"):
        source.from_box(scenes[0].image, box)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_rgb_image_is_refused(source, image):
    with pytest.raises(ShapeError, match=r"expected \(H, W, 3\) uint8, got"):
        source.generate([image])


# --- loading


def test_model_id_holds_name_hash_preprocessing_and_every_option_but_batch_sizes(source):
    digest = hashlib.sha256((WEIGHTS / "model.safetensors").read_bytes()).hexdigest()[:12]
    assert source.model_id.startswith(f"sam2:sam2@{digest}|square-bilinear-imagenet-1-")
    for name in CONFIG.__dataclass_fields__.keys() - {"points_per_batch"}:
        assert f"{name}={getattr(CONFIG, name)}" in source.model_id
    assert with_options(source, points_per_batch=3).model_id == with_options(source).model_id
    assert with_options(source, points_per_side=3).model_id != with_options(source).model_id


def test_missing_weights_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(
        ModelUnavailableError, match=r"no SAM 2 weights at .*model\.safetensors': give"
    ):
        Sam2MaskSource.from_pretrained(tmp_path, CONFIG)


def copy_with(tmp_path, change):
    tensors = load_file(WEIGHTS / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((WEIGHTS / "config.json").read_bytes())
    return tmp_path


def test_two_position_codes_are_refused(tmp_path):
    def shift(tensors):
        tensors["prompt_encoder.shared_embedding.positional_embedding"] += 1

    with pytest.raises(ModelUnavailableError, match=r"different codes \(largest difference 1"):
        Sam2MaskSource.from_pretrained(copy_with(tmp_path, shift), CONFIG)


def test_incomplete_weights_are_refused(tmp_path):
    def drop(tensors):
        del tensors["no_memory_embedding"]

    with pytest.raises(ModelUnavailableError, match="lack 1 tensors, first no_memory_embedding"):
        Sam2MaskSource.from_pretrained(copy_with(tmp_path, drop), CONFIG)
