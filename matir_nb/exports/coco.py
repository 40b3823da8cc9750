"""A result as COCO *results*, and its marked hits as a COCO *dataset*.

`to_coco` gives what pycocotools' `loadRes` reads and `COCOeval` evaluates; `coco_marked` what
labelling tools begin with: people's marks, with the masks as annotations.
Format: https://cocodataset.org/#format-results and #format-data. This module knows no file and no
index.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from matir_nb.errors import ConfigError
from matir_nb.exports.marks import check_marks
from matir_nb.geometry.masks import area, tight_box_xyxy
from matir_nb.results import SearchResult
from matir_nb.types import MARKS, Hit

CATEGORY_ID = 1
RELEVANT, NOT_RELEVANT = MARKS[:2]
COCO_NAME = re.compile(r"(?:COCO_\w+_)?([0-9]{1,15})", re.ASCII)
"""What COCO calls its images: 000000000073, COCO_val2014_000000000073."""


def to_coco(
    result: SearchResult, *, image_ids: Mapping[str, int] | None = None, with_boxes: bool = True
) -> list[dict[str, Any]]:
    """Return one entry per hit that has a mask, best first; empty when none has.

    The query is category 1. An entry's score, in (0, 1), is the logistic of the final score,
    which is log-odds: `COCOeval` then sees the result's own order. A hit without a mask claims
    nothing and gives no entry.

    `loadRes` needs at least one entry, and every image id to be in its dataset: the ground truth's
    (then its ids are the ones to give), or that of `coco_dataset`.

    Args:
        result: what to write.
        image_ids: image id -> the dataset's number. None = the number that a COCO name is
            ("val2017/000000000073.jpg" is 73) when all hits have one and no two the same;
            otherwise the rank.
        with_boxes: with "bbox" (xywh pixels). `loadRes` then takes the box's area for the
            mask's; for mask AP by object size, leave it out.

    Raises:
        ConfigError: `image_ids` lacks a hit, or gives two hits one number.
    """
    numbers = _numbers(result, image_ids)
    return [
        _entry(hit, numbers[hit.image_id], with_boxes=with_boxes)
        for hit in result.hits
        if hit.mask is not None
    ]


def coco_dataset(
    result: SearchResult, *, image_ids: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the COCO dataset that `to_coco`'s entries refer to: all hits, no annotations.

    Its one category is named as the query.

    Args:
        result: what to write.
        image_ids: as for `to_coco`.

    Raises:
        ConfigError: `image_ids` lacks a hit, or gives two hits one number.
    """
    return _dataset(result, result.hits, _numbers(result, image_ids), category=result.query)


def coco_marked(
    result: SearchResult,
    marks: Mapping[str, str],
    *,
    category: str | None = None,
    image_ids: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return a COCO dataset of the marked hits, their masks as annotations to begin labelling with.

    A hit marked "relevant" has its mask as one annotation, with the field "score" beside COCO's; a
    second thing of the kind in the same picture has none. Where the judge named no place, it is
    the mask of stage 1's best region; that needs the result's source. A hit marked "not relevant"
    is an image without annotations: a negative. Hits that are unsure or not marked are left out.
    Every image says its "mark". `matir index --masks` and pycocotools read it.

    Args:
        result: whose hits are marked.
        marks: image id -> mark, e.g. ``grid.marks`` or ``review.marks(result)``.
        category: what the annotations are of; None = the query.
        image_ids: as for `to_coco`.

    Raises:
        ConfigError: a mark is unknown or on no hit; `image_ids` lacks a hit, or gives two hits one
            number.
    """
    check_marks(marks, {hit.image_id for hit in result.hits})
    numbers = _numbers(result, image_ids)
    settled = [hit for hit in result.hits if marks.get(hit.image_id) in (RELEVANT, NOT_RELEVANT)]
    found = [_shown(result, hit) for hit in settled if marks[hit.image_id] == RELEVANT]
    masked = [hit for hit in found if hit.mask is not None]
    annotations = [
        {"id": place, "iscrowd": 0, **_annotation(hit, numbers[hit.image_id])}
        for place, hit in enumerate(masked, 1)
    ]
    dataset = _dataset(result, settled, numbers, category=category or result.query)
    for image in dataset["images"]:
        image["mark"] = marks[image["file_name"]]
    return dataset | {"annotations": annotations}


def probability(log_odds: float) -> float:
    """Return the logistic of log-odds, in [0, 1].

    >>> probability(0.0), round(probability(2.0), 4), probability(-1000.0)
    (0.5, 0.8808, 0.0)
    """
    weight = math.exp(-abs(log_odds))
    return 1 / (1 + weight) if log_odds >= 0 else weight / (1 + weight)


def _numbers(result: SearchResult, image_ids: Mapping[str, int] | None) -> dict[str, int]:
    """Return image id -> number, for every hit."""
    names = [hit.image_id for hit in result.hits]
    if image_ids is None:
        coco = [_coco_number(name) for name in names]
        numbers = {name: n for name, n in zip(names, coco, strict=True) if n is not None}
        are_coco = len(set(numbers.values())) == len(names)
        return numbers if are_coco else {hit.image_id: hit.rank for hit in result.hits}
    lacking = [name for name in names if name not in image_ids]
    if lacking:
        message = (
            f"image_ids has no number for {lacking[0]!r} and {len(lacking) - 1} more hits: "
            "give one for every hit"
        )
        raise ConfigError(message)
    chosen = {name: int(image_ids[name]) for name in names}
    first_with: dict[int, str] = {}
    for name, number in chosen.items():
        if first_with.setdefault(number, name) != name:
            message = (
                f"image_ids gives {number} to both {first_with[number]!r} and {name!r}: "
                "give every image its own number"
            )
            raise ConfigError(message)
    return chosen


def _coco_number(image_id: str) -> int | None:
    match = COCO_NAME.fullmatch(PurePosixPath(image_id).stem)
    return None if match is None else int(match[1])


def _dataset(
    result: SearchResult, hits: Sequence[Hit], numbers: Mapping[str, int], *, category: str
) -> dict[str, Any]:
    """Return a dataset of `hits` without annotations."""
    images = [
        {
            "id": numbers[hit.image_id],
            "file_name": hit.image_id,
            "width": hit.width,
            "height": hit.height,
        }
        for hit in hits
    ]
    return {
        "info": {"description": f"matir_nb search: {result.query}"},
        "licenses": [],
        "images": images,
        "annotations": [],
        "categories": [{"id": CATEGORY_ID, "name": category, "supercategory": "query"}],
    }


def _shown(result: SearchResult, hit: Hit) -> Hit:
    """Return the hit with a mask, where it or its image's regions give one."""
    if hit.mask is not None or hit.best_region_id is None or result.source is None:
        return hit
    mask = result.source.regions_of(hit.image_id).masks[hit.best_region_id]
    return replace(hit, mask=mask, box_xyxy=None)


def _annotation(hit: Hit, number: int) -> dict[str, Any]:
    """Return the mask of a hit as an annotation without an id."""
    assert hit.mask is not None
    return _entry(hit, number, with_boxes=True) | {"area": area(hit.mask)}


def _entry(hit: Hit, number: int, *, with_boxes: bool) -> dict[str, Any]:
    assert hit.mask is not None
    entry: dict[str, Any] = {
        "image_id": number,
        "category_id": CATEGORY_ID,
        "segmentation": {
            "size": list(hit.mask.size),
            "counts": hit.mask.counts.decode("ascii"),
        },
        "score": probability(hit.final_score),
    }
    if with_boxes:
        x0, y0, x1, y1 = hit.box_xyxy or tight_box_xyxy(hit.mask)
        entry["bbox"] = [x0, y0, x1 - x0, y1 - y0]
    return entry
