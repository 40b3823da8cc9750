"""Without the packages of an extra: everything else works, and what needs them says so."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from matir_nb.doors import above
from matir_nb.errors import ModelUnavailableError
from matir_nb.extras import EXTRAS, explained, install, kernel_shell

ROOT = Path(__file__).resolve().parent.parent
GRID = 'the views in a notebook need {}, which is not installed: pip install "matir_nb[notebook]"'

PRELUDE = """
import json, sys
from pathlib import Path
for name in {missing}:
    sys.modules[name] = None
sys.path[:0] = ["tests/widgets", "tests"]
here = Path({here!r})
out = {{}}
"""
CORE = """
import matir_nb
from matir_nb import cli
from matir_nb.evaluation.gallery import write_gallery
write_gallery(here / "photos", 2, split="test")
out["index"] = cli.main(["index", str(here / "photos"), "--out", str(here / "photos.matir")])
out["help"] = cli.main(["help"])
result = matir_nb.open(here / "photos.matir").search("the red circle", k=2)
result._ipython_display_()
result.compare(result)._ipython_display_()
for ending in ("html", "png", "csv", "parquet", "json", "txt"):
    assert result.export(here / f"hits.{ending}").is_file()
def refusal(ask):
    try:
        ask()
    except matir_nb.MatirError as error:
        return str(error)
out["views"] = [
    refusal(lambda: result.grid()), refusal(lambda: result.inspector()),
    refusal(lambda: result.flow()), refusal(lambda: result.compare(result).view()),
    *(refusal(lambda: getattr(matir_nb, name)) for name in {views}),
]
"""
VIEWS = ("CompareView", "Inspector", "ResultGrid", "SearchBox", "StageFlow")
KERNEL = """
import stand_in
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.kernel = object()
shown = []
shell.display_pub.publish = lambda data, metadata=None, **_: shown.append(data)
shell.run_line_magic("load_ext", "matir_nb")
result = shell.user_ns["found"] = stand_in.make_result(3, source=stand_in.FakeSource())
shell.display_formatter.format(result)
shell.display_formatter.format(result.compare(result))
try:
    shell.run_line_magic("matir", "show found")
except Exception as error:
    out["show"] = f"{type(error).__name__}: {error}"
shell.history_manager.end_session()
out["shown"] = [{kind: len(text) if kind == "image/jpeg" else text for kind, text in one.items()}
                for one in shown]
"""


@pytest.fixture
def without(tmp_path):
    """Return a function that runs a program where packages are missing: its `out`, its text."""

    def run(missing, program):
        source = PRELUDE.format(missing=missing, here=str(tmp_path)) + program
        done = subprocess.run(
            [sys.executable, "-c", f"{source}\nprint(json.dumps(out))"],
            cwd=ROOT,
            env=_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stdout

    return run


def _environment(folder):
    return os.environ | {"MATIR_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}


def test_engine_console_and_files_need_no_notebook(without):
    missing = EXTRAS["notebook"].modules
    out, said = without(missing, CORE.replace("{views}", repr(VIEWS)))
    assert (out["index"], out["help"]) == (0, 0)
    assert "SearchResult('the red circle', 2 hits" in said
    assert len(out["views"]) == 4 + len(VIEWS)
    assert set(out["views"]) <= {GRID.format(name) for name in missing}


def test_a_kernel_without_anywidget_shows_picture_and_table_and_how_to_get_the_grid(without):
    out, _ = without(("anywidget",), KERNEL)
    picture, table, comparison = out["shown"]
    assert picture["image/jpeg"] > 1000
    for shown in (table, comparison):
        assert shown.keys() == {"text/html", "text/plain"}
        assert shown["text/plain"].splitlines()[-1] == GRID.format("anywidget")
        assert shown["text/html"].endswith(
            "which is not installed: pip install &quot;matir_nb[notebook]&quot;</p>"
        )
    assert "3 hits" in table["text/plain"]
    assert out["show"] == f"ModelUnavailableError: {GRID.format('anywidget')}"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("traitlets", r'need traitlets, which .*: pip install "matir_nb\[notebook\]"$'),
        ("matplotlib", r'the plots .* need matplotlib, .*: pip install "matir_nb\[eval\]"$'),
    ],
)
def test_a_missing_package_is_named_with_its_extra(module, message):
    with pytest.raises(ModelUnavailableError, match=message), explained():
        raise ModuleNotFoundError(name=module)


def test_what_no_extra_brings_stays_as_it_is():
    with (
        pytest.raises(ModuleNotFoundError, match=r"No module named 'traitlets\.gone'"),
        explained(),
    ):
        __import__("traitlets.gone")
    with pytest.raises(ModuleNotFoundError, match="numpi"), explained():
        __import__("numpi")
    with pytest.raises(ModuleNotFoundError, match=r"matir_nb\.widgets\.nothing"):
        above("widgets.nothing")


def test_outside_a_kernel_there_is_no_shell():
    assert kernel_shell() is None


def test_the_extras_are_those_of_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    for name, extra in EXTRAS.items():
        needed = {requirement.split(">=")[0] for requirement in optional[name]}
        assert set(extra.packages) <= needed, name
        assert install(name) == f'pip install "matir_nb[{name}]"'
    core = {requirement.split(">=")[0] for requirement in project["dependencies"]}
    assert not core & {package for extra in EXTRAS.values() for package in extra.packages}
