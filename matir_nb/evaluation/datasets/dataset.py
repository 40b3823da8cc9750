"""What every dataset reader gives: queries with their truth, the gallery, the protocol.

This module knows no file format, no metric and no engine.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from matir_nb.errors import AnnotationError
from matir_nb.types import QueryTruth

COCO_2014 = re.compile(r"^COCO_(train|val|test)2014_(?=\d{12}\.)")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dataset comes from.

    Attributes:
        title: the dataset and its paper.
        url: where it is described and downloaded.
        licence: of annotations and images, in a few words.
    """

    title: str
    url: str
    licence: str


@dataclass(frozen=True, slots=True, repr=False)
class Dataset:
    """Queries with known truth over a gallery of images.

    Attributes:
        name: as the command line says it, with the split ("coco", "d3").
        source: where it comes from.
        image_ids: the gallery, each image once, named as the dataset's files name it.
        queries: at least one; their images are in the gallery, their ids are unique.
        protocol: choice -> its value: all that decides the numbers ("relevant": "has at least
            one instance that is no crowd").
        headline: metrics that the field reports, first (`matir_nb.evaluation.runs.measures`).
        depth: hits that are recorded for each query; None = the whole gallery.
    """

    name: str
    source: Source
    image_ids: tuple[str, ...]
    queries: tuple[QueryTruth, ...]
    protocol: Mapping[str, str] = field(default_factory=dict)
    headline: tuple[str, ...] = ("R@1", "R@10", "mAP@50", "mIoU", "mAP@50@50")
    depth: int | None = 100

    def __post_init__(self) -> None:
        """Check that queries and gallery fit together."""
        if not self.queries:
            message = f"{self.name}: no queries: nothing can be measured with these files"
            raise AnnotationError(message)
        gallery = set(self.image_ids)
        _require_unique(f"{self.name}: image", self.image_ids)
        _require_unique(f"{self.name}: query id", (q.query_id for q in self.queries))
        for query in self.queries:
            strangers = _images_of(query) - gallery
            if strangers:
                message = (
                    f"{self.name}: query {query.query_id!r} is about {min(strangers)!r}, "
                    "which is no image of the gallery: the files do not belong together"
                )
                raise AnnotationError(message)
            unknown = frozenset() if query.judged is None else query.relevant - query.judged
            if unknown:
                message = (
                    f"{self.name}: query {query.query_id!r} has the relevant image "
                    f"{min(unknown)!r}, which is none of those judged for it: judge it, too"
                )
                raise AnnotationError(message)

    def __repr__(self) -> str:
        """Return one line: name, how many queries and images."""
        n_queries, n_images = len(self.queries), len(self.image_ids)
        return f"Dataset({self.name!r}, {n_queries} queries, {n_images} images)"

    def placed(self, there: Collection[str]) -> "Dataset":
        """Return the dataset with the names that its images have in an index or a folder.

        An image is found by its whole path, else by its file name, else by its number in COCO:
        the archives of 2014 and 2017 name the same photographs differently. What one image has
        as its whole path is no other image. One that is not there keeps its name: a search cannot
        find it, and it costs recall.

        Args:
            there: image ids.

        Raises:
            AnnotationError: no image is there, or a file name fits several.
        """
        names = _places(self.name, self.image_ids, there)
        if not names:
            message = (
                f"none of the {len(self.image_ids)} images of {self.name} is there (such as "
                f"{self.image_ids[0]!r}): give the folder that holds the dataset's images"
            )
            raise AnnotationError(message)
        image_ids = tuple(names.get(name, name) for name in self.image_ids)
        queries = tuple(_renamed(query, names) for query in self.queries)
        return replace(self, image_ids=image_ids, queries=queries)


def _places(dataset: str, wanted: Iterable[str], there: Collection[str]) -> dict[str, str]:
    """Return image id in the dataset -> image id that is there."""
    wanted, exact = tuple(wanted), set(there)
    by_name, by_number = dict[str, list[str]](), dict[str, list[str]]()
    for name in exact.difference(wanted):
        by_name.setdefault(PurePosixPath(name).name, []).append(name)
        by_number.setdefault(coco_2017_name(name), []).append(name)
    found: dict[str, str] = {}
    for name in wanted:
        near = [name] if name in exact else by_name.get(PurePosixPath(name).name, [])
        near = near or by_number.get(coco_2017_name(name), [])
        if len(near) > 1:
            first, second = sorted(near)[:2]
            message = (
                f"{dataset}: {name!r} fits {first!r} and {second!r}: "
                "give the folder under which the images have the dataset's own paths"
            )
            raise AnnotationError(message)
        if near:
            found[name] = near[0]
    _require_unique(f"{dataset}: image", found.values())
    return found


def coco_2017_name(name: str) -> str:
    """Return the file name that COCO's archives of 2017 give to a photograph of 2014.

    >>> coco_2017_name("train2014/COCO_train2014_000000581857.jpg"), coco_2017_name("a/b.jpg")
    ('000000581857.jpg', 'b.jpg')
    """
    return COCO_2014.sub("", PurePosixPath(name).name)


def _renamed(query: QueryTruth, names: Mapping[str, str]) -> QueryTruth:
    def of_map(values: Mapping[str, Any]) -> dict[str, Any]:
        return {names.get(name, name): value for name, value in values.items()}

    def of_set(values: frozenset[str]) -> frozenset[str]:
        return frozenset(names.get(name, name) for name in values)

    return replace(
        query,
        relevant=of_set(query.relevant),
        masks=of_map(query.masks),
        boxes_xyxy=of_map(query.boxes_xyxy),
        judged=None if query.judged is None else of_set(query.judged),
    )


def _images_of(query: QueryTruth) -> frozenset[str]:
    return query.relevant | query.masks.keys() | query.boxes_xyxy.keys() | (query.judged or set())


def _require_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{what} {name!r} is there twice: give each its own name"
            raise AnnotationError(message)
        seen.add(name)
