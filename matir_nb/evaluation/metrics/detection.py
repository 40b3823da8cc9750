"""Box average precision as COCO and D3 report it. Knows no engine.

AP is averaged over IoU .50:.05:.95 and over the queries that have a true box; AP50 and AP75 are
of one IoU. `matir_nb.evaluation.metrics.coco_boxes` says how a query's AP is computed.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.metrics.coco_boxes import ALL, FoundBox, TrueBox, precision_tables
from matir_nb.evaluation.metrics.sizes import SIZES
from matir_nb.types import BoxXYXY, QueryTruth

WORDS: Mapping[str, range] = {
    "1–3 words": range(4),
    "4–6 words": range(4, 7),
    "7–9 words": range(7, 10),
    "10+ words": range(10, 10**6),
}
"""Groups of D3's analysis by length of the sentence."""
OVERALL = "overall"
GROUP_OF_SIZE = "size: {}"
"""Group of the report that holds a metric of targets of one size."""

AP_SCHEMA = pl.Schema({"group": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64})
"""A metric of a group; `n`: queries that have a true box (of that size)."""


def d3_average_precision(observed: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return D3's box AP of one arm: over all sentences, by kind and by length.

    The setting is the dataset's: with `QueryTruth.judged` a sentence is tested on the images of
    its groups (intra), without on all (inter). Full, presence and absence are "overall" and the
    two kinds; lengths are of all sentences, in words. A search shows one box an image: of three
    objects of an image it finds one. The score is the final rank.

    Args:
        observed: `OBSERVED_SCHEMA` of one arm. Sentences that are not in it, and hits on images
            that are not judged for theirs, do not count.
        dataset: whose sentences were asked.

    Returns:
        `AP_SCHEMA`: AP, AP50 and AP75 of each group: "overall", kinds, `WORDS`; AP of each COCO
        size ("size: small", ...), by the area of the true boxes. A group without a true box is
        left out.

    Raises:
        ConfigError: there are several arms.
        AnnotationError: a box ends before it begins, or has a number that is not finite.
    """
    if observed["arm"].n_unique() > 1:
        message = "observed: several arms at once: give the rows of one"
        raise ConfigError(message)
    asked = set(observed["query_id"])
    queries = {query.query_id: query for query in dataset.queries if query.query_id in asked}
    judged = {name: query.judged for name, query in queries.items()}
    truths = [
        TrueBox(name, image_id, _box(box))
        for name, query in queries.items()
        for image_id, boxes in query.boxes_xyxy.items()
        for box in boxes
        if _counts(image_id, judged[name])
    ]
    found = [box for box in found_boxes(observed) if _counts(box.image_id, judged[box.query_id])]
    tables = precision_tables(truths, found, areas=(*ALL, *SIZES))
    rows = [
        {"group": group, "metric": metric, "value": value, "n": len(members)}
        for group, members in _groups(queries.values(), tables).items()
        for metric, value in _named([tables[name][:, 0] for name in members]).items()
    ]
    return pl.DataFrame([*rows, *_by_size(list(tables.values()))], schema=AP_SCHEMA)


def _by_size(tables: Sequence[NDArray[np.float64]]) -> Iterator[dict[str, Any]]:
    for column, size in enumerate(SIZES, start=1):
        known = [t[:, column] for t in tables if not np.isnan(t[:, column]).any()]
        if known:
            group = GROUP_OF_SIZE.format(size)
            yield {"group": group, "metric": "AP", "value": _mean(known), "n": len(known)}


def found_boxes(observed: pl.DataFrame) -> list[FoundBox]:
    """Return the box of every hit that has one; the score falls with the rank.

    Args:
        observed: `OBSERVED_SCHEMA` of one arm.
    """
    return [
        FoundBox(row["query_id"], hit["image_id"], _box(hit["box_xyxy"]), -float(hit["rank"]))
        for row in observed.select("query_id", "hits").iter_rows(named=True)
        for hit in row["hits"]
        if hit["box_xyxy"] is not None
    ]


def _groups(
    queries: Collection[QueryTruth], tables: Mapping[str, NDArray[np.float64]]
) -> dict[str, list[str]]:
    """Return group -> the ids of its queries that have a true box."""
    groups: dict[str, list[str]] = {OVERALL: list(tables)}
    measured = [query for query in queries if query.query_id in tables]
    for query in measured:
        groups.setdefault(query.kind, []).append(query.query_id)
    for name, lengths in WORDS.items():
        groups[name] = [q.query_id for q in measured if len(q.text.split()) in lengths]
    return {name: members for name, members in groups.items() if members}


def _named(tables: Sequence[NDArray[np.float64]]) -> dict[str, float | None]:
    """Return AP, AP50 and AP75 of (10,) values of each query."""
    at = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6)}
    return {name: _mean([table[rows] for table in tables]) for name, rows in at.items()}


def _mean(values: Sequence[NDArray[np.float64]]) -> float | None:
    known = [v for v in values if not np.isnan(v).any()]
    return float(np.mean(known)) if known else None


def _box(values: Any) -> BoxXYXY:
    x0, y0, x1, y1 = (float(v) for v in values)
    return (x0, y0, x1, y1)


def _counts(image_id: str, judged: frozenset[str] | None) -> bool:
    return judged is None or image_id in judged
