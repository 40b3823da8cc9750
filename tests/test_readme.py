"""The README's commands and code exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import matir_nb
from matir_nb.commands.tree import build_parser
from matir_nb.engine import Engine
from matir_nb.results import SearchResult
from matir_nb.widgets.grid import ResultGrid

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [
    line
    for block in blocks("sh")
    for line in (row.partition("#")[0].strip() for row in block.splitlines())
    if line
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_can_be_typed(line):
    program, *argv = shlex.split(line)
    if program == "make":
        assert re.search(rf"^{argv[0]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        return
    assert program == "matir"
    args, extra = build_parser().parse_known_args(argv)
    assert callable(args.run)
    assert extra == []


def test_every_name_in_the_code_exists():
    code = "".join(blocks("python"))
    owners = {"matir": matir_nb, "engine": Engine, "result": SearchResult, "grid": ResultGrid}
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    assert len(used) >= 6
    for owner, name in used:
        assert hasattr(owners[owner], name), f"{owner}.{name}"


def test_the_place_of_the_scores_is_marked():
    assert README.index("<!-- scores:begin -->") < README.index("<!-- scores:end -->")
