"""What the hits of one index are held against: its null bands, and the cut of a query."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matir_nb.config import JudgeConfig, Preset, RetrieveConfig
from matir_nb.explain.adjusting import Adjusting
from matir_nb.explain.cut import Cut, cut_of, marked
from matir_nb.explain.neutral import bank, unknown_words
from matir_nb.explain.null_band import NullBand, stored_vectors
from matir_nb.index.cache import CACHE_FOLDER
from matir_nb.index.extra import ExtendedIndex
from matir_nb.index.store import Index
from matir_nb.models.base import Judge, RegionEncoder
from matir_nb.types import FloatArray, Hit

Scores: TypeAlias = NDArray[np.floating]
Fuse: TypeAlias = Callable[[Scores, Scores, RetrieveConfig], Scores]


class Yardstick:
    """The neutral phrases of a preset in the images of an index."""

    def __init__(
        self,
        index: Index,
        encoder: RegionEncoder,
        preset: Preset,
        *,
        fuse: Fuse,
        adjusting: Adjusting | None = None,
    ) -> None:
        """Hold hits of `index` against the phrases that `preset` names, encoded on first use.

        Args:
            index: what is searched.
            encoder: the one that made it.
            preset: names the bank and the cut.
            fuse: (best region, whole image, config) -> stage-1 score, elementwise.
            adjusting: of that index; None = made when it is needed.
        """
        self._adjusting = adjusting or Adjusting(index, encoder)
        self._index, self._encoder, self._preset, self._fuse = index, encoder, preset, fuse
        self._bands: dict[RetrieveConfig, NullBand] = {}

    def band(self, config: RetrieveConfig) -> NullBand:
        """Return the null band under the options of `config`.

        What is added to the cosines of a query is added to those of the phrases, too.
        """
        if config not in self._bands:
            phrases, encoder = bank(self._preset.neutral), self._encoder
            vectors = stored_vectors(
                Path(self._index.path, CACHE_FOLDER),
                phrases,
                encoder.model_id,
                lambda: encoder.embed_texts(phrases),
            )
            extra = self._adjusting.of(config, self._preset.neutral)
            band = NullBand(
                self._index if extra is None else ExtendedIndex(extra),
                phrases,
                vectors if extra is None else extra.extended(vectors),
                fuse=lambda best, whole: self._fuse(best, whole, config),
            )
            self._bands = self._bands | {config: band}
        return self._bands[config]

    def cut(
        self,
        query: str,
        config: RetrieveConfig,
        judge: Judge | None,
        judging: JudgeConfig | None = None,
    ) -> Cut:
        """Return the cut of a query.

        Args:
            query: as asked.
            config: of stage 1.
            judge: the one that saw some of the candidates; None = none did.
            judging: how it is calibrated; None = it is not.
        """
        return cut_of(
            query,
            self.band(config),
            config=self._preset.cut,
            n_images=self._index.n_images,
            judge_id=None if judge is None else judge.model_id,
            judging=judging,
            unknown=unknown_words(query, self._preset.neutral),
        )

    def marked(
        self, hits: Sequence[Hit], query: str, config: RetrieveConfig, cut: Cut
    ) -> list[Hit]:
        """Return `hits` with their null percentile and whether they are above `cut`."""
        return marked(hits, query, self.band(config), cut)

    def scores_of(self, image_id: str, query: str | None, config: RetrieveConfig) -> FloatArray:
        """Return (t,) float32 stage-1 scores of the phrases in an image.

        Args:
            image_id: of the index.
            query: phrases that share a word with it are left out; None = none are.
            config: of stage 1.
        """
        band = self.band(config)
        scores: FloatArray = band.scores_of([image_id])[0, band.rows_for(query)]
        return scores

    def as_json(self, config: RetrieveConfig, cut: Cut) -> Mapping[str, Any]:
        """Return plain values, for a result's provenance."""
        about = {"bank": self._preset.neutral, "n_phrases": len(self.band(config).phrases)}
        return {"null_band": about, "cut": cut.as_json()}
