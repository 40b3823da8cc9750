"""One search for every filling of a template: ``"{species} eating {food}"`` over two lists.

Braces hold a name; ``{{`` and ``}}`` are braces themselves. This module knows no command.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from matir_nb.engine import Cancel, Engine
from matir_nb.errors import ConfigError, nearest, unknown
from matir_nb.exports.frames import write_frame
from matir_nb.hit_table import HIT_SCHEMA
from matir_nb.index.where import Where
from matir_nb.printing import html_table, number, printable, table
from matir_nb.progress import Progress
from matir_nb.results import SearchResult
from matir_nb.review.gaps import Filling, Template, fillings_of
from matir_nb.review.ledger import Review

SUMMARY_SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "n_hits": pl.Int64(),
        "n_above_cut": pl.Int64(),
        "best_image_id": pl.String(),
        "best_score": pl.Float64(),
        "best_stage1_score": pl.Float64(),
        "best_p_relevant": pl.Float64(),
        "seconds": pl.Float64(),
    }
)
"""After the factors: one row per filling."""


@dataclass(frozen=True, slots=True)
class TemplateResult:
    """The results of all fillings of a template.

    Attributes:
        template: as asked.
        factors: the names of its gaps.
        results: filling -> result, in the order of the lists, the last factor fastest.
        n_fillings: how many were asked for; more than `results` when it was interrupted.
    """

    template: str
    factors: tuple[str, ...]
    results: Mapping[Filling, SearchResult] = field(repr=False)
    n_fillings: int

    def __len__(self) -> int:
        """Return the number of fillings that were searched."""
        return len(self.results)

    def __iter__(self) -> Iterator[SearchResult]:
        """Yield the results in the order of the lists."""
        return iter(self.results.values())

    def __getitem__(self, values: str | Filling) -> SearchResult:
        """Return the result of a filling: ``found["cat", "fish"]``.

        Raises:
            ConfigError: there is none; the message offers the nearest value.
        """
        filling = (values,) if isinstance(values, str) else tuple(values)
        if len(filling) != len(self.factors):
            wanted = ", ".join(self.factors)
            message = (
                f"{filling!r:.80} has {len(filling)} values, give {len(self.factors)}: {wanted}"
            )
            raise ConfigError(message)
        if filling not in self.results:
            for place, name in enumerate(self.factors):
                self._require(name, filling[place])
            message = f"{filling!r} was not searched: the search was interrupted"
            raise ConfigError(message)
        return self.results[filling]

    def where(self, **values: str) -> "TemplateResult":
        """Return the fillings that have these values: ``found.where(species="cat")``.

        Raises:
            ConfigError: there is no such factor, or it never has that value.
        """
        for name, value in values.items():
            if name not in self.factors:
                raise ConfigError(unknown("factor", name, self.factors))
            self._require(name, value)
        wanted = [(self.factors.index(name), value) for name, value in values.items()]
        kept = {
            filling: result
            for filling, result in self.results.items()
            if all(filling[place] == value for place, value in wanted)
        }
        return replace(self, results=kept, n_fillings=len(kept))

    def _require(self, name: str, value: str) -> None:
        place = self.factors.index(name)
        known = dict.fromkeys(filling[place] for filling in self.results)
        if value not in known:
            message = f"{name} is never {value!r:.80}: {nearest(value, known, n_listed=6)}"
            raise ConfigError(message)

    def to_polars(self) -> pl.DataFrame:
        """Return one row per hit of every query: the factors, then `HIT_SCHEMA`."""
        schema = self._schema(HIT_SCHEMA)
        frames = [
            result.to_polars().with_columns(*self._columns(filling)).select(schema.names())
            for filling, result in self.results.items()
        ]
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def summary(self) -> pl.DataFrame:
        """Return one row per filling: the factors, then `SUMMARY_SCHEMA`."""
        rows = [
            dict(zip(self.factors, filling, strict=True)) | _summary(result)
            for filling, result in self.results.items()
        ]
        return pl.DataFrame(rows, schema=self._schema(SUMMARY_SCHEMA))

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the table of all hits as .parquet, .csv or .json.

        Raises:
            ConfigError: the ending is unknown, the file is there and `overwrite` is not set, or
                it cannot be written.
        """
        return write_frame(self.to_polars(), path, overwrite=overwrite)

    def text(self) -> str:
        """Return the summary as a table for a terminal."""
        frame = self.summary().drop("query", "best_stage1_score", "seconds")
        rows = [[_printed(value) for value in row] for row in frame.iter_rows()]
        return table(frame.columns, rows, left=(*self.factors, "best_image_id"))

    def review(self, reviewer: str | None = None) -> Review:
        """Return a review that knows all these queries; nothing of them is seen yet.

        Args:
            reviewer: who will look; None = the setting.
        """
        review = Review(reviewer)
        for result in self.results.values():
            review.include(result)
        return review

    def __repr__(self) -> str:
        """Return one line: the template, and how many queries and hits."""
        n_hits = sum(len(result) for result in self)
        done = f"{len(self)} queries"
        if len(self) < self.n_fillings:
            done = f"{len(self)} of {self.n_fillings} queries (interrupted)"
        return f"TemplateResult({self.template!r}, {done}, {n_hits} hits)"

    def _repr_html_(self) -> str:
        """Return the summary as a table; all text is escaped."""
        frame = self.summary()
        return html_table(frame.columns, frame.iter_rows(), caption=repr(self))

    def _schema(self, rest: pl.Schema) -> pl.Schema:
        return pl.Schema({name: pl.String() for name in self.factors} | dict(rest))

    def _columns(self, filling: Filling) -> list[pl.Expr]:
        pairs = zip(self.factors, filling, strict=True)
        return [pl.lit(value, pl.String).alias(name) for name, value in pairs]


def _summary(result: SearchResult) -> dict[str, Any]:
    cuts = [hit.above_cut for hit in result.hits if hit.above_cut is not None]
    best = result.hits[0] if result.hits else None
    return {
        "query": result.query,
        "n_hits": len(result),
        "n_above_cut": sum(cuts) if cuts else None,
        "best_image_id": best and best.image_id,
        "best_score": best and best.final_score,
        "best_stage1_score": best and best.stage1_score,
        "best_p_relevant": best and best.p_relevant,
        "seconds": sum(result.provenance.seconds.values()),
    }


def _printed(value: object) -> str:
    if value is None or isinstance(value, float):
        return number(value)
    return printable(str(value))


def search_template(  # noqa: PLR0913 - the options of a search, by name
    engine: Engine,
    template: str,
    *,
    k: int = 12,
    judge: Any = None,
    n_judged: int | None = None,
    where: Where | None = None,
    approximate: bool | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **lists: Iterable[str],
) -> TemplateResult:
    """Search every filling of `template`; the same query is searched once.

    Ctrl-C, or `cancel`, ends it with the queries that are done.

    Args:
        engine: searches.
        template: e.g. "{species} eating {food}".
        k: hits per query.
        judge: as `Engine.search` takes it.
        n_judged: candidates per query that the judge sees; None = the preset's number.
        where: as `Engine.search` takes it.
        approximate: as `Engine.search` takes it.
        progress: called with (queries done, queries to do).
        cancel: asked within and between queries.
        lists: for every name in braces the values that it takes.

    Raises:
        QueryError: the template has no gap, a brace is alone, or a filled query cannot be used.
        ConfigError: a list is missing, empty, for no gap, or there are too many fillings.
    """
    asked = Template.parse(template)
    fillings = fillings_of(asked, lists)
    queries = [asked.filled(dict(zip(asked.names, one, strict=True))) for one in fillings]
    done: dict[str, SearchResult] = {}
    to_do = list(dict.fromkeys(queries))
    found_all = engine.searches(
        to_do,
        k=k,
        judge=judge,
        n_judged=n_judged,
        where=where,
        approximate=approximate,
        cancel=cancel,
    )
    try:
        for query, found in zip(to_do, found_all, strict=True):
            if cancel is not None and cancel():
                break
            done[query] = found
            if progress is not None:
                progress(len(done), len(to_do))
    except KeyboardInterrupt:
        if not done:
            raise
    pairs = zip(fillings, queries, strict=True)
    results = {filling: done[query] for filling, query in pairs if query in done}
    return TemplateResult(template, asked.names, results, len(fillings))
