"""docs/scores.md as data: its entries, what each says, and what is wrong with them.

Every check returns what it finds, so that a test can show that it finds something.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matir_nb.models.answers import sigmoid

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scores.md"
NO_SCORES = "Numbers that are no scores"
FIELDS = ("Range", "From", "Null", "Not for")
DIRECTION = re.compile(r"; (higher|lower|neither) is better")
BOUNDS = re.compile(r"(−?[\d.]+) to (−?[\d.]+), |≥ (−?[\d.]+), |(any number)|(no value)|(false)")
CODE = re.compile(r"`([^`]+)`")
ROUNDING = 1e-3
"""Stored vectors are of half precision: a cosine can pass 1 by less."""


@dataclass(frozen=True)
class Entry:
    """One heading of the third level, and the lines below it.

    Attributes:
        name: the heading.
        says: bold word -> what follows it.
    """

    name: str
    says: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        return CODE.findall(self.says.get("Columns", ""))

    @property
    def labels(self) -> list[str]:
        return re.findall(r'"([^"]+)"', self.says.get("Shown as", ""))

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value; raises where the line has another form."""
        found = BOUNDS.match(self.says["Range"])
        assert found, f"{self.name}: cannot read the range {self.says['Range']!r}"
        low, high, least, *_, is_flag = found.groups()
        if low is not None:
            return _number(low), _number(high)
        return (0.0, 1.0) if is_flag else (_number(least) if least else -np.inf, np.inf)

    @property
    def formula(self) -> str:
        """The first piece of code of the formula; empty = there is none."""
        code = CODE.findall(self.says.get("Formula", ""))
        return code[0] if code else ""


def entries_of(text: str) -> dict[str, Entry]:
    """Return heading -> entry."""
    found = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, body = re.split(r"^## ", part, flags=re.MULTILINE)[0].partition("\n")
        bullets = re.findall(r"^- \*\*(.+?):\*\* (.*(?:\n  .*)*)", body, re.MULTILINE)
        says = {key: re.sub(r"\s+", " ", value) for key, value in bullets}
        says["Is"] = re.split(r"^- ", body, flags=re.MULTILINE)[0].strip()
        assert name not in found, f"two entries {name!r}"
        found[name] = Entry(name, says)
    return found


def no_scores_of(text: str) -> set[str]:
    """Return the names that the page calls no scores."""
    return set(CODE.findall(text.split(f"\n## {NO_SCORES}\n")[1]))


def worked_hit(text: str) -> dict[str, float]:
    """Return the numbers of the worked example."""
    part = text.split("\n## One hit, computed\n")[1].split("\n## ", maxsplit=1)[0]
    return {
        name: float(value)
        for name, value in re.findall(r"^\| `(\w+)` \| (\S+) \|", part, re.MULTILINE)
    }


def worked_ledger(text: str) -> dict[str, float]:
    """Return entry -> contribution of the worked example."""
    part = text.split("\n## One hit, computed\n")[1].split("\n## ", maxsplit=1)[0]
    rows = re.findall(r"^([a-z][a-z -]+?)  +\S.*= ([+−][\d.]+)$", part, re.MULTILINE)
    return {name: _number(value) for name, value in rows}


def incomplete(entries: Mapping[str, Entry]) -> list[str]:
    """Return entries that lack a field, a direction, or an explanation."""
    lacking = [
        f"{name}: {field}"
        for name, entry in entries.items()
        for field in FIELDS
        if not entry.says.get(field)
    ]
    lacking += [n for n, e in entries.items() if not DIRECTION.search(e.says.get("Range", ""))]
    return lacking + [n for n, e in entries.items() if len(e.says["Is"].split()) < 4]


def numeric(schema: Mapping[str, Any]) -> list[str]:
    """Return the columns of a table that hold numbers or flags."""
    kinds = pl.Schema(schema).items()
    return [
        name
        for name, kind in kinds
        if kind.is_numeric() or kind == pl.Boolean or isinstance(kind, pl.Array)
    ]


def out_of_range(entry: Entry, values: Iterable[float | None]) -> list[float]:
    """Return the values outside of the range that an entry states."""
    low, high = entry.bounds
    is_cosine = ", cosine" in entry.says["Range"]
    slack = ROUNDING if is_cosine else 1e-9
    return [v for v in values if v is not None and not low - slack <= v <= high + slack]


def computed(formula: str, names: Mapping[str, float | None]) -> float | None:
    """Return what a formula gives; None = it names something else, or something that is null."""
    functions = {"sigmoid": sigmoid, "clip": lambda x, low, high: min(max(x, low), high)}
    try:
        tree = ast.parse(formula, mode="eval")
    except SyntaxError:
        return None
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(functions)
    if not used or any(names.get(name) is None for name in used):
        return None
    scope = {"__builtins__": {}, **functions, **names}
    return float(eval(compile(tree, formula, "eval"), scope))  # noqa: S307 - our own page


def names_of(row: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what the names in formulas stand for in one hit of a result."""
    judging = config["judging"]
    options = {**config["retrieve"], **config["log_odds"], **judging}
    names = {key: row.get(key) for key in row} | options
    whole, region = row["whole_image_score"], row["best_region_score"]
    names["best_region_score"] = whole if region is None else region
    for key in ("hub_score", "reference_score"):
        names[key] = row[key] or 0.0
    if config["n_judged_done"] is None:
        names["stage1_weight"] = 1.0
    if row["logit"] is None:
        names |= {"weight": 0.0, "logit": 0.0}
    return names


def _number(text: str) -> float:
    return float(text.replace("−", "-"))
