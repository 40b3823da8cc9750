"""Vectors of regions out of one pass over the picture: pooling under masks.

An image encoder ends in a token that reads all patches by attention. Here that token reads those
under a mask only, each as far as the mask covers it; all else of the network stays. No weights are
new. Under a mask of the whole picture the result is the model's own vector of the picture.

The idea is that of Zhou et al., "Extract Free Dense Labels from CLIP" (MaskCLIP, ECCV 2022) and
Xiao et al., "TextRegion: Text-Aligned Region Tokens from Frozen Image-Text Models" (arXiv
2505.23769), who pool the last block's values under a mask; that of tokens which attend under
masks through several blocks is in Ding et al., "Open-Vocabulary Universal Image Segmentation with
MaskCLIP" (ICML 2023). Patches have seen the whole picture by then: a region's vector says what
is there in its surroundings, and changes with them. This module knows no files and no texts.
"""

from typing import Any

import torch
from torch import Tensor


def weights_under(scores: Tensor, coverage: Tensor) -> Tensor:
    """Return attention under masks: softmax(scores + log coverage).

    Adding log c to the score of a patch is to let it count c times; c = 0 takes it out.

    Args:
        scores: (b, heads, r, n) attention scores before the softmax.
        coverage: (b, r, n) in [0, 1], not all 0 in any row.

    Returns:
        (b, heads, r, n) in the type of `scores`.
    """
    weights = torch.softmax(scores.float() + coverage.log()[:, None], dim=-1)
    return weights.to(scores.dtype)


class ClassTokenPool:
    """CLIP: one class token per region; in the last blocks it reads itself and under its mask.

    With one block only, all regions of a picture begin with what its class token read of the whole
    picture, and differ in the last reading alone; with more they have read less of it.
    """

    def __init__(self, model: Any, n_blocks: int) -> None:
        """Wrap the image side of a `CLIPModel`.

        Args:
            model: it.
            n_blocks: in so many of the last blocks the tokens read under masks, >= 1.
        """
        self._vision = model.vision_model
        self._projection = model.visual_projection
        self._first = self._vision.encoder.layers[:-n_blocks]
        self._last = self._vision.encoder.layers[-n_blocks:]

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return (b, 1 + n, width): class token and patches before the last blocks."""
        hidden: Tensor = self._vision.pre_layrnorm(self._vision.embeddings(pixels))
        for block in self._first:
            hidden = block(hidden, None)
        return hidden

    def pool(self, hidden: Tensor, coverage: Tensor) -> Tensor:
        """Return (b, r, dim) from `tokens` and the (b, r, n) coverage of patches by masks."""
        regions = hidden[:, :1].expand(-1, coverage.shape[1], -1)
        for block in self._last:
            regions = _block(block, regions, hidden[:, 1:], coverage)
            if block is not self._last[-1]:
                hidden = block(hidden, None)
        pooled: Tensor = self._projection(self._vision.post_layernorm(regions))
        return pooled


def _block(block: Any, regions: Tensor, patches: Tensor, coverage: Tensor) -> Tensor:
    """Return (b, r, width): the regions' tokens after a block in which they read under masks."""
    attention = block.self_attn
    own, seen = block.layer_norm1(regions), block.layer_norm1(patches)
    query = _heads(attention.q_proj(own), attention.num_heads) * attention.scale
    own_key = _heads(attention.k_proj(own), attention.num_heads)
    own_value = _heads(attention.v_proj(own), attention.num_heads)
    key = _heads(attention.k_proj(seen), attention.num_heads)
    value = _heads(attention.v_proj(seen), attention.num_heads)
    scores = torch.cat([(query * own_key).sum(-1, keepdim=True), query @ key.mT], dim=-1)
    weights = weights_under(scores, torch.nn.functional.pad(coverage, (1, 0), value=1.0))
    read = weights[..., :1] * own_value + weights[..., 1:] @ value
    regions = regions + attention.out_proj(_joined(read))
    result: Tensor = regions + block.mlp(block.layer_norm2(regions))
    return result


class ProbePool:
    """SigLIP and SigLIP 2: the pooling head's probe reads the patches under each mask."""

    def __init__(self, model: Any) -> None:
        """Wrap the image side of a `SiglipModel` or `Siglip2Model` that has a pooling head."""
        self._vision = model.vision_model
        self._head = model.vision_model.head

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return (b, n, width): patches of (b, 3, h, w) pictures of one size."""
        hidden: Tensor = self._vision(pixels).last_hidden_state
        return hidden

    def tokens_of_patches(self, patches: Tensor, is_patch: Tensor, grids: Tensor) -> Tensor:
        """Return (b, n, width): patches of pictures of several shapes (SigLIP 2 NaFlex).

        Args:
            patches: (b, n, values) of each patch; pictures with fewer are filled up.
            is_patch: (b, n) 1 = a patch, 0 = filled up.
            grids: (b, 2) rows and columns of patches.
        """
        hidden: Tensor = self._vision(patches, is_patch, grids).last_hidden_state
        return hidden

    def pool(self, hidden: Tensor, coverage: Tensor) -> Tensor:
        """Return (b, r, dim) from `tokens` and the (b, r, n) coverage of patches by masks."""
        head, attention = self._head, self._head.attention
        projections = zip(
            (head.probe, hidden, hidden),
            attention.in_proj_weight.chunk(3),
            attention.in_proj_bias.chunk(3),
            strict=True,
        )
        query, key, value = (
            _heads(torch.nn.functional.linear(*projection), attention.num_heads)
            for projection in projections
        )
        weights = weights_under(query * attention.head_dim**-0.5 @ key.mT, coverage)
        read = attention.out_proj(_joined(weights @ value))
        pooled: Tensor = read + head.mlp(head.layernorm(read))
        return pooled


def _heads(x: Tensor, n_heads: int) -> Tensor:
    """Return (b, heads, n, width / heads) from (b, n, width)."""
    heads: Tensor = x.unflatten(-1, (n_heads, -1))
    return heads.transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    """Return (b, n, width) from (b, heads, n, width / heads)."""
    return x.transpose(1, 2).flatten(2)
