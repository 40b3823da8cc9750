"""What a trace says, as a table of one row, as text and as HTML. This module asks no index."""

from dataclasses import dataclass

import polars as pl

from matir_nb.explain.entries import Entry
from matir_nb.explain.ledger import ledger_frame
from matir_nb.explain.ledger_text import ledger_text
from matir_nb.printing import html_table, html_text, number, printable, table
from matir_nb.types import BoxXYXY, Hit

TRACE_SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "image_id": pl.String(),
        "k": pl.Int64(),
        "n_judged": pl.Int64(),
        "n_images": pl.Int64(),
        "is_found": pl.Boolean(),
        "lost_by": pl.String(),
        "smallest_k": pl.Int64(),
        "smallest_n_judged": pl.Int64(),
        "why_no_n_judged": pl.String(),
        "stage1_rank": pl.Int64(),
        "stage1_score": pl.Float64(),
        "judge_rank": pl.Int64(),
        "p_relevant": pl.Float64(),
        "logit": pl.Float64(),
        "answer": pl.String(),
        "final_rank": pl.Int64(),
        "final_score": pl.Float64(),
        "best_region_id": pl.Int64(),
        "best_region_score": pl.Float64(),
    }
)
"""One row per image, so that traces can be joined with `polars.concat`; null as in `HIT_SCHEMA`."""
K = "k"
N_JUDGED = "n_judged"
THE_JUDGE = "the judge"
STAGE_HEAD = ("stage", "rank", "of", "kept", "score")
REGION_HEAD = ("region", "cosine", "box")


@dataclass(frozen=True, slots=True)
class TracedRegion:
    """A stored region of the image, as stage 1 scores it.

    Attributes:
        region_id: row of the image's regions.
        cosine: with the query.
        box_xyxy: pixels of the upright image.
    """

    region_id: int
    cosine: float
    box_xyxy: BoxXYXY


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """How one image fared in one search.

    Attributes:
        query: as asked.
        hit: the image at every stage; its rank is that in the order of all images.
        k: hits that were asked for.
        n_judged: candidates that the judge was to see; None = no judge took part.
        n_judged_done: those that it saw; fewer after a cancel.
        n_images: in the index.
        is_found: whether the search gives the image.
        lost_by: the limit that lost it: `K`, `N_JUDGED` or `THE_JUDGE` (see
            `matir_nb.explain.trace`); None = it is found.
        smallest_k: the smallest k that keeps it, with `n_judged` as it is.
        smallest_n_judged: the smallest n_judged above `n_judged` that keeps it, with `k` as it
            is; None = none does, or it is found.
        why_no_n_judged: why `smallest_n_judged` is None; empty where it is not.
        regions: the best ones, best first.
        entries: the ledger of its final score.
    """

    query: str
    hit: Hit
    k: int
    n_judged: int | None
    n_judged_done: int | None
    n_images: int
    is_found: bool
    lost_by: str | None
    smallest_k: int
    smallest_n_judged: int | None
    why_no_n_judged: str
    regions: tuple[TracedRegion, ...]
    entries: tuple[Entry, ...]

    @property
    def image_id(self) -> str:
        """The image."""
        return self.hit.image_id

    @property
    def final_rank(self) -> int:
        """Rank in the order of all images."""
        return self.hit.rank

    @property
    def is_judged(self) -> bool:
        """Whether the judge saw it."""
        return self.hit.judge_rank is not None

    def ledger(self) -> pl.DataFrame:
        """Return what its final score is made of (`matir_nb.explain.ledger.LEDGER_SCHEMA`)."""
        return ledger_frame(self.hit, self.entries)

    def to_polars(self) -> pl.DataFrame:
        """Return one row, with `TRACE_SCHEMA`."""
        row = {
            name: getattr(self if hasattr(self, name) else self.hit, name) for name in TRACE_SCHEMA
        }
        return pl.DataFrame([row], schema=TRACE_SCHEMA)

    def verdict(self) -> str:
        """Return in one sentence whether it is found, and what lost it."""
        if self.is_found:
            return f"found: rank {self.final_rank} of {self.n_images}"
        hit = self.hit
        if self.lost_by == N_JUDGED:
            what = f"the judge saw {self.n_judged_done} candidates, not this one"
        elif self.lost_by == THE_JUDGE and not self.is_judged:
            what = f"of those that the judge saw, {self.k} overtook it"
        elif self.lost_by == THE_JUDGE:
            p = number(hit.p_relevant)
            moved = f"took it from {hit.stage1_rank} to {hit.rank}"
            stands = f"it stands at {hit.rank} ({hit.stage1_rank} by stage 1)"
            what = f"the judge gave it p {p}"
            what += f" and {moved}" if hit.rank > hit.stage1_rank else f"; {stands}"
        else:
            what = f"it stands at {hit.rank}, and {self.k} hits were asked for"
        return f"not found, lost by {self.lost_by}: {what}"

    def remedies(self) -> tuple[str, ...]:
        """Return which k and which n_judged keep it, each in a line."""
        judged = "" if self.n_judged is None else f" (n_judged = {self.n_judged})"
        if self.n_judged and self.n_judged_done != min(self.n_judged, self.n_images):
            judged = f" (as far as judged: {self.n_judged_done} of {self.n_judged})"
        lines = [f"smallest k that keeps it: {self.smallest_k}{judged}"]
        if self.smallest_n_judged is not None:
            lines.append(
                f"smallest n_judged that keeps it: {self.smallest_n_judged} (k = {self.k})"
            )
        elif not self.is_found and self.n_judged is not None:
            is_known = not self.why_no_n_judged.startswith("cancelled")
            said = "no larger n_judged keeps it" if is_known else "a larger n_judged may keep it"
            lines.append(f"{said} (k = {self.k}): {self.why_no_n_judged}")
        return tuple(lines)

    def text(self) -> str:
        """Return everything in words: the verdict, ranks by stage, regions, the ledger."""
        parts = [
            f"{printable(self.image_id)}  for  {printable(self.query)!r}",
            "\n".join([self.verdict(), *self.remedies()]),
            table(STAGE_HEAD, self._stage_rows(), left=["stage", "kept"]),
        ]
        if self.is_judged:
            parts.append(f"the judge's answer: {printable(self.hit.answer or '')!r}")
        rows = self._region_rows()
        parts.append(table(REGION_HEAD, rows, left=["box"]) if rows else "it has no regions")
        return "\n\n".join([*parts, ledger_text(self.entries, self.hit.final_score)])

    def __repr__(self) -> str:
        """Return one line: the image and what became of it."""
        head = f"{printable(self.image_id)!r} for {printable(self.query)!r}"
        return f"Trace({head}: {'; '.join([self.verdict(), *self.remedies()])})"

    def _repr_html_(self) -> str:
        """Return tables of ranks, regions and the ledger; all text is escaped."""
        frame = self.ledger().select("stage", "name", "value", "formula", "contribution")
        said = "".join(f"<p>{html_text(line)}</p>" for line in [self.verdict(), *self.remedies()])
        answer = f"<p>the judge: {html_text(self.hit.answer or '')}</p>" if self.is_judged else ""
        title = f"<p><b>{html_text(self.image_id)}</b> for <i>{html_text(self.query)}</i></p>"
        tables = [
            html_table(STAGE_HEAD, self._stage_rows()),
            answer,
            html_table(REGION_HEAD, self._region_rows()),
            html_table(frame.columns, frame.iter_rows()),
        ]
        return f"<div>{title}{said}{''.join(tables)}</div>"

    def _stage_rows(self) -> list[list[str]]:
        hit = self.hit
        n_candidates = min(self.k + (self.n_judged or 0), self.n_images)
        rows = [
            [
                "stage 1",
                str(hit.stage1_rank),
                str(self.n_images),
                _kept(hit.stage1_rank <= n_candidates, f"the best {n_candidates} go on"),
                f"{hit.stage1_score:.4f}",
            ]
        ]
        if self.n_judged is not None:
            judged = "judged" if self.is_judged else "not judged"
            rank = "-" if hit.judge_rank is None else str(hit.judge_rank)
            score = "-" if hit.p_relevant is None else f"p {hit.p_relevant:.3f}"
            rows.append(["judge", rank, str(self.n_judged_done), judged, score])
        kept = _kept(self.is_found, f"k = {self.k}")
        rows.append(["final", str(hit.rank), str(self.n_images), kept, number(hit.final_score)])
        return rows

    def _region_rows(self) -> list[list[str]]:
        return [
            [str(r.region_id), f"{r.cosine:.4f}", ",".join(f"{v:.0f}" for v in r.box_xyxy)]
            for r in self.regions
        ]


def _kept(is_kept: bool, limit: str) -> str:  # noqa: FBT001 - a flag in a cell
    return f"{'yes' if is_kept else 'no'} ({limit})"
