"""What several test files need: the shared data folder, and quiet threads."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("matir", deadline=None)  # other processes may share the machine
settings.load_profile("matir")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).parents[1]
collect_ignore_glob = ["*conftest.py"]
"""Looked through for doctests, a second conftest.py would be a second module of one name."""


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep settings and registered indexes of the tests away from the user's."""
    before = os.environ.get("MATIR_HOME")
    os.environ["MATIR_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.pop("MATIR_HOME")
    if before is not None:
        os.environ["MATIR_HOME"] = before


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Keep torch, where a test has loaded it, from fighting over few cores."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def matir_data() -> Path:
    """Return the folder of shared photographs, annotations and bad images, or skip."""
    folder = Path(os.environ.get("MATIR_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"no test data at {folder}: set MATIR_TEST_DATA"
        if os.environ.get("MATIR_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder
