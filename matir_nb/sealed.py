"""Parquet files that hold the digest of their own bytes.

polars trusts a Parquet file: one flipped bit can end the process, not only raise. So what we
write is sealed, and the seal is looked at before polars sees the file. The digest is that of the
file with 64 zeros in its place. This module knows no table.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

DIGEST_KEY = "matir_nb.sha256"
DIGEST_MARK = DIGEST_KEY.encode() + b"\x18\x40"
"""How the footer of a Parquet file (Thrift, compact) introduces a value of 64 characters."""
NO_DIGEST = b"0" * 64


def write_sealed(table: pl.DataFrame, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a table and its metadata as a sealed Parquet file."""
    file = io.BytesIO()
    table.write_parquet(file, metadata={**metadata, DIGEST_KEY: NO_DIGEST.decode()})
    path.write_bytes(sealed(file.getvalue()))


def read_sealed(path: Path) -> tuple[dict[str, str], pl.DataFrame]:
    """Return metadata and table of a Parquet file; one without a seal is taken as it is.

    Raises:
        ValueError: it is no Parquet file, or its bytes are not those that were written.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if DIGEST_MARK in content and not is_sound(content):
        raise ValueError("its bytes are not those that were written")
    try:
        metadata = pl.read_parquet_metadata(io.BytesIO(content))
        return dict(metadata), pl.read_parquet(io.BytesIO(content))
    except (PolarsError, PanicException) as error:
        message = f"polars cannot read it: {str(error).partition(chr(10))[0]}"
        raise ValueError(message) from error


def sealed(content: bytes) -> bytes:
    """Return a file that holds 64 zeros for its digest, with the digest."""
    head, mark, tail = content.rpartition(DIGEST_MARK)
    assert tail.startswith(NO_DIGEST), "polars writes a key and its value side by side"
    digest = hashlib.sha256(content).hexdigest().encode()
    return head + mark + digest + tail[len(digest) :]


def is_sound(content: bytes) -> bool:
    """Tell whether a file is what `sealed` returned."""
    head, mark, tail = content.rpartition(DIGEST_MARK)
    return bool(mark) and sealed(head + mark + NO_DIGEST + tail[len(NO_DIGEST) :]) == content
