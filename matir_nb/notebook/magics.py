"""The notebook's face of `matir_nb.commands.tree`: ``%matir``, its settings and its completion.

Loading it imports nothing heavy: the library is imported by the first command.
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from IPython.core.error import UsageError as MagicUsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Enum, Int, TraitError, Unicode, default, observe, validate
from traitlets.config import Configurable

from matir_nb.commands.session import one_line
from matir_nb.errors import MatirError
from matir_nb.home import registered, settings
from matir_nb.notebook.completion import matcher_for
from matir_nb.notebook.face import Notebook
from matir_nb.notebook.line import split_cell, split_line
from matir_nb.printing import printable
from matir_nb.usage import Parser, UsageError

NAME = "matir"


class Matir(Configurable):
    """Settings of this kernel: ``%config Matir.preview = "always"``, or in ipython_config.py."""

    preview = Enum(
        settings.PREVIEWS, help="When a result leaves a static picture: auto, always or never."
    ).tag(config=True)
    k = Int(min=1, max=settings.MAX_K, help="Hits of a search that names no number.").tag(
        config=True
    )
    tile_px = Int(
        min=settings.MIN_TILE_PX,
        max=settings.MAX_TILE_PX,
        help="Width of a tile of the grid, CSS pixels.",
    ).tag(config=True)

    reviewer = Unicode(help="Who marks hits; empty = nobody is named.").tag(config=True)

    def __init__(self, **options: Any) -> None:
        """Take what `Configurable` takes."""
        self._before = {key: os.environ.get(settings.variable_of(key)) for key in settings.KEYS}
        super().__init__(**options)

    @default("preview")
    def _preview(self) -> str:
        return settings.load().preview

    @default("k")
    def _k(self) -> int:
        return settings.load().k

    @default("tile_px")
    def _tile_px(self) -> int:
        return settings.load().tile_px

    @default("reviewer")
    def _reviewer(self) -> str:
        return settings.load().reviewer

    @validate("reviewer")
    def _check_reviewer(self, proposal: Mapping[str, Any]) -> str:
        name: str = proposal["value"]
        try:
            settings.check_reviewer(name)
        except MatirError as error:
            raise TraitError(str(error)) from error
        return name

    @observe(*settings.KEYS)
    def _hold(self, change: Mapping[str, Any]) -> None:
        # the environment is what every part of the library, and `settings.load`, looks at
        os.environ[settings.variable_of(change["name"])] = str(change["new"])

    def let_go(self) -> None:
        """Leave the environment as it was found."""
        for key, value in self._before.items():
            os.environ.pop(settings.variable_of(key), None)
            if value is not None:
                os.environ[settings.variable_of(key)] = value


class Interrupted(KeyboardInterrupt):
    """A command was interrupted; shown as one line, and still stops the cells that follow."""

    def _render_traceback_(self) -> list[str]:
        return ["Interrupted: what was finished is kept, the same command goes on from there"]


@magics_class
class MatirMagics(Magics):
    """``%matir`` and ``%%matir``."""

    def __init__(self, shell: InteractiveShell) -> None:
        """Take the shell."""
        super().__init__(shell)
        self.options = Matir(parent=shell)
        self.session = Notebook(shell, partial(setattr, self.options))
        names = {
            "index": lambda: sorted(registered.known().paths),
            "result": self.session.results,
            "setting": lambda: settings.KEYS,
        }
        self.matcher = matcher_for(_tree, names)

    # IPython's own handling of a semicolon reads the line as Python and fails at an apostrophe
    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def matir(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Any:
        """Find pictures by words, and see where and why.

        ::

            %matir index photos/                      # once
            %matir search a small striped ring -k 24  # the grid; r = %matir search … keeps it
            %matir explain LAST --rank 3
            %matir help                               # all commands

            %%matir search -k 24
            the query, in any words
        """
        self.session.local = local_ns or {}
        try:
            return self._run(line, cell)
        except UsageError as error:
            raise MagicUsageError(printable(one_line(error))) from error
        except MatirError:
            raise
        except OSError as error:
            raise MatirError(one_line(error)) from error
        except KeyboardInterrupt as error:
            raise Interrupted from error
        finally:
            self.session.local = {}

    def _run(self, line: str, cell: str | None) -> Any:
        from matir_nb.commands.tree import run

        typed = split_line(line)
        body = None if cell is None else split_cell(cell)
        made = run(typed.words, self.session, body=None if body is None else body.words[0])
        is_silent = typed.is_silent or (body is not None and body.is_silent)
        return None if is_silent else made


def _tree() -> Parser:
    from matir_nb.commands.tree import build_parser

    return build_parser(Notebook.prog)


def load(shell: InteractiveShell) -> None:
    """Register the magic, its settings and its completion; once, however often it is called."""
    if MatirMagics.__name__ in shell.magics_manager.registry:
        return
    magics = MatirMagics(shell)
    shell.register_magics(magics)
    shell.configurables.append(magics.options)  # type: ignore[arg-type] # IPython: InteractiveShell
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(magics.matcher)


def unload(shell: InteractiveShell) -> None:
    """Take away all that `load` registered, and nothing else."""
    magics = shell.magics_manager.registry.pop(MatirMagics.__name__, None)
    if magics is None:
        return
    for table in shell.magics_manager.magics.values():
        table.pop(NAME, None)
    # IPython lists every `Magics` there when it is made
    mine = (magics, magics.options)
    shell.configurables[:] = [one for one in shell.configurables if one not in mine]
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [matcher for matcher in matchers if matcher is not magics.matcher]
    magics.options.let_go()
