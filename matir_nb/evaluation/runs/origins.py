"""Where a report's numbers come from: dataset, protocol, arms, models, versions.

This module reads what a run's provenance says, whatever of it is there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from matir_nb.evaluation.runs.blocks import Block, Cell, Facts, Paragraph, Table
from matir_nb.evaluation.runs.folder import Run


def gallery_text(queries: pl.DataFrame) -> str:
    """Return how many images are searched."""
    sizes = queries["n_gallery"].to_list()
    low, high = min(sizes), max(sizes)
    return f"{low} images" if low == high else f"{low} to {high} images each"


def dataset_blocks(run: Run) -> Iterator[Block]:
    """Yield what was asked, of which images, by which rules, in which ways."""
    about = run.provenance.get("dataset", {})
    source = about.get("source", {})
    kinds = run.queries["kind"].n_unique()
    absent = run.queries.filter(pl.col("n_relevant") == 0)["query_id"].n_unique()
    queries = f"{run.queries['query_id'].n_unique()}" + (f" of {kinds} kinds" if kinds > 1 else "")
    pairs = [
        ("dataset", run.dataset_name),
        ("source", str(source.get("title", ""))),
        ("address", str(source.get("url", ""))),
        ("licence", str(source.get("licence", ""))),
        ("queries", queries + (f"; {absent} with nothing to find" if absent else "")),
        ("gallery", gallery_text(run.queries)),
        *((f"protocol: {name}", str(value)) for name, value in about.get("protocol", {}).items()),
    ]
    yield Facts(tuple((name, value) for name, value in pairs if value))
    arms = run.provenance.get("arms")
    if isinstance(arms, Mapping):
        yield _arms(arms)


def _arms(arms: Mapping[str, Any]) -> Table:
    rows = []
    for name, arm in arms.items():
        judge = {False: "none (stage 1 alone)", None: "the engine's own"}.get(
            arm.get("judge"), arm.get("judge")
        )
        options = ", ".join(f"{key} = {value}" for key, value in arm.get("options", {}).items())
        judged = arm.get("n_judged")
        rows.append((Cell(name), Cell(str(judge)), Cell(str(judged or "–")), Cell(options or "–")))
    head = ("arm", "judge", "images judged", "other options")
    return Table("The arms: ways to answer the same queries", head, tuple(rows), n_words=len(head))


def provenance_blocks(run: Run) -> Iterator[Block]:
    """Yield all else that a run says of itself."""
    told = {"dataset", "arms", "notices", "unavailable"}
    left = {name: value for name, value in run.provenance.items() if name not in told}
    digest = run.provenance.get("dataset", {}).get("digest")
    # where the index lies says something of its owner, and nothing of the numbers
    pairs = [
        *(pair for pair in _flat(left) if pair[0] != "index: path"),
        *([("dataset digest", str(digest))] if digest else []),
    ]
    yield Facts(tuple(pairs))
    yield Paragraph(
        "Beside this page: run.json (all of this), queries.parquet (every query with its hits and "
        "metrics), report.parquet (every number with its interval)."
    )


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values, those of inner objects under a joined name.

    >>> list(_flat({"seed": 0, "models": {"encoder": "a"}, "arms": ["b", "c"]}))
    [('seed', '0'), ('models: encoder', 'a'), ('arms', 'b, c')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
            yield from _flat(value, f"{before}{name}: ")
        elif isinstance(value, Mapping) and name in ("models", "judges", "fingerprints", "index"):
            yield from ((f"{before}{name}: {key}", _text(inner)) for key, inner in value.items())
        elif value not in (None, "", [], {}):
            yield f"{before}{name}", _text(value)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
