"""Tensors out of files that nobody vouches for: names and numbers are read, code never.

This module knows no model: a class of transformers' is handed in.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from matir_nb.errors import ModelUnavailableError

DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)
"""What reading raises where files are cut off, altered, of another model, or hold code."""


def read_model(
    model_class: Any, folder: Path, *, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[Any, list[str]]:
    """Return a folder's model on the CPU, and the names of tensors that its files lack.

    Left to itself, transformers draws these at random and only logs it.

    Args:
        model_class: of transformers'.
        folder: config.json and weights.
        dtype: of the weights.
        options: for its `from_pretrained`.

    Raises:
        Exception: one of `DAMAGE`.
    """
    model, report = model_class.from_pretrained(
        folder, dtype=dtype, local_files_only=True, output_loading_info=True, **options
    )
    return model, sorted(report["missing_keys"])


def lacking(what: str, folder: Path, missing: Sequence[str]) -> ModelUnavailableError:
    """Return the error for a model whose files lack tensors."""
    message = f"the {what} in {str(folder)!r} lacks weights ({missing[0]}, ...): fetch it again"
    return ModelUnavailableError(message)


def raw_tensors(path: Path) -> Any:
    """Return what a file of tensors holds, on the CPU; large ones stay on disk until they are used.

    Args:
        path: safetensors, or PyTorch's own format, of which only tensors are read
            (``weights_only=True``).

    Raises:
        Exception: one of `DAMAGE`, or whatever else torch raises for a file that is no checkpoint.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    is_zip = zipfile.is_zipfile(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file (see `raw_tensors`).

    Raises:
        ModelUnavailableError: it is missing, damaged, or holds anything but named tensors.
    """
    try:
        found = raw_tensors(path)
    except FileNotFoundError as error:
        message = f"there is no file {str(path)!r}: download it, or give another path"
        raise ModelUnavailableError(message) from error
    except (*DAMAGE, TypeError, AttributeError) as error:
        raise _unreadable(path) from error
    if not isinstance(found, Mapping) or not all(map(_is_named_tensor, found.items())):
        message = f"{str(path)!r} holds no named tensors: give the released file as it is"
        raise ModelUnavailableError(message)
    return dict(found)


def _is_named_tensor(item: tuple[object, object]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided


def _unreadable(path: Path) -> ModelUnavailableError:
    message = (
        f"{str(path)!r} is damaged, or no checkpoint, or holds code, which is never run: "
        "download it again from the authors' page (a saved web page is no checkpoint)"
    )
    return ModelUnavailableError(message)
