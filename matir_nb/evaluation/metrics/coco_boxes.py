"""AP of the boxes of each query, by pycocotools' own COCOeval. Knows no engine and no dataset.

A query is a category. COCOeval decides: boxes are matched greedily by score, at most `MAX_BOXES`
an image and query; AP is precision at 101 recall points. Two traps of its use are settled here:
it takes a true box with id 0 for "not matched" (D3's released JSON counts from 0: its first box
can never be found), and it reports -1 where nothing is to be found (here NaN).
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.metrics.sizes import EDGES_PX, SIZES
from matir_nb.types import BoxXYXY

MAX_BOXES = 100
"""Boxes of one query in one image that count, best first (COCO's maxDets)."""
FAR = 1e10
"""COCO's largest area, in pixels."""
AREAS: Mapping[str, tuple[float, float]] = {
    "all": (0, FAR),
    **dict(zip(SIZES, zip((0, *EDGES_PX), (*EDGES_PX, FAR), strict=True), strict=True)),
}
"""Areas that count, both ends included: other true boxes are neither to be found nor wrong."""
ALL = ("all",)


@dataclass(frozen=True, slots=True)
class TrueBox:
    """A box that answers a query in an image.

    Attributes:
        query_id: the query.
        image_id: the image.
        box_xyxy: pixels.
        area_px: of the object, for sizes; None = of the box (COCO takes the mask's).
        is_crowd: many objects: finding it is neither right nor wrong.
    """

    query_id: str
    image_id: str
    box_xyxy: BoxXYXY
    area_px: float | None = None
    is_crowd: bool = False


@dataclass(frozen=True, slots=True)
class FoundBox:
    """A box that a system gives for a query in an image.

    Attributes:
        query_id: the query.
        image_id: the image.
        box_xyxy: pixels.
        score: higher is surer, comparable over the images of a query.
    """

    query_id: str
    image_id: str
    box_xyxy: BoxXYXY
    score: float


def precision_tables(
    truths: Sequence[TrueBox], found: Sequence[FoundBox], *, areas: Sequence[str] = ALL
) -> dict[str, NDArray[np.float64]]:
    """Return query id -> (10, areas) AP at each IoU .50:.05:.95; NaN of an area without truth.

    Only queries that have a true box are there, in the order of `truths`.

    Args:
        truths: all true boxes.
        found: all boxes that were given.
        areas: of `AREAS`.

    Raises:
        AnnotationError: a box ends before it begins, or has a number that is not finite.
    """
    given: defaultdict[str, list[FoundBox]] = defaultdict(list)
    for box in found:
        given[box.query_id].append(box)
    true: defaultdict[str, list[TrueBox]] = defaultdict(list)
    for target in truths:
        true[target.query_id].append(target)
    return {name: _of_query(boxes, given[name], areas) for name, boxes in true.items()}


def _of_query(
    truths: Sequence[TrueBox], found: Sequence[FoundBox], areas: Sequence[str]
) -> NDArray[np.float64]:
    """Return (10, areas) AP of one query."""
    image_ids = sorted({box.image_id for box in truths} | {box.image_id for box in found})
    numbers = {image_id: number for number, image_id in enumerate(image_ids)}
    targets = [
        _row(n, box, numbers) | {"iscrowd": int(box.is_crowd)} | _area(box)
        for n, box in enumerate(truths, start=1)
    ]
    boxes = [_row(n, box, numbers) | {"score": box.score} for n, box in enumerate(found, start=1)]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(targets, image_ids), _coco(boxes, image_ids), "bbox")
        evaluation.params.areaRng = [list(AREAS[name]) for name in areas]
        evaluation.params.areaRngLbl = list(areas)
        evaluation.params.maxDets = [MAX_BOXES]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, :, 0]
    mean: NDArray[np.float64] = np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
    return mean


def _coco(rows: Sequence[dict[str, Any]], image_ids: Sequence[str]) -> Any:
    coco = COCO()
    images = [{"id": number} for number in range(len(image_ids))]
    coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": list(rows)}
    coco.createIndex()
    return coco


def _row(n: int, box: TrueBox | FoundBox, numbers: Mapping[str, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in box.box_xyxy)
    if not (x1 >= x0 and y1 >= y0 and np.isfinite([x0, y0, x1, y1]).all()):
        message = (
            f"box {box.box_xyxy} of query {box.query_id!r} in {box.image_id!r} is none: "
            "give finite xyxy with x0 <= x1 and y0 <= y1"
        )
        raise AnnotationError(message)
    bbox = [x0, y0, x1 - x0, y1 - y0]
    area = bbox[2] * bbox[3]
    place = {"image_id": numbers[box.image_id], "category_id": 1}
    return {"id": n, "bbox": bbox, "area": area, "iscrowd": 0, **place}


def _area(box: TrueBox) -> dict[str, float]:
    return {} if box.area_px is None else {"area": box.area_px}
