"""The one way up: what a lower module leads to is opened by name.

`tests/test_architecture.py` lists who has such doors, and where they may lead.
"""

from importlib import import_module
from typing import Any

from matir_nb.extras import explained


def above(module: str) -> Any:
    """Return the module ``matir_nb.<module>``, which is made of what its caller defines.

    Raises:
        ModelUnavailableError: it needs a package of an extra that is not installed.
    """
    with explained():
        return import_module(f"matir_nb.{module}")
