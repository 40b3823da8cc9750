"""docs/commands.md is what the tree of commands says."""

import argparse

import commands_page
import pytest

from matir_nb.commands.tree import build_parser


def test_the_page_is_that_of_the_tree():
    written = commands_page.PAGE.read_text(encoding="utf-8")
    assert written == commands_page.page(), "write it anew: python docs/commands_page.py"


def test_every_command_is_in_one_group_and_has_an_example():
    named = " ".join(commands_page.GROUPS.values()).split()
    commands = build_parser().commands
    assert sorted(named) == sorted(commands) == sorted(commands_page.EXAMPLES)


@pytest.mark.parametrize("name", build_parser().commands)
def test_every_argument_is_on_the_page(name):
    """Also those that only some of the datasets take, which stand in tables of their own."""
    parser = build_parser().commands[name]
    section = commands_page.section(name, parser)
    wanted = commands_page.AS.get(name, name)
    section += commands_page.section(wanted, build_parser().commands[wanted])
    for sub in (parser, *parser.commands.values()):
        for action in sub._actions:
            if not isinstance(action, argparse._HelpAction):
                assert all(f"{option}" in section for option in action.option_strings)


def test_a_row_says_name_default_and_meaning():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", "--number", type=int, metavar="N", help="how many (default 3)")
    parser.add_argument("words", nargs="+", metavar="WORD")
    parser.add_argument("--place", required=True, help="where|when")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--fast", action="store_true", help="be quick")
    group.add_argument("--slow", action="store_true", help="take time (default: the other)")
    rows = commands_page.arguments(parser)
    assert rows == [
        ("`-n, --number N`", "3", "how many"),
        ("`WORD …`", "", ""),
        ("`--place PLACE`", "must be given", "where|when"),
        ("`--fast`", "", "be quick; not with `--slow`"),
        ("`--slow`", "the other", "take time; not with `--fast`"),
    ]
    assert r"| where\|when |" in commands_page.table(rows)
