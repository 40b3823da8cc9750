"""The built JavaScript belongs to the sources that are there, and is small."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from conftest import REPOSITORY

SOURCES = REPOSITORY / "js" / "src"
MAX_SCRIPT = 80_000
"""Bytes: every saved widget carries the script."""
MAX_STYLE = 30_000
MAX_PAGE = 100_000


def hash_of(folder: Path) -> str:
    """Return what js/build.mjs writes: sha256 over path and text of every file, by path."""
    digest = hashlib.sha256()
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    for name in sorted(files):
        digest.update(f"{name}\0".encode())
        digest.update(files[name].read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


@pytest.fixture
def build(static):
    return json.loads((static / "build.json").read_text(encoding="utf-8"))


def test_they_are_not_stale(build):
    assert build["sources_sha256"] == hash_of(SOURCES), "js/src has changed since: run make static"


def test_another_source_would_be_noticed(tmp_path):
    (tmp_path / "a.ts").write_text("1")
    before = hash_of(tmp_path)
    (tmp_path / "a.ts").write_text("2")
    assert hash_of(tmp_path) != before


@pytest.mark.parametrize(
    ("name", "most"), [("matir.js", MAX_SCRIPT), ("matir.css", MAX_STYLE), ("page.js", MAX_PAGE)]
)
def test_they_are_small(static, name, most):
    size = (static / name).stat().st_size
    assert 1000 < size <= most


@pytest.mark.parametrize("name", ["matir.js", "page.js", "matir.css"])
def test_they_name_no_address_on_the_network(static, name):
    text = (static / name).read_text(encoding="utf-8")
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`]*", text))
    assert {a for a in addresses if "www.w3.org" not in a} == set()
