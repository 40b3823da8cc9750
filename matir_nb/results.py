"""What a search gives back, as a table with one row per hit, and its file.

An empty result has all columns of `HIT_SCHEMA`. A parquet file written by `SearchResult.save`
carries query and provenance in its metadata and loads back exactly. This module knows no index
and no model: pictures come from a `Source`. What is made of a result (explanations, views, files)
stands in modules above this one; the methods that lead there open them by name.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import polars as pl
from polars.exceptions import PolarsError

from matir_nb.doors import above
from matir_nb.errors import ConfigError, IndexMismatchError
from matir_nb.hit_table import (
    HIT_SCHEMA,
    STAGES,
    hit_of_row,
    renamed_hit,
    renamed_ids,
    row_of,
)
from matir_nb.printing import html_table, html_text
from matir_nb.sealed import read_sealed, write_sealed
from matir_nb.types import FloatArray, Histogram, Hit, Provenance, Regions, RGBImage

FILE_KEY = "matir_nb.result"
FILE_VERSION = 2
"""2: runner-up, null band and cut; files of version 1 load without them."""
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError, PolarsError)
"""What comes of a file that is no result, or was altered."""
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

    def text_scores_of(self, texts: Sequence[str], image_id: str) -> tuple[FloatArray, FloatArray]:
        """Return (t, n) float32 cosines of texts with every region, (t,) with the whole image."""

    def engine(self) -> Any:
        """Return the `Engine` that can search and judge; opened when it is not yet."""


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
        above("widgets.display").display_result(self)

    def _repr_html_(self) -> str:
        """Return a plain HTML table with every stage's score; all text is escaped."""
        columns = (*SHOWN, *SHOWN_LATE)
        rows = [[getattr(hit, name) for name in columns] for hit in self.hits]
        notes = "".join(f"<p>{html_text(note)}</p>" for note in self.provenance.notices)
        return html_table(columns, rows, caption=self.query) + notes

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

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return this result under other image ids, e.g. ``last_week.renamed(report.moved)``.

        So a saved result finds images whose files have moved since. Ids that no hit has are
        passed over; the source is left out, as it may know either name.

        Args:
            names: image id of before -> the one of now.

        Raises:
            ConfigError: two hits would have one id.
        """
        new_ids = renamed_ids([hit.image_id for hit in self.hits], names)
        pairs = zip(self.hits, new_ids, strict=True)
        return replace(self, hits=tuple(renamed_hit(hit, name) for hit, name in pairs), source=None)

    def source_for(self, who: str) -> Source:
        """Return the source; `who` says whose need it is: "words need".

        Raises:
            ConfigError: the result has none.
        """
        if self.source is None:
            message = f"{who} the index: give it, result.with_source(matir_nb.open(...))"
            raise ConfigError(message)
        return self.source

    def grid(self, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.grid.ResultGrid` of this result."""
        return above("widgets.grid").ResultGrid(self, **traits)

    def inspector(self, rank: int = 1, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.inspector.Inspector` that shows the hit at `rank`."""
        return above("widgets.inspector").Inspector(self, rank, **traits)

    def flow(self, **traits: Any) -> Any:
        """Return a `matir_nb.widgets.flow.StageFlow` of this result."""
        return above("widgets.flow").StageFlow(self, **traits)

    def ledger(self, rank: int = 1) -> pl.DataFrame:
        """Return what the score of the hit at `rank` is made of (`matir_nb.explain.ledger`)."""
        frame: pl.DataFrame = above("explain.ledger").ledger(self, rank)
        return frame

    def why(self, rank: int, other: int) -> pl.DataFrame:
        """Return why the hit at `rank` stands above the one at `other`: two ledgers' difference."""
        frame: pl.DataFrame = above("explain.ledger").difference(self, rank, other)
        return frame

    def words(self, rank: int = 1) -> Any:
        """Return what each word adds to each region (`matir_nb.explain.words.WordMatrix`)."""
        return above("explain.words").words(self, rank)

    def occlusion(self, rank: int = 1, *, judge: bool = False) -> pl.DataFrame:
        """Return what remains of the hit without each region (`matir_nb.explain.occlusion`)."""
        frame: pl.DataFrame = above("explain.occlusion").occlusion(self, rank, judge=judge)
        return frame

    def judge_more(
        self,
        n: int = 64,
        *,
        cancel: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Return the result as it is once the judge has seen `n` candidates more.

        Raises:
            ConfigError: the result has no source, or no judge is known.
        """
        more: Self = (
            self.source_for("the judge needs")
            .engine()
            .judge_more(self, n, cancel=cancel, progress=progress)
        )
        return more

    def compare(self, other: "SearchResult") -> Any:
        """Return what entered, left and moved (`matir_nb.explain.compare.Comparison`)."""
        return above("explain.compare").compare(self, other)

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write .parquet, .csv, .json, .html, .png or .txt (see `matir_nb.exports.files`).

        Raises:
            ConfigError: the ending is unknown, or the file is there and `overwrite` is not set.
        """
        written: Path = above("exports.files").write(self, path, overwrite=overwrite)
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
        entries: list[dict[str, Any]] = above("exports.coco").to_coco(self)
        return entries

    def to_fiftyone(self) -> Any:
        """Return a `fiftyone.Dataset`; needs that package."""
        return above("exports.others").to_fiftyone(self)

    def to_supervision(self) -> Any:
        """Return `supervision.Detections` by image id; needs that package."""
        return above("exports.others").to_supervision(self)

    def to_polars(self) -> pl.DataFrame:
        """Return one row per hit, with `HIT_SCHEMA`."""
        seconds = {f"seconds_{s}": self.provenance.seconds.get(s) for s in STAGES}
        shared = {"query": self.query, **seconds}
        return pl.DataFrame([row_of(hit) | shared for hit in self.hits], schema=HIT_SCHEMA)

    def save(self, path: str | Path) -> None:
        """Write a parquet file that `load` reads back exactly."""
        document = {
            "version": FILE_VERSION,
            "query": self.query,
            "provenance": asdict(self.provenance),
            "rest": {name: asdict(scores) for name, scores in self.rest.items()},
        }
        write_sealed(self.to_polars(), Path(path), {FILE_KEY: json.dumps(document)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ConfigError: there is no such file, or it is no saved result.
        """
        path = Path(path)
        if not path.is_file():
            message = f"no saved result at {str(path)!r}: give a file that SearchResult.save wrote"
            raise ConfigError(message)
        try:
            metadata, table = read_sealed(path)
            return cls._of_file(json.loads(metadata[FILE_KEY]), _completed(table), path)
        except DAMAGE as error:
            if isinstance(error, ConfigError):
                raise
            message = (
                f"{str(path)!r} is no saved result ({type(error).__name__}: {error}): "
                "give a file that SearchResult.save wrote"
            )
            raise ConfigError(message) from error

    @classmethod
    def _of_file(cls, document: dict[str, Any], table: pl.DataFrame, path: Path) -> Self:
        if document["version"] > FILE_VERSION:
            message = f"{str(path)!r} was saved by a newer matir_nb: update matir_nb"
            raise ConfigError(message)
        provenance = dict(document["provenance"])
        provenance["notices"] = tuple(provenance["notices"])
        return cls(
            query=document["query"],
            hits=tuple(hit_of_row(row) for row in table.iter_rows(named=True)),
            provenance=Provenance(**provenance),
            rest={name: Histogram(**scores) for name, scores in document["rest"].items()},
        )


def _completed(table: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `HIT_SCHEMA`, null where an older file has none."""
    missing = [pl.lit(None, HIT_SCHEMA[c]).alias(c) for c in HIT_SCHEMA if c not in table.columns]
    return table.with_columns(missing).select(HIT_SCHEMA.names()).cast(HIT_SCHEMA)
