"""Where a file of the repository stands in the site, and links between the two.

Pages link to each other and to files of the repository by relative paths, which work where the
repository is browsed. In the site a page outside ``docs/`` has a place of its own, a notebook is a
page, and any other file is a copy under ``files/``.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).resolve().parent.parent
TOP = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)


def place_of(path: str) -> str:
    """Return where a file of the repository stands in the site.

    >>> place_of("docs/filter.md"), place_of("notebooks/01_quickstart.ipynb")
    ('filter.md', 'tutorials/01_quickstart.md')
    >>> place_of("matir_nb/types.py"), place_of("LICENSE")
    ('files/matir_nb/types.py.txt', 'files/LICENSE.txt')
    """
    pure = PurePosixPath(path)
    if path in TOP:
        return TOP[path]
    if pure.parts[0] == "docs":
        return str(pure.relative_to("docs"))
    if pure.suffix == ".ipynb":
        return f"tutorials/{pure.stem}.md"
    if pure.parts[0] == "notebooks" and pure.parent.name.endswith("_files"):
        return f"tutorials/{pure.parent.name}/{pure.name}"
    return f"files/{path}.txt"


def targets(path: str, text: str) -> list[str]:
    """Return the files of the repository, or folders of it, that a page links to by their paths.

    Args:
        path: of the page, in the repository.
        text: its Markdown.
    """
    found = [_target(path, link) for _, _, link in LINK.findall(FENCED.sub("", text))]
    return [target for target in found if target is not None]


def rewritten(path: str, text: str) -> str:
    """Return a page with its links as the site needs them; one to a folder becomes bare text."""
    place = place_of(path)

    def link(found: re.Match[str]) -> str:
        sign, words, address = found.groups()
        target = _target(path, address)
        if target is None:
            return found[0]
        if (ROOT / target).is_dir():
            return words
        anchor = address.partition("#")[1:]
        return f"{sign}[{words}]({relpath(place_of(target), parent(place))}{''.join(anchor)})"

    kept = list(FENCED.finditer(text))
    starts = [0, *(block.end() for block in kept)]
    ends = [*(block.start() for block in kept), len(text)]
    parts = [LINK.sub(link, text[a:b]) for a, b in zip(starts, ends, strict=True)]
    fences = [*(block[0] for block in kept), ""]
    return "".join(part + fence for part, fence in zip(parts, fences, strict=True))


def parent(place: str) -> str:
    """Return the folder of a page, as `posixpath` wants it."""
    return str(PurePosixPath(place).parent)


def _target(path: str, address: str) -> str | None:
    """Return the repository's path that an address means; None = it leads elsewhere."""
    file = address.partition("#")[0]
    if not file or re.match(r"[a-z]+:", file):
        return None
    return normpath(str(PurePosixPath(path).parent / file))
