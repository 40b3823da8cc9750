"""The built JavaScript belongs to the sources that are there, and is small."""

import json
import re

import pytest
from conftest import REPOSITORY

from hatch_build import hash_of_sources

SOURCES = REPOSITORY / "js"
MAX_SCRIPT = 80_000
"""Bytes: every saved widget carries the script."""
MAX_STYLE = 30_000
MAX_PAGE = 100_000


@pytest.fixture
def build(static):
    return json.loads((static / "build.json").read_text(encoding="utf-8"))


def test_they_are_not_stale(build):
    assert build["sources_sha256"] == hash_of_sources(SOURCES), (
        "js has changed since: run make static"
    )


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
