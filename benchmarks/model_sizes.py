"""The catalogue's models at their real sizes: configurations in plain numbers, no weights.

Every `RealModel` says where its numbers come from and how many parameters the published
checkpoint has; `tests/models/test_real_sizes.py` builds each on torch's meta device and counts.
`benchmarks/models.py` fills them with random numbers and runs them. No network, no files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import transformers
from transformers import (
    CLIPConfig,
    Florence2Config,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
    Sam2VideoConfig,
    SiglipConfig,
)
from transformers.initialization import no_init_weights

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True, slots=True)
class RealModel:
    """A published checkpoint, without its weights.

    Attributes:
        name: in `matir_nb.catalogue`.
        architecture: class of transformers that the whole checkpoint belongs to.
        config: makes its configuration.
        n_parameters: of the published checkpoint.
        is_exact: `n_parameters` is a count, not the round number of a model page.
        dtype: of the published weights: a key of `BYTES`.
        loads: class that our adapter loads of it; empty = `architecture`.
    """

    name: str
    architecture: str
    config: Callable[[], Any]
    n_parameters: int
    is_exact: bool = True
    dtype: str = "fp32"
    loads: str = ""

    @property
    def loaded_class(self) -> Any:
        """The class of transformers that our adapter loads."""
        return getattr(transformers, self.loads or self.architecture)

    def on_meta(self, *, whole: bool = True) -> Any:
        """Return the model without memory: the whole checkpoint's, or what the adapter loads."""
        kind = getattr(transformers, self.architecture) if whole else self.loaded_class
        with torch.device("meta"):
            return kind(self.config_of(kind))

    def config_of(self, kind: Any) -> Any:
        """Return the configuration for a class of transformers."""
        config, wanted = self.config(), kind.config_class
        return config if isinstance(config, wanted) else wanted.from_dict(config.to_dict())


def n_parameters(model: Any) -> int:
    """Return how many numbers a model holds; tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def build(real: RealModel, dtype: torch.dtype, *, kind: Any = None) -> Any:
    """Return a model with small random weights in `dtype`, without a second copy of them.

    Norms and scales are ones, biases zeros, every other weight a piece of one block of normal
    numbers times 0.02. Buffers (rotary frequencies, positions) are those that the model computes.

    Args:
        real: which model.
        dtype: of weights and of buffers that the model does not compute in float32.
        kind: class of transformers; None = the one that our adapter loads.
    """
    kind = kind or real.loaded_class
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights():
            model = kind(real.config_of(kind))
    finally:
        torch.set_default_dtype(default)
    model.tie_weights()
    fill(model)
    if hasattr(model, "shared_image_embedding"):
        code = model.shared_image_embedding.positional_embedding
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(code)
    return model.eval()


def fill(model: Any, *, seed: int = 0, block: int = 1 << 20) -> None:
    """Fill a model's parameters cheaply: one block of normal numbers is repeated."""
    noise = torch.randn(block, generator=torch.Generator().manual_seed(seed)) * 0.02
    for name, parameter in model.named_parameters():
        flat = parameter.data.view(-1)
        if name.endswith("bias"):
            flat.zero_()
        elif parameter.ndim <= 1 and name.endswith(("weight", "logit_scale")):
            flat.fill_(1)
        else:
            for start in range(0, len(flat), block):
                piece = flat[start : start + block]
                piece.copy_(noise[: len(piece)])


def _sam2(
    stages: list[int], globals_: list[int], width: int = 96, **backbone: Any
) -> Sam2VideoConfig:
    # Hiera: widths and heads double from stage to stage; the neck sees the last stage first.
    widths = [width * 2**i for i in range(4)]
    heads = backbone.pop("heads", 1)
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": width,
        "num_attention_heads": heads,
        "image_size": [1024, 1024],
        "blocks_per_stage": stages,
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [heads * 2**i for i in range(4)],
        "window_size_per_stage": [8, 4, 14, 7],
        "global_attention_blocks": globals_,
        "window_positional_embedding_background_size": [7, 7],
        **backbone,
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": trunk,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[256, 256], [128, 128], [64, 64]],
        "fpn_hidden_size": 256,
    }
    return Sam2VideoConfig(vision_config=vision)


def _clip(
    vision: Mapping[str, int], text: Mapping[str, int], width: int, n_channels: int = 3
) -> CLIPConfig:
    # Text: 49,408 tokens, 77 positions, ends with token 49407; both towers use quick GELU.
    shared = {"projection_dim": width, "hidden_act": "quick_gelu"}
    return CLIPConfig(
        vision_config={**vision, **shared, "num_channels": n_channels},
        text_config={**text, **shared, "vocab_size": 49408, "eos_token_id": 49407},
        projection_dim=width,
    )


def _tower(hidden: int, inner: int, layers: int, heads: int, **more: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        **more,
    }


def _clip_b16(n_channels: int = 3) -> CLIPConfig:
    vision = _tower(768, 3072, 12, 12, image_size=224, patch_size=16)
    return _clip(vision, _tower(512, 2048, 12, 8), 512, n_channels)


def _clip_l14(image_size: int, n_channels: int = 3) -> CLIPConfig:
    vision = _tower(1024, 4096, 24, 16, image_size=image_size, patch_size=14)
    return _clip(vision, _tower(768, 3072, 12, 12), 768, n_channels)


def _siglip2(tower: Mapping[str, int]) -> SiglipConfig:
    # The fixed-size SigLIP 2 checkpoints say model_type "siglip" (only NaFlex says "siglip2").
    return SiglipConfig(
        vision_config={**tower, "image_size": 512, "patch_size": 16},
        text_config={**tower, "vocab_size": 256000, "max_position_embeddings": 64},
    )


def _qwen3_vl(
    text: Mapping[str, int], vision: Mapping[str, Any], *, is_tied: bool
) -> Qwen3VLConfig:
    words = {
        **text,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 262144,
        "rope_theta": 5_000_000,
        "rope_scaling": {
            "rope_type": "default",
            "mrope_interleaved": True,
            "mrope_section": [24, 20, 20],
        },
    }
    sight = {"patch_size": 16, "num_position_embeddings": 2304, "num_heads": 16, **vision}
    return Qwen3VLConfig(
        text_config=words,
        vision_config={**sight, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=is_tied,
    )


_QWEN3_SIGHT_SMALL = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "deepstack_visual_indexes": [5, 11, 17],
}
_QWEN3_SIGHT = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "deepstack_visual_indexes": [8, 16, 24],
}


def _qwen3_vl_2b() -> Qwen3VLConfig:
    return _qwen3_vl(_tower(2048, 6144, 28, 16), _QWEN3_SIGHT_SMALL, is_tied=True)


def _qwen3_vl_4b() -> Qwen3VLConfig:
    return _qwen3_vl(_tower(2560, 9728, 36, 32), _QWEN3_SIGHT_SMALL, is_tied=True)


def _qwen3_vl_8b() -> Qwen3VLConfig:
    return _qwen3_vl(_tower(4096, 12288, 36, 32), _QWEN3_SIGHT, is_tied=False)


def _qwen2_5_vl(
    text: Mapping[str, int], n_key_heads: int, n_words: int, *, is_tied: bool
) -> Qwen2_5_VLConfig:
    words = {
        **text,
        "num_key_value_heads": n_key_heads,
        "vocab_size": n_words,
        "max_position_embeddings": 128000,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    }
    sight = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "out_hidden_size": text["hidden_size"],
    }
    return Qwen2_5_VLConfig(text_config=words, vision_config=sight, tie_word_embeddings=is_tied)


def _florence_2_base() -> Florence2Config:
    # The converted checkpoints' vocabulary is 51,289 + "<image>", padded to a multiple of 64.
    words = {
        "model_type": "bart",
        "vocab_size": 51328,
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
        "max_position_embeddings": 1024,
    }
    sight = {
        "depths": [1, 1, 9, 1],
        "embed_dim": [128, 256, 512, 1024],
        "num_heads": [4, 8, 16, 32],
        "num_groups": [4, 8, 16, 32],
        "window_size": 12,
        "projection_dim": 768,
    }
    return Florence2Config(text_config=words, vision_config=sight, image_token_id=51289)


def _sam2_model(name: str, n_parameters: int, config: Callable[[], Any]) -> RealModel:
    return RealModel(
        name, "Sam2VideoModel", config, n_parameters, is_exact=False, loads="Sam2Model"
    )


def _qwen(name: str, n_parameters: int, config: Callable[[], Any]) -> RealModel:
    kind = "Qwen2_5_VL" if name.startswith("qwen2.5") else "Qwen3VL"
    return RealModel(name, f"{kind}ForConditionalGeneration", config, n_parameters, dtype="bf16")


_MODELS = (
    # Stages, blocks with global attention and windows: facebookresearch/sam2, sam2/configs/
    # sam2.1/*.yaml; parameters, memory parts included: its README's table. Ours, for images
    # only, loads no memory parts.
    _sam2_model("sam2.1-hiera-tiny", 38_900_000, lambda: _sam2([1, 2, 7, 2], [5, 7, 9])),
    _sam2_model("sam2.1-hiera-small", 46_000_000, lambda: _sam2([1, 2, 11, 2], [7, 10, 13])),
    _sam2_model(
        "sam2.1-hiera-base-plus",
        80_800_000,
        lambda: _sam2(
            [2, 3, 16, 3],
            [12, 16, 20],
            112,
            heads=2,
            window_positional_embedding_background_size=[14, 14],
        ),
    ),
    _sam2_model(
        "sam2.1-hiera-large",
        224_400_000,
        lambda: _sam2(
            [2, 6, 36, 4], [23, 33, 43], 144, heads=2, window_size_per_stage=[8, 4, 16, 8]
        ),
    ),
    # openai/CLIP: widths and layers as its state dicts have them; parameters as counted by
    # embeddings-benchmark/mteb and keras-hub. Alpha-CLIP adds one channel to the first layer:
    # width * patch * patch numbers (SunzeY/AlphaCLIP, alpha_clip/model.py: conv1_alpha).
    RealModel("alpha-clip-b16", "CLIPModel", lambda: _clip_b16(4), 149_620_737 + 768 * 16 * 16),
    RealModel("alpha-clip-l14", "CLIPModel", lambda: _clip_l14(224, 4), 427_616_513 + 1024 * 14**2),
    RealModel(
        "alpha-clip-l14-336", "CLIPModel", lambda: _clip_l14(336, 4), 427_944_193 + 1024 * 14**2
    ),
    RealModel("clip-b16", "CLIPModel", _clip_b16, 149_620_737),
    RealModel("clip-l14-336", "CLIPModel", lambda: _clip_l14(336), 427_944_193),
    # Widths: google-research/big_vision's ViT-B/16 and So400m/16; 256,000 tokens of Gemma;
    # parameters from the model pages: base-patch16-224 has 375,187,970, and 512 pixels make
    # 1024 - 196 more positions of 768 numbers; so400m's page as quoted is 1,000 off any sum of
    # multiples of 1152.
    RealModel(
        "siglip2-base-512",
        "SiglipModel",
        lambda: _siglip2(_tower(768, 3072, 12, 12)),
        375_187_970 + (1024 - 196) * 768,
    ),
    RealModel(
        "siglip2-so400m-512",
        "SiglipModel",
        lambda: _siglip2(_tower(1152, 4304, 27, 16)),
        1_136_556_698,
        is_exact=False,
    ),
    # The config.json of each repository on the hub (copies of them in lightricks, openvino.genai
    # and others); parameters as the hub counts the safetensors.
    _qwen("qwen3-vl-2b", 2_127_532_032, _qwen3_vl_2b),
    _qwen("qwen3-vl-4b", 4_437_815_808, _qwen3_vl_4b),
    _qwen("qwen3-vl-8b", 8_767_123_696, _qwen3_vl_8b),
    _qwen(
        "qwen2.5-vl-3b",
        3_754_622_976,
        lambda: _qwen2_5_vl(_tower(2048, 11008, 36, 16), 2, 151936, is_tied=True),
    ),
    _qwen(
        "qwen2.5-vl-7b",
        8_292_166_656,
        lambda: _qwen2_5_vl(_tower(3584, 18944, 28, 28), 4, 152064, is_tied=False),
    ),
    _qwen("qwen3-vl-reranker-2b", 2_127_532_032, _qwen3_vl_2b),
    # microsoft/Florence-2-base-ft's config.json and transformers' convert_florence2_original_
    # pytorch_to_hf.py; its model.safetensors holds 463,221,266 bytes of fp16.
    RealModel(
        "florence-2-base-ft",
        "Florence2ForConditionalGeneration",
        _florence_2_base,
        463_221_266 // 2,
        is_exact=False,
        dtype="fp16",
    ),
)
REAL_MODELS: Mapping[str, RealModel] = MappingProxyType({model.name: model for model in _MODELS})
"""Name in the catalogue -> the model at its real size."""
