"""The runs of a COCO mask, read from bytes that nobody vouches for; pure numbers.

pycocotools' C code trusts its input: runs that do not add up to the mask's pixels make it write
beyond its memory. So every code is checked here before anything else sees it.
"""

import numpy as np
from numpy.typing import NDArray

from matir_nb.errors import ShapeError

MAX_PIXELS = 1 << 28
"""No picture that is read has more; a larger mask would only take memory."""
MAX_RUN_BYTES = 7
"""Of 5 bits each: more than a run of `MAX_PIXELS` and its sign take."""

Runs = NDArray[np.int64]


def check_size(height: int, width: int) -> None:
    """Raise unless a mask can have this size.

    Raises:
        ShapeError: a side is less than 1, or there are more than `MAX_PIXELS`.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        message = (
            f"mask: expected height, width >= 1 and at most {MAX_PIXELS} pixels, "
            f"got {height} x {width}"
        )
        raise ShapeError(message)


def runs_of(counts: bytes, height: int, width: int) -> Runs:
    """Return the lengths of the runs, background first, column by column.

    Raises:
        ShapeError: the code is broken, or its runs do not add up to height * width.

    >>> runs_of(b"121", height=2, width=2).tolist()
    [1, 2, 1]
    """
    check_size(height, width)
    runs = _numbers(counts)
    # from the fourth on, a number is the change since the run before the last
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    n_pixels = height * width
    # not the sum alone: that of runs far out of range could come round to the right one
    is_possible = bool(((runs >= 0) & (runs <= n_pixels)).all())
    if not is_possible or runs.sum() != n_pixels:
        got = f"{runs.sum()} of {runs.min()} to {runs.max()} each" if len(runs) else "none"
        message = f"runs: expected sum {n_pixels} ({height} x {width}), got {got}"
        raise ShapeError(message)
    return runs


def _numbers(counts: bytes) -> Runs:
    """Return the numbers as they are written: 5 bits per byte, lowest first, the last signed."""
    bits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(bits):
        return bits
    if bits.min() < 0 or bits.max() > 63:
        wrong = counts[int(np.argmax((bits < 0) | (bits > 63)))]
        message = f"runs: expected bytes '0' to 'o', got {bytes([wrong])!r}"
        raise ShapeError(message)
    if bits[-1] > 31:
        message = "runs: expected a finished number at the end, got a truncated one"
        raise ShapeError(message)
    stops = np.flatnonzero(bits < 32) + 1
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
    lengths = stops - starts
    if lengths.max() > MAX_RUN_BYTES:
        message = f"runs: expected at most {MAX_RUN_BYTES} bytes a number, got {lengths.max()}"
        raise ShapeError(message)
    place = np.arange(len(bits)) - np.repeat(starts, lengths)
    numbers: Runs = np.add.reduceat((bits & 31) << (5 * place), starts)
    numbers -= ((bits[stops - 1] & 16) >> 4) << (5 * lengths)
    return numbers
