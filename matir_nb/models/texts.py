"""Texts that were encoded once are remembered. Knows no index."""

from collections.abc import Sequence

import numpy as np

from matir_nb.models.base import RegionEncoder
from matir_nb.types import FloatArray

MAX_TEXTS = 4096
"""Texts remembered; the oldest go first."""


class RememberedTexts:
    """The vectors of texts: new ones are encoded in one batch."""

    def __init__(self, encoder: RegionEncoder) -> None:
        """Encode with `encoder`."""
        self._encoder = encoder
        self._known: dict[str, FloatArray] = {}

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, d) float32 unit vectors.

        Raises:
            QueryError: a text is longer than the encoder reads.
        """
        known = self._known
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        if fresh:
            known = known | dict(zip(fresh, self._encoder.embed_texts(fresh), strict=True))
            self._known = dict(list(known.items())[-MAX_TEXTS:])
        found = [known[text] for text in texts]
        return np.array(found, np.float32).reshape(-1, self._encoder.dim)
