import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import matir_nb
end = time.perf_counter()
print(json.dumps([middle - start, end - middle, sorted(sys.modules)]))
"""
HEAVY = {"torch", "transformers", "faiss", "polars", "PIL", "anywidget", "pycocotools", "tqdm"}


def in_fresh_process(script):
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(run.stdout)


def test_import_loads_nothing_heavy_and_is_light_beside_numpy():
    numpy_s, matir_s, modules = in_fresh_process(SCRIPT)
    assert HEAVY.isdisjoint(modules)
    assert matir_s < numpy_s


def test_every_public_name_is_there_and_sorted():
    script = """
import json, matir_nb
names = list(matir_nb.__all__)
print(json.dumps([names, [name for name in names if not hasattr(matir_nb, name)]]))
"""
    names, missing = in_fresh_process(script)
    assert missing == []
    capitals_first = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert names == capitals_first
    assert dir(__import__("matir_nb")) == sorted(names)


def test_an_unknown_name_is_an_attribute_error():
    import matir_nb

    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = matir_nb.serch


def test_the_presets_are_read_only():
    import matir_nb

    with pytest.raises(TypeError, match="does not support item assignment"):
        matir_nb.PRESETS["embedded"] = None
    assert {"Calibration", "CutConfig"} <= set(matir_nb.__all__)
