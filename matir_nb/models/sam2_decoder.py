"""SAM 2's mask decoder over many prompts of a few images.

The same numbers as `Sam2Model.forward`, with less work: what depends on the image alone is
computed once per image, and masks are drawn only for prompts that the caller wants to see.
Knows tensors only: no pictures, no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Sam2Model


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """The image side of b images.

    Attributes:
        fine: (b, c / 8, s / 4, s / 4), projected for the decoder.
        middle: (b, c / 4, s / 8, s / 8), projected for the decoder.
        coarse: (b, c, s / 16, s / 16), the maps that prompts attend to.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor


@dataclass(frozen=True, slots=True)
class Answers:
    """What the decoder holds after reading b * p prompts, before any mask is drawn.

    Attributes:
        predicted_ious: (b, p, m) the model's own estimate for each of m masks.
        mask_tokens: (b * p, m, c).
        image_tokens: (b * p, n, c) the coarse map as each prompt changed it.
    """

    predicted_ious: Tensor
    mask_tokens: Tensor
    image_tokens: Tensor


def encode_images(model: Sam2Model, pixels: Tensor) -> ImageFeatures:
    """Return the features of (b, 3, s, s) normalised pixels; gradients flow."""
    return decoder_features(model, model.vision_encoder(pixels).fpn_hidden_states)


def decoder_features(model: Sam2Model, maps: Sequence[Tensor]) -> ImageFeatures:
    """Return the encoder's three feature maps, finest first, as the decoder reads them."""
    fine, middle, coarse = maps
    decoder: Any = model.mask_decoder
    coarse = coarse + model.no_memory_embedding.reshape(1, -1, 1, 1)
    return ImageFeatures(decoder.conv_s0(fine), decoder.conv_s1(middle), coarse)


def read_prompts(
    model: Sam2Model,
    features: ImageFeatures,
    *,
    points: Tensor | None = None,
    boxes: Tensor | None = None,
) -> Answers:
    """Return the decoder's answers to one kind of prompt.

    Args:
        model: the model that made `features`.
        features: b images.
        points: (b, p, 2) x, y in pixels of the model's square, each a foreground click.
        boxes: (b, p, 4) x0, y0, x1, y1 in the same pixels.
    """
    labels = None if points is None else torch.ones_like(points[..., :1], dtype=torch.int)
    sparse, dense = model.prompt_encoder(
        input_points=None if points is None else points[:, :, None],
        input_labels=labels,
        input_boxes=boxes,
        input_masks=None,
    )
    decoder: Any = model.mask_decoder
    first = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
    own = torch.cat([embedding.weight for embedding in first])
    tokens = torch.cat([own.expand(*sparse.shape[:2], -1, -1), sparse], dim=2)
    image = (features.coarse + dense).flatten(2).transpose(1, 2)
    position = model.get_image_wide_positional_embeddings().flatten(2).transpose(1, 2)
    tokens, image_tokens = _two_way(decoder.transformer, tokens, image, position)
    n_masks = decoder.num_mask_tokens
    ious = decoder.iou_prediction_head(tokens[:, 1])[:, 1:]
    return Answers(
        predicted_ious=ious.reshape(*sparse.shape[:2], -1),
        mask_tokens=tokens[:, 3 : 2 + n_masks],
        image_tokens=image_tokens,
    )


def draw_masks(model: Sam2Model, features: ImageFeatures, answers: Answers, rows: Tensor) -> Tensor:
    """Return (len(rows), m, s / 4, s / 4) mask logits of the prompts numbered `rows`.

    Prompts are numbered through all images: prompt j of image i is i * p + j.
    """
    decoder: Any = model.mask_decoder
    image = rows // answers.predicted_ious.shape[1]
    coarse = answers.image_tokens[rows].transpose(1, 2)
    coarse = coarse.reshape(len(rows), *features.coarse.shape[1:])
    upscaled = decoder.upscale_conv1(coarse) + features.middle[image]
    upscaled = decoder.activation(decoder.upscale_layer_norm(upscaled))
    upscaled = decoder.activation(decoder.upscale_conv2(upscaled) + features.fine[image])
    tokens = answers.mask_tokens[rows]
    heads = list(decoder.output_hypernetworks_mlps)[1:]
    weights = torch.stack([head(tokens[:, i]) for i, head in enumerate(heads)], dim=1)
    masks: Tensor = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
    return masks


def _two_way(
    transformer: Any, tokens: Tensor, image: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (b * p, t, c) tokens and (b * p, n, c) image tokens after the two-way transformer.

    In the first layer every prompt of an image meets the same image tokens, so their keys,
    values and queries are projected once per image.
    """
    first, *others = transformer.layers
    queries, keys = _first_layer(first, tokens, image, position)
    prompt_code, image_code = tokens.flatten(0, 1)[:, None], position[:, None]
    queries, keys = queries[:, None], keys[:, None]
    for layer in others:
        queries, keys, _ = layer(
            queries=queries,
            keys=keys,
            query_point_embedding=prompt_code,
            key_point_embedding=image_code,
            attention_similarity=None,
        )
    attended, _ = transformer.final_attn_token_to_image(
        query=queries + prompt_code, key=keys + image_code, value=keys
    )
    queries = transformer.layer_norm_final_attn(queries + attended)
    return queries[:, 0], keys[:, 0]


def _first_layer(
    layer: Any, tokens: Tensor, image: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    n_images, n_prompts, n_tokens, _ = tokens.shape
    queries = layer.layer_norm1(layer.self_attn(query=tokens, key=tokens, value=tokens)[0])
    one_row = (queries + tokens).flatten(1, 2)[:, None]
    located = image + position
    attended, _ = layer.cross_attn_token_to_image(
        query=one_row, key=located[:, None], value=image[:, None]
    )
    attended = attended[:, 0].unflatten(1, (n_prompts, n_tokens))
    queries = layer.layer_norm2(queries + attended)
    queries = layer.layer_norm3(queries + layer.mlp(queries))
    seen = _attend_to_tokens(layer.cross_attn_image_to_token, located, queries + tokens, queries)
    keys = layer.layer_norm4(image[:, None] + seen)
    return queries.flatten(0, 1), keys.reshape(n_images * n_prompts, -1, keys.shape[-1])


def _attend_to_tokens(attention: Any, image: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return (b, p, n, c): what each image token reads from the tokens of each prompt."""
    split = (attention.num_attention_heads, attention.head_dim)
    q = attention.q_proj(image).unflatten(-1, split).transpose(1, 2)[:, None]
    k = attention.k_proj(key).unflatten(-1, split).transpose(2, 3)
    v = attention.v_proj(value).unflatten(-1, split).transpose(2, 3)
    q = q.expand(-1, key.shape[1], -1, -1, -1)
    read = F.scaled_dot_product_attention(q, k, v, scale=attention.scaling)
    result: Tensor = attention.o_proj(read.transpose(2, 3).flatten(-2))
    return result
