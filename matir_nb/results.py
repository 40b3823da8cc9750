"""What a search gives back, as a table with one row per hit, and its file.

`HIT_SCHEMA` is the table; an empty result has all of it. A parquet file written by
`SearchResult.save` carries query and provenance in its metadata and loads back exactly. This
module knows no index and no model: pictures come from a `Source`. What is made of a result
(views, files) stands in modules above this one; the methods that lead there open them by name.
"""

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

import polars as pl

from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.types import (
    BoxXYXY,
    FloatArray,
    Histogram,
    Hit,
    MaskRLE,
    Provenance,
    Regions,
    RGBImage,
)

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


class Source(Protocol):
    """Where the pictures and regions behind a result are; an `Engine` is one."""

    @property
    def image_root(self) -> Path:
        """Folder of the images; a hit's `path` is relative to it."""

    @property
    def n_images(self) -> int:
        """Number of images in the index."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of the models and options that made the index."""

    def has_image(self, image_id: str) -> bool:
        """Tell whether the index holds an image."""

    def load_image(self, image_id: str, *, max_side: int | None = None) -> RGBImage:
        """Return upright pixels, the longer side at most `max_side`, or raise a `MatirError`."""

    def regions_of(self, image_id: str) -> Regions:
        """Return the image's regions; row number = region id."""

    def region_scores_of(self, query: str, image_id: str) -> FloatArray:
        """Return (n,) float32 stage-1 cosines of `query` with every region of an image."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one query, best first.

    Attributes:
        query: as asked.
        hits: by rank.
        provenance: models, options, versions and seconds behind the hits.
        rest: "stage1_score", "final_score" -> how the images that are no hits scored.
        source: gives pictures and regions; None = the numbers only. Not saved.
    """

    query: str
    hits: tuple[Hit, ...]
    provenance: Provenance
    rest: Mapping[str, Histogram] = field(default_factory=dict)
    source: Source | None = field(default=None, repr=False, compare=False)

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

    def _ipython_display_(self) -> None:
        """Show a static picture of the hits, and the grid."""
        _above("widgets.display").display_result(self)

    def _repr_html_(self) -> str:
        """Return a plain HTML table with every stage's score; all text is escaped."""
        columns = (*SHOWN, *SHOWN_LATE)
        head = "".join(f'<th scope="col">{name}</th>' for name in columns)
        rows = [
            "".join(f"<td>{_cell(getattr(hit, name))}</td>" for name in columns)
            for hit in self.hits
        ]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.provenance.notices)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        caption = html.escape(self.query)
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>{notes}"

    def with_source(self, source: Source) -> Self:
        """Return this result with pictures and regions from `source`, e.g. an `Engine`.

        Raises:
            IndexMismatchError: `source` is another index than the result came from.
        """
        mine, other = self.provenance.index_fingerprint, source.fingerprint
        if mine != other:
            message = (
                f"the result is of the index with fingerprint {mine!r}, this one has {other!r}: "
                "open the index that was searched"
            )
            raise IndexMismatchError(message)
        missing = next((h.image_id for h in self.hits if not source.has_image(h.image_id)), None)
        if missing is not None:
            message = f"this index has no image {missing!r}: open the index that was searched"
            raise IndexMismatchError(message)
        return replace(self, source=source)

    def grid(self, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.grid.ResultGrid` of this result."""
        return _above("widgets.grid").ResultGrid(self, **traits)

    def inspector(self, rank: int = 1, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.inspector.Inspector` that shows the hit at `rank`."""
        return _above("widgets.inspector").Inspector(self, rank, **traits)

    def flow(self, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.flow.StageFlow` of this result."""
        return _above("widgets.flow").StageFlow(self, **traits)

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write .parquet, .csv, .json, .html, .png or .txt (see `matir_nb.exports.files`).

        Raises:
            ConfigError: the ending is unknown, or the file is there and `overwrite` is not set.
        """
        written: Path = _above("exports.files").write(self, path, overwrite=overwrite)
        return written

    def to_html(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write one interactive page that needs no kernel and no network."""
        target = Path(path)
        if target.suffix.lower() not in (".html", ".htm"):
            message = f"{str(path)!r} is no page: give a name that ends in .html"
            raise ConfigError(message)
        return self.export(target, overwrite=overwrite)

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO results (see `matir_nb.exports.coco`)."""
        entries: list[dict[str, Any]] = _above("exports.coco").to_coco(self)
        return entries

    def to_fiftyone(self) -> Any:
        """Return a `fiftyone.Dataset`; needs that package."""
        return _above("exports.others").to_fiftyone(self)

    def to_supervision(self) -> Any:
        """Return `supervision.Detections` by image id; needs that package."""
        return _above("exports.others").to_supervision(self)

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
            "rest": {name: asdict(scores) for name, scores in self.rest.items()},
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
            rest={name: Histogram(**scores) for name, scores in document["rest"].items()},
        )


def _above(module: str) -> Any:
    """Return a module that is made of results and therefore stands above this one."""
    return import_module(f"matir_nb.{module}")


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
