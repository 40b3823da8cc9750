import json

import numpy as np
import pytest
import torch
from fakes import OracleEncoder, scene_gallery
from PIL import Image

import matir_nb
from matir_nb.errors import AnnotationError, ConfigError, IndexMismatchError
from matir_nb.geometry.masks import decode, encode, encode_many
from matir_nb.models.record_masks import RecordMasks
from matir_nb.types import MaskRLE

IMAGE = np.zeros((6, 8, 3), np.uint8)


class Predictor:
    def __init__(self, model):
        self.model = model
        self._features = None


class SAM2AutomaticMaskGenerator:
    """Has the attributes that Meta's class of this name has after its constructor."""

    def __init__(self, records=(), *, n_points=32, weight=1.0, **options):
        model = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(model.weight, weight)
        torch.nn.init.constant_(model.bias, 0.0)
        model.image_size = 1024
        steps = (np.arange(n_points) + 0.5) / n_points
        self.point_grids = [np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)]
        self.predictor = Predictor(model)
        self.points_per_batch = 64
        self.pred_iou_thresh = 0.8
        self.stability_score_thresh = 0.95
        self.stability_score_offset = 1.0
        self.mask_threshold = 0.0
        self.box_nms_thresh = 0.7
        self.crop_n_layers = 0
        self.crop_nms_thresh = 0.7
        self.crop_overlap_ratio = 512 / 1500
        self.crop_n_points_downscale_factor = 1
        self.min_mask_region_area = 0
        self.output_mode = "binary_mask"
        self.use_m2m = False
        self.multimask_output = True
        vars(self).update(options)
        self._records = records
        self._seen = []

    def generate(self, image):
        self._seen.append(image)
        return self._records(image) if callable(self._records) else list(self._records)


def block(x0, y0, x1, y1):
    mask = np.zeros((6, 8), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def record(segmentation, iou=0.5, **more):
    return {
        "segmentation": segmentation,
        "area": 12345,
        "bbox": [0, 0, 1, 1],
        "predicted_iou": iou,
        "point_coords": [[1.5, 2.5]],
        "stability_score": 0.25,
        "crop_box": [0, 0, 8, 6],
        **more,
    }


def regions_of(*records):
    (regions,) = RecordMasks(SAM2AutomaticMaskGenerator(records)).generate([IMAGE])
    return regions


# --- records


@pytest.mark.parametrize("form", ["array", "tensor", "runs", "text", "bytes"])
def test_every_output_mode_of_the_generator_is_read(form):
    mask = block(2, 1, 5, 4)
    counts = encode(mask).counts
    forms = {
        "array": mask,
        "tensor": torch.from_numpy(mask),
        "runs": {"size": [6, 8], "counts": [13, 3, 3, 3, 3, 3, 20]},
        "text": {"size": [6, 8], "counts": counts.decode()},
        "bytes": {"size": (6, 8), "counts": counts},
    }
    regions = regions_of(record(forms[form]))
    assert np.array_equal(decode(regions.masks[0]), mask)
    assert regions.boxes_xyxy.tolist() == [[2, 1, 5, 4]]
    assert regions.areas.tolist() == [9]
    assert regions.stability_scores.tolist() == [0.25]


def test_the_best_rated_come_first_and_empty_masks_are_left_out():
    nothing = record(block(0, 0, 0, 0), 0.99)
    regions = regions_of(record(block(0, 0, 1, 1), 0.25), nothing, record(block(2, 2, 4, 4), 0.75))
    assert regions.predicted_ious.tolist() == [0.75, 0.25]
    assert regions.areas.tolist() == [4, 1]


def test_scores_that_are_not_given_are_1():
    regions = regions_of({"segmentation": block(0, 0, 2, 2)})
    assert (regions.predicted_ious[0], regions.stability_scores[0]) == (1, 1)


def test_no_records_give_no_regions():
    regions = regions_of()
    assert len(regions) == 0
    assert regions.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (record(np.zeros((8, 6), bool)), r"expected \(height, width\) \(6, 8\), got \(8, 6\)"),
        (record({"size": [8, 6], "counts": [48]}), r"got \(8, 6\)"),
        (record({"size": [6, 8], "counts": [1, 2]}), "runs: expected sum 48"),
        (record({"size": [6, 8], "counts": "cut off?"}), "runs"),
        (record({"size": [6, 8], "counts": "é"}), "UnicodeEncodeError"),
        (record({"size": [6, 8]}), "KeyError: 'counts'"),
        (record(None), "got ()"),
        (record(block(0, 0, 1, 1), iou="good"), "could not convert"),
        (record(block(0, 0, 1, 1), iou=float("nan")), "expected finite numbers"),
        ({"mask": 1}, "KeyError: 'segmentation'"),
        (7, "TypeError"),
    ],
)
def test_a_broken_record_names_image_and_record(broken, message):
    good = record(block(0, 0, 1, 1))
    source = RecordMasks(
        SAM2AutomaticMaskGenerator(lambda image: [good, broken] if image.any() else [good])
    )
    with pytest.raises(AnnotationError, match=message) as caught:
        source.generate([IMAGE, IMAGE + 1])
    assert "record 1 of image 1 (8 x 6 pixels) cannot be used" in str(caught.value)


def test_what_is_no_list_of_records_is_refused():
    source = RecordMasks(SAM2AutomaticMaskGenerator(lambda _image: None))
    with pytest.raises(AnnotationError, match=r"gave 'NoneType' for image 0 .*: a list of records"):
        source.generate([IMAGE])


def test_the_generator_gets_its_own_copy_of_each_image():
    image = IMAGE + 3
    image.flags.writeable = False
    generator = SAM2AutomaticMaskGenerator()
    RecordMasks(generator).generate([image, IMAGE])
    first, second = generator._seen
    assert np.array_equal(first, image)
    assert first.flags.writeable
    assert first.flags.c_contiguous
    assert second is not IMAGE


def test_recorded_masks_of_sam_2_are_read_exactly(matir_data):
    path = matir_data / "annotations" / "formats" / "sav_000001_manual.json"
    frame = json.loads(path.read_text())["masklet"][0]
    records = [record(rle, 1 - i / 10, crop_box=[0, 0, 480, 848]) for i, rle in enumerate(frame)]
    source = RecordMasks(SAM2AutomaticMaskGenerator(records, output_mode="coco_rle"))
    (regions,) = source.generate([np.zeros((848, 480, 3), np.uint8)])
    filled = [rle for rle in frame if decode(rle_of(rle)).any()]
    assert len(regions) == len(filled) >= 3
    for rle, mask, box, area in zip(
        filled, regions.masks, regions.boxes_xyxy, regions.areas, strict=True
    ):
        assert mask.counts.decode() == rle["counts"]
        y, x = np.nonzero(decode(mask))
        assert area == len(x)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def rle_of(rle):
    return MaskRLE(tuple(rle["size"]), rle["counts"].encode())


# --- ids


def id_of(**options):
    return RecordMasks(SAM2AutomaticMaskGenerator(**options)).model_id


def test_the_id_names_class_weights_and_plain_options():
    assert id_of().startswith("records:SAM2AutomaticMaskGenerator@")
    for part in ("|image_size=1024,", "box_nms_thresh=0.7", "pred_iou_thresh=0.8", "use_m2m=False"):
        assert part in id_of()
    assert "predictor" not in id_of()
    assert "_records" not in id_of()


@pytest.mark.parametrize(
    "options", [{"weight": 2.0}, {"n_points": 16}, {"crop_n_layers": 1}, {"mode": ["a", "b"]}]
)
def test_what_changes_the_masks_changes_the_id(options):
    assert id_of(**options) != id_of()


def test_what_changes_seconds_only_does_not_change_the_id():
    assert id_of(points_per_batch=128) == id_of()
    half = SAM2AutomaticMaskGenerator()
    half.predictor.model.bfloat16()
    assert RecordMasks(half).model_id == id_of()


def test_a_generator_without_a_model_is_told_by_class_and_options():
    class Threshold:
        def __init__(self, level):
            self.level = level

        def generate(self, image):
            return [{"segmentation": image[..., 0] > self.level}]

    assert RecordMasks(Threshold(3)).model_id == "records:Threshold|level=3"


def test_a_given_name_is_the_id():
    assert RecordMasks(SAM2AutomaticMaskGenerator(), name="mine-2").model_id == "records:mine-2"


# --- build


def test_an_index_is_built_with_any_generator_of_records(tmp_path):
    def halves(image):
        left = np.zeros(image.shape[:2], bool)
        left[:, : image.shape[1] // 2] = True
        return [record(left, 0.5), record(~left, 0.75)]

    scenes = scene_gallery(tmp_path / "scenes", 2)
    out, encoder = tmp_path / "i.matir", OracleEncoder(scenes)
    generator = SAM2AutomaticMaskGenerator(halves)
    report = matir_nb.build(tmp_path / "scenes", out, masks=generator, encoder=encoder)
    assert (report.n_images, report.n_regions) == (2, 4)
    other = SAM2AutomaticMaskGenerator(halves, weight=3.0)
    with pytest.raises(IndexMismatchError, match="SAM2AutomaticMaskGenerator"):
        matir_nb.build(tmp_path / "scenes", out, masks=other, encoder=encoder)


def test_what_finds_no_masks_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"masks = 7 cannot be used: give a file, a mask source"):
        matir_nb.build(tmp_path, tmp_path / "out.matir", masks=7)


def test_many_masks_keep_their_order_among_equals():
    masks = [block(i, 0, i + 1, 2) for i in range(5)]
    assert regions_of(*(record(mask) for mask in masks)).masks == encode_many(np.stack(masks))
