"""Weights come from strangers: nothing here unpickles them or runs code that lies beside them."""

import ast
from pathlib import Path

import pytest

import matir_nb

SOURCES = sorted(Path(matir_nb.__file__).parent.rglob("*.py"))


def wrongs(source):
    """Return what in a file would trust a stranger's file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {
                f"{getattr(node, 'module', '')}.{alias.name}".strip(".") for alias in node.names
            }
            names -= {"pickle.UnpicklingError"}
            unsafe = ("pickle", "cloudpickle", "dill", "joblib")
            found += [f"imports {name}" for name in names if name.partition(".")[0] in unsafe]
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            found.append("trust_remote_code")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append("allow_pickle")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            found += [] if options.get("weights_only") == "True" else ["torch.load"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_file_of_a_stranger_is_executed(path):
    assert not wrongs(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import load",
        "f(trust_remote_code=False)",
        "numpy.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
    ],
)
def test_trust_would_be_found(source):
    assert wrongs(source)


def test_reading_tensors_alone_is_fine():
    assert not wrongs("from pickle import UnpicklingError\ntorch.load(f, weights_only=True)")
