import json

import numpy as np
import pytest
from PIL import Image

from matir_nb.errors import AnnotationError
from matir_nb.geometry.masks import decode, encode
from matir_nb.models.given_masks import GivenMasks

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]
IMAGE = {"id": 7, "file_name": "a.jpg", "height": 6, "width": 8}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def corner_mask():
    mask = np.zeros((6, 8), bool)
    mask[4:, 6:] = True
    return mask


def compressed(mask):
    rle = encode(mask)
    return {"size": list(rle.size), "counts": rle.counts.decode()}


def instances(*segmentations, images=(IMAGE,)):
    annotations = [
        {"id": 10**10 + i, "image_id": images[0]["id"], "segmentation": s, "bbox": [0, 0, 99, 99]}
        for i, s in enumerate(segmentations)
    ]
    return {"images": list(images), "annotations": annotations, "categories": []}


def test_all_forms_of_coco_segmentation(tmp_path):
    runs = {"size": [6, 8], "counts": [0, 6, 42]}
    forms = [[SQUARE, [5, 0, 7, 0, 7, 2, 5, 2]], runs, compressed(corner_mask())]
    masks = GivenMasks.from_file(write(tmp_path / "m.json", instances(*forms)))
    regions = masks.regions_for("a.jpg", 6, 8)
    assert regions.areas.tolist() == [9 + 4, 6, 4]
    assert regions.boxes_xyxy.tolist() == [[1, 0, 7, 4], [0, 0, 1, 6], [6, 4, 8, 6]]
    assert regions.predicted_ious.tolist() == [1, 1, 1]
    assert masks.kind == "coco-instances"


def test_an_image_without_masks_gives_empty_regions(tmp_path):
    masks = GivenMasks.from_file(write(tmp_path / "m.json", instances()))
    assert len(masks.regions_for("a.jpg", 6, 8)) == 0
    assert masks.regions_for("unknown.jpg", 3, 3).boxes_xyxy.shape == (0, 4)


def test_masks_without_a_pixel_are_left_out(tmp_path):
    document = instances(compressed(np.zeros((6, 8))), [], compressed(corner_mask()))
    regions = GivenMasks.from_file(write(tmp_path / "m.json", document)).regions_for("a.jpg", 6, 8)
    assert regions.areas.tolist() == [4]


def test_sam_records_keep_their_scores_and_not_their_boxes(tmp_path):
    records = [
        {
            "segmentation": compressed(corner_mask()),
            "bbox": [6, 4, 1, 1],  # SAM's boxes end at the last pixel
            "area": 4,
            "predicted_iou": 0.75,
            "stability_score": 0.5,
        },
        {"segmentation": corner_mask()[::-1].tolist(), "predicted_iou": 0.25},
    ]
    masks = GivenMasks.from_file(write(tmp_path / "m.json", {"sub/a.jpg": records}))
    regions = masks.regions_for("sub/a.jpg", 6, 8)
    assert regions.boxes_xyxy.tolist() == [[6, 4, 8, 6], [6, 0, 8, 2]]
    assert regions.predicted_ious.tolist() == [0.75, 0.25]
    assert regions.stability_scores.tolist() == [0.5, 1]
    assert np.array_equal(decode(regions.masks[0]), corner_mask())


def test_a_folder_of_records_is_matched_with_or_without_suffix(tmp_path):
    record = [{"segmentation": compressed(corner_mask())}]
    write(tmp_path / "m" / "a.json", record)
    write(tmp_path / "m" / "sub" / "b.jpg.json", record)
    sa1b = {"image": {**IMAGE, "file_name": "c.jpg"}, "annotations": record}
    write(tmp_path / "m" / "c.json", sa1b)
    masks = GivenMasks.from_file(tmp_path / "m")
    assert len(masks) == 3
    assert masks.kind == "sam-records"
    for image_id in ("a.jpg", "sub/b.jpg", "c.jpg"):
        assert len(masks.regions_for(image_id, 6, 8)) == 1


def test_one_list_of_records_belongs_to_the_image_of_that_name(tmp_path):
    path = write(tmp_path / "photo.json", [{"segmentation": compressed(corner_mask())}])
    masks = GivenMasks.from_file(path)
    assert len(masks.regions_for("x/photo.png", 6, 8)) == 1
    assert len(masks.regions_for("x/other.png", 6, 8)) == 0


def test_panoptic_ids_use_all_three_channels(tmp_path):
    ids = np.zeros((6, 8), np.uint32)
    ids[:, :2], ids[:, 2:5] = 5, 5 + 256 * 7 + 65536 * 9
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    (tmp_path / "pan").mkdir()
    Image.fromarray(rgb).save(tmp_path / "pan" / "a.png")
    segments = [{"id": 5 + 256 * 7 + 65536 * 9}, {"id": 5}]
    document = {
        "images": [IMAGE],
        "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": segments}],
    }
    masks = GivenMasks.from_file(write(tmp_path / "pan.json", document))
    assert masks.kind == "coco-panoptic"
    assert masks.regions_for("a.jpg", 6, 8).areas.tolist() == [18, 12]
    (tmp_path / "pan" / "a.png").unlink()
    with pytest.raises(AnnotationError, match="FileNotFoundError"):
        masks.regions_for("a.jpg", 6, 8)


def test_whole_path_beats_file_name_and_ambiguity_is_an_error(tmp_path):
    record = [{"segmentation": compressed(corner_mask())}]
    path = write(tmp_path / "m.json", {"x/a.jpg": record, "y/a.jpg": record * 2})
    masks = GivenMasks.from_file(path)
    assert len(masks.regions_for("y/a.jpg", 6, 8)) == 2
    with pytest.raises(AnnotationError, match=r"'z/a.jpg' fits 2 images .*: use whole paths"):
        masks.regions_for("z/a.jpg", 6, 8)


def test_another_size_than_the_image_is_an_error(tmp_path):
    by_size = GivenMasks.from_file(write(tmp_path / "m.json", instances([SQUARE])))
    with pytest.raises(AnnotationError, match=r"\(height, width\) \(6, 8\), but .* has \(8, 6\)"):
        by_size.regions_for("a.jpg", 8, 6)
    records = {"a.jpg": [{"segmentation": compressed(corner_mask())}]}
    by_rle = GivenMasks.from_file(write(tmp_path / "r.json", records))
    with pytest.raises(AnnotationError, match=r"expected \(height, width\) \(8, 6\), got \(6, 8\)"):
        by_rle.regions_for("a.jpg", 8, 6)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [6, 8], "counts": "truncated?"},
        {"size": [6, 8], "counts": [1, 2]},
        {"size": [6, 8]},
        {"size": [6, 8], "counts": None},
        [[1, 2, 3]],
        "polygon",
        None,
    ],
)
def test_a_broken_mask_names_its_image(tmp_path, segmentation):
    masks = GivenMasks.from_file(write(tmp_path / "m.json", instances(segmentation)))
    with pytest.raises(AnnotationError, match=r"masks of 'a\.jpg' cannot be used"):
        masks.regions_for("a.jpg", 6, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("3", "unknown layout: give COCO"),
        ("{}", "unknown layout"),
        ('{"a": 1}', "unknown layout"),
        ('{"images": [{}], "annotations": []}', "lacks a field or has a wrong one: KeyError: 'id'"),
        ('{"images": [], "annotations": [{"image_id": 3}]}', "KeyError: 3"),
    ],
)
def test_a_file_that_is_no_annotation_file_is_refused(tmp_path, content, message):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(AnnotationError, match=message):
        GivenMasks.from_file(tmp_path / "m.json")


def test_absent_files_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(AnnotationError, match=r"cannot read .*none\.json"):
        GivenMasks.from_file(tmp_path / "none.json")
    with pytest.raises(AnnotationError, match="no JSON file in"):
        GivenMasks.from_file(tmp_path)


def test_the_model_id_follows_the_content(tmp_path):
    first = GivenMasks.from_file(write(tmp_path / "a.json", instances([SQUARE])))
    same = GivenMasks.from_file(write(tmp_path / "b.json", instances([SQUARE])))
    other = GivenMasks.from_file(write(tmp_path / "c.json", instances([SQUARE], [SQUARE])))
    assert first.model_id == same.model_id != other.model_id
    assert first.model_id.startswith("given-masks:coco-instances:")


@pytest.mark.parametrize(
    ("name", "n_images", "n_masks"), [("instances", 58, 467), ("panoptic", 26, 268)]
)
def test_coco_boxes_agree_with_the_masks(matir_data, name, n_images, n_masks):
    path = matir_data / "annotations" / "coco_open" / f"{name}.json"
    document = json.loads(path.read_text())
    by_image = {image["id"]: [] for image in document["images"]}
    for annotation in document["annotations"]:
        by_image[annotation["image_id"]] += annotation.get("segments_info", [annotation])
    masks = GivenMasks.from_file(path)
    assert len(masks) == n_images
    n_seen = 0
    for image in document["images"]:
        image_id = f"coco_open/{image['file_name']}"
        regions = masks.regions_for(image_id, image["height"], image["width"])
        n_seen += len(regions)
        for box, annotation in zip(regions.boxes_xyxy, by_image[image["id"]], strict=True):
            x, y, width, height = annotation["bbox"]
            if not annotation["iscrowd"]:
                assert np.abs(box - [x, y, x + width, y + height]).max() <= 4
    assert n_seen == n_masks
