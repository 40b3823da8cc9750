r"""Results as TREC runs and judgements as TREC qrels, for trec_eval, ranx, ir-measures, PyTerrier.

A run has lines ``query_id Q0 image_id rank score tag``, qrels ``query_id 0 image_id relevance``.
The fields are separated by blanks, and image ids may hold any character: whitespace, quotation
marks, control characters and the percent sign are written as percent-encoded UTF-8
(``a b.png`` → ``a%20b.png``), everything else as it is; `decoded` gives the id back.

Evaluation tools order a run by its scores, in single precision (trec_eval, pytrec_eval), and
break ties by image id. So scores fall strictly from rank to rank: the final score, and where its
single precision is not below the one before, the next single-precision number below that.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote

import numpy as np
import polars as pl

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.exports.atomic import check_target, whole_file
from matir_nb.exports.marks import check_marks
from matir_nb.printing import DANGEROUS
from matir_nb.results import SearchResult
from matir_nb.types import Hit, QueryTruth

TAG = "matir_nb"
RELEVANCE: Mapping[str, int] = {"relevant": 1, "not relevant": 0}
"""Marks that are judgements; who is unsure has not judged."""
RUN_SCHEMA = pl.Schema(
    {
        "query_id": pl.String(),
        "image_id": pl.String(),
        "rank": pl.Int64(),
        "score": pl.Float64(),
        "tag": pl.String(),
    }
)

Results: TypeAlias = SearchResult | Sequence[SearchResult]
Judged: TypeAlias = QueryTruth | Mapping[str, str]
"""What is right for a query, or marks (image id -> mark)."""


def encoded(text: str, *, keep: str = "") -> str:
    r"""Return `text` as one field; characters of `keep` stay.

    >>> encoded('50% "a\tb".png'), encoded("né_日.png")
    ('50%25%20%22a%09b%22.png', 'né_日.png')
    """
    return "".join(
        quote(char, safe="", errors="surrogatepass")
        if _separates(char) and char not in keep
        else char
        for char in text
    )


def _separates(char: str) -> bool:
    is_unseen = char.isspace() or unicodedata.category(char) in DANGEROUS
    return is_unseen or char in '%"'


def decoded(field: str) -> str:
    """Return the text of which `encoded` made `field`.

    >>> decoded("a%20b.png")
    'a b.png'
    """
    return unquote(field, errors="surrogatepass")


def to_run(results: Results, *, query_ids: Sequence[str] | None = None, tag: str = TAG) -> str:
    """Return a run of one result or several; a result without hits has no line.

    Args:
        results: of one system; each is a query of its own.
        query_ids: one per result; None = q1, q2, ... (`to_queries` says which text is which).
        tag: names the system.

    Raises:
        ConfigError: ids and results do not pair up, an id is empty or there twice, the tag is
            empty, or a score is no number.
    """
    listed = _listed(results)
    name = _field("tag", tag)
    lines = [
        f"{query_id} Q0 {_field('image id', hit.image_id)} {rank} {score!r} {name}\n"
        for query_id, result in zip(_ids_of(listed, query_ids), listed, strict=True)
        for rank, (hit, score) in enumerate(
            zip(result.hits, falling_scores(result.hits), strict=True), 1
        )
    ]
    return "".join(lines)


def falling_scores(hits: Sequence[Hit]) -> list[float]:
    """Return final scores that fall strictly, in double and in single precision.

    Raises:
        ConfigError: a score is no finite number in single precision.
    """
    scores: list[float] = []
    below = np.float32(np.inf)
    for hit in hits:
        single = np.float32(hit.final_score) if abs(hit.final_score) < 1e38 else None
        if single is None or not isfinite(single):
            message = f"the score {hit.final_score} of {hit.image_id!r:.80} is no finite number"
            raise ConfigError(message)
        if single < below:
            scores.append(hit.final_score)
            below = single
        else:
            below = np.nextafter(below, np.float32(-np.inf))
            scores.append(float(below))
    return scores


def to_qrels(judged: Judged | Sequence[Judged], *, query_ids: Sequence[str] | None = None) -> str:
    """Return qrels of marks or of truth: 1 = relevant, 0 = not relevant; unsure is left out.

    Args:
        judged: of one query or several: marks (image id -> mark), or `QueryTruth`, of which the
            relevant images are written.
        query_ids: one per query, those of the run; None = a truth's own id, and q1, q2, ... for
            marks.

    Raises:
        ConfigError: ids do not pair up, an id is empty or there twice, or a mark is unknown.
    """
    listed = [judged] if isinstance(judged, QueryTruth | Mapping) else list(judged)
    own = [_own_id(one, place) for place, one in enumerate(listed, 1)]
    ids = _ids_of(listed, own if query_ids is None else query_ids)
    return "".join(
        f"{query_id} 0 {_field('image id', image_id)} {relevance}\n"
        for query_id, one in zip(ids, listed, strict=True)
        for image_id, relevance in sorted(_relevance(one).items())
    )


def _own_id(judged: Judged, place: int) -> str:
    return judged.query_id if isinstance(judged, QueryTruth) else f"q{place}"


def _relevance(judged: Judged) -> dict[str, int]:
    if isinstance(judged, QueryTruth):
        return dict.fromkeys(judged.relevant, 1)
    check_marks(judged, judged)
    return {name: RELEVANCE[mark] for name, mark in judged.items() if mark in RELEVANCE}


def to_queries(results: Results, *, query_ids: Sequence[str] | None = None) -> str:
    r"""Return ``query_id<TAB>text`` lines; of the text, only blanks stay unencoded whitespace.

    Raises:
        ConfigError: as `to_run`.
    """
    listed = _listed(results)
    ids = _ids_of(listed, query_ids)
    texts = [encoded(one.query, keep=' "') for one in listed]
    return "".join(f"{query_id}\t{text}\n" for query_id, text in zip(ids, texts, strict=True))


def write_run(
    results: Results,
    path: str | Path,
    *,
    query_ids: Sequence[str] | None = None,
    tag: str = TAG,
    overwrite: bool = False,
) -> Path:
    """Write a run and, beside it, what its query ids mean: ``hits.run``, ``hits.queries.tsv``.

    Raises:
        ConfigError: as `to_run`; a file is there and `overwrite` is not set.
    """
    target = Path(path)
    queries = target.with_suffix(".queries.tsv")
    texts = (
        to_run(results, query_ids=query_ids, tag=tag),
        to_queries(results, query_ids=query_ids),
    )
    check_target(queries, overwrite=overwrite)
    for file, text in zip((target, queries), texts, strict=True):
        with whole_file(file, overwrite=overwrite) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    return target


def write_qrels(
    judged: Judged | Sequence[Judged],
    path: str | Path,
    *,
    query_ids: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write qrels.

    Raises:
        ConfigError: as `to_qrels`; the file is there and `overwrite` is not set.
    """
    text = to_qrels(judged, query_ids=query_ids)
    with whole_file(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def read_run(path: str | Path) -> pl.DataFrame:
    """Return the lines of a run with `RUN_SCHEMA`, ids decoded, in the order of the file.

    Raises:
        ConfigError: there is no such file.
        AnnotationError: a line is none of a run.
    """
    file = Path(path)
    if not file.is_file():
        message = (
            f"no run at {str(file)!r}: give a file of lines 'query_id Q0 image_id rank score tag'"
        )
        raise ConfigError(message)
    lines = file.read_text(encoding="utf-8").split("\n")
    rows = [_row(line, place) for place, line in enumerate(lines, 1) if line.strip()]
    return pl.DataFrame(rows, RUN_SCHEMA, orient="row")


def _row(line: str, place: int) -> tuple[str, str, int, float, str]:
    try:
        query_id, _, image_id, rank, score, tag = line.split()
        return decoded(query_id), decoded(image_id), int(rank), float(score), decoded(tag)
    except ValueError as error:
        message = (
            f"line {place} is none of a run: {line!r:.120}: "
            "it needs 'query_id Q0 image_id rank score tag'"
        )
        raise AnnotationError(message) from error


def _listed(results: Results) -> list[SearchResult]:
    given: object = [results] if isinstance(results, SearchResult) else results
    listed = list(given) if isinstance(given, Iterable) else [given]
    found = [one for one in listed if isinstance(one, SearchResult)]
    if len(found) < len(listed):
        message = f"a run is of a SearchResult or a list of them, got {results!r:.80}"
        raise ConfigError(message)
    return found


def _ids_of(listed: Sequence[object], query_ids: Sequence[str] | None) -> list[str]:
    """Return one encoded query id for each of `listed`."""
    given = [f"q{place}" for place in range(1, len(listed) + 1)]
    if isinstance(query_ids, str):
        message = f"query_ids = {query_ids!r:.80}: give a list of ids, one per query"
        raise ConfigError(message)
    if query_ids is not None:
        given = list(query_ids)
    if len(given) != len(listed):
        message = f"{len(given)} query ids for {len(listed)} queries: give one each"
        raise ConfigError(message)
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        message = f"the query id {twice!r:.80} is there twice: give each query its own"
        raise ConfigError(message)
    return [_field("query id", name) for name in given]


def _field(what: str, text: object) -> str:
    if not isinstance(text, str):
        message = f"the {what} {text!r:.80} is no text: give str({text!r:.80})"
        raise ConfigError(message)
    if not text:
        message = f"an empty {what} cannot be written: a run separates its fields by blanks"
        raise ConfigError(message)
    return encoded(text)
