"""Run the examples of a page, in their order, in the folder where the process stands."""

import ast
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from page_blocks import Block, PageError, at, examples
from page_commands import check_matir, check_words, lines_of
from page_names import check_names
from traitlets.config import Config

from matir_nb import cli
from matir_nb.notebook.line import split_line

SHOWN = 2000
MAGIC = re.compile(r"^(?:[\w, ]+=\s*)?%{1,2}matir\b(.*)$")


def run_page(page: Path) -> int:
    """Run a page's examples and return how many were run.

    Raises:
        PageError: one fails, or cannot be tried; the message names page and line.
    """
    blocks = examples(page)
    n_run = 0
    with one_shell() as shell:
        for block in blocks:
            if block.file is not None:
                _save(block)
            elif block.reason is None:
                _RUN[block.language](block, shell)
                n_run += 1
            else:
                _CHECK[block.language](block, shell)
    return n_run


@contextmanager
def one_shell() -> Iterator[InteractiveShell]:
    """Give a shell whose namespace is the page's; what it loads is taken away behind it."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    modules = set(sys.modules)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(Path.cwd()))
            yield shell
    finally:
        for name in [name for name in set(sys.modules) - modules if Path(f"{name}.py").is_file()]:
            del sys.modules[name]
        with capture_output():
            shell.run_line_magic("unload_ext", "matir_nb")


def _save(block: Block) -> None:
    compile(block.text, block.place, "exec")
    Path(block.file or "").write_text(block.text, encoding="utf-8")


def _run_python(block: Block, shell: InteractiveShell) -> None:
    code = "\n" * (block.line - 1) + block.text
    with capture_output() as shown:
        try:
            tree = ast.parse(code, block.page)
            exec(compile(tree, block.page, "exec"), shell.user_ns)  # noqa: S102 - our own pages
        except Exception as error:
            raise _failed(block, traceback.format_exc()) from error
    del shown


def _run_ipython(block: Block, shell: InteractiveShell) -> None:
    for line, cell in _cells(block):
        with capture_output() as shown:
            done = shell.run_cell(cell)
        error = done.error_before_exec or done.error_in_exec
        if error is not None:
            text = f"{cell}\n{type(error).__name__}: {error}\n{shown.stdout}{shown.stderr}"
            raise PageError(at(block.page, line), text[:SHOWN]) from error


def _cells(block: Block) -> list[tuple[int, str]]:
    """Return (line, text) of the block's cells: %% begins one, an empty line or the end ends it."""
    if "%%" not in block.text:
        return [(block.line, block.text)]
    cells, line = [], block.line
    for text in re.split(r"\n(?=%%)|(?<=\n)\n", block.text):
        cells += [(line, text)] if text.strip() else []
        line += text.count("\n") + 1
    return cells


def _run_sh(block: Block, shell: InteractiveShell) -> None:
    del shell
    for line, words in lines_of(block):
        place = at(block.page, line)
        ours = check_words(place, words)
        if words[0] == "python" and Path(words[1]).is_file():
            _run_program(place, words)
        if not ours:
            continue
        with capture_output() as shown:
            code = cli.main(ours)
        if code:
            said = f"{shown.stderr}{shown.stdout}"[:SHOWN]
            raise PageError(place, f"matir {' '.join(ours)} ends with {code}: {said}")


def _run_program(place: str, words: list[str]) -> None:
    """Run a program that the page has saved."""
    command = [sys.executable, *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PageError(place, f"{words} ends with {done.returncode}: {done.stderr[-SHOWN:]}")


def _check_python(block: Block, shell: InteractiveShell) -> None:
    check_names(block.place, block.text, shell.user_ns)


def _check_ipython(block: Block, shell: InteractiveShell) -> None:
    for line, cell in _cells(block):
        place = at(block.page, line)
        code = []
        for text in cell.splitlines():
            magic = MAGIC.match(text)
            if magic:
                check_matir(place, list(split_line(magic[1]).words), "%matir")
            if text.startswith("%%"):
                break
            code += [] if text.startswith("%") or magic else [text]
        check_names(place, "\n".join(code), shell.user_ns)


def _check_sh(block: Block, shell: InteractiveShell) -> None:
    del shell
    for line, words in lines_of(block):
        check_words(at(block.page, line), words)


def _failed(block: Block, text: str) -> PageError:
    lines = re.findall(rf'File "{re.escape(block.page)}", line (\d+)', text)
    line = lines[-1] if lines else block.line
    return PageError(at(block.page, line), text[-SHOWN:])


_RUN: dict[str, Any] = {"python": _run_python, "ipython": _run_ipython, "sh": _run_sh}
_CHECK: dict[str, Any] = {"python": _check_python, "ipython": _check_ipython, "sh": _check_sh}
