"""The browser's part of the views and pages: files built from ``js/``."""

import os
from collections.abc import Callable
from pathlib import Path

from matir_nb.errors import ConfigError

STATIC = Path(__file__).resolve().parent.parent / "static"
SCRIPT = "matir.js"
"""The views' module, their style in it."""
PAGE = "page.js"
STYLE = "matir.css"
"""What the standalone page is made with."""


def built(name: str) -> str:
    """Return the text of a built file.

    Raises:
        ConfigError: it is missing.
    """
    file = STATIC / name
    if not file.is_file():
        message = f"the browser's part {name!r} has not been built: run `make static`"
        raise ConfigError(message)
    return file.read_text(encoding="utf-8")


def watch(name: str, take_over: Callable[[str], object]) -> None:
    """With ANYWIDGET_HMR=1, give each new build of a file to `take_over`: for work on ``js/``."""
    if os.environ.get("ANYWIDGET_HMR") != "1":
        return
    from anywidget._util import try_file_contents

    contents = try_file_contents(STATIC / name)
    if contents is not None:
        contents.changed.connect(take_over)
