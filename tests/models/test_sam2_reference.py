"""Our generator against SAM 2's rules, written down once more, slowly, one prompt batch at a time.

In float64: what differs between two ways to add up numbers then moves no pixel.
"""

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_sam2 import SIDE as TINY_SIDE
from tiny_sam2 import image_model
from transformers import Sam2Model

from matir_nb.config import MaskConfig
from matir_nb.errors import ConfigError
from matir_nb.geometry.masks import area, decode, encode, mask_iou
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.scenes.draw import draw_scene

WEIGHTS = Path(str(files("matir_nb") / "weights" / "sam2"))
SIDE = 224
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
OPTIONS = {
    "points_per_side": 8,
    "points_per_batch": 10,
    "pred_iou_thresh": 0.2,
    "stability_score_thresh": 0.6,
    "max_area_fraction": 1.0,
    "max_regions": 10_000,
}


@pytest.fixture(scope="module")
def model():
    return Sam2Model.from_pretrained(WEIGHTS, dtype=torch.float64).eval()


@pytest.fixture(scope="module")
def image():
    return draw_scene("test", 5).image[:170, :230]


# --- the rules, once more


class Slow:
    """Counts what each rule drops, so that a test can tell that it was at work."""

    def __init__(self, model, config):
        self.model, self.config = model, config
        self.dropped = dict.fromkeys(("iou", "stability", "edge", "crop", "crops"), 0)

    def masks(self, image):
        found = []
        for layer in range(self.config.crop_n_layers + 1):
            for crop in self.crops(*image.shape[:2], layer):
                found += self.of_crop(image, crop, layer)
        if self.config.crop_n_layers:
            smallest_first = sorted(found, key=lambda f: f["crop_area"])
            found = self.greedy(smallest_first, self.config.crop_nms_thresh, "crops")
        return sorted(found, key=lambda f: -f["iou"])

    def crops(self, height, width, layer):
        n = 2**layer
        overlap = int(self.config.crop_overlap_ratio * min(height, width) * 2 / n)
        across = math.ceil((overlap * (n - 1) + width) / n)
        down = math.ceil((overlap * (n - 1) + height) / n)
        for column in range(n):
            for row in range(n):
                x0, y0 = column * (across - overlap), row * (down - overlap)
                yield x0, y0, min(x0 + across, width), min(y0 + down, height)

    def of_crop(self, image, crop, layer):
        x0, y0, x1, y1 = crop
        height, width = y1 - y0, x1 - x0
        small = Image.fromarray(image[y0:y1, x0:x1]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = (torch.tensor(np.asarray(small)).float() / 255 - torch.tensor(MEAN).float()) / (
            torch.tensor(STD).float()
        )
        features = self.model.get_image_embeddings(pixels.permute(2, 0, 1)[None].double())
        n = int(self.config.points_per_side / self.config.crop_n_points_downscale_factor**layer)
        steps = np.linspace(1 / (2 * n), 1 - 1 / (2 * n), n)
        points = [(x * width, y * height) for y in steps for x in steps]
        found = []
        for start in range(0, len(points), 4):
            found += self.of_points(image, crop, features, np.array(points[start : start + 4]))
        return self.greedy(
            sorted(found, key=lambda f: -f["iou"]), self.config.box_nms_thresh, "crop"
        )

    def of_points(self, image, crop, features, points):
        x0, y0, x1, y1 = crop
        scale = np.array([SIDE / (x1 - x0), SIDE / (y1 - y0)])
        asked = torch.tensor(points * scale)[None, :, None]
        labels = torch.ones(asked.shape[:3], dtype=torch.int)
        out = self.model(
            image_embeddings=features,
            input_points=asked,
            input_labels=labels,
            multimask_output=True,
        )
        logits = F.interpolate(out.pred_masks[0].float(), (y1 - y0, x1 - x0), mode="bilinear")
        for drawn, iou in zip(
            logits.flatten(0, 1), out.iou_scores[0].flatten().float(), strict=True
        ):
            if not iou > self.config.pred_iou_thresh:
                self.dropped["iou"] += 1
                continue
            offset = self.config.stability_score_offset
            stability = float((drawn > offset).sum() / (drawn > -offset).sum())
            if not stability >= self.config.stability_score_thresh:
                self.dropped["stability"] += 1
                continue
            rows, columns = np.nonzero((drawn > 0).numpy())
            if not len(rows):
                continue
            box = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) + [x0, y0] * 2
            if self.is_cut_off(box, crop, image):
                self.dropped["edge"] += 1
                continue
            mask = np.zeros(image.shape[:2], bool)
            mask[y0:y1, x0:x1] = (drawn > 0).numpy()
            yield {
                "mask": mask,
                "box": box.astype(float),
                "iou": float(iou),
                "stability": stability,
                "crop": crop,
                "crop_area": (x1 - x0) * (y1 - y0),
            }

    def is_cut_off(self, box, crop, image):
        height, width = image.shape[:2]
        return any(
            abs(side - edge) <= 20 and abs(side - end) > 20
            for side, edge, end in zip(box, crop, (0, 0, width, height), strict=True)
        )

    def greedy(self, found, thresh, rule):
        kept = []
        for candidate in found:
            if all(overlap(candidate["box"], k["box"]) <= thresh for k in kept):
                kept.append(candidate)
        self.dropped[rule] += len(found) - len(kept)
        return kept


def overlap(a, b):
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    inside = max(across, 0) * max(down, 0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
    return inside / both if both else 0


@pytest.mark.parametrize(
    ("is_upright", "layers", "more", "at_work"),
    [
        (False, 0, {}, {"iou", "crop"}),
        (True, 0, {"stability_score_thresh": 0.7}, {"iou", "stability", "crop"}),
        (False, 1, {"points_per_side": 4}, {"iou", "stability", "edge", "crop", "crops"}),
        (
            False,
            1,
            {"points_per_side": 4, "box_nms_thresh": 1.0, "crop_nms_thresh": 1.0},
            {"iou", "stability", "edge"},
        ),
        (
            True,
            1,
            {"crop_n_points_downscale_factor": 2, "crop_nms_thresh": 0.3, "box_nms_thresh": 0.9},
            {"iou", "edge", "crops"},
        ),
    ],
)
def test_the_masks_are_exactly_those_of_the_rules(model, image, is_upright, layers, more, at_work):
    picture = np.ascontiguousarray(image.transpose(1, 0, 2)) if is_upright else image
    config = MaskConfig(**{**OPTIONS, "crop_n_layers": layers, **more})
    slow = Slow(model, config)
    with torch.no_grad():
        expected = slow.masks(picture)
    assert {rule for rule, n in slow.dropped.items() if n} >= at_work
    (regions,) = Sam2MaskSource(model, config, revision="tiny").generate([picture])
    assert len(expected) >= 3
    assert layers == 0 or len({f["crop"] for f in expected}) > 1
    assert list(regions.masks) == [encode(f["mask"]) for f in expected]
    assert regions.predicted_ious.tolist() == pytest.approx([f["iou"] for f in expected], abs=1e-5)
    assert regions.stability_scores.tolist() == [f["stability"] for f in expected]


def test_several_pictures_of_different_sizes_are_segmented_as_each_alone(model, image):
    config = MaskConfig(**OPTIONS | {"points_per_side": 3, "crop_n_layers": 1})
    source = Sam2MaskSource(model, config, revision="embedded")
    pictures = [image, image[:60, 5:55], image[:, :100]]
    together = source.generate(pictures)
    for picture, regions in zip(pictures, together, strict=True):
        (alone,) = source.generate([picture])
        assert alone.masks == regions.masks


def test_stability_on_the_coarse_masks_is_near_the_one_at_full_size(model, image):
    options = OPTIONS | {"stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    config = MaskConfig(**options), MaskConfig(**options, stability_at="decoder")
    fine, coarse = (Sam2MaskSource(model, c, revision="t").generate([image])[0] for c in config)
    assert fine.masks == coarse.masks
    difference = np.abs(fine.stability_scores - coarse.stability_scores)
    assert 0 < difference.max() < 0.2


# --- small regions


def test_small_holes_and_islands_are_cleaned_at_the_size_of_the_picture(model, image):
    options = OPTIONS | {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0}
    raw, clean = (
        Sam2MaskSource(model, MaskConfig(**options, min_mask_region_area=n), revision="t")
        for n in (0, 150)
    )
    (before,), (after,) = raw.generate([image]), clean.generate([image])
    assert len(before) == len(after)
    n_changed = sum(a != b for a, b in zip(before.masks, after.masks, strict=True))
    assert n_changed > 0
    assert mask_iou(before.masks, after.masks).diagonal().min() > 0.5
    for rle, size, box in zip(after.masks, after.areas, after.boxes_xyxy, strict=True):
        y, x = np.nonzero(decode(rle))
        assert size == area(rle)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


# --- where prompts lie


def asked_points(model, config, image):
    """Return the points that reach the prompt encoder, as it reads them, in model pixels."""
    seen = []

    def note(_module, _arguments, keywords):
        seen.append(keywords["input_points"][0, :, 0])

    hook = model.prompt_encoder.register_forward_pre_hook(note, with_kwargs=True)
    try:
        Sam2MaskSource(model, config, revision="tiny").generate([image])
    finally:
        hook.remove()
    return torch.cat(seen).numpy() + 0.5  # the prompt encoder adds it


def farthest(points, length):
    """Return how far the worst of `length` pixels is from its nearest point, in lengths."""
    centres = (np.arange(length) + 0.5) / length
    return np.abs(centres[:, None] - points[None]).min(1).max()


@settings(max_examples=12)
@given(
    height=st.integers(3, 90),
    width=st.integers(3, 90),
    n=st.integers(1, 7),
    convention=st.sampled_from(["sam2", "half-open"]),
)
def test_every_pixel_is_within_half_a_cell_of_a_prompt(height, width, n, convention):
    config = MaskConfig(
        points_per_side=n, points_per_batch=5, pixel_convention=convention, pred_iou_thresh=1.0
    )
    image = np.zeros((height, width, 3), np.uint8)
    points = asked_points(image_model(), config, image) / TINY_SIDE
    assert len(points) == n * n
    shift = 0.5 / TINY_SIDE if convention == "sam2" else 0
    for axis, length in ((0, width), (1, height)):
        assert farthest(np.unique(points[:, axis]), length) <= 0.5 / n + shift + 1e-6


def test_points_scaled_by_the_longer_side_would_miss_the_lower_part():
    # What transformers' own processor does with 640 x 480: the test above would notice.
    grid = (np.arange(8) + 0.5) / 8
    assert farthest(grid * 480 / 640, 480) > 0.5 / 8 + 0.1


def test_a_factor_that_leaves_no_point_is_refused():
    with pytest.raises(ConfigError, match="crop_n_points_downscale_factor = 5 is not allowed"):
        MaskConfig(points_per_side=4, crop_n_layers=1, crop_n_points_downscale_factor=5)
