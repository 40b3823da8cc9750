"""COCO: categories with instances, captions, and the things and stuff of panoptic pictures.

Lin et al., "Microsoft COCO" (ECCV 2014); Kirillov et al., "Panoptic Segmentation" (CVPR 2019).
Ids may exceed 32 bits. What is asked and what is right stands in each dataset's `protocol`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import (
    by_id,
    find_file,
    grouped,
    image_name,
    read_json,
    readable,
)
from matir_nb.evaluation.datasets.karpathy import read_karpathy
from matir_nb.evaluation.datasets.masks import Targets, panoptic_masks, read_mask, targets_of
from matir_nb.progress import shown_progress
from matir_nb.types import MaskRLE, QueryTruth

Annotation: TypeAlias = Mapping[str, Any]

COCO = Source(
    "COCO 2017 (Lin et al., ECCV 2014)",
    "https://cocodataset.org/#download",
    "annotations CC BY 4.0, each photograph its own Flickr licence",
)
INSTANCES, PANOPTIC = "annotations_trainval2017.zip", "panoptic_annotations_trainval2017.zip"
HEADLINE = ("mAP@50", "mAP@50@50", "mIoU", "R@1", "R@10")
SUFFIXES = ("-merged", "-other", "-stuff")
"""Endings of panoptic names that say how categories were joined, and nothing of the picture."""
_CROWD = {
    "relevant": "images with at least one instance, a crowd among them",
    "targets": "the instances that are no crowd; where there is none, the crowd",
    "boxes": "tight around each target mask",
    "gallery": "all images of the file",
}


@dataclass(frozen=True, slots=True)
class Instance:
    """Something of a category in an image."""

    image_id: str
    mask: MaskRLE
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class ImageNames:
    """The images of a file: by its own ids, the names that the house uses.

    Attributes:
        file: where they were read.
        images: the file's id -> its entry.
        names: the file's id -> image id.
    """

    file: Path
    images: Mapping[Any, Annotation]
    names: Mapping[Any, str]

    def size_hw(self, number: Any) -> tuple[int, int]:
        """Return the (height, width) of an image."""
        image = self.images[number]
        return int(image["height"]), int(image["width"])


def read_coco(path: Path | str, *, split: str = "val2017") -> Dataset:
    """Return the categories of COCO instances as queries.

    Args:
        path: the JSON file, or the folder with ``instances_<split>.json``.
        split: which file of a folder.

    Raises:
        AnnotationError: there is no such file, or it cannot be used.
    """
    names = (f"instances_{split}.json", "instances.json")
    file = find_file(Path(path), names, COCO, INSTANCES)
    document = read_json(file)
    with readable(str(file)):
        images = images_of(file, document["images"], image_name)
        by_category = grouped(document["annotations"], lambda a: a["category_id"])
        queries = queries_of(
            document["categories"],
            by_category,
            lambda category, rows: category_query(category, list(instances_of(rows, images))),
        )
    protocol = {"queries": "the category names that any image shows", **_CROWD}
    return _dataset("coco", images, queries, protocol)


def read_coco_panoptic(path: Path | str, *, split: str = "val2017") -> Dataset:
    """Return the things and stuff of COCO panoptic as queries, their segments as targets.

    Args:
        path: the JSON file with its folder of PNGs, named like it, beside it; or the folder that
            holds both.
        split: which file of a folder.

    Raises:
        AnnotationError: a file is missing or cannot be used.
    """
    names = (f"panoptic_{split}.json", "panoptic.json")
    file = find_file(Path(path), names, COCO, PANOPTIC)
    document = read_json(file)
    with readable(str(file)):
        images = images_of(file, document["images"], image_name)
        found = grouped(list(_segments(document["annotations"], images)), lambda pair: pair[0])
        queries = [
            category_query(
                category,
                [instance for _, instance in found[category["id"]]],
                text=_plain(category["name"]),
                kind="thing" if category["isthing"] else "stuff",
            )
            for category in document["categories"]
            if category["id"] in found
        ]
    protocol = {
        "queries": "the names of things and stuff that any image shows, "
        f"without {', '.join(SUFFIXES)}",
        **_CROWD,
    }
    return _dataset("coco-panoptic", images, queries, protocol)


def read_coco_captions(path: Path | str, *, split: str = "val2017") -> Dataset:
    """Return every caption as a query for its one image.

    Args:
        path: the JSON file, or the folder with ``captions_<split>.json``.
        split: which file of a folder; "karpathy" = the test split of `karpathy.read_karpathy`,
            COCO's or Flickr30k's.

    Raises:
        AnnotationError: there is no such file, or it cannot be used.
    """
    if split == "karpathy":
        return read_karpathy(path)
    names = (f"captions_{split}.json", "captions.json")
    file = find_file(Path(path), names, COCO, INSTANCES)
    document = read_json(file)
    with readable(str(file)):
        images = images_of(file, document["images"], image_name)
        queries = [
            QueryTruth(f"cap-{a['id']}", text, "caption", frozenset({images.names[a["image_id"]]}))
            for a in document["annotations"]
            if (text := a["caption"].strip())
        ]
    protocol = {
        "queries": "every caption, without space around it",
        "relevant": "the one image that the caption was written for; others may fit, too",
        "gallery": "all images of the file (val2017 is not Karpathy's test split)",
    }
    dataset = _dataset("coco-captions", images, queries, protocol)
    return replace(dataset, headline=("R@1", "R@5", "R@10", "MRR"))


def images_of(
    file: Path, images: Sequence[Annotation], name: Callable[[Annotation], str]
) -> ImageNames:
    """Return the images of a file, each named by `name` of its entry.

    Raises:
        AnnotationError: two have one id.
    """
    entries = by_id(file, images)
    return ImageNames(file, entries, {number: name(image) for number, image in entries.items()})


def queries_of(
    categories: Sequence[Annotation],
    by_category: Mapping[Any, Sequence[Annotation]],
    make: Callable[[Annotation, Sequence[Annotation]], QueryTruth],
) -> tuple[QueryTruth, ...]:
    """Return what `make` gives of each category that has annotations, and of those."""
    shown = [category for category in categories if category["id"] in by_category]
    queries = []
    with shown_progress("masks", units="categories") as advance:
        for done, category in enumerate(shown, start=1):
            queries.append(make(category, by_category[category["id"]]))
            advance(done, len(shown))
    return tuple(queries)


def instances_of(annotations: Sequence[Annotation], images: ImageNames) -> Iterator[Instance]:
    """Yield the instances of COCO annotations.

    Raises:
        AnnotationError: a mask is broken, or of another size than its image.
    """
    for annotation in annotations:
        number = annotation["image_id"]
        what = f"annotation {annotation['id']} in {str(images.file)!r}"
        mask = read_mask(annotation["segmentation"], *images.size_hw(number), what)
        yield Instance(images.names[number], mask, bool(annotation.get("iscrowd", 0)))


def category_query(
    category: Annotation,
    instances: Sequence[Instance],
    *,
    text: str | None = None,
    kind: str = "category",
) -> QueryTruth:
    """Return the query for a category: every image with an instance is relevant.

    Args:
        category: with "id" and "name".
        instances: all of it.
        text: the query; None = the name.
        kind: of query.
    """
    targets = crowd_last(instances)
    return QueryTruth(
        query_id=f"cat-{category['id']}",
        text=category["name"] if text is None else text,
        kind=kind,
        relevant=frozenset(instance.image_id for instance in instances),
        masks=targets.masks,
        boxes_xyxy=targets.boxes_xyxy,
    )


def crowd_last(instances: Sequence[Instance]) -> Targets:
    """Return the targets by image: what is no crowd, or the crowd where there is nothing else."""
    by_image = grouped(instances, lambda instance: instance.image_id)
    chosen = {
        image_id: [i.mask for i in found if not i.is_crowd] or [i.mask for i in found]
        for image_id, found in by_image.items()
    }
    return targets_of(chosen)


def _segments(
    annotations: Sequence[Annotation], images: ImageNames
) -> Iterator[tuple[Any, Instance]]:
    """Yield every segment with its category."""
    folder = images.file.with_suffix("")
    if annotations and not folder.is_dir():
        message = (
            f"there is no folder {str(folder)!r}: put the PNGs of {images.file.name} there "
            f"(they are in {PANOPTIC}, {COCO.url})"
        )
        raise AnnotationError(message)
    with shown_progress("panoptic pictures") as advance:
        for done, annotation in enumerate(annotations, start=1):
            number, segments = annotation["image_id"], annotation["segments_info"]
            png = folder / annotation["file_name"]
            ids = [int(segment["id"]) for segment in segments]
            masks = panoptic_masks(png, ids, *images.size_hw(number))
            for segment, mask in zip(segments, masks, strict=True):
                is_crowd = bool(segment["iscrowd"])
                yield segment["category_id"], Instance(images.names[number], mask, is_crowd)
            advance(done, len(annotations))


def _plain(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.replace(suffix, "")
    return name


def _dataset(
    name: str, images: ImageNames, queries: Sequence[QueryTruth], protocol: Mapping[str, str]
) -> Dataset:
    return Dataset(
        name,
        COCO,
        tuple(images.names.values()),
        tuple(queries),
        protocol={"file": images.file.name, **protocol},
        headline=HEADLINE,
    )
