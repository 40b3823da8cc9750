"""The tree of commands and its help: every line of Python in it is real."""

import ast
import importlib
import io

import pytest

import matir_nb
from matir_nb import cli
from matir_nb.commands import on_results
from matir_nb.commands import tree as commands
from matir_nb.commands.arguments import ENDINGS
from matir_nb.engine import Engine
from matir_nb.exports.files import WRITERS
from matir_nb.results import SearchResult
from matir_nb.usage import UsageError

OWNERS = {"engine": Engine, "result": SearchResult}


def attribute_at(node):
    """Return what a dotted name of the help means."""
    if isinstance(node, ast.Name):
        return OWNERS.get(node.id, matir_nb)
    if isinstance(node, ast.Call):
        return Engine if attribute_at(node.func) is matir_nb.open else None
    owner = attribute_at(node.value)
    if owner is Engine and node.attr == "index":
        return matir_nb.Index
    if isinstance(owner, type(matir_nb)):
        try:
            return importlib.import_module(f"{owner.__name__}.{node.attr}")
        except ModuleNotFoundError:
            return getattr(owner, node.attr)
    return getattr(owner, node.attr, None) or owner.__dataclass_fields__[node.attr]


@pytest.mark.parametrize("name", list(commands.COMMANDS))
def test_the_python_line_of_every_command_exists(name):
    line = commands.COMMANDS[name][2]
    dotted = [n for n in ast.walk(ast.parse(line)) if isinstance(n, ast.Attribute)]
    assert dotted, line
    for node in dotted:
        assert attribute_at(node) is not None


@pytest.mark.parametrize("prog", ["matir", "%matir"])
def test_every_command_helps_itself_in_the_words_of_its_face(prog):
    tree = commands.build_parser(prog)
    assert set(tree.commands) == {*commands.COMMANDS, "help"}
    whole = tree.format_help()
    assert len(whole.splitlines()) <= 48
    assert ("%%matir search" in whole) == (prog == "%matir")
    for name, parser in tree.commands.items():
        text = parser.format_help()
        assert text.startswith(f"usage: {prog} {name}")
        assert "in Python:" in text
        assert f"\n    {name} " in whole


def test_the_endings_are_those_that_are_written():
    assert set(ENDINGS) == set(WRITERS)


def test_options_may_stand_before_and_behind_the_query():
    tree = commands.build_parser()
    for line in (
        "search -k 3 --no-judge red ring",
        "search red ring -k 3 --no-judge",
        "search --no-judge red ring -k 3",
        "search --no-judge -k 3 -- red ring",
    ):
        args, extra = tree.parse_known_args(line.split())
        assert (args.query, args.k, args.no_judge, extra) == (["red", "ring"], 3, True, [])


def test_a_body_is_for_a_search_without_words_only():
    console = cli.Console(io.StringIO(), io.StringIO())
    with pytest.raises(UsageError, match="only search takes a query from the cell's body"):
        commands.run(["list"], console, body="red")
    with pytest.raises(UsageError, match="two queries, 'a ring' on the line"):
        commands.run(["search", "a", "ring"], console, body="red")
    assert on_results.search is commands.COMMANDS["search"][0]
