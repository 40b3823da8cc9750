"""The one way up: a method of a lower module that leads to a higher one opens it by name.

`tests/test_architecture.py` lists who has such doors, and where they may lead.
"""

from importlib import import_module
from typing import Any


def above(module: str) -> Any:
    """Return the module ``matir_nb.<module>``, which is made of what its caller defines."""
    return import_module(f"matir_nb.{module}")
