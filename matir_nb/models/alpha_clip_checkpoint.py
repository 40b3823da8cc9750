"""A released Alpha-CLIP checkpoint becomes a folder that `AlphaClipEncoder` loads.

The authors release the image side only, in OpenAI's names, as a pickled ``.pth``
(github.com/SunzeY/AlphaCLIP, ``model.visual.state_dict()``); the text side is OpenAI's CLIP,
unchanged. The file is untrusted: only tensors are read from it, and every name and shape is
checked. This module runs no model.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from matir_nb.catalogue import RESEARCH_ONLY
from matir_nb.errors import ModelUnavailableError
from matir_nb.models.clip_text import CLIP_LOG_ODDS
from matir_nb.models.identity import file_digest, weight_files
from matir_nb.models.tensor_files import read_tensors

Shape = tuple[int, ...]
PREFIXES = ("module.", "visual.")
"""Of training on several devices, and of the image side in the whole model."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
N_NAMED = 3
"""So many wrong names are given in an error."""
BLOCK_PARTS = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
"""OpenAI's names inside a block -> transformers'."""
README = f"""\
# Alpha-CLIP

Converted by matir_nb from the authors' released checkpoint (image side) and OpenAI's CLIP (text
side, MIT). The files it was made from, and their SHA-256, are in matir.json.

**Licence: CC BY-NC 4.0, research use only.** {RESEARCH_ONLY}. Do not pass these weights on.

Cite: Sun et al., "Alpha-CLIP: A CLIP Model Focusing on Wherever You Want", CVPR 2024
(arXiv:2312.03818). Code and checkpoints: https://github.com/SunzeY/AlphaCLIP
"""


def convert(checkpoint: Path, clip: Path, out: Path) -> None:
    """Write the model that a released checkpoint and OpenAI's CLIP of its size make.

    `out` appears when all of it is written, and replaces what was there.

    Args:
        checkpoint: the image side, a ``.pth``; float32, float16 or bfloat16.
        clip: folder with the CLIP in transformers' names: config.json, model.safetensors or
            pytorch_model.bin, tokenizer files.
        out: gets config.json, model.safetensors, tokenizer files, matir.json, README.md.

    Raises:
        ModelUnavailableError: a file is missing, damaged, holds more than tensors, or is of
            another model or size; the message says what to do.
    """
    config = _clip_config(clip)
    visual = _visual(checkpoint)
    _require_fit(visual, visual_shapes(config), checkpoint, config)
    tensors = _text_side(clip, config) | dict(_renamed(visual))
    config.vision_config.num_channels = 4
    config.architectures, config.dtype = ["CLIPModel"], "float32"
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        config.save_pretrained(made)
        _copy_tokenizer(clip, made)
        save_file(tensors, made / "model.safetensors", metadata={"format": "pt"})
        (made / "matir.json").write_text(_options(checkpoint, clip), encoding="utf-8")
        (made / "README.md").write_text(README, encoding="utf-8")
        if out.exists():
            out.rename(Path(temporary) / "replaced")
        made.rename(out)


def visual_shapes(config: Any) -> dict[str, Shape]:
    """Return the names and shapes of the image side, as released, for a `CLIPConfig`'s sizes."""
    vision = config.vision_config
    width, patch, wide = vision.hidden_size, vision.patch_size, vision.intermediate_size
    shapes: dict[str, Shape] = {
        "class_embedding": (width,),
        "positional_embedding": ((vision.image_size // patch) ** 2 + 1, width),
        "proj": (width, config.projection_dim),
        "conv1.weight": (width, 3, patch, patch),
        "conv1_alpha.weight": (width, 1, patch, patch),
    }
    weights: dict[str, Shape] = {"ln_pre": (width,), "ln_post": (width,)}
    inner: dict[str, Shape] = {"ln_1": (width,), "ln_2": (width,)}
    inner |= {"attn.in_proj": (3 * width, width), "attn.out_proj": (width, width)}
    inner |= {"mlp.c_fc": (wide, width), "mlp.c_proj": (width, wide)}
    for i in range(vision.num_hidden_layers):
        weights |= {f"transformer.resblocks.{i}.{name}": shape for name, shape in inner.items()}
    for name, shape in weights.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _clip_config(clip: Path) -> Any:
    """Return the CLIP's configuration.

    Raises:
        ModelUnavailableError: there is none, or the model is not OpenAI's.
    """
    try:
        stored = json.loads((clip / "config.json").read_text(encoding="utf-8"))
        kind = stored.get("model_type")
        config = CLIPConfig.from_pretrained(clip)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        message = f"no CLIP in {str(clip)!r}, its config.json cannot be used: {error}"
        raise ModelUnavailableError(message) from error
    vision = config.vision_config
    if (kind, vision.num_channels, vision.hidden_act) != ("clip", 3, "quick_gelu"):
        message = (
            f"the model in {str(clip)!r} is {kind!r} with {vision.num_channels} channels and "
            f"{vision.hidden_act!r}: give OpenAI's CLIP (clip, 3, quick_gelu) as it is on the hub"
        )
        raise ModelUnavailableError(message)
    return config


def _visual(checkpoint: Path) -> dict[str, Tensor]:
    """Return the tensors of a released file under the names of `visual_shapes`, as float32."""
    tensors = read_tensors(checkpoint)
    while tensors and (found := [p for p in PREFIXES if all(k.startswith(p) for k in tensors)]):
        tensors = {name.removeprefix(found[0]): value for name, value in tensors.items()}
    return {name.replace(".in_proj_", ".in_proj."): value for name, value in tensors.items()}


def _require_fit(
    visual: Mapping[str, Tensor], shapes: Mapping[str, Shape], checkpoint: Path, config: Any
) -> None:
    """Check every name, shape and type.

    Raises:
        ModelUnavailableError: of the first that are wrong.
    """
    if shapes.keys() - visual.keys() == {"conv1_alpha.weight"}:
        message = (
            f"{str(checkpoint)!r} has no conv1_alpha.weight: it is a plain CLIP, "
            "give a checkpoint of Alpha-CLIP"
        )
        raise ModelUnavailableError(message)
    wrong = [*_wrong_names(visual, shapes), *_wrong_tensors(visual, shapes)]
    if wrong:
        vision = config.vision_config
        message = (
            f"{str(checkpoint)!r} does not fit a CLIP of width {vision.hidden_size}, patch "
            f"{vision.patch_size} and {vision.image_size} pixels: {'; '.join(wrong)}: give the "
            "Alpha-CLIP checkpoint of the same size (B/16, L/14 or L/14@336) as the CLIP"
        )
        raise ModelUnavailableError(message)


def _wrong_names(visual: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> Iterator[str]:
    missing = sorted(shapes.keys() - visual.keys())
    unknown = sorted(visual.keys() - shapes.keys())
    for what, names in (("missing", missing), ("unknown", unknown)):
        if names:
            more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
            yield f"{what} {', '.join(names[:N_NAMED])}{more}"


def _wrong_tensors(visual: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> list[str]:
    """Return what is wrong with the first tensors of another shape, or that hold no floats."""
    wrong = []
    for name in sorted(visual.keys() & shapes.keys()):
        expected, tensor = shapes[name], visual[name]
        if tuple(tensor.shape) != expected:
            wrong.append(f"{name} expected {expected}, got {tuple(tensor.shape)}")
        elif not tensor.is_floating_point():
            wrong.append(f"{name} expected floats, got {tensor.dtype}")
    return wrong[:N_NAMED]


def _renamed(visual: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the image side in transformers' names, float32; models.md has the table.

    A convolution of RGB plus one of alpha is one convolution of four channels.
    """
    vision = "vision_model."
    own = {name: value.to(torch.float32, copy=True) for name, value in visual.items()}
    colours, alpha = own.pop("conv1.weight"), own.pop("conv1_alpha.weight")
    yield f"{vision}embeddings.patch_embedding.weight", torch.cat([colours, alpha], dim=1)
    yield f"{vision}embeddings.class_embedding", own.pop("class_embedding")
    yield f"{vision}embeddings.position_embedding.weight", own.pop("positional_embedding")
    yield "visual_projection.weight", own.pop("proj").T.contiguous()
    for name, value in own.items():
        stem, _, part = name.rpartition(".")
        if stem in ("ln_pre", "ln_post"):
            norm = {"ln_pre": "pre_layrnorm", "ln_post": "post_layernorm"}[stem]
            yield f"{vision}{norm}.{part}", value
            continue
        _, _, number, inner = stem.split(".", 3)
        layer = f"{vision}encoder.layers.{number}."
        if inner == "attn.in_proj":
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                yield f"{layer}self_attn.{letter}_proj.{part}", third.clone()
        else:
            yield f"{layer}{BLOCK_PARTS[inner]}.{part}", value


def _text_side(clip: Path, config: Any) -> dict[str, Tensor]:
    """Return the CLIP's tensors that are not of its image side, as float32.

    Raises:
        ModelUnavailableError: they are missing, or of another shape than the config says.
    """
    files = weight_files(clip)
    found = {name: value for file in files for name, value in read_tensors(file).items()}
    with torch.device("meta"):
        wanted = CLIPModel(config).state_dict()
    is_text = {name: value for name, value in wanted.items() if not name.startswith("vis")}
    wrong = [n for n, v in is_text.items() if n not in found or found[n].shape != v.shape]
    if wrong:
        message = (
            f"the CLIP in {str(clip)!r} lacks {', '.join(wrong[:N_NAMED])}, or has them in another "
            "shape: fetch it again"
        )
        raise ModelUnavailableError(message)
    return {name: found[name].to(torch.float32, copy=True) for name in is_text}


def _copy_tokenizer(clip: Path, folder: Path) -> None:
    there = {name for name in TOKENIZER_FILES if (clip / name).is_file()}
    if "tokenizer.json" not in there and not {"vocab.json", "merges.txt"} <= there:
        message = f"no tokenizer in {str(clip)!r}: expected tokenizer.json there; fetch it again"
        raise ModelUnavailableError(message)
    for name in there:
        shutil.copyfile(clip / name, folder / name)


def _options(checkpoint: Path, clip: Path) -> str:
    """Return matir.json: how the model is used, and what it was made from."""
    sources = {"checkpoint": checkpoint, "clip": weight_files(clip)[0]}
    options = {
        "view": "crop",
        "n_turns": 1,
        "log_odds": asdict(CLIP_LOG_ODDS),
        "licence": "CC-BY-NC-4.0",
        "made_from": {
            what: {"file": file.name, "sha256": file_digest(file)} for what, file in sources.items()
        },
    }
    return json.dumps(options, indent=2) + "\n"
