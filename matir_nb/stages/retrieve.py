"""Stage 1: rank every image of the index by its regions and by itself.

Exact; a few array operations, no Python object per region. `retrieve` finds the best images by
the certified search of `matir_nb.index.certified`, or with extra dimensions
(`matir_nb.index.extra`) by a plain scan; `scan` scores all of them, for explanations.
Both give the same scores. This module knows no judge and reads no pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import RetrieveConfig
from matir_nb.errors import ConfigError
from matir_nb.index.approximate.opened import Approximate
from matir_nb.index.certified import Best, best_among, search
from matir_nb.index.extra import ExtraDimensions
from matir_nb.index.store import Index
from matir_nb.index.vectors import fuse, top_k
from matir_nb.models.base import RegionEncoder
from matir_nb.stages.seen import SeenImage
from matir_nb.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What stage 1 gives.

    Attributes:
        candidates: the best images, best first.
        stage1_scores: (n_images,) of every image of the index, by its row; of images that are no
            candidates as the int8 codes say, and -inf where a filter left the image out, or an
            approximate index did not propose it.
        is_exact: whether all images were looked at; False = an approximate index proposed them.
    """

    candidates: tuple[Candidate, ...]
    stage1_scores: FloatArray
    is_exact: bool = True


@dataclass(frozen=True, eq=False)
class Scan:
    """The exact scores of all images of an index for one query.

    Attributes:
        index: what was scanned.
        config: weighs the cosines.
        text: (d,) float32 vector of the query.
        keep: (n_images,) images that may be found; None = all.
        extra: of the same options; None = cosines alone.
    """

    index: Index
    config: RetrieveConfig
    text: FloatArray
    keep: NDArray[np.bool_] | None = None
    extra: ExtraDimensions | None = None

    @cached_property
    def whole_image_scores(self) -> FloatArray:
        """(n_images,) float32 cosines with the whole images, by row."""
        scores: FloatArray = self.index.whole_image_scores(self.text[None])[0]
        return scores

    @cached_property
    def stage1_scores(self) -> NDArray[np.float64]:
        """(n_images,) float64, fused, by row; -inf where a filter leaves the image out."""
        if self.extra is None:
            best = self.index.best_region_scores(self.text[None])[0]
            scores = fuse(best, self.whole_image_scores, self.config)
        else:
            scores = self.extra.stage1_scores(self.text[None])[0]
        return scores if self.keep is None else np.where(self.keep, scores, -np.inf)

    def order(self, n_images: int) -> NDArray[np.int64]:
        """Return the rows of the `n_images` best, best first; equal scores by image id."""
        rows = top_k(self.stage1_scores, n_images, self.index.id_ranks)
        return rows if self.keep is None else rows[self.keep[rows]]

    def image(self, image_id: str) -> SeenImage:
        """Return the scores of one image."""
        return SeenImage.of(self.index, self.text, image_id, self.config, self.extra)

    def candidate(self, row: int, stage1_rank: int) -> Candidate:
        """Return the image of a row, which has that place in the order."""
        (image_id,) = self.index.ids_of([row])
        return self.image(image_id).candidate(stage1_rank, float(self.stage1_scores[row]))


def retrieve(
    query: str,
    index: Index,
    encoder: RegionEncoder,
    *,
    n_images: int,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
    extra: ExtraDimensions | None = None,
) -> Retrieval:
    """Score every image for `query` and describe the `n_images` best, best first.

    Equal scores are ordered by image id. An index with fewer images gives them all.

    Args:
        query: words.
        index: what is searched.
        encoder: the one that made it.
        n_images: candidates wanted.
        config: of this stage.
        keep: (index.n_images,) images that may be found; None = all.
        extra: what `config` adds to the cosines (`Engine` has it); None = nothing.

    Raises:
        QueryError: the query is longer than the encoder reads.
        ConfigError: `extra` is not what `config` asks for.
    """
    (found,) = retrieve_all(
        [query], index, encoder, n_images=n_images, config=config, keep=keep, extra=extra
    )
    return found


def retrieve_all(  # noqa: PLR0913 - one optional argument per choice
    queries: Sequence[str],
    index: Index,
    encoder: RegionEncoder,
    *,
    n_images: int,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
    approximate: Approximate | None = None,
    extra: ExtraDimensions | None = None,
) -> list[Retrieval]:
    """Return what `retrieve` gives for each query; the queries share the pass over the index.

    Args:
        queries: words each.
        index: as for `retrieve`; so are all others.
        encoder: as for `retrieve`.
        n_images: as for `retrieve`.
        config: as for `retrieve`.
        keep: as for `retrieve`.
        approximate: proposes images, which are then scored exactly; where it has none to propose,
            and without it, all images are looked at.
        extra: as for `retrieve`; with it, all images are looked at.

    Raises:
        QueryError: a query is longer than the encoder reads.
        ConfigError: `extra` is not what `config` asks for.
    """
    _require_same(config, extra)
    texts = encoder.embed_texts(list(queries))
    if extra is not None:
        approximate = None
    proposed = None if approximate is None else approximate.images(texts, n_images, allowed=keep)
    if extra is not None:
        found = extra.search(texts, k=n_images, keep=keep)
    elif proposed is None:
        found = search(index, texts, k=n_images, config=config, keep=keep)
    else:
        pairs = zip(texts, proposed.images, strict=True)
        found = [best_among(index, t, rows, k=n_images, config=config) for t, rows in pairs]
    return [
        Retrieval(_described(index, text, best, config, extra), best.estimates, proposed is None)
        for text, best in zip(texts, found, strict=True)
    ]


def scan(
    query: str,
    index: Index,
    encoder: RegionEncoder,
    *,
    config: RetrieveConfig,
    keep: NDArray[np.bool_] | None = None,
    extra: ExtraDimensions | None = None,
) -> Scan:
    """Return the exact scores of every image of `index` for `query`, computed when asked for.

    Args are those of `retrieve`.

    Raises:
        QueryError: the query is longer than the encoder reads.
        ConfigError: `extra` is not what `config` asks for.
    """
    _require_same(config, extra)
    return Scan(index, config, encoder.embed_texts([query])[0], keep, extra)


def _require_same(config: RetrieveConfig, extra: ExtraDimensions | None) -> None:
    if (extra.config if extra is not None else None) != (config if config.is_adjusted else None):
        raise ConfigError(
            "config asks for de-hubbing or references and extra is not made for it, or the other "
            "way round: let Engine.search or Engine.scan bring both together"
        )


def _described(
    index: Index,
    text: FloatArray,
    best: Best,
    config: RetrieveConfig,
    extra: ExtraDimensions | None,
) -> tuple[Candidate, ...]:
    ids = index.ids_of(best.rows.tolist())
    pairs = zip(ids, best.scores.tolist(), strict=True)
    return tuple(
        SeenImage.of(index, text, image_id, config, extra).candidate(place + 1, score)
        for place, (image_id, score) in enumerate(pairs)
    )
