"""docs/datasets.md says what is there: every dataset, and commands that parse."""

import re
import shlex
from pathlib import Path

import pytest

from matir_nb.commands.tree import build_parser
from matir_nb.evaluation.datasets.readers import READERS

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("matir eval ")]


def test_every_dataset_is_in_the_table():
    rows = re.findall(r"^\| (`.*?`) \| .*\| .*\| .*\| .* \|$", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)} == READERS.keys()


def test_every_dataset_has_a_command():
    assert {line.split()[2] for line in COMMANDS} == READERS.keys()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line):
    args, extra = build_parser().parse_known_args(shlex.split(line)[1:])
    assert not extra
    assert args.data == line.split()[2]


@pytest.mark.parametrize("name", READERS)
def test_every_value_of_an_option_is_named(name):
    of_all = {"images", "n_queries", "n_images", "seed"}
    for option, values in READERS[name].options.items():
        if option in of_all:
            continue
        flag = f"--{option.replace('_', '-')}"
        assert flag in PAGE
        assert all(f"`{value}`" in PAGE or f"{flag} {value}" in PAGE for value in values if value)
