"""What tells one model from another: its weights' digest and how it is used. Knows no model."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def weights_digest(files: Iterable[Path]) -> str:
    """Return the first 12 hex digits of the SHA-256 over all files' bytes, in the order given."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def folder_id(folder: Path, options: object) -> str:
    """Return a model id: folder name, weights digest and options."""
    digest = weights_digest(sorted(folder.glob("*.safetensors")))
    return f"{folder.name}@{digest} {json.dumps(options, sort_keys=True)}"
