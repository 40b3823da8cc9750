"""Arrays in a throw-away cache: read where they are whole, else made and kept.

Whatever goes wrong on the disk is logged and costs only time. This module knows no index.
"""

import logging
import mmap
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from matir_nb.index.arrays import header_of
from matir_nb.index.cache import keep_file
from matir_nb.types import FloatArray

LOG = logging.getLogger(__name__)
CHECKSUM_BYTES = 4


def kept_array(file: Path, shape: tuple[int, ...], make: Callable[[], FloatArray]) -> FloatArray:
    """Return the float32 array of a file, memory-mapped; or what `make` gives, and keep that.

    The file is a ``.npy`` file, followed by the CRC-32 of all bytes before it, which is compared.

    Args:
        file: its name says all that decides the numbers.
        shape: that the array has.
        make: gives the array.
    """
    try:
        return _read(file, shape)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        LOG.warning("%s cannot be read (%s): written again", file, error)
    made = np.ascontiguousarray(make(), "<f4")
    assert made.shape == shape, f"expected {shape}, got {made.shape}"
    content = header_of("<f4", shape) + made.tobytes()
    keep_file(file, content + _checksum(content))
    return made


def _read(file: Path, shape: tuple[int, ...]) -> FloatArray:
    header = header_of("<f4", shape)
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    with memoryview(mapped) as whole:
        if len(whole) != len(header) + 4 * int(np.prod(shape)) + CHECKSUM_BYTES:
            raise ValueError("it has another size")
        if whole[: len(header)] != header or whole[-4:] != _checksum(whole[:-CHECKSUM_BYTES]):
            raise ValueError("its checksum is wrong")
    return np.frombuffer(mapped, "<f4", int(np.prod(shape)), len(header)).reshape(shape)


def _checksum(content: bytes | memoryview) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little")
