"""What tells one model from another: its weights' digest and how it is used. Knows no model."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST_LENGTH = 12


def folder_id(folder: Path, options: object, *, name: str | None = None) -> str:
    """Return a model id: its name (None = the folder's), weights digest and options."""
    digest = weights_digest(weight_files(folder))
    return f"{name or folder.name}@{digest} {json.dumps(options, sort_keys=True)}"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that transformers loads a folder's weights from, by name.

    Safetensors where there are any, else PyTorch's own; empty where there are neither.
    """
    safe = sorted(folder.glob("*.safetensors"))
    return safe or sorted(folder.glob("pytorch_model*.bin"))


def weights_digest(files: Iterable[Path]) -> str:
    """Return 12 hex digits that stand for all files' bytes, in the order given.

    Of one file they are the first of its SHA-256; of several, of the SHA-256 over their SHA-256s
    in hex. Where the files lie changes nothing.
    """
    digests = [file_digest(file) for file in files]
    if len(digests) == 1:
        return digests[0][:_DIGEST_LENGTH]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:_DIGEST_LENGTH]


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    The hub's cache keeps a large file under its SHA-256 and links to it by name: that is taken
    for the digest, and the gigabytes stay unread.
    """
    blob = file.resolve()
    if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        return blob.name
    with blob.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
