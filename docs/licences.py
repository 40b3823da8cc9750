"""Print the licences of the packages that matir_nb needs, from what pip installed of each.

``python docs/licences.py`` prints the table of docs/licences.md (packages asked for by name),
``python docs/licences.py --all`` everything that came with them.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
EXTRAS = ("notebook", "eval", "faiss-cpu")
NAME = re.compile(r"[A-Za-z0-9._-]+")
MAX_LETTERS = 200
"""Some packages give the whole text of their licence."""
NOT_HERE = "not installed here"


def rows(*, is_whole: bool = False) -> list[tuple[str, str, str]]:
    """Return package, what asks for it, licence: of those asked for, or of all that came."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = {"core": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, tuple[str, str, str]] = {}
    for extra in ("core", *EXTRAS):
        for name in map(_name, asked[extra]):
            for package in _with_needs(name) if is_whole else (name,):
                found.setdefault(package, (package, extra, licence_of(package)))
    return sorted(found.values(), key=lambda row: (row[1] != "core", row[1], row[0]))


def licence_of(package: str) -> str:
    """Return what a package says of its licence: an SPDX expression, a name, or classifiers."""
    try:
        metadata = distribution(package).metadata
    except PackageNotFoundError:
        return NOT_HERE
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier", [])
        if text.startswith("License ::") and not text.endswith("OSI Approved")
    ]
    named = metadata.get("License-Expression") or metadata.get("License") or ""
    is_whole_text = "\n" in named or len(named) > MAX_LETTERS
    return (named if named and not is_whole_text else ", ".join(classifiers)) or "not stated"


def _with_needs(package: str) -> Iterator[str]:
    """Yield a package and all that it needs and that is installed."""
    seen, waiting = set(), [package]
    while waiting:
        name = waiting.pop()
        if name in seen or not _is_here(name):
            continue
        seen.add(name)
        yield name
        needs = Distribution.from_name(name).requires or []
        waiting += [_name(need) for need in needs if "extra ==" not in need]


def _is_here(package: str) -> bool:
    return licence_of(package) != NOT_HERE


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found is not None
    return found[0].lower().replace("_", "-")


def table(*, is_whole: bool = False) -> str:
    """Return the rows as Markdown."""
    head = "| package | for | licence |\n|---|---|---|\n"
    return head + "".join(f"| {a} | {b} | {c} |\n" for a, b, c in rows(is_whole=is_whole))


if __name__ == "__main__":
    sys.stdout.write(table(is_whole="--all" in sys.argv[1:]))
