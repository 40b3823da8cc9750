"""SAM 2 with random weights, as small as it gets."""

import torch
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VisionConfig,
)

SIDE, WIDTH = 64, 32


def vision():
    dims = [16, 32, 64, 128]
    backbone = Sam2HieraDetConfig(
        hidden_size=dims[0],
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=dims,
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 8, 4],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    return Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=dims[::-1],
        backbone_feature_sizes=[[SIDE // n, SIDE // n] for n in (4, 8, 16)],
        fpn_hidden_size=WIDTH,
    )


PROMPTS = {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 16}
DECODER = {
    "hidden_size": WIDTH,
    "mlp_dim": 2 * WIDTH,
    "num_attention_heads": 4,
    "iou_head_hidden_dim": WIDTH,
}


def random(model, seed=0):
    """Give every matrix weights that let the masks follow points and picture."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.ndim > 1:
                scale = 2.0 / (tensor[0].numel() + len(tensor)) ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
        code = torch.randn(2, WIDTH // 2, generator=generator)
        model.shared_image_embedding.positional_embedding.copy_(code)
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(code)
    return model.eval()


def image_model(seed=0):
    config = Sam2Config(
        vision_config=vision(),
        prompt_encoder_config=Sam2PromptEncoderConfig(**PROMPTS),
        mask_decoder_config=Sam2MaskDecoderConfig(**DECODER),
    )
    return random(Sam2Model(config), seed)


def video_model(seed=0):
    config = Sam2VideoConfig(
        vision_config=vision(),
        prompt_encoder_config=PROMPTS,
        mask_decoder_config=DECODER,
        image_size=SIDE,
        num_maskmem=2,
        enable_temporal_pos_encoding_for_object_pointers=True,
        enable_occlusion_spatial_embedding=True,
        memory_attention_hidden_size=WIDTH,
        memory_attention_feed_forward_hidden_size=WIDTH,
        memory_attention_num_layers=1,
        memory_attention_rope_feat_sizes=[SIDE // 16, SIDE // 16],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=WIDTH,
        memory_fuser_num_layers=1,
    )
    return random(Sam2VideoModel(config), seed)
