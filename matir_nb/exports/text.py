"""A result as text: a table for people, JSON and CSV for programs.

Tables are escaped for the terminal; JSON and CSV are exact. This module knows no model.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from matir_nb.exports.frames import list_text
from matir_nb.exports.marks import with_marks
from matir_nb.printing import number, printable, shorten, table
from matir_nb.results import SearchResult
from matir_nb.types import Hit

MAX_NAME = 40
MAX_COPY = 24
MAX_ANSWER = 60
HEAD = (
    "rank",
    "image",
    "final",
    "stage1#",
    "stage1",
    "region",
    "image_cos",
    "judge#",
    "p",
    "logit",
    "region_id",
    "align_iou",
    "mask_box",
    "answer",
    "mark",
)
LEFT = ("image", "answer", "mark")
BOX_COLUMNS = ("judged_box_xyxy", "box_xyxy")


def to_table(result: SearchResult, *, marks: Mapping[str, str] | None = None) -> str:
    """Return a table with one line per hit and every stage's score; "-" = nothing there.

    Columns: the image and a file of the same bytes, final score, stage 1's rank, score, best region
    cosine and whole-image cosine, the judge's rank, probability and logit, the region shown, its
    IoU with the judge's box, the mask's box (x0,y0,x1,y1) and the judge's words, and `marks`
    (image id -> mark). Columns that are empty throughout are left out.
    """
    if not result.hits:
        return "no hits"
    known = marks or {}
    rows = [[*_cells(hit), printable(known.get(hit.image_id, "-"))] for hit in result.hits]
    kept = [i for i, name in enumerate(HEAD) if name == "rank" or any(r[i] != "-" for r in rows)]
    head = [HEAD[i] for i in kept]
    return table(head, [[row[i] for i in kept] for row in rows], left=LEFT)


def to_json(result: SearchResult, *, marks: Mapping[str, str] | None = None) -> str:
    """Return query, hits (boxes as lists, masks as COCO RLE with text counts) and provenance.

    With `marks` (image id -> mark) every hit has a "mark", null where it bears none.
    """
    document = {
        "query": result.query,
        "hits": [_plain(hit) | _mark(hit, marks) for hit in result.hits],
        "provenance": asdict(result.provenance),
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def to_csv(result: SearchResult, *, marks: Mapping[str, str] | None = None) -> str:
    """Return the result's table; a box becomes four columns, mask counts and lists become text.

    With `marks` (image id -> mark) there is a column "mark", empty where a hit bears none.
    """
    frame = with_marks(result.to_polars(), marks)
    corners = [
        pl.col(name).arr.get(i).alias(f"{name.removesuffix('_xyxy')}_{corner}")
        for name in BOX_COLUMNS
        for i, corner in enumerate(("x0", "y0", "x1", "y1"))
    ]
    counts = frame["mask_counts"].map_elements(bytes.decode, return_dtype=pl.String)
    flat = frame.drop("mask_counts").with_columns(counts, list_text("copies"), *corners)
    return flat.drop(BOX_COLUMNS).write_csv()


def _cells(hit: Hit) -> list[str]:
    box = "-" if hit.box_xyxy is None else ",".join(f"{v:.0f}" for v in hit.box_xyxy)
    return [
        str(hit.rank),
        _names(hit),
        number(hit.final_score),
        str(hit.stage1_rank),
        number(hit.stage1_score),
        number(hit.best_region_score),
        number(hit.whole_image_score),
        _whole(hit.judge_rank),
        number(hit.p_relevant),
        number(hit.logit),
        _whole(hit.region_id),
        number(hit.align_iou),
        box,
        "-" if hit.answer is None else shorten(printable(hit.answer), MAX_ANSWER),
    ]


def _names(hit: Hit) -> str:
    """Return the image, and that other files have its bytes: "a.jpg = b.jpg, ..."."""
    name = shorten(printable(hit.image_id), MAX_NAME)
    if not hit.copies:
        return name
    more = ", ..." if len(hit.copies) > 1 else ""
    return f"{name} = {shorten(printable(hit.copies[0]), MAX_COPY)}{more}"


def _whole(value: int | None) -> str:
    return "-" if value is None else str(value)


def _plain(hit: Hit) -> dict[str, Any]:
    values = {name: getattr(hit, name) for name in Hit.__dataclass_fields__ if name != "mask"}
    mask = hit.mask
    counts = None if mask is None else {"size": list(mask.size), "counts": mask.counts.decode()}
    return values | {"mask": counts}


def _mark(hit: Hit, marks: Mapping[str, str] | None) -> dict[str, str | None]:
    return {} if marks is None else {"mark": marks.get(hit.image_id)}
