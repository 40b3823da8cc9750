"""Build hook: the widgets' JavaScript goes into the package when it is not there yet.

A source distribution holds the built files, so only a git checkout needs Node.js. An editable
install without Node.js goes through, because the engine and the console work without the widgets.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = ("matir.js", "matir.css", "page.js", "build.json")
NEEDS_NODE = (
    "the widgets' JavaScript is not built and npm was not found: install Node.js 20 or newer "
    "(https://nodejs.org, or your system's nodejs and npm packages), or install matir_nb from "
    "its wheel or source distribution, which hold the built files; MATIR_WITHOUT_WIDGETS=1 "
    "builds a package without widgets"
)


class WidgetBuildHook(BuildHookInterface[Any]):
    """Runs npm in ``js/`` unless ``matir_nb/static/`` is complete."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the JavaScript where it is missing.

        Raises:
            RuntimeError: a package is being built and there is no npm.
        """
        static = Path(self.root) / "matir_nb" / "static"
        if all((static / name).is_file() for name in BUILT):
            return
        if os.environ.get("MATIR_WITHOUT_WIDGETS") == "1":
            return
        npm = shutil.which("npm")
        if npm is not None:
            for command in (("ci",), ("run", "build")):
                subprocess.run([npm, *command], cwd=Path(self.root) / "js", check=True)  # noqa: S603
        elif version == "editable":
            self.app.display_warning(f"Without widgets: {NEEDS_NODE}")
        else:
            raise RuntimeError(NEEDS_NODE)
