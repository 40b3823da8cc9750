"""The embedded SAM 2 as it starts to learn, and its loss.

Every prompt is answered by three masks; all three learn the object under the prompt, for scenes
have no parts. A dense head on the feature maps (foreground, centre and box of the object under
each cell) gives the image side a direct signal and is thrown away.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from matir_nb.models.sam2_decoder import decoder_features, draw_masks, read_prompts
from training.sam2_data import SIDE, Batch


def tiny_config(side: int = SIDE) -> Sam2Config:
    """Return the architecture of the embedded model."""
    dims, hidden = [24, 48, 96, 160], 64
    backbone = Sam2HieraDetConfig(
        hidden_size=dims[0],
        num_attention_heads=1,
        image_size=[side, side],
        blocks_per_stage=[1, 1, 3, 1],
        embed_dim_per_stage=dims,
        num_attention_heads_per_stage=[1, 2, 4, 5],
        window_size_per_stage=[8, 4, 8, 4],
        global_attention_blocks=[3, 4],
        window_positional_embedding_background_size=[6, 6],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=dims[::-1],
        backbone_feature_sizes=[[side // s, side // s] for s in (4, 8, 16)],
        fpn_hidden_size=hidden,
        fpn_top_down_levels=[0, 1, 2, 3],
    )
    decoder = Sam2MaskDecoderConfig(
        hidden_size=hidden,
        mlp_dim=hidden * 3,
        num_hidden_layers=2,
        num_attention_heads=4,
        iou_head_hidden_dim=hidden,
    )
    prompts = Sam2PromptEncoderConfig(hidden_size=hidden, image_size=side, patch_size=16)
    return Sam2Config(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )


def new_model(config: Sam2Config) -> Sam2Model:
    """Return a model with fan-in weights and one position code for image and prompts.

    transformers' own initialisation (std 0.02, two unrelated position codes) does not train at
    this width: the logits do not move with the prompt.
    """
    model = Sam2Model(config)
    with torch.no_grad():
        for name, module in model.named_modules():
            _init_module(name, module)
        backbone = model.vision_encoder.backbone
        nn.init.normal_(backbone.pos_embed, std=0.2)
        nn.init.normal_(backbone.pos_embed_window, std=0.1)
        shared = model.shared_image_embedding.positional_embedding
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(shared)
    return model


def _init_module(name: str, module: nn.Module) -> None:
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.5)
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        weight = module.weight
        transposed = isinstance(module, nn.ConvTranspose2d)
        fan_in = weight.shape[0] if transposed else weight[0].numel()
        closes_residual = name.endswith(("attn.proj", "mlp.proj_out", "o_proj"))
        nn.init.normal_(weight, std=fan_in**-0.5 * (0.4 if closes_residual else 1.0))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DenseHead(nn.Module):
    """Foreground logit, centre and box of the object under each cell of each feature map."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(hidden, 7, 1) for _ in range(3))

    def loss(self, maps: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return the mean loss over the feature maps."""
        losses = [self._one(h, m, batch) for h, m in zip(self.heads, maps, strict=True)]
        return torch.stack(losses).mean()

    def _one(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        out = head(features)
        cell = batch.labels.shape[-1] // features.shape[-1]
        labels = batch.labels[:, cell // 2 :: cell, cell // 2 :: cell]
        covered = (labels > 0).float()
        rows = torch.arange(len(labels), device=labels.device)[:, None, None]
        wanted = batch.geometry[rows, labels].permute(0, 3, 1, 2)
        distance = (out[:, 1:] - wanted).abs().mean(1)
        foreground: Tensor = F.binary_cross_entropy_with_logits(out[:, 0], covered)
        located: Tensor = (distance * covered).sum() / covered.sum().clamp(min=1)
        return foreground + 10 * located


def _mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return (n,) BCE relative to the object's area, plus dice."""
    area = target.sum((-1, -2))
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum((-1, -2))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * target).sum((-1, -2)) + 1) / (p.sum((-1, -2)) + area + 1)
    return 2 * bce / (6 * area + 0.05 * target[0].numel()) + dice


def _true_iou(logits: Tensor, target: Tensor) -> Tensor:
    a, b = logits > 0, target > 0.5
    union = (a | b).sum((-1, -2)).clamp(min=1)
    return (a & b).sum((-1, -2)) / union


def batch_loss(
    model: Sam2Model, dense: DenseHead, batch: Batch, *, dense_weight: float = 1.0
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss and its parts.

    One of the three masks per prompt, drawn at random, is compared: the expected loss is the
    mean over the three, at a third of the cost. A prompt on the background asks for no mask,
    only for predicted IoUs of 0.
    """
    maps = model.vision_encoder(batch.pixels).fpn_hidden_states
    features = decoder_features(model, maps)
    answers = read_prompts(model, features, points=batch.points, boxes=batch.boxes)
    asked = batch.asked.flatten()
    rows = asked.nonzero()[:, 0]
    masks = draw_masks(model, features, answers, rows)
    pick = torch.randint(masks.shape[1], (len(rows),), device=rows.device)
    drawn = masks[torch.arange(len(rows), device=rows.device), pick]
    logits = F.interpolate(drawn[None], scale_factor=2, mode="bilinear")[0]
    labels = batch.labels[rows // batch.asked.shape[1]]
    target = F.avg_pool2d((labels == asked[rows, None, None]).float(), 2)
    mask_loss = _mask_loss(logits, target).mean()
    iou = _true_iou(logits.detach(), target)
    rated = answers.predicted_ious.flatten(0, 1)
    error = (rated[rows, pick] - iou).square().sum() + rated[asked == 0].square().mean(1).sum()
    iou_loss = error / len(asked)
    dense_loss = dense.loss(maps, batch)
    parts = {
        "mask": float(mask_loss.detach()),
        "iou": float(iou.mean()),
        "iou_head": float(iou_loss.detach()),
        "dense": float(dense_loss.detach()),
    }
    return mask_loss + 2 * iou_loss + dense_weight * dense_loss, parts
