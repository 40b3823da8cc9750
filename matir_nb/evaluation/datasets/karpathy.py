"""Karpathy's test splits of COCO 2014 and Flickr30k, on which R@K is usually reported.

Karpathy & Fei-Fei, "Deep Visual-Semantic Alignments" (CVPR 2015). One JSON has images with their
sentences and their split.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import find_file, read_json, readable
from matir_nb.types import QueryTruth

KARPATHY = Source(
    "Karpathy's splits (Karpathy & Fei-Fei, CVPR 2015)",
    "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
    "splits not stated, captions of COCO CC BY 4.0, each photograph its own licence",
)
FILES = ("dataset_coco.json", "dataset_flickr30k.json")
SENTENCES = 5
"""Captions of an image that are asked: a few images have more."""


def read_karpathy(path: Path | str) -> Dataset:
    """Return the captions of the test images as queries, each for its one image.

    Args:
        path: ``dataset_coco.json`` or ``dataset_flickr30k.json``, or the folder that holds it.

    Raises:
        AnnotationError: there is no such file, or it cannot be used.
    """
    file = find_file(Path(path), FILES, KARPATHY, "caption_datasets.zip")
    document = read_json(file)
    with readable(str(file)):
        images = {_name(i): i["sentences"] for i in document["images"] if i["split"] == "test"}
        queries = tuple(
            QueryTruth(f"cap-{sentence['sentid']}", text, "caption", frozenset({name}))
            for name, sentences in images.items()
            for sentence in sentences[:SENTENCES]
            if (text := sentence["raw"].strip())
        )
    return Dataset(
        "coco-captions",
        KARPATHY,
        tuple(images),
        queries,
        protocol={
            "file": file.name,
            "queries": f"the first {SENTENCES} captions of each test image, without space around",
            "relevant": "the one image that the caption was written for; others may fit, too",
            "gallery": "the test images: 5,000 of COCO 2014, 1,000 of Flickr30k",
        },
        headline=("R@1", "R@5", "R@10", "MRR"),
    )


def _name(image: Mapping[str, Any]) -> str:
    """Return an image's path; Flickr30k's have no folder."""
    folder = image.get("filepath", "")
    return f"{folder}/{image['filename']}" if folder else str(image["filename"])
