"""Where one image stands among all of an index, and which limits would keep it.

An engine gives the first ``k`` of the ``k + n_judged`` best images of stage 1, of which the first
``n_judged`` are judged, by (-final score, image id). With c = how many of those k + n_judged
images stand above an image, it is kept exactly where stage1_rank <= k + n_judged and c < k.

When k grows by one, c grows by at most one: kept at k is kept at k + 1, so the smallest k is
found at once. n_judged has no such order (an image that is judged later may pass), so each value
is tried. While stage1_weight > 0 nothing is lost by looking at k + n_judged images only: an image
below them is not judged, and k images that are not judged either have higher scores.

Pure; images are numbered from 0 in the order of stage 1. This module knows no index, no model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One image, and the final scores that all n images have or could have.

    Attributes:
        place: of the image, in the order of stage 1.
        unjudged: (n,) float64 final scores of images that the judge has not seen.
        judged: (n,) float64 final scores of images that it has seen; NaN = it has not, yet.
        id_ranks: (n,) places of the images by id.
    """

    place: int
    unjudged: Scores
    judged: Scores
    id_ranks: NDArray[np.int64]

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.unjudged)

    def scores(self) -> Scores:
        """Return (n,) final scores: judged where the judge has seen the image."""
        return np.where(np.isnan(self.judged), self.unjudged, self.judged)

    def above(self, scores: Scores, score: float) -> Flags:
        """Return (n,) whether images with `scores` stand above the image with `score`."""
        first = self.id_ranks < self.id_ranks[self.place]
        flags: Flags = (scores > score) | ((scores == score) & first)
        return flags

    def final_rank(self) -> int:
        """Return the image's rank among all images as they are judged."""
        scores = self.scores()
        return 1 + int(self.above(scores, scores[self.place]).sum())

    def is_kept(self, k: int, n_judged: int) -> bool:
        """Return whether `k` hits of ``k + n_judged`` candidates hold the image."""
        return bool(self._kept_at(np.array([k]), n_judged)[0])

    def smallest_k(self, n_judged: int) -> int:
        """Return the smallest k that keeps the image; there is always one."""
        return 1 + int(self._kept_at(np.arange(1, self.n_images + 1), n_judged).argmax())

    def smallest_n_judged(self, k: int, n_above: int, n_known: int) -> int | None:
        """Return the smallest n_judged in (n_above, n_known] that keeps the image among `k` hits.

        Args:
            k: hits.
            n_above: tried are the numbers above it.
            n_known: of the first so many images, and of the image, `judged` is known.
        """
        n = np.arange(n_above + 1, n_known + 1)
        is_late = n <= self.place
        kept = np.where(
            is_late, self._kept_with(n, k, late=True), self._kept_with(n, k, late=False)
        )
        return int(n[kept.argmax()]) if kept.any() else None

    def is_hopeless(self, k: int, n_known: int) -> bool:
        """Return whether no n_judged above `n_known` can keep the image among `k` hits.

        So it is when k judged images stand above it: more judgements take none of them away.
        """
        over = self.above(self.judged, self.judged[self.place])[:n_known].sum()
        before = self.above(self.judged, self.unjudged[self.place])[:n_known].sum()
        return bool(over >= k and (n_known >= self.place or before >= k))

    def _kept_at(self, k: NDArray[np.int64], n_judged: int) -> Flags:
        scores = self.scores()
        counts = _counts(self.above(scores, scores[self.place]))
        ends = np.minimum(k + n_judged, self.n_images)
        flags: Flags = (self.place < ends) & (counts[ends] < k)
        return flags

    def _kept_with(self, n: NDArray[np.int64], k: int, *, late: bool) -> Flags:
        """Return whether the image is kept at each `n`; `late` = it is not among those judged."""
        score = float((self.unjudged if late else self.judged)[self.place])
        judged, others = (
            _counts(self.above(values, score)) for values in (self.judged, self.unjudged)
        )
        ends = np.minimum(n + k, self.n_images)
        flags: Flags = (self.place < ends) & (judged[n] + others[ends] - others[n] < k)
        return flags


def _counts(flags: Flags) -> NDArray[np.int64]:
    """Return (n + 1,) how many of the first i flags are set."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])
