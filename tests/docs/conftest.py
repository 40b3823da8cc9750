import shutil
import sys
from pathlib import Path

import pytest
from sandbox import at_home, make_sandbox

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "docs"), str(ROOT / "tests" / "browser")]
"""The modules beside the pages write some of them; `lab` knows the browser."""


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """The sandbox as every page finds it: never stand in it, copy it."""
    folder = tmp_path_factory.mktemp("pages") / "sandbox"
    folder.mkdir()
    make_sandbox(folder)
    return folder


@pytest.fixture
def sandbox_folder(made_once, tmp_path):
    """A copy of the sandbox, in which the test stands."""
    folder = shutil.copytree(made_once, tmp_path / "sandbox")
    with at_home(folder):
        yield folder
