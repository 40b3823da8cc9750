"""Write docs/commands.md from the tree of commands: ``python docs/commands_page.py``.

The arguments, their defaults and what they do come from the tree; the order of the commands, and
an example of each, are said here.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from matir_nb.commands.tree import COMMANDS, build_parser
from matir_nb.usage import Parser

Row: TypeAlias = tuple[str, str, str]
"""How an argument is written, its default, and what it does."""
MAX_WITHOUT = 3
"""Kinds that may lack an argument which all of them are said to have."""
PAGE = Path(__file__).parent / "commands.md"
GROUPS = {
    "An index": "index open list status columns verify compact accelerate",
    "Search": "search show export flow",
    "Explain": "explain why words trace compare sensitivity",
    "Review": "review calibrate",
    "Measure": "eval ablate",
    "Models, settings, help": "models config demo doctor help",
}
EXAMPLES = {
    "index": "matir index photos/\nmatir index photos/ --out given.matir --masks instances.json",
    "open": "matir open photos.matir",
    "list": "matir list",
    "status": "matir status --verify",
    "columns": "matir columns\nmatir columns catalogue.csv --key image",
    "verify": "matir verify --repair",
    "compact": "matir compact",
    "accelerate": "matir accelerate --recall 0.95\nmatir accelerate --drop",
    "search": "matir search a small striped ring -k 24\n"
    "matir search a ring --where \"name like 'test%'\" --no-judge --format json\n"
    'matir search "{n} {colour} stars" --with n=two,three --with colour=red,green -o grid.parquet\n'
    "matir search a red shape -o found.parquet",
    "show": "matir show hits.parquet -o hits.png",
    "export": "matir export LAST hits.csv",
    "flow": "matir flow LAST",
    "explain": "matir explain LAST --rank 2",
    "why": "matir why LAST --rank 1 --other 2",
    "words": "matir words LAST --rank 1",
    "trace": "matir trace a red shape --image test-0-000003.png",
    "compare": "matir compare monday.parquet tuesday.parquet\nmatir compare run other-run",
    "sensitivity": "matir sensitivity -n 2",
    "review": "matir review oaks.parquet -o progress.csv",
    "calibrate": "matir calibrate oaks.parquet\nmatir calibrate --forget",
    "eval": "matir eval table --images photos --annotations queries.csv -i photos.matir",
    "ablate": "matir ablate table --images photos --annotations queries.csv -i photos.matir "
    "--grid judge=none,structured",
    "models": "matir models",
    "config": "matir config\nmatir config k 24",
    "demo": "matir demo --out demo",
    "doctor": "matir doctor",
    "help": "matir help search",
}
AS = {"ablate": "eval"}
"""Commands whose kinds are described with another."""
VALUES = "see [Datasets](datasets.md#commands-and-choices)"
NOT_RUN = {"demo": "takes long"}
HEAD = """# Commands

<!-- This page is written by `python docs/commands_page.py`: change the tree of commands, not the page. -->

The same commands work in a terminal (`matir search …`) and, after `%load_ext matir_nb`, in a notebook
(`%matir search …`). `matir help COMMAND` says the same as this page. Where no index is named, the current
one is meant: the one that was indexed or opened last. A wrong input gives one line that says what to do,
and exit code 2.

In a notebook there is more:

```ipython
%load_ext matir_nb
r = %matir search a small striped ring -k 12
text = "two green stars"
%matir search {text} -o stars
%matir why r --rank 1
```

```ipython
%%matir search -k 12
the query, in any words: it is the body of the cell
```

`{text}` is a variable, `-o stars` writes into one, and a variable stands wherever a saved result or
review does. A semicolon at the end of the line shows nothing.
"""  # noqa: E501 - lines as the page has them
DEFAULT = re.compile(r"\s*\((?:the )?default:? ([^()]*(?:\([^()]*\)[^()]*)*)\)|^default (\S+)$")


def page() -> str:
    """Return the page."""
    parser = build_parser()
    parts = [HEAD, *_contents()]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [section(name, parser.commands[name]) for name in names.split()]
    return "\n".join(parts)


def _contents() -> Iterable[str]:
    yield "| for | commands |\n|---|---|"
    for group, names in GROUPS.items():
        links = ", ".join(f"[`{name}`](#{name})" for name in names.split())
        yield f"| {group} | {links} |"
    yield ""


def section(name: str, parser: Parser) -> str:
    """Return what the page says of one command."""
    about = parser.description or ""
    lines = [f"### {name}\n", f"{about[0].upper()}{about[1:]}.\n", _example(name)]
    lines.append(f"In Python: `{COMMANDS[name][2]}`\n" if name in COMMANDS else "")
    if not parser.commands:
        return "\n".join([*lines, table(arguments(parser))])
    rows_of = {kind: arguments(sub) for kind, sub in parser.commands.items()}
    shared = _shared(rows_of)
    if name in AS:
        lines.append(f"The datasets, and what each alone takes: [`{AS[name]}`](#{AS[name]}).\n")
    for kind, rows in rows_of.items() if name not in AS else ():
        lines.append(f"**`{name} {kind}`**: {parser.commands[kind].description}\n")
        lines.append(table([row for row in rows if row not in shared]))
    if shared:
        lines.append(f"**`{name}`, whatever the dataset**\n")
        lines.append(table([(row[0], row[1], row[2] + but) for row, but in shared.items()]))
    return "\n".join(lines)


def _shared(rows_of: dict[str, list[Row]]) -> dict[Row, str]:
    """Return the rows that nearly all kinds have -> what is to be said of the others."""
    counted = Counter(row for rows in rows_of.values() for row in rows)
    shared = [row for row, n in counted.items() if n > 2 and n >= len(rows_of) - MAX_WITHOUT]
    without = {row: [kind for kind, rows in rows_of.items() if row not in rows] for row in shared}
    return {
        row: f" (not: {', '.join(f'`{kind}`' for kind in kinds)})" if kinds else ""
        for row, kinds in without.items()
    }


def _example(name: str) -> str:
    mark = f"<!-- not run: {NOT_RUN[name]} -->\n" if name in NOT_RUN else ""
    return f"{mark}```sh\n{EXAMPLES[name]}\n```\n"


def arguments(parser: Parser) -> list[Row]:
    """Return (how it is written, default, what it does) of each argument."""
    shown = [action for action in parser._actions if _is_shown(action)]  # noqa: SLF001 - no other way
    return [_row(action, parser) for action in shown]


def table(rows: list[Row]) -> str:
    """Return a table of arguments; empty where there are none."""
    if not rows:
        return ""
    lines = ["| argument | default | what it does |", "|---|---|---|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def _is_shown(action: argparse.Action) -> bool:
    hidden = isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001
    return not hidden and action.help != argparse.SUPPRESS


def _row(action: argparse.Action, parser: Parser) -> Row:
    about = action.help or ""
    said = DEFAULT.search(about)
    about = DEFAULT.sub("", about).replace(" (default)", "")
    default = (said[1] or said[2]) if said else _default(action)
    others = _excluded(action, parser)
    if others:
        about += f"; not with {' or '.join(f'`{name}`' for name in others)}"
    is_of_data = not about and " eval " in f"{parser.prog} "
    return f"`{_written(action)}`", default, VALUES if is_of_data else about


def _written(action: argparse.Action) -> str:
    metavar = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    words = " ".join(metavar) if isinstance(metavar, tuple) else metavar.replace("|", "/")
    if not action.option_strings:
        return {"?": f"[{words}]", "*": f"[{words} …]", "+": f"{words} …"}.get(
            str(action.nargs), words
        )
    more = " …" if action.nargs == "+" else ""
    value = f" {words}{more}" if action.nargs != 0 else ""
    return ", ".join(action.option_strings) + value


def _default(action: argparse.Action) -> str:
    if action.required and action.option_strings:
        return "must be given"
    is_plain = isinstance(action.default, str | int | float) and action.default is not False
    return str(action.default) if is_plain else ""


def _excluded(action: argparse.Action, parser: Parser) -> list[str]:
    for group in parser._mutually_exclusive_groups:  # noqa: SLF001
        others = group._group_actions  # noqa: SLF001
        if action in others:
            return [other.option_strings[-1] for other in others if other is not action]
    return []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
