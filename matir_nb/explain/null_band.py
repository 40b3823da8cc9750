"""The null band: what unrelated phrases score in the very image that a query found.

A cosine means nothing by itself: some images are near every text, and some texts near every
image. Beside the stage-1 scores of unrelated phrases in the same image it does. This module knows
no model and no stage; how a region's and the image's cosine become one score, it is told.
"""

import hashlib
import io
import json
import logging
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.explain.neutral import content_words, unrelated
from matir_nb.index.cache import keep_file
from matir_nb.index.vectors import best_per_image
from matir_nb.types import FloatArray

LOG = logging.getLogger(__name__)
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
BLOCK_IMAGES = 64
SAMPLE_IMAGES = 2048
MAX_REMEMBERED = 65_536
"""Images whose null scores are kept in memory: 64 MiB at 256 phrases."""
Fuse: TypeAlias = Callable[[FloatArray, FloatArray], NDArray[np.floating]]
"""(best region, whole image) -> stage-1 score, elementwise."""


class Stored(Protocol):
    """Vectors of an index, whose products with a text's are what stage 1 ranks by."""

    @property
    def n_images(self) -> int:
        """Number of images."""
        ...

    def ids_of(self, rows: Sequence[int]) -> list[str]:
        """Return the image ids of rows."""
        ...

    def region_vectors_of(self, image_id: str) -> FloatArray:
        """Return the (n, d) vectors of an image's regions."""
        ...

    def image_vector_of(self, image_id: str) -> FloatArray:
        """Return the (d,) vector of a whole image."""
        ...


class NullBand:
    """The stage-1 scores of a bank of neutral phrases in the images of one index."""

    def __init__(
        self, index: Stored, phrases: Sequence[str], vectors: FloatArray, *, fuse: Fuse
    ) -> None:
        """Score `phrases`, encoded as the (t, d) `vectors`, in the images of `index`."""
        self.phrases = tuple(phrases)
        self._words = [content_words(phrase) for phrase in phrases]
        self._index, self._vectors, self._fuse = index, vectors, fuse
        self._known: dict[str, FloatArray] = {}

    def rows_for(self, query: str | None) -> NDArray[np.intp]:
        """Return the rows of the phrases that share no word with `query`; None = of all."""
        if query is None:
            return np.arange(len(self.phrases))
        return np.flatnonzero(unrelated(query, self._words))

    def scores_of(self, image_ids: Sequence[str]) -> FloatArray:
        """Return (n, t) float32: each phrase's stage-1 score in each image."""
        known = self._known
        fresh = [i for i in dict.fromkeys(image_ids) if i not in known]
        if fresh:
            starts = range(0, len(fresh), BLOCK_IMAGES)
            blocks = [self._score(fresh[start : start + BLOCK_IMAGES]) for start in starts]
            known = known | dict(zip(fresh, np.concatenate(blocks), strict=True))
            self._known = dict(list(known.items())[-MAX_REMEMBERED:])
        found = [known[image_id] for image_id in image_ids]
        return np.array(found, np.float32).reshape(-1, len(self.phrases))

    def percentiles(
        self, query: str, image_ids: Sequence[str], scores: Sequence[float]
    ) -> FloatArray:
        """Return (n,) the `percentile` of each image's score among its phrases `rows_for` query."""
        null_scores = self.scores_of(image_ids)[:, self.rows_for(query)]
        return percentile(np.asarray(scores, np.float32), null_scores)

    @cached_property
    def best(self) -> FloatArray:
        """(t,) float32: each phrase's highest score in any image of the index.

        Of an index with more than `SAMPLE_IMAGES` images, an even sample is scored, and the
        maxima are moved up by what each doubling of the number of images adds to them (maxima of
        many scores grow with the logarithm of their number; Gumbel, 1958, ch. 5): the median over
        the phrases of what the sample has more than its halves.
        """
        n_images = self._index.n_images
        step = math.ceil(n_images / SAMPLE_IMAGES) or 1
        scores = self.scores_of(self._index.ids_of(range(0, n_images, step)))
        best: FloatArray = scores.max(axis=0, initial=-np.inf)
        if step > 1:
            halves = (scores[::2].max(axis=0) + scores[1::2].max(axis=0)) / 2
            best = best + np.float32(np.median(best - halves) * math.log2(n_images / len(scores)))
        return best

    def _score(self, image_ids: Sequence[str]) -> FloatArray:
        stored = [self._index.region_vectors_of(image_id) for image_id in image_ids]
        wholes = np.stack([self._index.image_vector_of(image_id) for image_id in image_ids])
        offsets = np.cumsum([0, *(len(rows) for rows in stored)])
        best = best_per_image(self._vectors @ np.concatenate(stored).T, offsets)
        return np.ascontiguousarray(self._fuse(best, self._vectors @ wholes.T).T, np.float32)


def percentile(score: float | FloatArray, null_scores: FloatArray) -> FloatArray:
    """Return the percent of `null_scores` that are lower than `score`; equal ones count half.

    The mid-rank definition of the percentile rank: 100 * (n_lower + n_equal / 2) / n.

    Args:
        score: stage-1 score of a query in an image; or (n,) in n images.
        null_scores: (t,) or (n, t), t >= 1, of unrelated phrases in the same image.

    Returns:
        float32, 0 to 100, of the shape of `score`.

    >>> float(percentile(0.3, np.array([0.1, 0.2, 0.3, 0.4], np.float32)))
    62.5
    """
    asked = np.asarray(score, np.float32)[..., None]
    below, equal = (null_scores < asked).sum(axis=-1), (null_scores == asked).sum(axis=-1)
    return np.asarray(100 * (below + equal / 2) / null_scores.shape[-1], np.float32)


def quantiles(null_scores: FloatArray) -> tuple[float, ...]:
    """Return the least, the 5, 25, 50, 75 and 95 % quantiles and the greatest, interpolated.

    >>> quantiles(np.array([0, 1, 2, 3, 4], np.float32))
    (0.0, 0.2, 1.0, 2.0, 3.0, 3.8, 4.0)
    """
    return tuple(round(float(q), 6) for q in np.quantile(null_scores, QUANTILES))


def stored_vectors(
    folder: Path, phrases: Sequence[str], encoder_id: str, encode: Callable[[], FloatArray]
) -> FloatArray:
    """Return (t, d) float32 vectors of `phrases`: from `folder`, or encoded and kept there.

    A throw-away cache: whatever goes wrong on the disk is logged and costs only time.
    """
    about = json.dumps([encoder_id, *phrases])
    file = folder / f"neutral-{hashlib.sha256(about.encode()).hexdigest()[:16]}.npy"
    try:
        vectors: FloatArray = np.load(file)
        if vectors.ndim == 2 and len(vectors) == len(phrases) and vectors.dtype == np.float32:
            return vectors
        LOG.warning("%s holds no vectors of the neutral phrases: written again", file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        LOG.warning("%s cannot be read (%s): written again", file, error)
    vectors = np.asarray(encode(), np.float32)
    content = io.BytesIO()
    np.save(content, vectors)
    keep_file(file, content.getvalue())
    return vectors
