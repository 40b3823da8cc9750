"""An engine whose queries are encoded once, however many arms ask them. Knows no metric."""

from collections.abc import Sequence

import numpy as np

from matir_nb.engine import Engine
from matir_nb.models.base import RegionEncoder
from matir_nb.types import FloatArray, LogOdds, MaskRLE, RGBImage


class SharedTexts:
    """A region encoder that remembers all texts it was given.

    Attributes:
        model_id: the encoder's own.
        dim: likewise.
        log_odds: likewise.
    """

    def __init__(self, encoder: RegionEncoder) -> None:
        """Encode with `encoder`."""
        self._encoder = encoder
        self._known: dict[str, FloatArray] = {}
        self.model_id = encoder.model_id
        self.dim = encoder.dim
        self.log_odds: LogOdds = encoder.log_odds

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32; those that are new are encoded in one batch."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            self._known |= dict(zip(fresh, self._encoder.embed_texts(fresh), strict=True))
        rows = [self._known[text] for text in texts]
        return np.array(rows, np.float32).reshape(-1, self.dim)

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return what the encoder gives."""
        return self._encoder.embed_regions(images, masks)

    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return what the encoder gives."""
        return self._encoder.embed_images(images)


def with_shared_texts(engine: Engine) -> Engine:
    """Return an engine of the same index, models and caches that remembers every text.

    So do those made of it by `Engine.with_preset`.
    """
    shared = engine.with_preset(engine.preset)
    shared.encoder = SharedTexts(engine.encoder)
    return shared
