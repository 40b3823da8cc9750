"""The adjustments of stage 1 that options ask for, made from an index and its encoder.

The texts of a de-hubbing bank are neutral phrases (`matir_nb.explain.neutral`) that come after
those of the null band: the band's phrases are treated like any query, so its percentiles and cuts
keep their meaning.
"""

from pathlib import Path

from matir_nb.config import RetrieveConfig
from matir_nb.explain.neutral import N_PHRASES, bank
from matir_nb.explain.null_band import stored_vectors
from matir_nb.index.adjust import Adjustment, Hubs, References, spherical_centroids
from matir_nb.index.cache import CACHE_FOLDER
from matir_nb.index.extra import ExtraColumns, ExtraDimensions, sampled_regions
from matir_nb.index.store import Index
from matir_nb.models.base import RegionEncoder
from matir_nb.types import FloatArray


class Adjusting:
    """The extra dimensions of one index, by option; nothing is computed before it is needed."""

    def __init__(self, index: Index, encoder: RegionEncoder) -> None:
        """Score `index` with the help of `encoder`, the one that made it."""
        self._index, self._encoder = index, encoder
        self._columns = ExtraColumns(index)
        self._centroids: dict[int, FloatArray] = {}
        self._banks: dict[tuple[str, int], FloatArray] = {}
        self._made: dict[tuple[RetrieveConfig, str], ExtraDimensions] = {}

    def of(self, config: RetrieveConfig, neutral: str) -> ExtraDimensions | None:
        """Return what `config` asks for; None = cosines alone.

        Args:
            config: of stage 1.
            neutral: name of the bank of neutral phrases that the encoder understands.
        """
        if not config.is_adjusted:
            return None
        if (config, neutral) not in self._made:
            made = ExtraDimensions(self._columns, config, self._chosen(config, neutral))
            self._made = self._made | {(config, neutral): made}
        return self._made[config, neutral]

    def _chosen(self, config: RetrieveConfig, neutral: str) -> list[Adjustment]:
        chosen: list[Adjustment] = []
        if config.dehub_beta > 0:
            chosen.append(Hubs(self._bank(neutral, config.dehub_phrases), config.dehub_beta))
        if config.refine_weight > 0:
            centroids = self._references(config.n_references)
            chosen.append(References(centroids, config.refine_temperature, config.refine_weight))
        return chosen

    def _bank(self, neutral: str, n: int) -> FloatArray:
        """Return (n, d) vectors of phrases, none of which the null band holds."""
        if (neutral, n) not in self._banks:
            phrases = bank(neutral, n, skip=N_PHRASES)
            folder = Path(self._index.path, CACHE_FOLDER)
            vectors = stored_vectors(
                folder, phrases, self._encoder.model_id, lambda: self._encoder.embed_texts(phrases)
            )
            self._banks = self._banks | {(neutral, n): vectors}
        return self._banks[neutral, n]

    def _references(self, n: int) -> FloatArray:
        if n not in self._centroids:
            made = spherical_centroids(sampled_regions(self._index), n)
            self._centroids = self._centroids | {n: made}
        return self._centroids[n]
