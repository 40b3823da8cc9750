"""Tensors out of files that nobody vouches for: names and numbers are read, code never.

This module knows no model.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from matir_nb.errors import ModelUnavailableError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file, on the CPU; large ones stay on disk until they are used.

    Args:
        path: safetensors, or PyTorch's own format, of which only tensors are read
            (``weights_only=True``).

    Raises:
        ModelUnavailableError: it is missing, damaged, or holds anything but named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except FileNotFoundError as error:
        message = f"there is no file {str(path)!r}: download it, or give another path"
        raise ModelUnavailableError(message) from error
    except (OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        raise _unreadable(path) from error
    except (AttributeError, EOFError, UnpicklingError, SafetensorError) as error:
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
