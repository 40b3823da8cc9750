"""The version, in one place, and those of the packages that answers depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.2.0"
PACKAGES = ("numpy", "polars", "pycocotools", "pillow", "torch", "transformers")


def installed_versions() -> dict[str, str]:
    """Return package -> version; one that is not installed is left out."""
    found = {"matir_nb": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
