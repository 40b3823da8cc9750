"""An approximate index, opened: the images that are worth an exact look, for each query.

What it finds is a choice of images; their scores are computed exactly by whoever asked
(`Rows.scores`), so that an answer can lack an image but never has a wrong score. Where a filter
leaves few regions, or a search does not find enough images, it says "search exactly" instead.
This module knows no command and no model.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import IndexCorruptError, IndexNotFoundError, MatirError, ShapeError
from matir_nb.index.approximate import library
from matir_nb.index.approximate.about import ABOUT, AGAIN, FOLDER, About
from matir_nb.index.approximate.plan import most_effort
from matir_nb.index.approximate.rows import Part, Rows
from matir_nb.types import FloatArray

IntArray = NDArray[np.int64]

EXACT_ROWS = 100_000
"""Where a filter leaves so many regions or fewer, the exact search of them is fast."""
FETCHED = {"ivf": 10, "hnsw": 10, "rabitq": 60}
"""Regions fetched per image wanted: an image has several good ones, and 1-bit codes err more."""
FEWEST = 100
"""Images for which regions are fetched, if fewer are wanted."""
COARSE = ("rabitq",)
"""Kinds whose own order of what they found is too rough: found regions are scored exactly first."""
LOOKED_AT = {"ivf": 1.25, "hnsw": 1.25, "rabitq": 3.0}
"""Images looked at per image wanted: the best region of one may not have been found."""
GROWTH = 4


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an approximate index is not used.

    Attributes:
        reason: in words, for the user; ends without a full stop.
    """

    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for a result's provenance."""
        return {"is_used": False, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Found:
    """Images that are worth an exact look.

    Attributes:
        images: (m,) int64 rows of the index per query, ascending; m is at least the number
            wanted, or the number that there are.
        efforts: that was made for each query.
    """

    images: tuple[IntArray, ...]
    efforts: tuple[int, ...]


class Approximate:
    """A FAISS index over the regions of an opened index.

    Attributes:
        about: what it is, and the measured recall.
        rows: the regions that it numbers.
    """

    def __init__(
        self, about: About, index: Any, rows: Rows, *, exact_rows: int = EXACT_ROWS
    ) -> None:
        """Join what was read; `open` checks it.

        Args:
            about: what `index` is.
            index: of FAISS.
            rows: what it numbers.
            exact_rows: where a filter leaves so many regions or fewer, nothing is searched here.
        """
        self.about = about
        self.rows = rows
        self._index = index
        self._exact_rows = exact_rows

    @classmethod
    def open(
        cls,
        path: Path,
        parts: Sequence[Part],
        config: RetrieveConfig,
        *,
        exact_rows: int = EXACT_ROWS,
    ) -> "Self | Refused":
        """Return the approximate index of the index folder `path`, or why it is not used.

        Args:
            path: the index folder.
            parts: its opened segments.
            config: the weights that images are ranked by.
            exact_rows: where a filter leaves so many regions or fewer, nothing is searched here.
        """
        try:
            rows = Rows(parts, config)
            about = _about(path / FOLDER)
            contents = tuple(part.content for part in rows.parts)
            about.require_covers(contents, rows.n_regions, config)
            index = _read(path / FOLDER / about.file, about)
            return cls(about, index, rows, exact_rows=exact_rows)
        except MatirError as error:
            return Refused(str(error))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for a result's provenance."""
        about = self.about
        recall = {"effort": about.effort, "recall": about.recall, "n_queries": about.n_queries}
        return {"is_used": True, "kind": about.kind, **recall}

    def candidates(
        self,
        queries: FloatArray,
        n_rows: int,
        *,
        images: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> IntArray:
        """Return (q, n_rows) numbers of regions, nearest first by FAISS; -1 = no more found.

        Args:
            queries: (q, d) float32.
            n_rows: regions per query.
            images: (n_images,) which images may be found; None = all of the index.
            effort: lists to visit, or efSearch; None = what was measured to do.

        Raises:
            ShapeError: queries or images do not fit the index.
        """
        if queries.ndim != 2 or queries.shape[1] != self.rows.dim:
            message = f"queries: expected shape (q, {self.rows.dim}), got {queries.shape}"
            raise ShapeError(message)
        effort = self.about.effort if effort is None else effort
        usable = self._usable(images)
        n_rows = min(n_rows, self.rows.n_regions)
        return library.search(
            self._index, self.about.kind, queries, n_rows, effort=effort, usable=usable
        )

    def images(
        self,
        queries: FloatArray,
        n_images: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> Found | None:
        """Return images among which the `n_images` best of each query probably are.

        Their exact scores are `Rows.scores`, or come from anything else that scores images.

        Args:
            queries: (q, d) float32.
            n_images: how many are wanted.
            allowed: (n_images of the index,) which may be found; None = all.
            effort: lists to visit, or efSearch; None = what was measured to do.

        Returns:
            For every query at least `n_images` images, or all that are allowed; None = so few are
            allowed, or so many wanted, that the exact search is better.

        Raises:
            ShapeError: queries or images do not fit the index.
        """
        live = self.rows.counts
        counts = live if allowed is None else live[self._fit(allowed)]
        n_regions, n_wanted = int(counts.sum()), min(n_images, int(np.count_nonzero(counts)))
        n_rows = FETCHED[self.about.kind] * max(n_images, FEWEST)
        base = self.about.effort if effort is None else effort
        most = most_effort(self.about.kind, self.about.parameters.get("n_lists", 0))
        # a filter that lets a share pass moves the k-th best as far away as the k/share-th
        base = min(most, ceil(base / sqrt(max(n_regions, 1) / max(int(live.sum()), 1))))
        found: dict[int, tuple[IntArray, int]] = {}
        while len(found) < len(queries):
            if n_regions <= self._exact_rows or n_rows >= n_regions:
                return None
            missing = [place for place in range(len(queries)) if place not in found]
            numbers = self.candidates(queries[missing], n_rows, images=allowed, effort=base)
            for place, line in zip(missing, numbers, strict=True):
                best = self._best_images(queries[place], line[line >= 0], n_images)
                if len(best) >= n_wanted:
                    found[place] = (self._with_bare(best, allowed), base)
            n_rows, base = GROWTH * n_rows, min(most, GROWTH * base)
        ordered = [found[place] for place in range(len(queries))]
        return Found(tuple(rows for rows, _ in ordered), tuple(e for _, e in ordered))

    def best(
        self,
        queries: FloatArray,
        n_images: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> Iterator[tuple[IntArray, NDArray[np.float64]]] | None:
        """Yield (rows, exact scores) of the best images of each query, best first; None as above.

        Equal scores are in the order of the rows.
        """
        found = self.images(queries, n_images, allowed=allowed, effort=effort)
        if found is None:
            return None
        return (
            _best_first(rows, self.rows.scores(query[None], rows)[0], n_images)
            for query, rows in zip(queries, found.images, strict=True)
        )

    @cached_property
    def _live(self) -> NDArray[np.bool_] | None:
        live = self.rows.owners >= 0
        return None if live.all() else live

    @cached_property
    def _bare(self) -> IntArray:
        """Rows of the images without regions: FAISS cannot find them, they are always looked at."""
        return np.flatnonzero(self.rows.counts == 0)

    def _usable(self, images: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        if images is None:
            return self._live
        # a dropped region's owner is -1, which is looked up in one more place, False
        usable: NDArray[np.bool_] = np.append(self._fit(images), [False])[self.rows.owners]
        return usable

    def _fit(self, images: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if images.shape != (self.rows.n_images,) or images.dtype != np.bool_:
            got = f"{images.shape} {images.dtype}"
            message = f"images: expected ({self.rows.n_images},) bool, got {got}"
            raise ShapeError(message)
        return images

    def _best_images(self, query: FloatArray, numbers: IntArray, n_images: int) -> IntArray:
        """Return the images of regions that came nearest first, a few more than are wanted."""
        if self.about.kind in COARSE:
            scores = self.rows.take(numbers) @ query.astype(np.float32)
            numbers = numbers[np.argsort(-scores, kind="stable")]
        owners = self.rows.owners[numbers]
        _, firsts = np.unique(owners, return_index=True)
        kept = np.sort(firsts)[: ceil(LOOKED_AT[self.about.kind] * n_images)]
        best: IntArray = owners[kept].astype(np.int64)
        return best

    def _with_bare(self, images: IntArray, allowed: NDArray[np.bool_] | None) -> IntArray:
        bare = self._bare if allowed is None else self._bare[allowed[self._bare]]
        return np.sort(np.concatenate([images, bare]))


def _best_first(
    rows: IntArray, scores: NDArray[np.float64], n: int
) -> tuple[IntArray, NDArray[np.float64]]:
    order = np.lexsort((rows, -scores))[:n]
    return rows[order], scores[order]


def _about(folder: Path) -> About:
    try:
        return About.from_json((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = "there is no approximate index: matir accelerate builds one"
        raise IndexNotFoundError(message) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"the approximate index cannot be read ({error}): {AGAIN}"
        raise IndexCorruptError(message) from error


def _read(file: Path, about: About) -> Any:
    """Return the FAISS index, its bytes compared first: FAISS trusts what it reads."""
    library.require()
    try:
        with file.open("rb") as opened:
            is_same = hashlib.file_digest(opened, "sha256").hexdigest() == about.sha256
    except OSError as error:
        message = f"the approximate index cannot be read ({error.strerror}): {AGAIN}"
        raise IndexCorruptError(message) from error
    index = library.read(file) if is_same else None
    if index is None or (index.ntotal, index.d) != (about.n_regions, about.dim):
        message = f"the approximate index is damaged: {AGAIN}"
        raise IndexCorruptError(message)
    return index
