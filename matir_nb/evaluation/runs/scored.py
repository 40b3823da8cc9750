"""The ranking metrics of any system's run, such as a TREC file of another tool. Knows no engine."""

from collections.abc import Iterable

import polars as pl

from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.metrics.relevance import relevance_of_run
from matir_nb.evaluation.runs.measures import RANKING

PAIR_SCHEMA = {"query_id": pl.String, "image_id": pl.String}


def score_run(run: pl.DataFrame, dataset: Dataset, *, k: int = 100) -> pl.DataFrame:
    """Return the ranking metrics of every query of a dataset, for hits that any system found.

    Hits of images that are not judged for their query (`QueryTruth.judged`) are taken out first,
    as a search here would not look at them. A query without hits scores 0, one with nothing to
    find has null. Queries of the run that the dataset does not ask are left out.

    Args:
        run: "query_id", "image_id", and "rank" or "score" (`matir_nb.exports.trec.read_run`).
        dataset: with the run's names of queries and images.
        k: hits that are looked at.

    Returns:
        "query_id", "text", "kind", "n_relevant", and a column for each ranking metric
        (`matir_nb.evaluation.runs.measures.RANKING`), in the order of the dataset.

    Raises:
        ConfigError: the run lacks a column or a value, or ranks a relevant image twice.
    """
    queries = dataset.queries
    known = run.filter(pl.col("query_id").is_in([query.query_id for query in queries]))
    limited = [query.query_id for query in queries if query.judged is not None]
    judged = _pairs((query.query_id, query.judged or ()) for query in queries)
    is_open = ~pl.col("query_id").is_in(limited)
    asked = known.filter(is_open).vstack(
        known.filter(~is_open).join(judged, on=list(PAIR_SCHEMA), how="semi")
    )
    found = relevance_of_run(asked, _pairs((q.query_id, q.relevant) for q in queries), k)
    columns = {
        name: pl.Series(of(found), dtype=pl.Float64).fill_nan(None) for name, of in RANKING.items()
    }
    scores = pl.DataFrame({"query_id": found.query_ids, **columns})
    about = pl.DataFrame(
        [(q.query_id, q.text, q.kind, len(q.relevant)) for q in queries],
        {"query_id": pl.String, "text": pl.String, "kind": pl.String, "n_relevant": pl.Int64},
        orient="row",
    )
    return about.join(scores, on="query_id", how="left", maintain_order="left")


def _pairs(images: Iterable[tuple[str, Iterable[str]]]) -> pl.DataFrame:
    rows = [(query_id, image_id) for query_id, names in images for image_id in sorted(names)]
    return pl.DataFrame(rows, PAIR_SCHEMA, orient="row")
