"""The examples of a Markdown page: its fenced blocks, where they stand, and why one is not run.

``<!-- not run: REASON -->`` before a block: it cannot run here. ``<!-- saved as: NAME.py -->``: it
is a program or a module, which the blocks behind it call or import.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

EXAMPLES = ("python", "ipython", "sh")
REASONS = (
    "needs the hub",
    "needs a GPU",
    "needs the published files",
    "takes long",
    "needs another package",
)
MARK = re.compile(r"^ *<!-- (not run|saved as): ?(.*?) ?-->\s*$")
FIELDS = {"not run": "reason", "saved as": "file"}
FENCE = re.compile(r"^ *(`{3,})\s*([\w-]*)")
COMMAND = re.compile(r"(?:\$ )?%{0,2}(?:matir (?!:)[a-z]|make [a-z]|pip install )")


class PageError(AssertionError):
    """A page says something that is not so; the message begins with page and line."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")


def at(page: str, line: int) -> str:
    """Return a place as messages name it."""
    return f"{page}:{line}"


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: name of the page.
        line: number of its first line of text.
        language: as behind the fence; empty = none.
        text: without the indent of the fence.
        reason: why it is not run; None = it is.
        file: the name under which it is saved in place of being run; None = it is not.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        return at(self.page, self.line)


def examples(page: Path) -> list[Block]:
    """Return the blocks of a page that are examples.

    Raises:
        PageError: a reason is not one of `REASONS`, a mark stands before no example, or a command
            stands in a block that nothing would try.
    """
    blocks = list(_blocks(page))
    for block in blocks:
        if block.language not in EXAMPLES:
            _require_no_command(block)
        elif block.file is not None and block.language != "python":
            raise PageError(block.place, "only a python block can be saved as a file")
        elif block.reason is not None and block.reason not in REASONS:
            raise PageError(block.place, f"not run: {block.reason!r} is none of {REASONS}")
    return [block for block in blocks if block.language in EXAMPLES]


def _require_no_command(block: Block) -> None:
    if block.reason is not None or block.file is not None:
        raise PageError(block.place, "a mark before a block that is no example: remove it")
    for line in block.text.splitlines():
        if COMMAND.match(line):
            raise PageError(block.place, f"nothing tries {line!r}: call the block sh or ipython")


def _blocks(page: Path) -> Iterator[Block]:  # noqa: C901 - one line of Markdown after the other
    lines = page.read_text(encoding="utf-8").splitlines()
    mark, fence, start, language, is_indented = None, None, 0, "", False
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line)
        if fence is not None:
            if found and found[1] == fence and not found[2]:
                text = textwrap.dedent("\n".join(lines[start : number - 1]))
                block = Block(page.name, start + 1, language, f"{text}\n")
                yield replace(block, **mark) if mark else block
                fence, mark = None, None
        elif found:
            fence, start, language, is_indented = found[1], number, found[2], False
        elif marked := MARK.match(line):
            if mark is not None:
                raise PageError(at(page.name, number), "two marks before one block")
            mark = {FIELDS[marked[1]]: marked[2]}
        elif line.strip():
            if mark is not None:
                raise PageError(at(page.name, number), "a mark, and no block behind it")
            is_blank_before = number > 1 and not lines[number - 2].strip()
            is_indented = line.startswith("    ") and (is_indented or is_blank_before)
            if is_indented and COMMAND.match(line.strip()):
                raise PageError(at(page.name, number), "indented command: fence it as sh")
    if fence is not None or mark is not None:
        raise PageError(page.name, "the last block is not closed")
