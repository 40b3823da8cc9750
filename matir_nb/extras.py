"""The packages that an installation can do without: what each extra gives, and how to get it.

`pyproject.toml` lists the packages of every extra; a test holds both against each other.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from matir_nb.errors import ModelUnavailableError


@dataclass(frozen=True, slots=True)
class Extra:
    """Packages that are asked for together: ``pip install "matir_nb[name]"``.

    Attributes:
        gives: what needs them.
        without: how it goes where they are missing.
        modules: what is imported of them here.
        packages: their names for pip, those that the modules come with.
    """

    gives: str
    without: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]


EXTRAS: Mapping[str, Extra] = MappingProxyType(
    {
        "notebook": Extra(
            "the views in a notebook",
            "a result shows a picture and a table there",
            ("anywidget", "IPython", "ipywidgets", "traitlets"),
            ("anywidget", "ipython", "ipywidgets", "traitlets"),
        ),
        "eval": Extra(
            "the plots of an evaluation",
            "the pages of an evaluation have tables alone",
            ("matplotlib",),
            ("matplotlib",),
        ),
    }
)


def install(name: str) -> str:
    """Return the command that installs an extra.

    >>> install("notebook")
    'pip install "matir_nb[notebook]"'
    """
    return f'pip install "matir_nb[{name}]"'


def kernel_shell() -> Any | None:
    """Return IPython's shell where a notebook's kernel runs, None elsewhere; imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if getattr(shell, "kernel", None) is None else shell  # a terminal's has none


@contextmanager
def explained() -> Iterator[None]:
    """Say which extra is missing where the block imports a module of it that is not there.

    Raises:
        ModelUnavailableError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        # "IPython.gone" is a module that another version had: the package itself is there
        for name, extra in EXTRAS.items():
            if error.name in extra.modules:
                message = (
                    f"{extra.gives} need {error.name}, which is not installed: {install(name)}"
                )
                raise ModelUnavailableError(message) from error
        raise
