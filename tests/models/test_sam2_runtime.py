from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sam2 import image_model

from matir_nb.errors import ModelUnavailableError
from matir_nb.geometry.masks import mask_iou
from matir_nb.models.runtime import Runtime
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.presets import preset_named
from matir_nb.scenes.draw import draw_scene

WEIGHTS = Path(str(files("matir_nb") / "weights" / "sam2"))
CONFIG = replace(preset_named("embedded").masks, points_per_side=6, boundary_cells=0.0)


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene("test", index) for index in range(3)]


def source_in(dtype):
    return Sam2MaskSource.from_pretrained(WEIGHTS, CONFIG, runtime=Runtime(dtype=dtype))


# --- memory


class Small:
    """Lets a module work on few rows only, as a small GPU does."""

    def __init__(self, module, most, rows):
        self.most, self.rows, self.refused = most, rows, 0
        self.hook = module.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, _module, arguments, keywords):
        if self.rows(arguments, keywords) > self.most:
            self.refused += 1
            message = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(message)


def views(arguments, _keywords):
    return len(arguments[0])


def prompts(_arguments, keywords):
    return keywords["input_points"].shape[:2].numel()


@pytest.mark.parametrize(
    ("part", "rows", "most", "n_refused"),
    # views: 4 crops, then 2. Prompts: of one view 36, 18, 9; of four views 4 x 9, 4 x 4, 4 x 2.
    [("vision_encoder", views, 2, 1), ("prompt_encoder", prompts, 9, 4)],
)
def test_out_of_memory_halves_the_batch_and_goes_on(caplog, part, rows, most, n_refused):
    model = image_model().double()
    loose = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "max_area_fraction": 1.0}
    config = replace(CONFIG, points_per_batch=36, crop_n_layers=1, **loose)
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (90, 130, 3), np.uint8)]
    expected = Sam2MaskSource(model, config, revision="t").generate(images)
    source = Sam2MaskSource(model, config, revision="t")
    small = Small(getattr(model, part), most, rows)
    found = source.generate(images)
    small.hook.remove()
    assert len(expected[0]) > 0
    assert found[0].masks == expected[0].masks
    assert found[0].predicted_ious.tolist() == expected[0].predicted_ious.tolist()
    assert small.refused == n_refused
    said = [r.message for r in caplog.records if "do not fit into memory" in r.message]
    assert len(said) == small.refused
    # What did not fit once is not tried again.
    small = Small(getattr(model, part), most, rows)
    source.generate(images)
    small.hook.remove()
    assert small.refused == 0


def test_when_not_even_one_fits_the_error_says_so():
    model = image_model()
    Small(model.vision_encoder, 0, views)
    source = Sam2MaskSource(model, CONFIG, revision="t")
    with pytest.raises(ModelUnavailableError, match="not even one fits into memory"):
        source.generate([np.zeros((30, 40, 3), np.uint8)])


def test_large_squares_are_encoded_one_by_one_on_a_cpu():
    model = image_model()
    assert Sam2MaskSource(model, CONFIG, revision="t")._crops_at_once() == 8
    model.config.prompt_encoder_config.image_size = 1024
    assert Sam2MaskSource(model, CONFIG, revision="t")._crops_at_once() == 1


# --- precision


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.9), (torch.float16, 0.97)])
def test_half_precision_finds_nearly_the_same_masks(scenes, dtype, least):
    full, half = source_in(torch.float32), source_in(dtype)
    model = half._model
    assert model.vision_encoder.dtype == dtype
    code = model.shared_image_embedding.positional_embedding
    own = full._model.shared_image_embedding.positional_embedding
    assert torch.equal(code, own)
    images = [scene.image for scene in scenes]
    for exact, rounded in zip(full.generate(images), half.generate(images), strict=True):
        assert rounded.predicted_ious.dtype == np.float32
        assert rounded.stability_scores.dtype == np.float32
        best = mask_iou(exact.masks, rounded.masks).max(1)
        assert np.mean(best) > least
    y, x = np.nonzero(scenes[0].visible_mask(0))
    box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
    masks = [source.from_box(images[0], box) for source in (full, half)]
    assert mask_iou(masks[:1], masks[1:])[0, 0] > 0.9


def test_a_compiled_runtime_compiles_the_image_encoder_only(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **_: compiled.append(module))
    source = Sam2MaskSource.from_pretrained(WEIGHTS, CONFIG, runtime=Runtime(is_compiled=True))
    assert compiled == [source._model.vision_encoder]
