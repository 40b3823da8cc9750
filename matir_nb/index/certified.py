"""The best images for a query, found from int8 codes and proven equal to a full scan.

A first pass reads the codes of all regions (one byte a number: the least that an exact search can
read) and gives every image an estimate of its score and a bound on how far that can be off
(`matir_nb.index.codes`). The k best estimates are scored exactly; the k-th of these exact scores
is a floor: an image whose estimate plus bound stays below it cannot be among the k best. The few
that remain are scored exactly, too. So the answer, its order and its scores are those of the
full scan, whatever the data is; data only decides how many images remain.
This module knows no file and no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import QueryError, ShapeError
from matir_nb.index.codes import SLACK, CodeArray, QueryCodes, bound, encode_queries
from matir_nb.index.segments import OpenSegment, Vectors
from matir_nb.index.store import Index
from matir_nb.index.vectors import best_per_image, fuse, regions_of, scan, sorted_ranks, top_k
from matir_nb.types import FloatArray

Said: TypeAlias = list[FloatArray] | None
BLOCK_SCORES = 1 << 18
"""Scores of one block of the first pass of several queries: they stay in the processor's cache."""
BLOCK_ROWS = 1 << 20
"""Regions of one block for a single query: its kernel is the faster the more it gets at once."""
BLOCK_EXACT = 4096
"""Regions that are gathered at once to be scored exactly."""
LEAST_WEIGHT = 1e-9
"""A smaller weight of the regions says nothing of what they need."""
ESTIMATES = 1 << 24
"""Estimates of a batch of queries that are kept at once."""
FEW_NUMBERS = 1 << 21
"""Regions times dimensions: so few are scored exactly at once, without a first pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best images of one query.

    Attributes:
        rows: (k,) of the index, best first; equal scores by image id.
        scores: (k,) float64, fused and exact.
        estimates: (n_images,) float32, fused; of an image that is not among `rows` as the codes
            say; -inf for one that was filtered out.
        n_exact: images that were scored exactly.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    estimates: FloatArray
    n_exact: int


def search(
    index: Index,
    queries: FloatArray,
    *,
    k: int,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
) -> list[Best]:
    """Return the `k` best images of each query, exactly as a full scan would.

    Args:
        index: what is searched; the queries share the pass over it.
        queries: (q, d) float32, of unit length.
        k: images wanted; an index with fewer gives them all.
        config: weighs regions and whole images.
        keep: (n_images,) images that may be found; None = all.

    Raises:
        ShapeError: the queries' length is not that of the index, or `keep` is too short.
        QueryError: a query holds a number that is not finite.
    """
    check(index, queries, keep)
    rows = np.arange(index.n_images) if keep is None else np.flatnonzero(keep)
    if index.region_counts[rows].sum() * index.dim <= FEW_NUMBERS or len(rows) <= k:
        return [best_among(index, query, rows, k=k, config=config) for query in queries]
    found: list[Best] = []
    at_once = max(ESTIMATES // index.n_images, 1)
    for start in range(0, len(queries), at_once):
        some = queries[start : start + at_once]
        estimates, bounds, said = first_pass(index, some, config)
        if keep is not None:
            estimates[:, ~keep] = -np.inf
        for query, estimate, off in zip(some, estimates, bounds, strict=True):
            found.append(_proven(index, query, estimate, off, k=k, config=config, said=said))
    return found


def first_pass(
    index: Index, queries: FloatArray, config: RetrieveConfig
) -> tuple[FloatArray, FloatArray, Said]:
    """Return what the codes say of every image.

    Returns:
        (q, n_images) float32 estimates of the fused scores, how far each can be off, and of a
        single query what `_scaled` says of each region, by segment; else None.
    """
    coded = encode_queries(queries)
    shape = (len(queries), index.n_images)
    estimates, bounds = np.empty(shape, np.float32), np.empty(shape, np.float32)
    is_one = len(queries) == 1
    said = [np.empty(part.region_table.n_rows, np.float32) for part in index.parts if is_one]
    for number, part in enumerate(index.parts):
        columns = slice(*index.starts[number : number + 2])
        best, whole = _estimates(part, queries, coded, said[number] if is_one else None)
        off_whole = bound(coded, *part.wholes.coded.scales[1:])
        off_best = bound(coded, *part.limits)
        is_empty = np.isneginf(best)
        best, off_best = np.where(is_empty, whole, best), np.where(is_empty, off_whole, off_best)
        fused = config.region_weight * best + config.image_weight * whole
        off = config.region_weight * off_best + config.image_weight * off_whole
        estimates[:, columns], bounds[:, columns] = fused[:, part.live], off[:, part.live]
    return estimates, bounds, said or None


def exact_scores(
    index: Index,
    query: FloatArray,
    rows: NDArray[np.int64],
    config: RetrieveConfig,
    *,
    floor: float = -np.inf,
    said: Said = None,
) -> NDArray[np.float64]:
    """Return (n,) exact fused scores of the images of `rows` with a (d,) query.

    Args:
        index: where they are.
        query: of unit length.
        rows: n images.
        config: weighs regions and whole images.
        floor: of an image that does not reach it any score below it is given.
        said: of `first_pass`, for this query.
    """
    best, whole = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
    number_of = np.searchsorted(index.starts, rows, side="right") - 1
    for number in np.unique(number_of):
        part, places = index.parts[number], np.flatnonzero(number_of == number)
        local = part.live[rows[places] - index.starts[number]]
        whole[places] = scan(query[None], part.wholes.picked[local])[0]
        # what the best region needs so that its image reaches the floor, rounded down
        gap = floor - config.image_weight * whole[places].astype(np.float64)
        has_weight = config.region_weight > LEAST_WEIGHT
        need = gap / config.region_weight if has_weight else np.full(len(local), -np.inf)
        known = None if said is None else said[number]
        best[places] = _best_exact(part, local, query, need - SLACK, known)
    return fuse(best, whole, config)


def _best_exact(
    part: OpenSegment,
    images: NDArray[np.int64],
    query: FloatArray,
    need: NDArray[np.floating],
    said: FloatArray | None,
) -> FloatArray:
    """Return (n,) exact cosines of the best region of each of `images`, -inf where there is none.

    Only regions are read whose codes say that they can have the cosine that their image needs;
    an image without such a region gets the lowest number there is.
    """
    regions, ends = regions_of(images, part.offsets)
    chosen = np.arange(len(regions))
    if not np.isneginf(need).all():
        most = _most(part, regions, query, said)
        chosen = np.flatnonzero(most >= np.repeat(need, np.diff(ends)))
    exact = np.full((1, len(regions)), np.finfo(np.float32).min, np.float32)
    for start in range(0, len(chosen), BLOCK_EXACT):
        some = chosen[start : start + BLOCK_EXACT]
        exact[0, some] = scan(query[None], part.regions.picked[regions[some]])[0]
    found: FloatArray = best_per_image(exact, ends)[0]
    return found


def _most(
    part: OpenSegment, regions: NDArray[np.int64], query: FloatArray, said: FloatArray | None
) -> FloatArray:
    """Return (n,) float32: the highest cosines that regions can have, as their codes say."""
    coded = encode_queries(query[None])
    scaled = _scaled(part.regions, regions, coded) if said is None else said[None, regions]
    most = _finished(scaled, part.regions, query[None], coded)
    most += bound(coded, *part.regions.coded.scales[1:, regions])
    highest: FloatArray = most[0]
    return highest


def best_among(
    index: Index, query: FloatArray, rows: NDArray[np.int64], *, k: int, config: RetrieveConfig
) -> Best:
    """Return the `k` best of the images of `rows`, with exact scores; all others have -inf."""
    scores = exact_scores(index, query, rows, config)
    estimates = np.full(index.n_images, -np.inf, np.float32)
    estimates[rows] = scores
    return ordered(index, rows, scores, estimates, k)


def _proven(
    index: Index,
    query: FloatArray,
    estimates: FloatArray,
    bounds: FloatArray,
    *,
    k: int,
    config: RetrieveConfig,
    said: Said,
) -> Best:
    """Return the `k` best images, given the first pass; there are more than `k`."""
    first = np.argpartition(estimates, -k)[-k:]
    # k images score no less than this; the bounds allow for the rounding of all of these
    floor = float((estimates[first] - bounds[first]).min())
    scores = exact_scores(index, query, first, config, floor=floor, said=said)
    floor = max(floor, float(scores.min()))
    can_be = estimates + bounds >= np.float32(floor)
    can_be[first] = False
    more = np.flatnonzero(can_be)
    others = exact_scores(index, query, more, config, floor=floor, said=said)
    rows, scores = np.concatenate([first, more]), np.concatenate([scores, others])
    return ordered(index, rows, scores, estimates, k)


def ordered(
    index: Index,
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    estimates: FloatArray,
    k: int,
) -> Best:
    """Return the `k` best of the images of `rows`; equal scores by image id.

    Args:
        index: where they are.
        rows: (n,) of images.
        scores: (n,) theirs, exact.
        estimates: (n_images,) of all; those of the best become exact.
        k: images wanted.
    """
    limit = np.partition(scores, -k)[-k] if k < len(scores) else -np.inf
    some = np.flatnonzero(scores >= limit)
    order = some[top_k(scores[some], k, sorted_ranks(index.ids_of(rows[some].tolist())))]
    estimates[rows[order]] = scores[order]
    return Best(rows[order], scores[order], estimates, len(rows))


def _estimates(
    part: OpenSegment, queries: FloatArray, coded: QueryCodes, said: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return (q, n_images) estimates of the best region and of the whole image.

    `said`, for a single query, is given what `_scaled` says of each region.
    """
    found = np.empty((len(queries), len(part.filled)), np.float32)
    starts = np.append(part.offsets[part.filled], part.offsets[-1])
    n_at_once = BLOCK_ROWS if len(queries) == 1 else max(BLOCK_SCORES // len(queries), 1)
    for images in image_blocks(starts, n_at_once):
        first, end = starts[images.start], starts[images.stop]
        out = None if said is None else said[None, first:end]
        scores = _scaled(part.regions, slice(first, end), coded, out)
        np.maximum.reduceat(scores, starts[images] - first, axis=1, out=found[:, images])
    best = np.full((len(queries), part.images.n_rows), -np.inf, np.float32)
    best[:, part.filled] = _finished(found, part.regions, queries, coded)
    whole = _scaled(part.wholes, slice(0, part.images.n_rows), coded)
    return best, _finished(whole, part.wholes, queries, coded)


def image_blocks(offsets: NDArray[np.int64], n_regions: int) -> Iterator[slice]:
    """Yield neighbouring images that have about `n_regions` regions together."""
    first, n_images = 0, len(offsets) - 1
    while first < n_images:
        end = int(np.searchsorted(offsets, offsets[first] + n_regions, side="right")) - 1
        end = min(max(end, first + 1), n_images)
        yield slice(first, end)
        first = end


def _scaled(
    vectors: Vectors,
    rows: slice | NDArray[np.int64],
    coded: QueryCodes,
    out: FloatArray | None = None,
) -> FloatArray:
    """Return (q, n) float32 scores of the rows before `_finished`, which keeps their order."""
    products = _products(coded.codes, vectors.coded.codes[rows])
    return np.multiply(products, vectors.coded.scales[0, rows], out=out, dtype=np.float32)


def _finished(
    scaled: FloatArray, vectors: Vectors, queries: FloatArray, coded: QueryCodes
) -> FloatArray:
    """Return scores, as the codes have them, from what `_scaled` gives."""
    scores = scaled * coded.scales[:, None]
    # in double precision: a sum of many products is further off than the slack allows for
    scores += (queries.astype(np.float64) @ vectors.coded.centre)[:, None].astype(np.float32)
    return scores


def _products(queries: CodeArray, codes: CodeArray) -> NDArray[np.int32]:
    """Return (q, n) products of whole numbers, by the int8 kernels of the processor."""
    from torch import _int_mm, from_numpy

    asked, stored = from_numpy(queries), from_numpy(codes)
    # a single vector has a kernel of its own, at the speed of memory
    is_one = len(queries) == 1
    found = _int_mm(stored, asked.T).T if is_one else _int_mm(asked, stored.T)
    products: NDArray[np.int32] = found.numpy()
    return products


def check(index: Index, queries: FloatArray, keep: NDArray[np.bool_] | None) -> None:
    """Raise unless queries and filter fit the index.

    Raises:
        ShapeError: the queries' length is not that of the index, or `keep` is too short.
        QueryError: a query holds a number that is not finite.
    """
    if queries.ndim != 2 or queries.shape[1] != index.dim:
        message = f"queries: expected shape (q, {index.dim}), got {queries.shape}"
        raise ShapeError(message)
    if not np.isfinite(queries).all():
        raise QueryError(
            "the encoder gives the query a number that is not finite: say it otherwise"
        )
    if keep is not None and keep.shape != (index.n_images,):
        message = f"keep: expected shape ({index.n_images},), got {keep.shape}"
        raise ShapeError(message)
