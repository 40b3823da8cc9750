"""Run by check_wheel.py in an environment that has matir_nb's wheel and no extra."""

import importlib.util
import socket
import sys
from pathlib import Path

import matir_nb

HEAVY = {"torch", "transformers", "polars", "PIL", "numpy", "pycocotools", "tqdm"}
NOTEBOOK = ("anywidget", "IPython", "ipywidgets", "traitlets")
NOWHERE = ("192.0.2.1", 9)
"""An address for documentation (RFC 5737)."""
WIDGETS = ("CompareView", "Inspector", "ResultGrid", "SearchBox", "StageFlow")


def check_no_network():
    try:
        socket.create_connection(NOWHERE, timeout=2).close()
    except TimeoutError as error:
        raise AssertionError("there is a network: the checks would prove nothing") from error
    except OSError:
        return
    raise AssertionError("there is a network: the checks would prove nothing")


def check_import():
    assert Path(matir_nb.__file__).is_relative_to(sys.prefix), matir_nb.__file__
    assert HEAVY.isdisjoint(sys.modules), HEAVY & set(sys.modules)
    there = [name for name in NOTEBOOK if importlib.util.find_spec(name)]
    assert not there, f"a minimal installation has {there}"


def check_messages():
    for name in WIDGETS:
        assert 'pip install "matir_nb[notebook]"' in refusal_of(name)


def refusal_of(name):
    try:
        return f"no refusal: {getattr(matir_nb, name)}"
    except matir_nb.MatirError as error:
        return str(error)


if __name__ == "__main__":
    check_import()
    check_no_network()
    check_messages()
