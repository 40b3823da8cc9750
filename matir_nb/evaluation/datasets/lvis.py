"""LVIS, where a category is known in some images only (Gupta et al., CVPR 2019); v0.5 and v1.

Each category is annotated in the images of its positive set, known to be absent from those of its
negative set, and unknown elsewhere: only the two sets are searched for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from matir_nb.evaluation.datasets.coco import (
    ImageNames,
    category_query,
    images_of,
    instances_of,
    queries_of,
)
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import find_file, grouped, image_name, read_json, readable
from matir_nb.types import QueryTruth

LVIS = Source(
    "LVIS (Gupta et al., CVPR 2019)",
    "https://www.lvisdataset.org/dataset",
    "annotations CC BY 4.0, each photograph of COCO 2017 its own Flickr licence",
)
FILES = ("lvis_v1_val.json", "lvis_v0.5_val.json")
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
_PROTOCOL = {
    "queries": "the names of the categories that any image shows, underscores as spaces; the hint "
    "in parentheses stays, without it several categories would have one name",
    "relevant": "images in which the category is annotated",
    "judged": "for each category the relevant images and those where it is known to be absent; "
    "no others are searched",
    "boxes": "tight around each target mask",
    "gallery": "all images of the file",
}


def read_lvis(path: Path | str) -> Dataset:
    """Return the categories of LVIS as queries.

    Args:
        path: ``lvis_v1_val.json`` or ``lvis_v0.5_val.json``, or the folder that holds it.

    Raises:
        AnnotationError: there is no such file, or it cannot be used.
    """
    file = find_file(Path(path), FILES, LVIS, FILES[0])
    document = read_json(file)
    with readable(str(file)):
        images = images_of(file, document["images"], name_on_disk)
        absent = _by_category(images, "neg_category_ids")
        by_category = grouped(document["annotations"], lambda a: a["category_id"])
        queries = queries_of(
            document["categories"],
            by_category,
            lambda category, rows: _query(category, rows, absent, images),
        )
        unfinished = _by_category(images, "not_exhaustive_category_ids")
    n_unfinished = sum(len(found) for found in unfinished.values())
    targets = (
        f"the annotated instances; {n_unfinished} pairs of category and image have more that are "
        "not annotated: a mask of one of those counts as wrong"
    )
    return Dataset(
        "lvis",
        LVIS,
        tuple(images.names.values()),
        queries,
        protocol={"file": file.name, **_PROTOCOL, "targets": targets},
        headline=("mAP@50/relevant", "mAP@50", "mAP@50@50", "mIoU", "R@10"),
    )


def name_on_disk(image: Mapping[str, Any]) -> str:
    """Return where COCO 2017's archives put an image; its file name where no address is given.

    v0.5 has file names of COCO 2014, v1 addresses only.

    >>> name_on_disk({"coco_url": "http://images.cocodataset.org/val2017/000000266409.jpg"})
    'val2017/000000266409.jpg'
    """
    if "coco_url" not in image:
        return image_name(image)
    return "/".join(PurePosixPath(image["coco_url"]).parts[-2:])


def _query(
    category: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    absent: Mapping[Any, frozenset[str]],
    images: ImageNames,
) -> QueryTruth:
    query = category_query(
        category,
        list(instances_of(annotations, images)),
        text=category["name"].replace("_", " ").strip(),
        kind=FREQUENCIES.get(category["frequency"], category["frequency"]),
    )
    return replace(query, judged=query.relevant | absent.get(category["id"], frozenset()))


def _by_category(images: ImageNames, key: str) -> dict[Any, frozenset[str]]:
    """Return category -> the images that list it under `key`."""
    found: dict[Any, set[str]] = {}
    for number, image in images.images.items():
        for category in image[key]:
            found.setdefault(category, set()).add(images.names[number])
    return {category: frozenset(names) for category, names in found.items()}
