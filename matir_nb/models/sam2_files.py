"""A folder with SAM 2's weights becomes a `Sam2Model`.

The published folders (facebook/sam2.1-hiera-tiny to -large) hold the video model, whose image
path is the image model's, tensor for tensor; what is for videos is left unread. This module
knows no image.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import Sam2Config, Sam2Model

from matir_nb.errors import ModelUnavailableError
from matir_nb.models.identity import weight_files
from matir_nb.models.tensor_files import raw_tensors

CONFIG_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
IMAGE_CODE = "shared_image_embedding.positional_embedding"
POINT_CODE = "prompt_encoder.shared_embedding.positional_embedding"
"""The random Fourier code of positions: one thing, of which transformers keeps two copies."""


def require_weights(folder: Path) -> list[Path]:
    """Return the files that hold the model's tensors, in order of their names.

    Raises:
        ModelUnavailableError: there are none.
    """
    found = weight_files(folder)
    if not found:
        message = (
            f"no SAM 2 weights at {str(folder / 'model.safetensors')!r}: give a folder that "
            "`save_pretrained` wrote (config.json, model.safetensors)"
        )
        raise ModelUnavailableError(message)
    return found


def load_sam2(folder: Path) -> Any:
    """Return the `Sam2Model` of a folder, in float32.

    Raises:
        ModelUnavailableError: files are missing or broken, tensors are missing or of another
            shape, or the two copies of the position code differ.
    """
    files = require_weights(folder)
    try:
        config = _read_config(folder / "config.json")
        tensors = _read_tensors(files)
        _share_position_code(tensors, folder)
        model, report = Sam2Model.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # told of in the report, and refused
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, ModelUnavailableError):
            raise
        message = f"SAM 2 weights in {str(folder)!r} cannot be read ({error}): fetch them again"
        raise ModelUnavailableError(message) from error
    except (SafetensorError, UnpicklingError) as error:
        message = f"SAM 2 weights in {str(folder)!r} are broken ({error}): fetch them again"
        raise ModelUnavailableError(message) from error
    _require_all(report, folder)
    return model


def _read_config(file: Path) -> Any:
    """Return what a config.json says of the image model; that of a video model says more."""
    values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    parts = {name: values.get(name) or {} for name in CONFIG_PARTS}
    known = {name: _without_kind(part) for name, part in parts.items() if name != "vision_config"}
    return Sam2Config(vision_config=parts["vision_config"], **known)


def _without_kind(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "model_type"}


def _read_tensors(files: list[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= raw_tensors(file)
    return tensors


def _share_position_code(tensors: dict[str, Tensor], folder: Path) -> None:
    """Put the position code at both its places: older files hold it once.

    Where two copies differ, a point means nothing to the image.
    """
    image = tensors.setdefault(IMAGE_CODE, tensors.get(POINT_CODE, torch.empty(0)))
    points = tensors.setdefault(POINT_CODE, image)
    if not image.numel():
        del tensors[IMAGE_CODE], tensors[POINT_CODE]
        return
    if not torch.equal(image, points):
        message = (
            f"SAM 2 weights in {str(folder)!r} place points and image by different codes (largest "
            f"difference {float((image - points).abs().max()):.3g}): copy {IMAGE_CODE} "
            "into prompt_encoder.shared_embedding"
        )
        raise ModelUnavailableError(message)


def _require_all(report: Mapping[str, Any], folder: Path) -> None:
    """Check that every tensor of the image model was in the files, with the right shape."""
    missing = sorted(report["missing_keys"])
    wrong = sorted(str(entry[0]) for entry in report["mismatched_keys"])
    if missing or wrong:
        what = f"lack {len(missing)} tensors" if missing else f"have {len(wrong)} of another shape"
        message = (
            f"SAM 2 weights in {str(folder)!r} {what}, first {(missing or wrong)[0]}: "
            "this is another architecture or a broken file; fetch the weights again"
        )
        raise ModelUnavailableError(message)
