"""One repository of the hub: what it announces, what of it is in the cache, and linking it there.

Knows the hub's client and its cache's layout, and neither names nor licences of models.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from tqdm.std import tqdm

from matir_nb.errors import ModelUnavailableError
from matir_nb.models.hub_download import TIMEOUT_S, free_bytes, hash_of
from matir_nb.models.hub_files import wanted, weights_in

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announced:
    """A file as the hub announces it.

    Attributes:
        name: in the repository.
        n_bytes: its size.
        blob: what the cache calls its contents.
        sha256: of a large file, hex; None for a small one, which the hub's client loads.
    """

    name: str
    n_bytes: int
    blob: str
    sha256: str | None


class _NoBar(tqdm):  # type: ignore[misc] # tqdm has no annotations
    """Takes the place of the hub's own bars: one bar says it all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})


def storage_of(repo: str) -> Path:
    """Return the folder of a repository in the hub's cache, which may not be there."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def free_space() -> int:
    """Return what is free on the disk of the hub's cache, bytes."""
    return free_bytes(Path(constants.HF_HUB_CACHE))


def announced(repo: str, revision: str) -> tuple[str, list[Announced]]:
    """Return the commit that the revision is, and its files that are wanted.

    Raises:
        ModelUnavailableError: there are no weights that can be loaded safely.
    """
    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    there = {file.rfilename: file for file in info.siblings or ()}
    files = []
    for name in wanted(there):
        file = there[name]
        sha256 = None if file.lfs is None else file.lfs.sha256
        size = file.size if file.lfs is None else file.lfs.size
        files.append(Announced(name, size or 0, sha256 or file.blob_id or "", sha256))
    if info.sha is None or not any(file.name.endswith((".safetensors", ".bin")) for file in files):
        message = f"{repo!r} has no weights that can be loaded safely at {revision!r}"
        raise ModelUnavailableError(message)
    return info.sha, files


def is_whole(file: Announced, storage: Path, snapshot: Path) -> bool:
    """Tell whether a file is here; a large one that is damaged is deleted."""
    places = (snapshot / file.name, storage / "blobs" / file.blob)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return False
    if file.sha256 is None or hash_of(found) == file.sha256:
        return True
    found.resolve().unlink()
    found.unlink(missing_ok=True)
    LOG.warning("%s of %s is damaged and fetched again", file.name, storage.name)
    return False


def link(repo: str, revision: str, commit: str, files: Sequence[Announced]) -> Path:
    """Return the snapshot's folder, after the hub's client loaded small files and linked all.

    Raises:
        ModelUnavailableError: the repository changed meanwhile.
    """
    folder = Path(
        snapshot_download(
            repo,
            revision=revision,
            allow_patterns=[file.name for file in files],
            tqdm_class=_NoBar,
            max_workers=4,
        )
    )
    if folder.name != commit or not weights_in(folder):
        message = f"{repo!r} changed while it was fetched: try again"
        raise ModelUnavailableError(message)
    return folder
