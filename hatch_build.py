"""Build hook: the widgets' JavaScript goes into the package, built from the sources beside it.

A source distribution holds the built files, so only a git checkout needs Node.js. An editable
install without Node.js goes through, because the engine and the console work without the widgets.
Files that were built from other sources than those in ``js/`` are built again, or refused.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = ("matir.js", "matir.css", "page.js", "build.json")
NEEDS_NODE = (
    "the widgets' JavaScript is {state} and npm was not found: install Node.js 20 or newer "
    "(https://nodejs.org, or your system's nodejs and npm packages), or install matir_nb from "
    "its wheel or source distribution, which hold the built files; MATIR_WITHOUT_WIDGETS=1 "
    "builds a package without widgets"
)
REMOVE = (
    "matir_nb/static/ is {state}, and MATIR_WITHOUT_WIDGETS=1 forbids to build it: remove that "
    "folder for a package without widgets"
)


class WidgetBuildHook(BuildHookInterface[Any]):
    """Runs npm in ``js/`` unless ``matir_nb/static/`` is complete and of these sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the JavaScript where it is missing or stale.

        Raises:
            RuntimeError: a package is being built, and that would need npm, or is forbidden.
        """
        static, js = Path(self.root) / "matir_nb" / "static", Path(self.root) / "js"
        state = state_of(static, js)
        if not state:
            return
        npm = None
        if os.environ.get("MATIR_WITHOUT_WIDGETS") != "1":
            npm, refusal = shutil.which("npm"), NEEDS_NODE
        elif any((static / name).is_file() for name in BUILT):
            refusal = REMOVE
        else:
            return
        if npm is not None:
            for command in (("ci",), ("run", "build")):
                subprocess.run([npm, *command], cwd=js, check=True)  # noqa: S603
        elif version == "editable":
            self.app.display_warning(f"Without widgets: {refusal.format(state=state)}")
        else:
            raise RuntimeError(refusal.format(state=state))


def state_of(static: Path, js: Path) -> str:
    """Return what is wrong with the built files; empty = nothing.

    Where there are no sources, the built files are all there can be.
    """
    if not all((static / name).is_file() for name in BUILT):
        return "not built"
    if not (js / "src").is_dir():
        return ""
    try:
        record = json.loads((static / "build.json").read_text(encoding="utf-8"))
        built_from = record["sources_sha256"]
    except (ValueError, KeyError, TypeError):
        return "built, but its record build.json cannot be read,"
    return "" if built_from == hash_of_sources(js) else "built from other sources than those in js/"


def hash_of_sources(js: Path) -> str:
    """Return what js/build.mjs writes: sha256 over path and text of all that decides the files."""
    digest = hashlib.sha256()
    # hidden files are a file manager's, and not in a source distribution
    files = [p for p in (js / "src").rglob("[!.]*") if p.is_file()]
    names = [path.relative_to(js).as_posix() for path in files]
    for name in sorted(["build.mjs", "package-lock.json", *names]):
        digest.update(f"{name}\0".encode())
        digest.update((js / name).read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()
