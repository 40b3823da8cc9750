"""What to do when the system allows no more open files: ask it for more, or say so plainly.

An index that cannot be opened for want of files or memory is not damaged.
"""

import errno
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
LIMITS = (1 << 20, 10240)
"""Open files asked for where the system names no limit; macOS grants the smaller one."""


def is_shortage(error: BaseException) -> bool:
    """Tell whether it is the system that lacks open files or memory."""
    return isinstance(error, OSError) and error.errno in SHORTAGES


def with_enough_files(act: Callable[[], T]) -> T:
    """Return `act()`; where open files run out, allow more of them once and call it again.

    Args:
        act: opens files, and may be called again after a failure.

    Raises:
        OSError: files or memory run out all the same; the message says so.
    """
    try:
        try:
            return act()
        except OSError as error:
            if error.errno != errno.EMFILE or not raise_limit():
                raise
        return act()
    except OSError as error:
        if is_shortage(error):
            raise OSError(error.errno, _explained(error), error.filename) from error
        raise


def raise_limit() -> bool:
    """Allow this process as many open files as it may have; return whether these are more."""
    if sys.platform == "win32":
        return False
    import resource  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in LIMITS if hard == resource.RLIM_INFINITY else (hard,):
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return False
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            continue
        return True
    return False


def _explained(error: OSError) -> str:
    if error.errno == errno.ENOMEM:
        return "no memory to map the files of the index: close other programs"
    return "too many open files (ulimit -n says how many are allowed): allow more with ulimit -n"
