"""The text side of SigLIP and SigLIP 2, as the weights were trained to be asked.

Texts are in lower case, end in the end token, and are filled up to the full length (64); the
encoder reads the filling, too, without a mask (Zhai et al., ICCV 2023; Tschannen et al., arXiv
2502.14786; google-research/big_vision). This module knows no image.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from matir_nb.errors import ModelUnavailableError, QueryError
from matir_nb.models.batches import Batches
from matir_nb.models.clip_text import unit
from matir_nb.models.runtime import Runtime
from matir_nb.types import FloatArray

TEXTS_PER_BATCH = 64
SPECIAL = ("bos_token", "eos_token", "pad_token")


class SiglipTokens:
    """Turns texts into ids with a folder's tokenizer.json; needs no sentencepiece."""

    def __init__(self, tokenizer: Tokenizer, *, bos: int | None, eos: int, pad: int) -> None:
        """Wrap a tokenizer; `bos`, where there is one, is taken out: SigLIP reads none."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._bos, self._eos, self.pad = bos, eos, pad

    @classmethod
    def from_pretrained(cls, folder: Path) -> "SiglipTokens":
        """Load tokenizer.json, and the names of its special tokens from tokenizer_config.json.

        Raises:
            ModelUnavailableError: a file is missing, or names no end token.
        """
        files = folder / "tokenizer.json", folder / "tokenizer_config.json"
        for file in files:
            if not file.is_file():
                message = f"no {file.name} in {folder}: the texts of SigLIP are read with it"
                raise ModelUnavailableError(message)
        tokenizer = Tokenizer.from_file(str(files[0]))
        named = json.loads(files[1].read_text(encoding="utf-8"))
        bos, eos, pad = (_id_of(tokenizer, named.get(name)) for name in SPECIAL)
        if eos is None or pad is None:
            message = f"{files[1]} names no eos_token and pad_token that {files[0].name} knows"
            raise ModelUnavailableError(message)
        return cls(tokenizer, bos=bos, eos=eos, pad=pad)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text in lower case, without a start, with one end."""
        ids: list[int] = self._tokenizer.encode(text.lower()).ids
        ids = ids[1:] if ids[:1] == [self._bos] else ids
        return ids if ids[-1:] == [self._eos] else [*ids, self._eos]


def _id_of(tokenizer: Tokenizer, token: Any) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(text) if isinstance(text, str) else None


class SiglipTexts:
    """Embeds texts with the text tower of a `SiglipModel` or `Siglip2Model`."""

    def __init__(self, model: Any, tokens: SiglipTokens, runtime: Runtime) -> None:
        """Wrap a loaded model.

        Args:
            model: placed as `runtime` says.
            tokens: of its folder.
            runtime: where it computes.
        """
        self._model = model
        self._tokens = tokens
        self._runtime = runtime
        self.n_tokens = int(model.config.text_config.max_position_embeddings)
        self._dim = int(model.text_model.head.out_features)
        self._batches = Batches("texts", TEXTS_PER_BATCH)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) float32 unit vectors.

        Raises:
            QueryError: a text has more tokens than the encoder reads.
        """
        rows = self._batches.map(self._embed_ids, [self.padded(text) for text in texts])
        return np.array(rows, np.float32).reshape(-1, self._dim)

    def padded(self, text: str) -> list[int]:
        """Return the `n_tokens` ids that the encoder reads.

        Raises:
            QueryError: the text has more.
        """
        ids = self._tokens.ids(text)
        if len(ids) > self.n_tokens:
            message = (
                f"the query has {len(ids)} tokens, the text encoder reads {self.n_tokens}: "
                f"shorten {text[:60]!r}"
            )
            raise QueryError(message)
        return ids + [self._tokens.pad] * (self.n_tokens - len(ids))

    def _embed_ids(self, ids: Sequence[Sequence[int]]) -> list[FloatArray]:
        with torch.inference_mode():
            out = self._model.get_text_features(input_ids=self._runtime.send(torch.tensor(ids)))
        return list(unit(out.pooler_output))
