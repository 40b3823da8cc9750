"""What repo2docker, which Binder builds with, makes of this repository: no docker is needed.

python binder/rendered.py [FOLDER]      prints it as JSON
"""

import json
import os
import re
import sys
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

USER = {"NB_UID": "1000", "NB_USER": "jovyan"}
PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class Rendered:
    """The parts of the Dockerfile that are ours, and what Binder's environment holds before."""

    buildpack: str
    python: str
    path: str
    pip_line: str
    post_build_line: str
    start: str
    base: dict[str, str]
    """Version by conda name, of what Binder's own environment file asks for."""
    locked: dict[str, str]
    """The same of all that is in that environment; some are no Python packages."""


def render(folder: Path) -> Rendered:
    """Return what Binder would build from `folder`.

    Raises:
        ValueError: repo2docker finds nothing to build from.
    """
    from repo2docker.app import Repo2Docker

    with chdir(folder):
        app = Repo2Docker()
        for kind in app.buildpacks:
            buildpack = kind(base_image=app.base_image)
            buildpack.platform = PLATFORM
            if buildpack.detect():
                return _parts(buildpack, buildpack.render(build_args=USER))
    message = f"repo2docker finds nothing to build from in {folder}: is binder/ there?"
    raise ValueError(message)


def _parts(buildpack: Any, dockerfile: str) -> Rendered:
    conda = Path(sys.modules["repo2docker"].__file__ or "").parent / "buildpacks" / "conda"
    python = str(buildpack.python_version)
    locked = _locked(conda / f"environment.py-{python}-linux-64.lock")
    named = re.findall(r"^  - ([\w-]+)[=<>]", (conda / "environment.yml").read_text(), re.MULTILINE)
    return Rendered(
        buildpack=type(buildpack).__name__,
        python=python,
        path=_first(r"^ENV PATH=(\$\{NB_PYTHON_PREFIX.*)$", dockerfile),
        pip_line=_first(r"^RUN (.*pip install .*)$", dockerfile),
        post_build_line=_first(r"^RUN (\./\S*postBuild)$", dockerfile),
        start=_first(r'^ENV R2D_ENTRYPOINT="(.*)"$', dockerfile),
        base={name: locked[name] for name in [*named, "ipykernel", "ipython"] if name in locked},
        locked=locked,
    )


def _first(pattern: str, dockerfile: str) -> str:
    found = re.search(pattern, dockerfile, flags=re.MULTILINE)
    return found[1] if found else ""


def _locked(lock: Path) -> dict[str, str]:
    """Return version by name from one of conda's lock files: a line is an archive's address."""
    archive = r"/([\w.-]+)-([\w.]+)-[\w.]+\.(?:conda|tar\.bz2)"
    return dict(re.findall(archive, lock.read_text(encoding="utf-8")))


if __name__ == "__main__":
    place = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1]
    os.write(1, json.dumps(asdict(render(place)), indent=1).encode())
