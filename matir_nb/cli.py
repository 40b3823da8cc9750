"""The console's face of `matir_nb.commands`: streams, one-line errors, exit codes.

0 = done, 1 = `matir doctor` found something broken, 2 = wrong input, 130 = interrupted.
"""

import os
import sys
from collections.abc import Sequence

from matir_nb.actions import Console
from matir_nb.commands import run
from matir_nb.errors import MatirError
from matir_nb.printing import printable

WRONG_INPUT = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (None = the process's own) and return the exit code."""
    console = Console(sys.stdout, sys.stderr)
    # transformers shows a bar for every file that it loads, terminal or not
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        made = run(sys.argv[1:] if argv is None else argv, console)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has enough: keep Python from complaining when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MatirError, OSError) as error:
        console.note(f"matir: {_one_line(error)}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        console.note("matir: interrupted; what was finished is kept, the same command goes on")
        return INTERRUPTED
    return int(getattr(made, "exit_code", 0))


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename!r}" if error.filename else ""
        text = f"{error.strerror}{where}"
    return printable(" ".join([text, *getattr(error, "__notes__", ())]))


if __name__ == "__main__":
    sys.exit(main())
