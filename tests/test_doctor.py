import tomllib
from pathlib import Path

import pytest

from matir_nb import doctor
from matir_nb.doctor import Finding, examine
from matir_nb.extras import EXTRAS


@pytest.fixture
def installed(monkeypatch):
    """Return a function that sets which packages there are."""

    def only(**versions):
        known = {name.replace("_", "-"): number for name, number in versions.items()}
        monkeypatch.setattr(doctor, "_version", known.get)

    return only


def finding(name):
    (found,) = (one for one in doctor._optional() if one.name == name)
    return found


def test_every_extra_and_faiss_are_named():
    names = [one.name for one in examine("cpu").findings]
    assert {*EXTRAS, "faiss"} <= set(names)


def test_every_package_of_the_core_is_looked_for():
    file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    needed = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    assert sorted(need.split(">=")[0] for need in needed) == sorted(doctor.NEEDED)


def test_what_is_there_is_named_with_its_version(installed):
    installed(anywidget="1", ipython="2", ipywidgets="3", traitlets="4", matplotlib="5")
    value = "anywidget 1, ipython 2, ipywidgets 3, traitlets 4"
    assert finding("notebook") == Finding("notebook", value)
    assert finding("eval") == Finding("eval", "matplotlib 5")


def test_a_missing_extra_is_no_fault_and_says_how_it_goes_without(installed):
    installed(ipython="2", traitlets="4")
    found = finding("notebook")
    assert found.is_ok
    assert found.value == (
        "without anywidget, ipywidgets: a result shows a picture and a table there"
    )
    assert found.advice == 'if you want the views in a notebook: pip install "matir_nb[notebook]"'
    assert finding("eval").advice.endswith('pip install "matir_nb[eval]"')


def test_one_faiss_or_none_is_fine(installed):
    installed()
    exact = "not installed: search is an exact scan, with the same results"
    assert finding("faiss") == Finding("faiss", exact)
    installed(faiss_gpu_cu12="1.14")
    assert finding("faiss") == Finding("faiss", "faiss-gpu-cu12 1.14")


def test_two_faiss_builds_exclude_each_other(installed):
    installed(faiss_cpu="1.15", faiss_gpu_cu12="1.14")
    found = finding("faiss")
    assert not found.is_ok
    assert "faiss-cpu 1.15, faiss-gpu-cu12 1.14 write over each other's files" in found.value
    assert found.advice.startswith("pip uninstall faiss-cpu faiss-gpu-cu12, then install one")
