"""int8 codes of vectors, and how far a score that is read from them can be off.

A vector v is coded as ``centre + scale * code`` with a whole-number code in -79..79 and a scale
of its own. The centre is subtracted because the vectors of one encoder lie in a cone: what they
have in common costs no precision. For a query q, coded without a centre as ``t * p + rest``,

    q.v = q.centre + t * scale * (p.code) + rest.(scale * code) + q.(v - centre - scale * code)

and by Cauchy and Schwarz the last two terms are at most ``|rest| * norm`` and ``|q| * error``,
with norm = |scale * code| and error = |v - centre - scale * code|, which are stored beside the
scale. So each score read from the codes comes with a bound that holds for all finite vectors.
This module knows no file.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matir_nb.types import FloatArray

HalfArray = NDArray[np.float16]
CodeArray = NDArray[np.int8]

LARGEST = 79
"""Processors without VNNI (Intel before Ice Lake, AMD before Zen 4) multiply bytes by an
instruction that shifts one factor by 128, adds two products and saturates at 32767:
2 * (79 + 128) * 79 = 32706 is the most that does not."""
ROUNDING = 1.000001
"""Bounds are computed in single precision and rounded up by so much."""
SLACK = 4e-6
"""What single precision adds to a score of unit vectors; their products are sums of whole
numbers, so only a handful of roundings of numbers of size 1 matter."""


@dataclass(frozen=True, slots=True)
class Codes:
    """(n, d) vectors as codes.

    Attributes:
        centre: (d,) float32.
        codes: (n, d) int8.
        scales: (3, n) float32: scale, error and norm of each vector.
    """

    centre: FloatArray
    codes: CodeArray
    scales: FloatArray


@dataclass(frozen=True, slots=True)
class QueryCodes:
    """(q, d) queries as codes.

    Attributes:
        codes: (q, d) int8.
        scales: (q,) float32.
        norms: (q,) float32, of the queries.
        rests: (q,) float32, norms of what the codes leave out.
    """

    codes: CodeArray
    scales: FloatArray
    norms: FloatArray
    rests: FloatArray


def encode_vectors(vectors: HalfArray, centre: FloatArray) -> Codes:
    """Return the codes of (n, d) vectors around a (d,) centre.

    Raises:
        ValueError: a number is not finite.

    >>> found = encode_vectors(np.array([[1, 0]], np.float16), np.zeros(2, np.float32))
    >>> found.codes.tolist(), float(found.scales[1, 0]) < 1e-6
    ([[79, 0]], True)
    """
    rest = vectors.astype(np.float32) - centre
    if not np.isfinite(rest).all():
        raise ValueError("a vector holds a number that is not finite")
    scales, codes = _rounded(rest)
    coded = scales[:, None] * codes
    errors, norms = _norms(rest - coded), _norms(coded)
    return Codes(centre, codes, np.stack([scales, errors, norms]))


def encode_queries(queries: FloatArray) -> QueryCodes:
    """Return the codes of (q, d) float32 queries."""
    scales, codes = _rounded(queries)
    rests = _norms(queries - scales[:, None] * codes)
    return QueryCodes(codes, scales, _norms(queries), rests)


def bound(queries: QueryCodes, errors: FloatArray, norms: FloatArray) -> FloatArray:
    """Return (q, n) float32: how far the scores of n vectors can be off.

    Args:
        queries: q of them.
        errors: (n,) of the vectors; or the largest of each of n groups.
        norms: (n,) likewise.
    """
    largest = np.maximum(queries.norms, 1)[:, None] * np.maximum(norms, 1)
    exact = queries.norms[:, None] * errors + queries.rests[:, None] * norms
    return np.asarray(exact * ROUNDING + SLACK * largest, np.float32)


def _rounded(values: FloatArray) -> tuple[FloatArray, CodeArray]:
    """Return the (n,) scales and (n, d) codes of rows; a row of zeros has scale 0."""
    scales = np.abs(values).max(axis=1, initial=0) / np.float32(LARGEST)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    codes = np.rint(values * inverse[:, None]).clip(-LARGEST, LARGEST).astype(np.int8)
    return scales, codes


def _norms(values: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", values, values)) * ROUNDING, np.float32)
