"""Whether the network may be used, as the environment says at the moment of asking.

This module knows no model and no library that uses the network.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("HF_HUB_OFFLINE", "MATIR_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Any of them set to 1, TRUE, YES or ON keeps everything off the network."""
YES = frozenset({"1", "TRUE", "YES", "ON"})
HUB_CONSTANTS = "huggingface_hub.constants"


def offline_by() -> str | None:
    """Return the variable that forbids the network; None = it may be used."""
    said = (name for name in VARIABLES if os.environ.get(name, "").upper() in YES)
    return next(said, None)


@contextmanager
def kept_offline(*, wanted: bool) -> Iterator[None]:
    """Forbid the network within the context, where `wanted`; then all is as it was before."""
    if not wanted:
        yield
        return
    name = VARIABLES[0]
    before = os.environ.get(name)
    os.environ[name] = "1"
    # huggingface_hub reads the variable once, when it is imported
    constants = sys.modules.get(HUB_CONSTANTS)
    hub_before = getattr(constants, name, None)
    if constants is not None:
        setattr(constants, name, True)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
        _restore(name, hub_before)


def _restore(name: str, value: bool | None) -> None:  # noqa: FBT001 - what a variable held
    """Let huggingface_hub think what it thought; None = it was imported meanwhile."""
    constants = sys.modules.get(HUB_CONSTANTS)
    if constants is not None:
        setattr(constants, name, offline_by() is not None if value is None else value)
