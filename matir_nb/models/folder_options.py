"""What a model's folder says of its use: matir.json. Knows no model."""

import json
from pathlib import Path
from typing import Any

from matir_nb.errors import ModelUnavailableError

ADAPTER = "adapter"
"""Tells the registry what loads the folder; no option of that."""


def stored_options(folder: Path) -> dict[str, Any]:
    """Return the options in a folder's matir.json; none without one.

    Raises:
        ModelUnavailableError: the file cannot be read.
    """
    return {name: value for name, value in _stored(folder).items() if name != ADAPTER}


def named_adapter(folder: Path) -> str | None:
    """Return the adapter that a folder's matir.json names; None = it names none.

    Raises:
        ModelUnavailableError: the file cannot be read.
    """
    name = _stored(folder).get(ADAPTER)
    return None if name is None else str(name)


def _stored(folder: Path) -> dict[str, Any]:
    file = folder / "matir.json"
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        message = f"the options in {file} cannot be read ({error}): restore that file"
        raise ModelUnavailableError(message) from error
