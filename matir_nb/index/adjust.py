"""What a cosine of stage 1 can be adjusted by: hubs, and references. Both are off by default.

Either is a few more numbers beside a stored vector ("extra dimensions") and a few more beside the
query's, whose product, times a weight, is added to the cosine. Nothing is trained.

**Hubs.** Some regions are near every text and turn up for queries that they do not show
(Radovanović et al., "Hubs in space", JMLR 2010). The inverted softmax (Smith et al., "Offline
bilingual word vectors, orthogonal transformations and the inverted softmax", ICLR 2017) divides
by what a bank of other texts scores in the same region; QBNorm (Bogolin et al., "Cross modal
retrieval with querybank normalisation", CVPR 2022) does so for retrieval, and DBNorm (Wang et al.,
EMNLP 2023) adds a bank of gallery items, which we leave out. With s = cosine, r = region::

    s'(q, r) = s(q, r) - h(r),    h(r) = (1/beta) log mean_b exp(beta s(b, r))

ranks exactly as exp(beta s(q, r)) / sum_b exp(beta s(b, r)) does: one extra number, h, by which
the query has a 1 and the weight is -1. QBNorm's "dynamic" variant, which normalises only queries
whose best item is a hub of the bank, is not offered: scores of one search would not compare.

**References.** A training-free analogue of the reference-based similarity of MMRef
(arXiv 2504.07718), and not that method: MMRef learns one reference per training identity, pulled
towards all images and texts of it. Ours are centroids of the index's own regions, and ::

    s'(q, r) = s(q, r) + alpha cos(p(q), p(r)),    p(x) = softmax(cos(x, references) / T)

so a region gains by lying among the references as the query does. MMRef's exact formula and its
numbers say nothing about this.

This module knows no index, no file and no model.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from matir_nb.types import FloatArray

BLOCK_ROWS = 4096
N_ROUNDS = 20
"""Of k-means at most."""


class Adjustment(Protocol):
    """Extra dimensions: what they hold of stored vectors, and of queries."""

    name: ClassVar[str]
    """The field of a `Hit` that holds the product, before its weight."""

    @property
    def key(self) -> str:
        """Hex digest of all that decides `of_stored`."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions."""
        ...

    @property
    def weight(self) -> float:
        """What the product is multiplied by before it is added to the cosine."""
        ...

    def of_stored(self, vectors: NDArray[np.floating]) -> FloatArray:
        """Return (n, width) float32 of (n, d) stored vectors."""
        ...

    def of_queries(self, queries: FloatArray) -> FloatArray:
        """Return (q, width) float32 of (q, d) queries."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Hubs:
    """How near a stored vector is to texts that do not mean it (see the module).

    Attributes:
        bank: (b, d) float32 unit vectors of such texts.
        beta: inverse temperature, > 0.
        key: hex digest of both.
    """

    name: ClassVar[str] = "hub_score"
    bank: FloatArray
    beta: float
    key: str = field(init=False)

    def __post_init__(self) -> None:
        """Digest all that decides `of_stored`."""
        object.__setattr__(self, "key", _digest(f"hubs {self.beta!r}", self.bank))

    @property
    def width(self) -> int:
        """One."""
        return 1

    @property
    def weight(self) -> float:
        """It is subtracted."""
        return -1.0

    def of_stored(self, vectors: NDArray[np.floating]) -> FloatArray:
        """Return (n, 1) float32 h of (n, d) stored vectors."""
        bank = self.bank.astype(np.float64).T
        found = [soft_mean(rows @ bank, self.beta) for rows in _widened(vectors)]
        return np.concatenate([np.zeros(0), *found]).astype(np.float32)[:, None]

    def of_queries(self, queries: FloatArray) -> FloatArray:
        """Return (q, 1) ones."""
        return np.ones((len(queries), 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Where a vector lies among references (see the module).

    Attributes:
        centroids: (m, d) float32 unit vectors.
        temperature: T, > 0.
        weight: alpha.
        key: hex digest of centroids and temperature.
    """

    name: ClassVar[str] = "reference_score"
    centroids: FloatArray
    temperature: float
    weight: float
    key: str = field(init=False)

    def __post_init__(self) -> None:
        """Digest all that decides `of_stored`."""
        key = _digest(f"references {self.temperature!r}", self.centroids)
        object.__setattr__(self, "key", key)

    @property
    def width(self) -> int:
        """Number of references."""
        return len(self.centroids)

    def of_stored(self, vectors: NDArray[np.floating]) -> FloatArray:
        """Return (n, m) float32 p of (n, d) vectors, scaled to length 1."""
        wide = self.centroids.astype(np.float64).T
        found = [self._placed(rows @ wide) for rows in _widened(vectors)]
        return np.concatenate([np.zeros((0, self.width)), *found]).astype(np.float32)

    def of_queries(self, queries: FloatArray) -> FloatArray:
        """Return the same of queries."""
        return self.of_stored(queries)

    def _placed(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        # the sum of a softmax cancels once the length is 1
        powers = np.exp(
            (cosines - cosines.max(axis=1, initial=-1, keepdims=True)) / self.temperature
        )
        placed: NDArray[np.float64] = powers / np.linalg.norm(powers, axis=1, keepdims=True)
        return placed


def soft_mean(scores: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return (1/beta) log mean exp(beta s) over the last axis: from the mean to the maximum.

    >>> scores = np.array([0.0, 1.0])
    >>> [round(float(soft_mean(scores, beta)), 3) for beta in (0.001, 20, 1e6)]
    [0.5, 0.965, 1.0]
    """
    top = scores.max(axis=-1, keepdims=True)
    means = np.exp(beta * (scores - top)).mean(axis=-1)
    found: NDArray[np.float64] = top[..., 0] + np.log(means) / beta
    return found


def spherical_centroids(vectors: FloatArray, n: int, *, seed: int = 0) -> FloatArray:
    """Return (m, d) float32 unit centroids of (k, d) unit vectors, m <= n.

    Spherical k-means (Dhillon and Modha, "Concept decompositions for large sparse text data using
    clustering", 2001) from the seeds of k-means++ (Arthur and Vassilvitskii, 2007), with
    1 - cosine for the squared distance. The same every time for the same vectors and seed. Fewer
    than `n` where there are fewer different vectors.

    >>> two = spherical_centroids(np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]], 7)
    >>> sorted(two.tolist())
    [[0.0, 1.0], [1.0, 0.0]]
    """
    centroids = _first_centroids(vectors, n, np.random.default_rng(seed))
    nearest = np.zeros(0, np.int64)
    for _ in range(N_ROUNDS if len(centroids) else 0):
        before, nearest = nearest, (vectors @ centroids.T).argmax(axis=1)
        if np.array_equal(before, nearest):
            break
        members = (nearest == np.arange(len(centroids))[:, None]).astype(np.float32)
        sums = members @ vectors
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        has_length = lengths > np.finfo(np.float32).eps
        centroids = np.where(has_length, sums / np.where(has_length, lengths, 1), centroids)
    return centroids


def _first_centroids(vectors: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    chosen: list[int] = []
    far = np.ones(len(vectors))
    while len(chosen) < n and far.sum() > 0:
        sums = np.cumsum(far)
        chosen.append(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")))
        distances = 1 - vectors @ vectors[chosen[-1]]
        # what rounding leaves between equal vectors is no distance
        far = np.minimum(far, np.where(distances > 1e-6, distances, 0))
        far[chosen[-1]] = 0
    return vectors[chosen]


def _widened(vectors: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(vectors), BLOCK_ROWS):
        yield vectors[start : start + BLOCK_ROWS].astype(np.float64)


def _digest(about: str, array: FloatArray) -> str:
    digest = hashlib.sha256(f"{about} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()
