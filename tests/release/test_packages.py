"""The source distribution and the wheel hold what they should, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packages import (
    REPOSITORY,
    build,
    copied,
    metadata_of,
    names_in,
    texts_in,
    unpacked,
    without_node,
)

import matir_nb
from hatch_build import BUILT, hash_of_sources, state_of

MAX_BYTES = 30e6
LEFTOVERS = re.compile(
    r"(^|/)(node_modules|__pycache__|\.ipynb_checkpoints|gallery|output|build|dist|\.venv)/"
    r"|\.pyc$|\.matir(/|$)|\.egg-info|\.ruff_cache|\.pytest_cache|\.mypy_cache"
)
PLANTED = (
    "js/node_modules/some/index.js matir_nb/__pycache__/types.cpython-311.pyc matir_nb/old.pyc "
    "build/demo/index.html dist/matir_nb-0.0.1.tar.gz notebooks/gallery/scenes.matir/manifest.json "
    "notebooks/.ipynb_checkpoints/01_quickstart.ipynb tests/output/grid.png .venv/pyvenv.cfg "
    "docs/photos.matir/manifest.json matir_nb.egg-info/PKG-INFO .ruff_cache/x .coverage"
).split()
NEEDED = (
    "LICENSE NOTICE README.md CHANGELOG.md CITATION.cff CONTRIBUTING.md Makefile constraints.txt "
    "hatch_build.py mkdocs.yml pyproject.toml matir_nb/py.typed js/build.mjs js/package-lock.json "
    "js/src/widget.ts js/tests/csv.test.ts docs/format.md docs/install.md docs/licences.md "
    "tests/test_types.py tests/release/test_packages.py training/sam2.py benchmarks/search.py "
    "notebooks/01_quickstart.ipynb binder/postBuild"
).split()


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    if not shutil.which("npm") and state_of(REPOSITORY / "matir_nb" / "static", REPOSITORY / "js"):
        pytest.skip("the widgets' JavaScript is not built")
    checkout = copied(tmp_path_factory.mktemp("checkout"))
    for name in PLANTED:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left over", encoding="utf-8")
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def source(sdist, tmp_path_factory):
    """The unpacked source distribution."""
    return unpacked(sdist, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def no_node():
    """An environment in which there is no Node.js."""
    path = without_node(os.environ["PATH"])
    assert shutil.which("npm", path=path) is None
    return os.environ | {"PATH": path}


@pytest.fixture(scope="module")
def wheel(source, no_node, tmp_path_factory):
    """The wheel, made from the source distribution and without Node.js."""
    return build("wheel", source, tmp_path_factory.mktemp("wheel"), env=no_node)


def tracked():
    """Return the files that git knows; none outside of a checkout."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        return set()
    done = subprocess.run([git, "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    return {name for name in done.stdout.decode().split("\0") if name}


# ---- the source distribution ---------------------------------------------------------------


def test_the_source_distribution_has_all_that_git_has_and_the_built_files(sdist):
    names = names_in(sdist)
    there = {name for name in tracked() if (REPOSITORY / name).is_file()}
    assert there - names <= {".ci/run"}, "add it to [tool.hatch.build.targets.sdist] include"
    assert {f"matir_nb/static/{name}" for name in BUILT} <= names
    assert [name for name in NEEDED if name not in names] == []


def test_it_has_no_leftovers(sdist):
    names = names_in(sdist)
    assert [name for name in names if LEFTOVERS.search(name)] == []
    assert names.isdisjoint(PLANTED)


def test_leftovers_would_be_found():
    assert LEFTOVERS.search("js/node_modules/esbuild/x.js")
    assert LEFTOVERS.search("notebooks/gallery/scenes.matir/manifest.json")
    assert not LEFTOVERS.search("matir_nb/index/build.py")


def test_no_package_names_a_place_of_this_machine(sdist, wheel):
    here, home = place_of(REPOSITORY), place_of(Path.home())
    for package in (sdist, wheel):
        texts = dict(texts_in(package))
        # some tests hold such places as examples of what must not be shown
        own = [name for name in texts if not name.startswith("tests/")]
        assert [name for name, text in texts.items() if here.search(text)] == []
        assert Path.home() == Path("/") or [n for n in own if home.search(texts[n])] == []


def place_of(folder):
    """Return what finds a folder in bytes, where it is not the end of a longer path or address."""
    return re.compile(rb"(?<![\w./-])" + re.escape(f"{folder.as_posix()}/".encode()) + rb"(?!/)")


def test_a_place_would_be_found_and_a_folder_of_that_name_would_not():
    place = place_of(Path("/src"))
    assert place.search(b'File "/src/matir_nb/cli.py"')
    assert not place.search(b"js/src/widget.ts ../src/x https://example.org/src/x")


# ---- the wheel -----------------------------------------------------------------------------


def test_the_wheel_is_the_package_whole_and_nothing_else(wheel, source):
    names = names_in(wheel)
    tops = {name.split("/")[0] for name in names}
    assert {re.sub(r"-.*\.", ".", top) for top in tops} == {"matir_nb", "matir_nb.dist-info"}
    files = [path for path in (source / "matir_nb").rglob("*") if path.is_file()]
    wanted = {path.relative_to(source).as_posix() for path in files}
    assert wanted == {name for name in names if name.startswith("matir_nb/")}
    assert {"matir_nb/py.typed", *(f"matir_nb/static/{name}" for name in BUILT)} <= names
    assert sum(name.endswith("model.safetensors") for name in names) == 3


def test_it_is_small_and_runs_anywhere(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    assert 1e6 < wheel.stat().st_size <= MAX_BYTES


def test_its_licences_are_inside(wheel):
    names = names_in(wheel)
    folder = f"matir_nb-{matir_nb.__version__}.dist-info/licenses"
    assert {f"{folder}/LICENSE", f"{folder}/NOTICE"} <= names
    for model in ("alpha-clip", "judge", "sam2"):
        assert f"matir_nb/weights/{model}/README.md" in names
    found = metadata_of(wheel)
    assert found["License-Expression"] == "Apache-2.0"
    assert found.get_all("License-File") == ["LICENSE", "NOTICE"]


def test_its_metadata_are_complete(wheel):
    found = metadata_of(wheel)
    assert found["Name"] == "matir_nb"
    assert found["Version"] == matir_nb.__version__
    assert found["Requires-Python"] == ">=3.11"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Summary"]
    assert "anywidget" in found["Keywords"]
    classifiers = found.get_all("Classifier")
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in classifiers
    assert "Typing :: Typed" in classifiers
    assert found.get_all("Project-URL") is None
    extras = set(found.get_all("Provides-Extra"))
    assert {"gpu", "notebook", "binder", "eval", "all", "faiss-cpu", "faiss-gpu"} <= extras


def test_the_core_needs_no_notebook_and_no_extra_both_faiss_builds(wheel):
    needs = metadata_of(wheel).get_all("Requires-Dist")
    core = {re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need}
    assert core.isdisjoint({"anywidget", "ipython", "ipywidgets", "jupyterlab", "traitlets"})
    assert {"torch", "polars", "transformers"} <= core
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    for names in map(" ".join, project["project"]["optional-dependencies"].values()):
        assert not ("faiss-cpu" in names and "faiss-gpu" in names)
    pairs = project["tool"]["uv"]["conflicts"]
    assert [{"extra": "faiss-cpu"}, {"extra": "faiss-gpu"}] in pairs


def test_the_command_is_there(wheel):
    (entry,) = (text for name, text in texts_in(wheel) if name.endswith("/entry_points.txt"))
    assert b"matir = matir_nb.cli:main" in entry
    record = next(text for name, text in texts_in(wheel) if name.endswith("/RECORD"))
    assert b"matir_nb/cli.py,sha256=" in record


# ---- a stale bundle cannot be shipped ------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A little of a checkout: the hook, the project file, built files and their sources."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / "matir_nb").mkdir()
    shutil.copy(REPOSITORY / "matir_nb" / "version.py", tmp_path / "matir_nb")
    (tmp_path / "js" / "src").mkdir(parents=True)
    for name in ("build.mjs", "package-lock.json", "src/widget.ts"):
        (tmp_path / "js" / name).write_text(name, encoding="utf-8")
    static = tmp_path / "matir_nb" / "static"
    static.mkdir()
    for name in BUILT:
        (static / name).write_text("built", encoding="utf-8")
    record = json.dumps({"sources_sha256": hash_of_sources(tmp_path / "js")})
    (static / "build.json").write_text(record, encoding="utf-8")
    return tmp_path


def test_built_files_of_these_sources_go_into_the_wheel(checkout, no_node, tmp_path):
    wheel = build("wheel", checkout, tmp_path / "out", env=no_node)
    assert "matir_nb/static/matir.js" in names_in(wheel)


@pytest.mark.parametrize("changed", ["src/widget.ts", "build.mjs", "package-lock.json"])
def test_stale_files_are_refused(checkout, no_node, tmp_path, changed):
    (checkout / "js" / changed).write_text("another", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"is built from other sources than those in js/ and"):
        build("wheel", checkout, tmp_path / "out", env=no_node)


def test_files_without_a_readable_record_are_refused(checkout):
    record = checkout / "matir_nb" / "static" / "build.json"
    for text in ("", "[]", "{}"):
        record.write_text(text, encoding="utf-8")
        assert "build.json cannot be read" in state_of(record.parent, checkout / "js")


def test_a_file_managers_own_file_changes_nothing(checkout):
    before = hash_of_sources(checkout / "js")
    (checkout / "js" / "src" / ".DS_Store").write_bytes(b"x")
    assert hash_of_sources(checkout / "js") == before


def test_stale_files_are_refused_without_widgets_too(checkout, no_node, tmp_path):
    (checkout / "js" / "src" / "more.ts").write_text("more", encoding="utf-8")
    bare = no_node | {"MATIR_WITHOUT_WIDGETS": "1"}
    with pytest.raises(RuntimeError, match="remove that folder"):
        build("wheel", checkout, tmp_path / "out", env=bare)
    shutil.rmtree(checkout / "matir_nb" / "static")
    wheel = build("wheel", checkout, tmp_path / "out", env=bare)
    assert "matir_nb/static/matir.js" not in names_in(wheel)


def test_stale_files_are_built_again_where_npm_is(checkout, no_node, tmp_path):
    (checkout / "js" / "src" / "more.ts").write_text("more", encoding="utf-8")
    folder = tmp_path / "bin"
    folder.mkdir()
    npm = folder / "npm"
    asked = tmp_path / "asked"
    npm.write_text(f'#!/bin/sh\necho "$PWD $@" >> {asked}\n', encoding="utf-8")
    npm.chmod(0o755)
    path = os.pathsep.join([str(folder), no_node["PATH"]])
    build("wheel", checkout, tmp_path / "out", env=no_node | {"PATH": path})
    js = checkout / "js"
    assert asked.read_text(encoding="utf-8").splitlines() == [f"{js} ci", f"{js} run build"]


# ---- what else a release says --------------------------------------------------------------


def test_the_citation_is_of_this_version():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [matir_nb.__version__]
    assert "cff-version: 1.2.0" in citation
    assert "arXiv:2506.22864" in citation


def test_the_licences_of_the_needed_packages_are_those_on_the_page():
    script = REPOSITORY / "docs" / "licences.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    page = (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8")
    assert done.stdout in page, "python docs/licences.py prints the table"
