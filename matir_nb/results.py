"""What a search gives back, as a table with one row per hit, and its file.

`HIT_SCHEMA` is the table; an empty result has all of it. A parquet file written by
`SearchResult.save` carries query and provenance in its metadata and loads back exactly. This
module knows no index and no model.
"""

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import polars as pl

from matir_nb.errors import ConfigError
from matir_nb.types import BoxXYXY, Hit, MaskRLE, Provenance

BOX = pl.Array(pl.Float64, 4)
STAGES = ("retrieve", "judge", "align")

HIT_SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "rank": pl.Int64(),
        "image_id": pl.String(),
        "path": pl.String(),
        "width": pl.Int64(),
        "height": pl.Int64(),
        "final_score": pl.Float64(),
        "stage1_rank": pl.Int64(),
        "stage1_score": pl.Float64(),
        "best_region_score": pl.Float64(),
        "whole_image_score": pl.Float64(),
        "judge_rank": pl.Int64(),
        "p_relevant": pl.Float64(),
        "logit": pl.Float64(),
        "answer": pl.String(),
        "judged_box_xyxy": BOX,
        "region_id": pl.Int64(),
        "region_score": pl.Float64(),
        "align_iou": pl.Float64(),
        "box_xyxy": BOX,
        "mask_height": pl.Int64(),
        "mask_width": pl.Int64(),
        "mask_counts": pl.Binary(),
        **{f"seconds_{stage}": pl.Float64() for stage in STAGES},
    }
)
"""Null = the stage did not run or found nothing; boxes are xyxy pixels, masks COCO RLE."""

FILE_KEY = "matir_nb.result"
FILE_VERSION = 1
PLAIN_FIELDS = tuple(f.name for f in fields(Hit) if f.name in HIT_SCHEMA and "box" not in f.name)
SHOWN = ("rank", "image_id", "final_score", "stage1_rank", "stage1_score", "judge_rank")
SHOWN_LATE = ("p_relevant", "region_id", "align_iou", "answer")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one query, best first.

    Attributes:
        query: as asked.
        hits: by rank.
        provenance: models, options, versions and seconds behind the hits.
    """

    query: str
    hits: tuple[Hit, ...]
    provenance: Provenance

    def __len__(self) -> int:
        """Return the number of hits."""
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        """Yield the hits, best first."""
        return iter(self.hits)

    def __repr__(self) -> str:
        """Return one line: the query, how many hits, and the best."""
        best = f", best {self.hits[0].image_id!r}" if self.hits else ""
        return f"SearchResult({self.query!r}, {len(self.hits)} hits{best})"

    def _repr_html_(self) -> str:
        """Return a plain table for notebooks; all text is escaped."""
        columns = (*SHOWN, *SHOWN_LATE)
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = [
            "".join(f"<td>{_cell(getattr(hit, name))}</td>" for name in columns)
            for hit in self.hits
        ]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.provenance.notices)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        caption = html.escape(self.query)
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>{notes}"

    def to_polars(self) -> pl.DataFrame:
        """Return one row per hit, with `HIT_SCHEMA`."""
        seconds = {f"seconds_{s}": self.provenance.seconds.get(s) for s in STAGES}
        shared = {"query": self.query, **seconds}
        return pl.DataFrame([_row(hit) | shared for hit in self.hits], schema=HIT_SCHEMA)

    def save(self, path: str | Path) -> None:
        """Write a parquet file that `load` reads back exactly."""
        document = {
            "version": FILE_VERSION,
            "query": self.query,
            "provenance": asdict(self.provenance),
        }
        self.to_polars().write_parquet(Path(path), metadata={FILE_KEY: json.dumps(document)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ConfigError: there is no such file, or it is no saved result.
        """
        document, table = _read(Path(path))
        provenance = dict(document["provenance"])
        provenance["notices"] = tuple(provenance["notices"])
        return cls(
            query=document["query"],
            hits=tuple(_hit(row) for row in table.iter_rows(named=True)),
            provenance=Provenance(**provenance),
        )


def _row(hit: Hit) -> dict[str, Any]:
    mask = hit.mask
    return {name: getattr(hit, name) for name in PLAIN_FIELDS} | {
        "judged_box_xyxy": hit.judged_box_xyxy,
        "box_xyxy": hit.box_xyxy,
        "mask_height": None if mask is None else mask.size[0],
        "mask_width": None if mask is None else mask.size[1],
        "mask_counts": None if mask is None else mask.counts,
    }


def _hit(row: Mapping[str, Any]) -> Hit:
    size = (row["mask_height"], row["mask_width"])
    return Hit(
        **{name: row[name] for name in PLAIN_FIELDS},
        judged_box_xyxy=_box(row["judged_box_xyxy"]),
        box_xyxy=_box(row["box_xyxy"]),
        mask=None if row["mask_counts"] is None else MaskRLE(size, row["mask_counts"]),
    )


def _box(values: list[float] | None) -> BoxXYXY | None:
    if values is None:
        return None
    x0, y0, x1, y1 = values
    return (x0, y0, x1, y1)


def _read(path: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    if not path.is_file():
        message = f"no saved result at {str(path)!r}: give a file that SearchResult.save wrote"
        raise ConfigError(message)
    try:
        document = json.loads(pl.read_parquet_metadata(path)[FILE_KEY])
        if document["version"] > FILE_VERSION:
            message = f"{str(path)!r} was saved by a newer matir_nb: update matir_nb"
            raise ConfigError(message)
        return document, pl.read_parquet(path, columns=HIT_SCHEMA.names())
    except (KeyError, TypeError, json.JSONDecodeError, pl.exceptions.PolarsError) as error:
        message = f"{str(path)!r} is no saved result: give a file that SearchResult.save wrote"
        raise ConfigError(message) from error


def _cell(value: object) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))
