"""SAM 2's mask decoder over many prompts of a few images.

The same numbers as `Sam2Model.forward`, with less work: what depends on the image alone is
computed once per image, and masks are drawn only for prompts that the caller wants to see.
The decoder computes in the precision of the features; what it says comes out in float32.
Knows tensors only: no pictures, no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Sam2Model

CPU_BLOCK_BYTES = 30 << 20
"""Just below glibc's largest threshold for blocks that it keeps, 32 MiB."""
MANY = 1 << 30


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
        predicted_ious: (b, p, m) float32, the model's own estimate for each of m masks.
        mask_tokens: (b * p, m, c).
        image_tokens: (b * p, n, c) the coarse map as each prompt changed it.
    """

    predicted_ious: Tensor
    mask_tokens: Tensor
    image_tokens: Tensor


def rows_at_once(one: Tensor) -> int:
    """Return how many tensors like `one` a device works on best.

    On a CPU all that stays in memory that the process keeps; glibc gives larger blocks back to the
    system each time, and half of the time would go into asking for them again.
    """
    if one.device.type != "cpu":
        return MANY
    return max(1, CPU_BLOCK_BYTES // (one.numel() * one.element_size()))


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
    dtype = features.coarse.dtype
    tokens = torch.cat([own.expand(*sparse.shape[:2], -1, -1), sparse.to(dtype)], dim=2)
    image = (features.coarse + dense).flatten(2).transpose(1, 2)
    code = model.get_image_wide_positional_embeddings()
    position = code.to(dtype).flatten(2).transpose(1, 2)
    tokens, image_tokens = _two_way(decoder.transformer, tokens, image, position)
    n_masks = decoder.num_mask_tokens
    ious = decoder.iou_prediction_head(tokens[:, 1])[:, 1:]
    return Answers(
        predicted_ious=ious.reshape(*sparse.shape[:2], -1).float(),
        mask_tokens=tokens[:, 3 : 2 + n_masks],
        image_tokens=image_tokens,
    )


def draw_masks(model: Sam2Model, features: ImageFeatures, answers: Answers, rows: Tensor) -> Tensor:
    """Return (len(rows), m, s / 4, s / 4) float32 mask logits of the prompts numbered `rows`.

    Prompts are numbered through all images: prompt j of image i is i * p + j.
    """
    at_once = rows_at_once(features.fine[0])
    return torch.cat([_draw(model, features, answers, part) for part in rows.split(at_once)])


def _draw(model: Sam2Model, features: ImageFeatures, answers: Answers, rows: Tensor) -> Tensor:
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
    return masks.float()


def _two_way(
    transformer: Any, tokens: Tensor, image: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (b * p, t, c) tokens and (b * p, n, c) image tokens after the two-way transformer.

    In the first layer every prompt of an image meets the same image tokens, so their keys,
    values and queries are projected once per image. Later each prompt has its own 4,096 image
    tokens and 8 tokens: projections are folded into the few (`_tokens_read`, `_image_reads`).
    """
    first, *others = transformer.layers
    queries, keys = _first_layer(first, tokens, image, position)
    code, place = tokens.flatten(0, 1), position[0]
    for layer in others:
        located = (queries + code)[:, None]
        heard = layer.self_attn(query=located, key=located, value=queries[:, None])[0][:, 0]
        queries = layer.layer_norm1(queries + heard)
        seen = _tokens_read(layer.cross_attn_token_to_image, queries + code, keys, place)
        queries = layer.layer_norm2(queries + seen)
        queries = layer.layer_norm3(queries + layer.mlp(queries))
        told = _image_reads(layer.cross_attn_image_to_token, keys, place, queries + code, queries)
        keys = layer.layer_norm4(keys + told)
    seen = _tokens_read(transformer.final_attn_token_to_image, queries + code, keys, place)
    return transformer.layer_norm_final_attn(queries + seen), keys


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
    told = _one_image_reads(layer.cross_attn_image_to_token, located, queries + tokens, queries)
    keys = layer.layer_norm4(image[:, None] + told)
    return queries.flatten(0, 1), keys.reshape(n_images * n_prompts, -1, keys.shape[-1])


def _one_image_reads(attention: Any, image: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return (b, p, n, c): what each token of (b, n, c) images reads from each prompt's tokens.

    Args:
        attention: with projections q, k, v, o.
        image: with its position.
        key: (b, p, t, c).
        value: (b, p, t, c).
    """
    q = _heads(attention, attention.q_proj(image)).transpose(1, 2)[:, None]
    k = _heads(attention, attention.k_proj(key)).permute(0, 1, 3, 4, 2)
    weights = (q @ k * attention.scaling).softmax(-1).transpose(2, 3).flatten(3)
    values = torch.einsum("bpthd,chd->bphtc", *_values(attention, value)).flatten(2, 3)
    result: Tensor = weights @ values + attention.o_proj.bias
    return result


def _image_reads(
    attention: Any, image: Tensor, position: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """Return (b, n, c): what each token of (b, n, c) images reads from (b, t, c) tokens.

    With q = Wq (image + position): q . k = image . (Wq' k) + (Wq position) . k, so that nothing is
    projected n times.
    """
    k = _heads(attention, attention.k_proj(key))
    folded = torch.einsum("bthd,hdc->bhtc", k, _weights(attention, attention.q_proj)).flatten(1, 2)
    places = _heads(attention, attention.q_proj(position)).permute(1, 0, 2)
    of_place = places[None] @ k.permute(0, 2, 3, 1)
    of_image = (image @ folded.transpose(1, 2)).unflatten(2, k.shape[2:0:-1])
    weights = ((of_image + of_place.transpose(1, 2)) * attention.scaling).softmax(-1).flatten(2)
    values = torch.einsum("bthd,chd->bhtc", *_values(attention, value)).flatten(1, 2)
    result: Tensor = weights @ values + attention.o_proj.bias
    return result


def _tokens_read(attention: Any, query: Tensor, image: Tensor, position: Tensor) -> Tensor:
    """Return (b, t, c): what (b, t, c) tokens read from (b, n, c) images at (n, c) positions.

    The values carry no position; keys and values are folded as in `_image_reads`.
    """
    q = _heads(attention, attention.q_proj(query))
    folded = torch.einsum("bthd,hdc->bhtc", q, _weights(attention, attention.k_proj)).flatten(1, 2)
    places = _heads(attention, attention.k_proj(position)).permute(1, 2, 0)
    of_place = q.transpose(1, 2) @ places[None]
    of_image = (folded @ image.transpose(1, 2)).unflatten(1, q.shape[2:0:-1])
    weights = ((of_image + of_place) * attention.scaling).softmax(-1).flatten(1, 2)
    read = (weights @ image).unflatten(1, q.shape[2:0:-1])
    values = torch.einsum("bhtc,hdc->bthd", read, _weights(attention, attention.v_proj)).flatten(2)
    result: Tensor = attention.o_proj(values + attention.v_proj.bias)
    return result


def _heads(attention: Any, projected: Tensor) -> Tensor:
    """Return (..., h, d) of (..., h * d)."""
    split: tuple[int, int] = (attention.num_attention_heads, attention.head_dim)
    result: Tensor = projected.unflatten(-1, split)
    return result


def _weights(attention: Any, projection: Any) -> Tensor:
    """Return the (h, d, c) weights of a projection into heads."""
    split: tuple[int, int] = (attention.num_attention_heads, attention.head_dim)
    result: Tensor = projection.weight.unflatten(0, split)
    return result


def _values(attention: Any, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the heads' values, and the (c, h, d) weights of the projection out of the heads."""
    weights: Tensor = _heads(attention, attention.o_proj.weight)
    return _heads(attention, attention.v_proj(value)), weights
