"""Every relative link, picture and anchor of the repository's pages and notebooks exists."""

import json
import re
from urllib.parse import unquote

import pytest
from page_commands import ROOT
from site_links import FENCED

CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} +(.*?)(?: +\{#([\w-]+)\})? *#*$", re.MULTILINE)
TOP = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")]
PAGES = [path for path in TOP if path.is_file()]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "notebooks").glob("0*.ipynb"))


def text_of(path):
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def anchors_of(path):
    """Return the ids of a page's headings, as GitHub and mkdocs make them."""
    found = set()
    for words, given in HEADING.findall(FENCED.sub("", text_of(path))):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", bare.lower()).strip()
        dashed = slug.replace(" ", "-")
        while dashed in found:
            dashed += "-1"
        found |= {dashed, re.sub(r"-+", "-", dashed), given} - {""}
    return found


def dead_links(path, text):
    """Yield what a page links to that is not there."""
    shown = CODE.sub("", FENCED.sub("", text))
    for pair in LINK.findall(shown):
        link = pair[0] or pair[1]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        has_headings = target.suffix in (".md", ".ipynb") and target.is_file()
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and has_headings and anchor not in anchors_of(target)):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_dead(path):
    assert list(dead_links(path, text_of(path))) == []


def test_a_dead_link_is_found():
    text = (
        "[a](moon.md) [b](filter.md#moon) [c](filter.md#columns) ![d](../docs/moon.png)\n"
        '<img src="sun.png"> [e](https://example.org/moon) `[f](x.md)` [g](/etc/hosts)\n'
        "```\n[h](y.md)\n```\n[i](#moon)\n"
    )
    page = ROOT / "docs" / "filter.md"
    dead = ["moon.md", "filter.md#moon", "../docs/moon.png", "sun.png", "/etc/hosts", "#moon"]
    assert list(dead_links(page, text)) == dead
