"""Your own dataset: a folder of images, and a table of which image answers which query.

A CSV, TSV or Parquet file with a row for each answer:

==========  ====================================================================================
query       the text
image       path of an image that shows it, as under the folder; empty = no image shows it
query_id    (optional) tells queries apart; else their texts do
kind        (optional) group for reports
relevant    (optional) 1, or 0 for an image that does not show it. A query with such a row is
            judged on the images of its own rows alone: others are not searched for it
box         (optional) "x0,y0,x1,y1" in pixels of the upright image, or columns x0, y0, x1 and y1
mask        (optional) run lengths as JSON, {"size": [height, width], "counts": ...}, or the path
            of a PNG, relative to the table: what is neither black nor transparent is inside
==========  ====================================================================================

Several rows of one query are several answers: other images, or other instances in one image.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from matir_nb.errors import AnnotationError, ConfigError, nearest
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import TABLES, read_rows
from matir_nb.evaluation.datasets.masks import read_mask, read_mask_png
from matir_nb.geometry.masks import area, tight_box_xyxy
from matir_nb.images import find_images, image_id_of
from matir_nb.types import BoxXYXY, MaskRLE, QueryTruth

OWN = Source("your own table", "where you keep it", "your own")
SIDES = ("x0", "y0", "x1", "y1")
REQUIRED = ("query", "image")
COLUMNS = (*REQUIRED, "query_id", "kind", "relevant", "box", *SIDES, "mask")
VERDICTS = {"": True, "1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table.

    Attributes:
        where: file and line number, to begin a message with.
        query_id: of its query.
        text: the query.
        kind: group for reports.
        image: image id; "" = none.
        is_relevant: whether the image shows it.
        mask: of an instance; None = not given.
        box_xyxy: of an instance, the mask's where only that is given; None = not given.
    """

    where: str
    query_id: str
    text: str
    kind: str
    image: str
    is_relevant: bool
    mask: MaskRLE | None
    box_xyxy: BoxXYXY | None


@dataclass(slots=True)
class _Asked:
    """A query and what its lines say so far."""

    first: Line
    verdicts: dict[str, bool] = field(default_factory=dict)
    masks: dict[str, list[MaskRLE]] = field(default_factory=dict)
    boxes: dict[str, list[BoxXYXY]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Take in a line of this query."""
        self._require_same(line)
        if not line.image:
            return
        self.verdicts[line.image] = line.is_relevant
        if line.box_xyxy is not None:
            self.boxes.setdefault(line.image, []).append(line.box_xyxy)
        if line.mask is not None:
            masks = self.masks.setdefault(line.image, [])
            if masks and masks[0].size != line.mask.size:
                _refuse(
                    line.where,
                    f"masks of {line.image!r} differ in size: {masks[0].size}, {line.mask.size}",
                )
            masks.append(line.mask)

    def _require_same(self, line: Line) -> None:
        first = self.first
        if (line.text, line.kind) != (first.text, first.kind):
            _refuse(
                line.where,
                f"query {line.query_id!r} is {line.text!r} ({line.kind}) here, but "
                f"{first.text!r} ({first.kind}) in {first.where}: give each its own query_id",
            )
        if self.verdicts.get(line.image, line.is_relevant) != line.is_relevant:
            _refuse(line.where, f"{line.image!r} is relevant in one line and not in another")
        if line is not first and bool(line.image) != bool(first.image):
            _refuse(
                line.where,
                f"query {line.query_id!r} has a line without an image, which says "
                "that no image shows it, and others with one",
            )

    def truth(self) -> QueryTruth:
        """Return what is right."""
        relevant = frozenset(image for image, shows in self.verdicts.items() if shows)
        return QueryTruth(
            self.first.query_id,
            self.first.text,
            self.first.kind,
            relevant,
            {image: tuple(masks) for image, masks in self.masks.items()},
            {image: np.array(boxes, np.float32) for image, boxes in self.boxes.items()},
            None if all(self.verdicts.values()) else frozenset(self.verdicts),
        )


def read_table(path: Path | str, *, images: str = "") -> Dataset:
    """Return the queries of a table.

    Args:
        path: the CSV, TSV or Parquet file.
        images: the folder that is searched; "" = only the images that the table names.

    Raises:
        AnnotationError: a line is wrong; the message says which and how.
        ConfigError: a column's name is misspelt, or one is missing.
    """
    file = Path(path)
    if not file.is_file():
        message = f"there is no file {str(file)!r}: give a table ({', '.join(TABLES)})"
        raise AnnotationError(message)
    rows = read_rows(file)
    if not rows:
        message = f"{str(file)!r} has no rows: give one for each query and image"
        raise AnnotationError(message)
    _require_columns(file, rows[0][1])
    lines = [_line(file, number, row) for number, row in rows]
    gallery = _gallery(lines, images)
    asked: dict[str, _Asked] = {}
    for line in lines:
        asked.setdefault(line.query_id, _Asked(line)).add(line)
    protocol = {
        "file": file.name,
        "relevant": "the images that the table names for a query",
        "judged": "all images; of a query with an image that is not relevant, its own images",
        "gallery": f"all images in {images}" if images else "the images that the table names",
    }
    queries = tuple(query.truth() for query in asked.values())
    return Dataset("table", OWN, gallery, queries, protocol)


def _require_columns(file: Path, row: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        if name not in row:
            message = f"{str(file)!r} has no column {name!r}: {nearest(name, row)}"
            raise ConfigError(message)
    for name in row.keys() - set(COLUMNS):
        near = get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)
        if near and near[0] not in row:
            message = f"{str(file)!r}: unknown column {name!r}: did you mean {near[0]!r}?"
            raise ConfigError(message)


def _line(file: Path, number: int, row: Mapping[str, Any]) -> Line:
    where = f"{str(file)!r}, line {number}"
    text, name = str(row["query"]), str(row["image"]).replace("\\", "/")
    if not text:
        _refuse(where, "the query is empty")
    verdict = str(row.get("relevant", "")).lower()
    if verdict not in VERDICTS:
        _refuse(where, f"relevant = {verdict!r}: give 1 or 0")
    mask = _mask(file, where, row.get("mask", ""))
    box = _box(where, row) or (None if mask is None else tight_box_xyxy(mask))
    if box is not None and not (name and VERDICTS[verdict]):
        _refuse(where, "there is a box or a mask, but no image that shows the query")
    return Line(
        where,
        query_id=str(row.get("query_id", "")) or text,
        text=text,
        kind=str(row.get("kind", "")) or "query",
        image=PurePosixPath(name).as_posix() if name else "",
        is_relevant=VERDICTS[verdict],
        mask=mask,
        box_xyxy=box,
    )


def _box(where: str, row: Mapping[str, Any]) -> BoxXYXY | None:
    """Return the box of a row: one column, or four."""
    value = row.get("box", "")
    given: Sequence[Any]
    if not isinstance(value, str):
        given = list(value)
    elif value:
        given = re.split(r"[\s,;]+", value.strip("[]() "))
    else:
        given = [row.get(side, "") for side in SIDES]
    if not any(str(number) for number in given):
        return None
    try:
        x0, y0, x1, y1 = (float(number) for number in given)
    except (TypeError, ValueError):
        _refuse(where, f"box {', '.join(map(str, given))!r}: give four numbers, x0,y0,x1,y1")
    if not (0 <= x0 < x1 < math.inf and 0 <= y0 < y1 < math.inf):
        _refuse(where, f"box {x0},{y0},{x1},{y1}: give 0 <= x0 < x1 and 0 <= y0 < y1")
    return (x0, y0, x1, y1)


def _mask(file: Path, where: str, value: Any) -> MaskRLE | None:
    if isinstance(value, str) and not value:
        return None
    if isinstance(value, str) and not value.startswith("{"):
        mask = _drawn(file, where, value)
    else:
        mask = _runs(where, value)
    if not area(mask):
        _refuse(where, "the mask has no pixel")
    return mask


def _drawn(file: Path, where: str, name: str) -> MaskRLE:
    try:
        return read_mask_png(file.parent / name)
    except AnnotationError as error:
        _refuse(where, str(error))


def _runs(where: str, value: Any) -> MaskRLE:
    try:
        code = json.loads(value) if isinstance(value, str) else value
        height, width = (int(side) for side in code["size"])
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        _refuse(where, f'the mask is no {{"size": [height, width], "counts": ...}} ({error})')
    return read_mask({**code, "size": (height, width)}, height, width, where)


def _gallery(lines: Sequence[Line], images: str) -> tuple[str, ...]:
    if not images:
        return tuple(dict.fromkeys(line.image for line in lines if line.image))
    root = Path(images)
    gallery = tuple(image_id_of(path, root=root) for path in find_images(root))
    there = set(gallery)
    for line in lines:
        if line.image and line.image not in there:
            hint = nearest(line.image, gallery, n_listed=3)
            _refuse(line.where, f"there is no image {line.image!r} in {images!r}: {hint}")
    return gallery


def _refuse(where: str, why: str) -> NoReturn:
    message = f"{where}: {why}"
    raise AnnotationError(message)
