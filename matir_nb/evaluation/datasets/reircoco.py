"""REIRCOCO, expressions that name one instance among all images (Hao et al., ACM MM 2025).

The file is COCO-like with one "image" for each instance: its ids are those of instances, and the
gallery is its file names, each once. The layout is that of the authors' converter.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matir_nb.errors import require_known
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import by_id, find_file, image_name, read_json, readable
from matir_nb.evaluation.datasets.referents import BOXES, expression, read_referent
from matir_nb.types import QueryTruth

REIRCOCO = Source(
    "REIRCOCO (Hao et al., ACM MM 2025)",
    "https://huggingface.co/datasets/haoxiangzhao/REIRCOCO",
    "MIT (code), each photograph of COCO its own Flickr licence",
)
HEADLINE = ("BR@1,0.5", "BR@5,0.5", "BR@10,0.5", "BR@1,0.7", "BR@1,0.9", "R@1")


def read_reircoco(file: Path | str, *, split: str = "test", boxes: str = "published") -> Dataset:
    """Return every expression as a query for its one instance.

    Args:
        file: ``reir_coco_test.json``, or a folder above it.
        split: "test" or "train": which file of a folder.
        boxes: "published" or "masks".

    Raises:
        ConfigError: `boxes` has another value.
        AnnotationError: there is no such file, or it cannot be used.
    """
    require_known("boxes", [boxes], BOXES)
    name = f"reir_coco_{split}.json"
    places = [name, f"retrieval/{name}", f"annotations/retrieval/{name}"]
    path = find_file(Path(file), places, REIRCOCO, name)
    document = read_json(path)
    with readable(str(path)):
        images = by_id(path, document["images"])
        queries = tuple(_queries(document["annotations"], images, path, boxes))
        image_ids = tuple(dict.fromkeys(image_name(image) for image in images.values()))
    return Dataset(
        "reircoco",
        REIRCOCO,
        image_ids,
        queries,
        {
            "file": path.name,
            "queries": "every expression of every instance",
            "relevant": "the one image of the instance",
            "targets": "the one instance, its box " + BOXES[boxes],
            "gallery": "the file's images, each file name once",
            "rank": "BR@K: of the instance's image's best box among the boxes of all hits, as "
            "released; BR/images@K: among the images",
        },
        HEADLINE,
    )


def _queries(
    annotations: Sequence[Mapping[str, Any]],
    images: Mapping[Any, Mapping[str, Any]],
    file: Path,
    boxes: str,
) -> Iterator[QueryTruth]:
    for annotation in annotations:
        image = images[annotation["image_id"]]
        referent = read_referent(
            annotation["bbox"],
            annotation.get("segmentation"),
            image_id=image_name(image),
            size_hw=(int(image["height"]), int(image["width"])),
            what=f"annotation {annotation['id']} in {str(file)!r}",
        )
        for place, text in enumerate(image["expressions"]):
            if text.strip():
                query_id = f"{annotation['id']}-{place}"
                yield expression(query_id, text.strip(), "expression", [referent], boxes)
