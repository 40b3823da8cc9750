"""The text side that CLIP and Alpha-CLIP share, and what their cosines are worth.

Alpha-CLIP keeps CLIP's text tower unchanged. This module knows no image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from matir_nb.errors import QueryError
from matir_nb.models.batches import Batches
from matir_nb.models.runtime import Runtime
from matir_nb.types import FloatArray, LogOdds

TEXTS_PER_BATCH = 64
CLIP_LOG_ODDS = LogOdds(scale=100.0, bias=-25.0)
"""What a cosine of OpenAI's CLIP, or of a released Alpha-CLIP, is worth: a prior, not fitted.

The scale is CLIP's own: training ended at the logit scale 100 (Radford et al. 2021, section 2.5;
Alpha-CLIP holds it there), so a difference of two cosines times 100 is the log-odds of one text
against another for the same image. The contrastive loss says nothing about one text alone: the
bias is our choice of where a match is as likely as not, cosine 0.25, above what unrelated pairs
commonly reach and below what good matches do. Ranking by cosine does not depend on it.
"""


class ClipTexts:
    """Embeds texts with the text tower of a `CLIPModel`."""

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime) -> None:
        """Wrap a loaded model.

        Args:
            model: a CLIPModel, placed as `runtime` says.
            tokenizer: its tokenizer.
            runtime: where it computes.
        """
        self.model = model
        self.tokenizer = tokenizer
        self.n_tokens = int(model.config.text_config.max_position_embeddings)
        self._dim = int(model.config.projection_dim)
        self._runtime = runtime
        self._batches = Batches("texts", TEXTS_PER_BATCH)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32 unit vectors; texts of like length are encoded together.

        Raises:
            QueryError: a text has more tokens than the encoder reads.
        """
        tokens = [self.tokens(text) for text in texts]
        by_length = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        vectors = np.zeros((len(tokens), self._dim), np.float32)
        if tokens:
            vectors[by_length] = self._batches.map(
                self._embed_tokens, [tokens[row] for row in by_length]
            )
        return vectors

    def tokens(self, text: str) -> list[int]:
        """Return the ids of a text, start and end included.

        Raises:
            QueryError: there are more than the encoder reads.
        """
        ids: list[int] = self.tokenizer(text, verbose=False)["input_ids"]
        if len(ids) > self.n_tokens:
            message = (
                f"the query has {len(ids)} tokens, the text encoder reads {self.n_tokens}: "
                f"shorten {text[:60]!r}"
            )
            raise QueryError(message)
        return ids

    def _embed_tokens(self, tokens: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the (dim,) unit vectors of one batch, padded to its longest text only.

        A causal encoder that is read at the end token sees nothing of what stands behind it, so
        this gives what padding to the full length would give.
        """
        longest = max(len(own) for own in tokens)
        padding = int(self.tokenizer.pad_token_id)
        ids = [[*own, *[padding] * (longest - len(own))] for own in tokens]
        seen = [[1] * len(own) + [0] * (longest - len(own)) for own in tokens]
        with torch.inference_mode():
            out = self.model.get_text_features(
                input_ids=self._runtime.send(torch.tensor(ids)),
                attention_mask=self._runtime.send(torch.tensor(seen)),
            )
        return list(unit(out.pooler_output))


def unit(vectors: torch.Tensor) -> FloatArray:
    """Return (n, d) float32 vectors of length 1 from (n, d) of any floating type and device."""
    length_one = torch.nn.functional.normalize(vectors.float(), dim=-1)
    return np.asarray(length_one.cpu().numpy(), dtype=np.float32)
