"""Python pickles as plain data: read by a small machine of our own that can call nothing.

Some datasets are published as pickles, which are programs, and Python's own reader runs them.
Here `matir_nb.evaluation.datasets.pickle_machine` reads them, which can call nothing. Bytes and
steps are limited, and so is what calls read: with them, what a file can make the machine build.
"""

import re
import struct
from pathlib import Path
from typing import Any

from matir_nb.errors import AnnotationError
from matir_nb.evaluation.datasets.pickle_arrays import RefusalError
from matir_nb.evaluation.datasets.pickle_machine import Machine

MAX_BYTES = 2**28
"""Of a file; the largest that is published has some 50 MB."""
_BROKEN = (LookupError, TypeError, ValueError, OverflowError, MemoryError, struct.error)


def read_pickle(path: Path | str) -> Any:
    """Return the data of a pickle file of any protocol.

    Dicts, lists, tuples, strings, bytes, numbers, None and NumPy arrays come out; an array of
    objects as a list, or its object where it has no axis. Nothing in the file is called.

    Raises:
        AnnotationError: the file cannot be read, is broken or too large, or asks for anything
            that data does not need.
    """
    return _data(Path(path), _content(Path(path)))


def read_pickled_npy(path: Path | str) -> Any:
    """Return the data of a .npy file that holds a pickled array of objects.

    Raises:
        AnnotationError: as of `read_pickle`; or the file is no .npy file, or holds no objects.
    """
    file = Path(path)
    content = _content(file)
    header = re.match(rb"\x93NUMPY(?:\x01\x00(..)|[\x02\x03]\x00(....))", content, re.DOTALL)
    if not header:
        message = f"{str(file)!r} is no .npy file: get it again where it is published"
        raise AnnotationError(message)
    start = header.end() + int.from_bytes(header[1] or header[2], "little")
    if not re.search(rb"'descr': *'\|?O8?'", content[header.end() : min(start, 2**16)]):
        message = f"{str(file)!r}: expected a pickled dict or list, got an array of numbers"
        raise AnnotationError(message)
    return _data(file, content[start:])


def _content(file: Path) -> bytes:
    try:
        n_bytes = file.stat().st_size
        if n_bytes > MAX_BYTES:
            message = f"{str(file)!r} has {n_bytes} bytes: of a pickle at most {MAX_BYTES} are read"
            raise AnnotationError(message)
        return file.read_bytes()
    except OSError as error:
        message = f"cannot read {str(file)!r}: {error.strerror or error}"
        raise AnnotationError(message) from error


def _data(file: Path, content: bytes) -> Any:
    try:
        return Machine(content).run()
    except RefusalError as error:
        message = f"{str(file)!r} is refused, and nothing of it was executed: {error}"
        raise AnnotationError(message) from error
    except _BROKEN as error:
        kind = type(error).__name__
        message = f"{str(file)!r} is no whole pickle ({kind}): get it again where it is published"
        raise AnnotationError(message) from error
