"""The console's face of `matir_nb.commands.tree`: streams, one-line errors, exit codes.

0 = done, 1 = `matir doctor` found something broken, 2 = wrong input, 130 = interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from matir_nb.commands.session import Made, Named, Session, one_line
from matir_nb.commands.tree import run
from matir_nb.errors import MatirError
from matir_nb.printing import printable
from matir_nb.progress import Progress, terminal_progress

if TYPE_CHECKING:
    from matir_nb.index.store import Index
    from matir_nb.results import SearchResult

WRONG_INPUT = 2
INTERRUPTED = 130


class Console(Session):
    """Text: results to `out`, remarks to `err`."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        """Take the two streams."""
        super().__init__()
        self.out = out
        self.err = err

    def say(self, text: str) -> None:
        """Write a line of result."""
        self.out.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write a line of remark."""
        self.err.write(f"note: {printable(text)}\n")

    def told(self, made: Made, text: str, *, notice: str = "") -> Made:
        """Write the text, and the notice as a remark."""
        self.say(text)
        if notice:
            self.note(notice)
        return made

    def progress(self, label: str, *, units: str = "images") -> AbstractContextManager[Progress]:
        """Return a bar on a terminal."""
        return terminal_progress(label, units=units)

    def wrote(self, path: Path, text: str) -> Path:
        """Write the text."""
        self.say(text)
        return path

    def show_opened(self, index: "Index", *, images: Path | None, device: str) -> "Index":
        """Give the index back: no model is needed to know that it is sound."""
        del images, device
        return index

    def show_search(
        self, result: "SearchResult", text: Callable[[], str], *, is_text_wanted: bool
    ) -> "SearchResult":
        """Write the text and, as remarks, what a reader of the scores must know."""
        del is_text_wanted
        if words := text():
            self.say(words.rstrip("\n"))
        for notice in result.provenance.notices:
            self.note(notice)
        return result

    def show_hits(self, named: Named, *, rank: int | None) -> "SearchResult":
        """Give the result back: its picture was written."""
        del rank
        return named.result

    def show_hit(self, named: Named, rank: int) -> "SearchResult":
        """Write the terms, the judge's words and the table of regions."""
        from matir_nb.exports.explain import hit_text

        self.say(hit_text(named.result, rank))
        return named.result

    def show_flow(self, named: Named) -> "SearchResult":
        """Write the ranks by stage, and the seconds."""
        from matir_nb.exports.explain import flow_text

        self.say(flow_text(named.result))
        return named.result

    def show_made(self, made: Made, text: str) -> Made:
        """Write the text."""
        self.say(text)
        return made

    def show_frame(self, frame: Any, text: str) -> Any:
        """Write the text."""
        self.say(text)
        return frame


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (None = the process's own) and return the exit code."""
    console = Console(sys.stdout, sys.stderr)
    try:
        made = run(sys.argv[1:] if argv is None else argv, console)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has enough: keep Python from complaining when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MatirError, OSError) as error:
        console.err.write(f"matir: {printable(one_line(error))}\n")
        return WRONG_INPUT
    except KeyboardInterrupt:
        console.err.write(
            "matir: interrupted; what was finished is kept, the same command goes on\n"
        )
        return INTERRUPTED
    return int(getattr(made, "exit_code", 0))


if __name__ == "__main__":
    sys.exit(main())
