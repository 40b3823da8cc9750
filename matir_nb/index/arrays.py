"""``.npy`` files of ours: their first bytes written, and their numbers mapped or read."""

import io
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

READ_BYTES = 64 << 10
"""Arrays up to this size are read, not mapped: a map keeps a file open."""


def write_header(file: Any, dtype: str, shape: tuple[int, ...]) -> None:
    """Write what comes before the numbers.

    Args:
        file: open for writing bytes.
        dtype: as in ``<f4``.
        shape: of the array.
    """
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def header_of(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what `write_header` writes."""
    written = io.BytesIO()
    write_header(written, dtype, shape)
    return written.getvalue()


def open_array(
    path: Path, dtype: str, shape: tuple[int, ...], *, is_picked_from: bool = False
) -> NDArray[Any]:
    """Return an array over the memory map of a file; a small one is read.

    Args:
        path: of the file.
        dtype: that it must have.
        shape: that it must have.
        is_picked_from: whether a few rows here and there will be read: of a file that is not in
            memory, the system then reads those and not the megabytes around them.

    Raises:
        ValueError: the file holds something else.
        OSError: it cannot be read.
    """
    header = header_of(dtype, shape)
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            message = f"{path.name} holds no array of {np.dtype(dtype)} {shape}"
            raise ValueError(message)
        if 0 in shape:
            return np.zeros(shape, dtype)
        if os.fstat(file.fileno()).st_size <= READ_BYTES:
            return np.frombuffer(bytearray(file.read()), dtype).reshape(shape)
        # copy-on-write maps can be given to torch, which refuses read-only memory
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if is_picked_from and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    # a plain array: slicing a `np.memmap` costs microseconds each time
    return np.frombuffer(mapped, dtype, offset=len(header)).reshape(shape)
