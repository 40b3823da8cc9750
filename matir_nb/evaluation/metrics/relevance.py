"""From the ids of a run and of judgements to the padded matrix that the metrics take.

Row = query, column = rank - 1. Both come as polars frames, or both as dicts. Knows no metric.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matir_nb.errors import ConfigError
from matir_nb.evaluation.metrics.pairs import Pairs
from matir_nb.evaluation.metrics.ranking import checked_k

Run: TypeAlias = pl.DataFrame | Mapping[str, Sequence[str] | Mapping[str, float]]
Qrels: TypeAlias = pl.DataFrame | Mapping[str, Collection[str] | Mapping[str, float]]

_KEYS = ("query_id", "image_id")


@dataclass(frozen=True, slots=True)
class RankedQueries:
    """What the ranking metrics need of queries that were asked, or judged, or both.

    Attributes:
        query_ids: those of the run in its order, then those that are only judged.
        ranked: (q, k) bool, whether the image at each rank is relevant; padded with False.
        n_relevant: (q,) int64, all images that are judged relevant.
    """

    query_ids: tuple[str, ...]
    ranked: NDArray[np.bool_]
    n_relevant: NDArray[np.int64]


def relevance_of_run(run: Run, qrels: Qrels, k: int) -> RankedQueries:
    """Return which of each query's best `k` images are judged relevant.

    An image without a judgement is not relevant; a query without judgements has n_relevant 0
    and a query that was never asked an empty row, so that it scores 0 (as trec_eval's -c).

    Args:
        run: a frame with "query_id", "image_id", and "rank" (ascending) or "score" (descending,
            ties by image id; not read beside a rank); or query -> image ids, best first; or
            query -> image -> score, with the same ties.
        qrels: a frame with "query_id", "image_id" and perhaps "relevance"; or query -> relevant
            image ids; or query -> image -> relevance. Relevance above 0 counts.
        k: ranks kept.

    Raises:
        ConfigError: a frame lacks a column or has a null or NaN in it, an image is relevant twice
            in one list, one of the two is a frame and the other is not, or `k` is below 1.

    >>> relevance_of_run({"q": ["b", "a"]}, {"q": {"a", "c"}}, 2)
    RankedQueries(query_ids=('q',), ranked=array([[False,  True]]), n_relevant=array([2]))
    """
    if isinstance(run, pl.DataFrame) and isinstance(qrels, pl.DataFrame):
        return _of_frames(run, qrels, checked_k(k))
    if isinstance(run, Mapping) and isinstance(qrels, Mapping):
        return _of_dicts(run, qrels, checked_k(k))
    message = (
        f"a run and judgements are two frames or two dicts, got {type(run).__name__} and "
        f"{type(qrels).__name__}"
    )
    raise ConfigError(message)


def _placed(values: NDArray[Any], lengths: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
    """Return `out` with the first values of every list in its row."""
    columns = np.arange(out.shape[1])
    longest = max(int(lengths.max(initial=0)), 1)
    if len(values) == longest * len(lengths):
        width = min(longest, out.shape[1])
        out[:, :width] = values.reshape(-1, longest)[:, :width]
        return out
    starts = np.cumsum(lengths) - lengths
    is_there = columns < lengths[:, None]
    out[is_there] = values[(starts[:, None] + columns)[is_there]]
    return out


def _of_frames(run: pl.DataFrame, qrels: pl.DataFrame, k: int) -> RankedQueries:
    ordered, asked = _ordered(run)
    right = _relevant(qrels)
    judged = right["query_id"].rle().struct.unnest()
    names = [name for part in (asked, judged) for name in part["value"].to_list()]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    rows = np.fromiter(map(numbers.__getitem__, names), np.int64, count=len(names))
    n_asked, lengths = len(asked), asked["len"].to_numpy().astype(np.int64)
    listed = Pairs.of(rows[:n_asked], lengths, ordered["image_id"])
    wanted = Pairs.of(rows[n_asked:], judged["len"].to_numpy(), right["image_id"]).distinct()
    places = listed.places_of(wanted)
    _require_once(listed.at(places), tuple(numbers))
    ranked = np.zeros((len(numbers), k), np.bool_)
    columns = places - (np.cumsum(lengths) - lengths)[listed.rows[places]]
    ranked[listed.rows[places][columns < k], columns[columns < k]] = True
    return RankedQueries(tuple(numbers), ranked, np.bincount(wanted.rows, minlength=len(numbers)))


def _require_once(hits: Pairs, query_ids: Sequence[str]) -> None:
    once = hits.distinct()
    if len(once.rows) < len(hits.rows):
        row, image_id = hits.frame().filter(hits.frame().is_duplicated()).row(0)
        raise ConfigError(_twice(query_ids[row], image_id))


def _relevant(qrels: pl.DataFrame) -> pl.DataFrame:
    _require_columns("frame of judgements", qrels, _KEYS)
    return qrels.filter(pl.col("relevance") > 0) if "relevance" in qrels.columns else qrels


def _ordered(run: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the run with each query's images together, best first, and "value", "len" of each."""
    by = "rank" if "rank" in run.columns else "score"
    _require_columns("run", run, (*_KEYS, by))
    worse = run[by] if by == "rank" else -run[by].cast(pl.Float64)
    if worse.dtype.is_float() and worse.is_nan().any():
        message = f"the run has NaN as {by}: every hit needs a place"
        raise ConfigError(message)
    asked = run["query_id"].rle().struct.unnest()
    if _is_ordered(asked, worse.to_numpy()):
        return run, asked
    first = run.select("query_id").unique(maintain_order=True).with_row_index("_query")
    ordered = run.with_columns(worse.alias("_worse")).join(first, on="query_id", how="left")
    ordered = ordered.sort("_query", "_worse", "image_id")
    return ordered, ordered["query_id"].rle().struct.unnest()


def _is_ordered(asked: pl.DataFrame, worse: NDArray[Any]) -> bool:
    """Tell whether each query's rows are together, and strictly worse and worse."""
    falls = worse[1:] > worse[:-1]
    falls[np.cumsum(asked["len"].to_numpy())[:-1] - 1] = True
    return bool(falls.all()) and asked["value"].n_unique() == len(asked)


def _require_columns(what: str, frame: pl.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in frame.columns:
            message = f"the {what} has no column {name!r}: give {', '.join(names)}"
            raise ConfigError(message)
        if frame[name].null_count():
            message = f"column {name!r} of the {what} has a null: fill it in, or drop the row"
            raise ConfigError(message)


def _twice(query_id: str, image_id: str) -> str:
    return f"image {image_id!r} is ranked twice for query {query_id!r}: keep its best rank"


def _of_dicts(
    run: Mapping[str, Sequence[str] | Mapping[str, float]],
    qrels: Mapping[str, Collection[str] | Mapping[str, float]],
    k: int,
) -> RankedQueries:
    relevant = {query_id: _relevant_of(judged) for query_id, judged in qrels.items()}
    asked = {query_id: _best_first(query_id, images)[:k] for query_id, images in run.items()}
    ids = (*asked, *(query_id for query_id in relevant if query_id not in asked))
    nothing: frozenset[str] = frozenset()
    flags = np.fromiter(
        chain.from_iterable(
            map(relevant.get(query_id, nothing).__contains__, images)
            for query_id, images in asked.items()
        ),
        np.bool_,
        count=sum(map(len, asked.values())),
    )
    _require_each_once(asked, flags)
    lengths = np.array([len(asked.get(query_id, ())) for query_id in ids], np.int64)
    ranked = _placed(flags, lengths, np.zeros((len(ids), k), np.bool_))
    counts = np.array([len(relevant.get(query_id, nothing)) for query_id in ids], np.int64)
    return RankedQueries(ids, ranked, counts)


def _relevant_of(judged: Collection[str] | Mapping[str, float]) -> Collection[str]:
    if isinstance(judged, Mapping):
        return {image_id for image_id, relevance in judged.items() if relevance > 0}
    return judged if isinstance(judged, set | frozenset) else frozenset(judged)


def _best_first(query_id: str, images: Sequence[str] | Mapping[str, float]) -> Sequence[str]:
    if not isinstance(images, Mapping):
        return images
    if any(score != score for score in images.values()):  # noqa: PLR0124 - NaN, of any float type
        message = f"the run of query {query_id!r} has NaN as score: every hit needs a place"
        raise ConfigError(message)
    return sorted(images, key=lambda image_id: (-images[image_id], image_id))


def _require_each_once(asked: Mapping[str, Sequence[str]], flags: NDArray[np.bool_]) -> None:
    start, bits = 0, flags.tobytes()
    for query_id, images in asked.items():
        found = list(compress(images, bits[start : start + len(images)]))
        start += len(images)
        if len(set(found)) < len(found):
            raise ConfigError(_twice(query_id, next(i for i in found if found.count(i) > 1)))
