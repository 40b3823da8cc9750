"""What Binder would build and start, as repo2docker reads it: no docker, no network.

`make binder-check` builds it indeed and opens the tutorials there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from binder.rendered import render

REPOSITORY = Path(__file__).parents[2]
BINDER = REPOSITORY / "binder"
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
SCRIPTS = ["postBuild", "start"]
GALLERY = 'write_gallery(Path("gallery/images"), 60, split="test")'
INDEX = "matir index gallery/images --out gallery/scenes.matir --name scenes"
FIRST = "notebooks/01_quickstart.ipynb"

# repo2docker 2026.4 imports the module by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:pythonjsonlogger.jsonlogger:DeprecationWarning")


@pytest.fixture(scope="module")
def rendered():
    return render(REPOSITORY)


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(BINDER, tmp_path / "binder", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def lines(name):
    """Return the lines of a file that say something to pip."""
    text = (BINDER / name).read_text().splitlines()
    return [line.strip() for line in text if line.strip() and not line.startswith("#")]


def requirements():
    return [Requirement(line) for line in lines("requirements.txt") if line[0] not in "-."]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_binder_takes_python_and_our_files(rendered):
    assert (rendered.buildpack, rendered.python) == ("PythonBuildPack", "3.11")
    pip = "${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r"
    assert rendered.pip_line == f'{pip} "binder/requirements.txt"'
    assert rendered.post_build_line == "./binder/postBuild"
    assert rendered.start == "${REPO_DIR}/binder/start"


def test_npm_is_on_the_path_when_pip_builds_the_package(rendered):
    assert rendered.path.startswith("${NB_PYTHON_PREFIX}/bin:")
    assert int(rendered.base["nodejs"].split(".")[0]) >= 20


def test_binders_own_packages_are_new_enough(rendered, project):
    wanted = [Requirement(line) for line in project["optional-dependencies"]["notebook"]]
    named = [wish for wish in wanted if wish.name in rendered.base]
    assert {wish.name for wish in named} == {"ipython", "ipywidgets", "jupyterlab"}
    assert all(wish.specifier.contains(rendered.base[wish.name]) for wish in named)


def test_a_folder_without_them_is_noticed(tmp_path):
    with pytest.raises(ValueError, match="finds nothing to build from"):
        render(tmp_path)


def test_a_conda_file_would_be_noticed(copied):
    (copied / "binder" / "environment.yml").write_text("dependencies: [python=3.11]\n")
    assert render(copied).buildpack == "CondaBuildPack"


def test_a_missing_runtime_would_be_noticed(copied):
    (copied / "binder" / "runtime.txt").unlink()
    assert render(copied).python != "3.11"


def test_missing_scripts_would_be_noticed(copied):
    for name in SCRIPTS:
        (copied / "binder" / name).unlink()
    found = render(copied)
    assert (found.post_build_line, found.start) == ("", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_stops_at_its_first_failure(name):
    script = BINDER / name
    assert os.access(script, os.X_OK), f"chmod +x binder/{name}"
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    commands = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert commands[0] == "set -euo pipefail"
    subprocess.run(["/bin/bash", "-n", script], check=True)


def test_start_hands_over_to_the_server():
    assert (BINDER / "start").read_text().splitlines()[-1] == 'exec "$@"'
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)])); sys.exit(7)"
    command = [BINDER / "start", sys.executable, "-c", code, "two words", ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    words, environment = json.loads(done.stdout)
    assert (done.returncode, words) == (7, ["two words", ""])
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_the_package_is_installed_with_its_extra(project):
    (line,) = (line for line in lines("requirements.txt") if line.startswith("."))
    assert line == ".[binder]"
    extras = project["optional-dependencies"]
    (own,) = (Requirement(line) for line in extras["binder"])
    assert own.name == project["name"]
    assert {"notebook"} <= own.extras <= set(extras)


def test_torch_can_only_be_the_cpu_build():
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in lines("requirements.txt")
    (torch,) = (wish for wish in requirements() if wish.name == "torch")
    assert re.fullmatch(r"==[\d.]+\+cpu", str(torch.specifier))


def test_what_the_package_needs_is_pinned_as_the_tests_ran(project):
    tested = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    )
    pins = {normal(wish.name): str(wish.specifier) for wish in requirements()}
    assert pins == {name: f"=={tested[name]}" for name in pins} | {
        "torch": f"=={tested['torch']}+cpu"
    }
    needed = {normal(Requirement(line).name) for line in project["dependencies"]}
    assert needed <= set(pins)


def test_what_is_baked_is_what_the_tutorials_begin_with():
    text = (BINDER / "postBuild").read_text()
    assert GALLERY in text
    assert f"\n{INDEX}\n" in text
    assert "\ncd notebooks\n" in text[: text.index(GALLERY)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_begins_with_what_is_baked(path):
    cells = nbformat.read(path, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert GALLERY in source
    assert f"%{INDEX}" in source


def test_jupyterlab_opens_the_first_tutorial():
    settings = json.loads((BINDER / "server.json").read_text())
    assert {part["default_url"] for part in settings.values()} == {f"/lab/tree/{FIRST}"}
    assert (REPOSITORY / FIRST).is_file()
    assert f"?urlpath=lab/tree/{FIRST}" in (REPOSITORY / "docs" / "binder.md").read_text()


def test_jupyterlab_knows_the_settings():
    schemas = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    overrides = json.loads((BINDER / "overrides.json").read_text())
    assert overrides["@jupyterlab/notebook-extension:tracker"]["kernelShutdown"] is True
    for plugin, values in overrides.items():
        package, name = plugin.split(":")
        known = json.loads((schemas / package / f"{name}.json").read_text())["properties"]
        assert set(values) <= set(known), plugin
