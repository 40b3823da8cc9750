"""A small dataset for every reader: what is published as a sample, else made here."""

import csv
import json
import pickle

from matir_nb.evaluation.datasets.readers import read_dataset

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def coco(data, folder):
    return read_dataset("coco", data / "annotations" / "coco_open")


def coco_captions(data, folder):
    return read_dataset("coco-captions", data / "annotations" / "coco_open")


def coco_panoptic(data, folder):
    return read_dataset("coco-panoptic", data / "annotations" / "coco_open")


def lvis(data, folder):
    return read_dataset("lvis", data / "annotations" / "formats" / "lvis_v0.5_val_50.json")


def d3(data, folder):
    return read_dataset("d3", data / "annotations" / "d3_format_derived", boxes="masks")


def refcoco(data, folder):
    path = data / "annotations" / "refcoco_format_derived"
    return read_dataset("refcoco", path, split="val", boxes="masks")


def reircoco(data, folder):
    """One "image" for each instance; two of them share a file."""
    names = ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]
    images = [
        {"id": n, "file_name": name, "height": 6, "width": 8, "expressions": [f"x{n}", f"y{n}"]}
        for n, name in enumerate(names)
    ]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 3, 3], "segmentation": SQUARE}
        for n in range(len(names))
    ]
    path = folder / "reir_coco_test.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return read_dataset("reircoco", path)


def inquire(data, folder):
    """The published queries, and a made-up answer key: query n has n % 7 + 1 images."""
    content = (data / "annotations" / "formats" / "inquire_queries_val.csv").read_text()
    (folder / "inquire_queries_val.csv").write_text(content)
    numbers = [row["query_id"] for row in csv.DictReader(content.splitlines())]
    with (folder / "inquire_annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query_id", "image_id", "image_path"])
        for place, number in enumerate(numbers):
            for image in range(place, place + place % 7 + 1):
                writer.writerow([number, image, f"val/{image:05d}.jpg"])
    return read_dataset("inquire", folder)


def _landmarks(folder, name):
    truth = [
        {"bbx": [0, 0, 5, 5], "easy": [q], "hard": [q + 1, q + 2], "junk": [q + 3, q + 4]}
        for q in range(0, 20, 4)
    ]
    content = {
        "imlist": [f"im_{n:03d}" for n in range(25)],
        "qimlist": [f"landmark_{q}_000{q}" for q in range(5)],
        "gnd": truth,
    }
    path = folder / f"gnd_{name}.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def roxford(data, folder):
    return read_dataset("roxford", _landmarks(folder, "roxford5k"))


def rparis(data, folder):
    return read_dataset("rparis", _landmarks(folder, "rparis6k"))


def table(data, folder):
    mask = json.dumps({"size": [2, 3], "counts": [2, 2, 2]}).replace('"', '""')
    path = folder / "t.csv"
    path.write_text(
        "query,image,mask,relevant\n"
        f'dog,1.jpg,"{mask}",\ndog,2.jpg,,\ncat,3.jpg,,1\ncat,4.jpg,,0\ncat,1.jpg,,0\n'
        "bird,5.jpg,,\nfish,,,\n"
    )
    return read_dataset("table", path)


def scenes(data, folder):
    return read_dataset("scenes", folder / "images", n_images="20", n_queries="15")


SETS = {
    "coco": coco,
    "coco-captions": coco_captions,
    "coco-panoptic": coco_panoptic,
    "lvis": lvis,
    "d3": d3,
    "refcoco": refcoco,
    "reircoco": reircoco,
    "inquire": inquire,
    "roxford": roxford,
    "rparis": rparis,
    "table": table,
    "scenes": scenes,
}
