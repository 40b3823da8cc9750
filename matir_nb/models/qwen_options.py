"""What a folder of the Qwen-VL family says of its use: matir.json. Knows no model."""

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
    file = folder / "matir.json"
    if not file.is_file():
        return {}
    try:
        options: dict[str, Any] = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        message = f"the options in {file} cannot be read ({error}): restore that file"
        raise ModelUnavailableError(message) from error
    options.pop(ADAPTER, None)
    return options
