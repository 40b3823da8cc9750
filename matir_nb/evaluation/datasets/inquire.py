"""INQUIRE, experts' questions about photographs of nature (Vendrow et al., NeurIPS 2024).

``full`` searches iNat24, five million images; every image that is not annotated with a query is
wrong for it. ``rerank`` searches a fixed list of 100 for each query. Image level only: there are no
masks. Of a list of images, only names are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matir_nb.errors import AnnotationError, require_known
from matir_nb.evaluation.datasets.dataset import Dataset, Source
from matir_nb.evaluation.datasets.files import (
    TABLES,
    find_file,
    grouped,
    missing_file,
    read_rows,
    readable,
)
from matir_nb.images import find_images, image_id_of
from matir_nb.types import QueryTruth

INQUIRE = Source(
    "INQUIRE (Vendrow et al., NeurIPS 2024)",
    "https://github.com/inquire-benchmark/INQUIRE",
    "queries and labels CC BY-NC 4.0 (code MIT), each photograph its own licence",
)
PROTOCOLS = ("full", "rerank")
HEADLINE = ("mAP@50", "nDCG@50", "MRR", "P@10")
RERANK_LIST = (
    "a CSV or Parquet file without the pictures of https://huggingface.co/datasets/evendrow/"
    "INQUIRE-Rerank, with its columns query, relevant and inat24_file_name; or query_id and "
    "image_path"
)
_IMAGE = ("inat24_file_name", "image_path", "file_name")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

Row = Mapping[str, Any]


def read_inquire(
    folder: Path | str, *, split: str = "val", protocol: str = "full", gallery: str = ""
) -> Dataset:
    """Return the queries of INQUIRE.

    Args:
        folder: that holds ``inquire_queries_<split>.csv`` and ``inquire_annotations.csv``; for
            "rerank" ``inquire_rerank_<split>`` or ``inquire_rerank`` as .csv or .parquet.
        split: "val" or "test".
        protocol: "full" or "rerank".
        gallery: for "full" the images that are searched: a table with a column image_path or
            file_name, or the folder of the images; "" = only those that any query is annotated
            with, which is far easier than the benchmark.

    Raises:
        ConfigError: `protocol` has another value.
        AnnotationError: a file is missing or cannot be used.
    """
    require_known("protocol", [protocol], PROTOCOLS)
    root = Path(folder)
    names = [f"inquire_queries_{split}.csv", f"inquire/inquire_queries_{split}.csv"]
    file = find_file(root, names, INQUIRE, "data/inquire")
    with readable(str(file)):
        rows = [row for _, row in read_rows(file)]
        asked = {str(int(row["query_id"])): row for row in rows}
    if protocol == "rerank":
        return _rerank(file.parent, split, asked)
    annotations = find_file(
        file.parent, ["inquire_annotations.csv"], INQUIRE, "inquire_annotations.csv"
    )
    relevant = _annotated(annotations)
    annotated = dict.fromkeys(name for found in relevant.values() for name in sorted(found))
    queries = [_query(number, row, relevant.get(number, set())) for number, row in asked.items()]
    searched = (
        "the images that any query is annotated with, and no others: far easier than the "
        "benchmark's five million; name the images of iNat24 with gallery=TABLE or gallery=FOLDER"
    )
    said = {
        "file": file.name,
        "protocol": "full",
        "relevant": "the annotated images",
        "gallery": searched,
    }
    dataset = _dataset(annotated, queries, said)
    return _among(dataset, Path(gallery)) if gallery else dataset


def _among(dataset: Dataset, place: Path) -> Dataset:
    """Return the dataset with the gallery of a table or a folder, and the names it has there."""
    there = tuple(dict.fromkeys(_gallery(place)))
    placed = dataset.placed(there)
    image_ids = tuple(dict.fromkeys([*there, *placed.image_ids]))
    n_absent = len(image_ids) - len(there)
    said = f"{len(there)} images of {place.name}; {n_absent} annotated ones are not among them"
    return replace(placed, image_ids=image_ids, protocol={**placed.protocol, "gallery": said})


def _rerank(folder: Path, split: str, asked: Mapping[str, Row]) -> Dataset:
    """Return the queries that have a list, each searched in its list."""
    stems = (f"inquire_rerank_{split}", "inquire_rerank")
    places = [folder / (stem + suffix) for stem in stems for suffix in TABLES]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise missing_file(places[0], INQUIRE, RERANK_LIST)
    with readable(str(file)):
        rows = [row for _, row in read_rows(file)]
        images = _column(rows, _IMAGE, file)
        key = _column(rows, ("query_id", "query"), file)
        lists = grouped(rows, lambda row: _plain(row[key]))
        labels = None if rows and "relevant" in rows[0] else _labels(folder)
        queries = [
            _reranked(number, row, lists[name], images, labels)
            for number, row in asked.items()
            if (name := number if key == "query_id" else row["query_text"]) in lists
        ]
    if not queries:
        message = f"{str(file)!r} has no list for any query of the {split} split"
        raise AnnotationError(message)
    image_ids = dict.fromkeys(name for query in queries for name in sorted(query.judged or ()))
    return _dataset(
        image_ids,
        queries,
        {
            "file": file.name,
            "protocol": "rerank",
            "relevant": "the images of its list that are labelled so",
            "gallery": f"for each query its list, of CLIP ViT-H/14-378's best 100; no others are "
            f"searched. {len(asked) - len(queries)} queries without a list are left out",
        },
    )


def _reranked(
    number: str,
    row: Row,
    rows: Sequence[Row],
    images: str,
    labels: Mapping[str, set[str]] | None,
) -> QueryTruth:
    judged = frozenset(str(entry[images]) for entry in rows)
    if labels is None:
        relevant = {str(entry[images]) for entry in rows if int(entry["relevant"])}
    else:
        relevant = labels.get(number, set()) & judged
    return _query(number, row, relevant, judged)


def _labels(folder: Path) -> dict[str, set[str]]:
    name = "inquire_annotations.csv"
    return _annotated(find_file(folder, [name], INQUIRE, name))


def _annotated(file: Path) -> dict[str, set[str]]:
    """Return query id -> relevant images."""
    found: dict[str, set[str]] = {}
    with readable(str(file)):
        for _, row in read_rows(file):
            found.setdefault(str(int(row["query_id"])), set()).add(row["image_path"])
    return found


def _gallery(place: Path) -> Iterator[str]:
    """Yield the names of a table's images, or of those in a folder."""
    if place.is_dir():
        for path in find_images(place):
            if path.suffix.lower() in _SUFFIXES:
                yield image_id_of(path, root=place)
        return
    if not place.is_file():
        message = f"there is no {str(place)!r}: give gallery a table of images, or their folder"
        raise AnnotationError(message)
    with readable(str(place)):
        rows = [row for _, row in read_rows(place)]
        column = _column(rows, _IMAGE, place)
        yield from (str(row[column]) for row in rows)


def _column(rows: Sequence[Row], names: Sequence[str], file: Path) -> str:
    for name in names:
        if rows and name in rows[0]:
            return name
    message = f"{str(file)!r} has no column {' or '.join(names)}"
    raise AnnotationError(message)


def _plain(value: Any) -> str:
    """Return a query's id or text as the list of queries has it."""
    return value.strip() if isinstance(value, str) else str(value)


def _query(
    number: str, row: Row, relevant: set[str], judged: frozenset[str] | None = None
) -> QueryTruth:
    return QueryTruth(
        query_id=number,
        text=row["query_text"],
        kind=row["supercategory"],
        relevant=frozenset(relevant),
        judged=judged,
    )


def _dataset(
    image_ids: Mapping[str, Any], queries: Sequence[QueryTruth], protocol: Mapping[str, str]
) -> Dataset:
    said = {"queries": "the experts' texts", **protocol}
    return Dataset("inquire", INQUIRE, tuple(image_ids), tuple(queries), said, HEADLINE)
