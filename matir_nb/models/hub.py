"""Published models on this machine: found in the hub's cache, fetched when they are missing.

What is fetched is what `matir_nb.models.hub_files` names, at the commit that the catalogue pins,
checked against the digests that the hub announces. Large files are loaded by
`matir_nb.models.hub_download`, because the hub's own client (2.4) forgets what it has when it is
interrupted; they lie where that client puts them, and it links them (`matir_nb.models.hub_repo`).
This module knows no model's inside.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # lazily there

from matir_nb.catalogue import RESEARCH_ONLY, ModelEntry
from matir_nb.errors import ConfigError
from matir_nb.home.folder import home, locked, read_json, write_json
from matir_nb.models import hub_checkpoint
from matir_nb.models.hub_advice import (
    Subject,
    about_clip,
    about_model,
    explained,
    fetching,
    require_network,
)
from matir_nb.models.hub_download import download, hash_of, part_of, require_space, size_of
from matir_nb.models.hub_files import CONFIG, is_complete, weights_in
from matir_nb.models.hub_repo import announced, is_whole, link, storage_of
from matir_nb.offline import offline_by
from matir_nb.progress import Progress, shown_progress

LOG = logging.getLogger(__name__)
RECORD = "models.json"
HOLDS = "which models were fetched"
UNITS = "MB"
SPACE = "free some, or set HF_HOME to a folder on a larger disk"

Say = Callable[[str], None]


class _Meter:
    """Turns bytes into progress in megabytes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = self._total = 0

    def expect(self, n_bytes: int) -> None:
        self._total += n_bytes
        self.advance(0)

    def advance(self, n_bytes: int) -> None:
        self._done += n_bytes
        self._progress(self._done // 10**6, max(self._total, self._done, 10**6) // 10**6)


def find(entry: ModelEntry) -> Path:
    """Return the folder of a model's files; fetched when they are missing, unless offline.

    Raises:
        ModelUnavailableError: they are missing, and cannot or must not be fetched; the message
            has the command that fetches them.
    """
    folder = here(entry)
    if folder is not None:
        return folder
    require_network(about_model(entry))
    with shown_progress(f"fetch {entry.name}", units=UNITS) as progress:
        return fetch(entry, progress=progress)


def here(entry: ModelEntry) -> Path | None:
    """Return the folder of a model whose files are all on this machine; else None."""
    if entry.checkpoint is None:
        return _cached(entry)
    folder = hub_checkpoint.converted_folder(entry.name)
    return folder if is_complete(folder, reads_text=True) else None


def _cached(entry: ModelEntry) -> Path | None:
    """Return the complete snapshot of a repository in the hub's cache."""
    recorded = _record().get(entry.name, {})
    is_same = recorded.get("repo") == entry.repo and recorded.get("asked") == entry.revision
    commits = [str(recorded["commit"])] if is_same else []
    for revision in (*commits, entry.revision):
        config = try_to_load_from_cache(entry.repo, CONFIG, revision=revision)
        if isinstance(config, str):
            folder = Path(config).parent
            if is_complete(folder, reads_text=entry.role != "segmenter"):
                return folder
    return None


def fetch(entry: ModelEntry, *, progress: Progress | None = None, say: Say | None = None) -> Path:
    """Return the folder of a model's files, after loading what is missing and checking the rest.

    Where the network is forbidden, a model whose files are all here is not checked.

    Args:
        entry: the model.
        progress: is told of (megabytes done, megabytes in all).
        say: is told what the user must know of the licence, and that nothing was checked; None =
            it is logged.

    Raises:
        ModelUnavailableError: the network or the disk does not allow it, or a file is not the one
            that was announced; what was loaded is kept, the same call goes on from there.
        ConfigError: `MATIR_HOME` cannot be written.
    """
    say = say or LOG.warning
    about = about_model(entry)
    variable = offline_by()
    unchecked = here(entry) if variable is not None else None
    if unchecked is None:
        require_network(about)
    if entry.checkpoint is not None:
        say(RESEARCH_ONLY)
    if unchecked is not None:
        say(f"{about.what} is here and was not checked: {variable}=1 forbids the network")
        return unchecked
    meter = _Meter(progress or (lambda _done, _total: None))
    with locked(home() / hub_checkpoint.FOLDER / entry.name), explained(about):
        if entry.checkpoint is None:
            return _fetch_repo(entry, meter)
        converted = here(entry)
        return converted or _fetch_converted(entry, meter)


def convert(entry: ModelEntry, file: Path, *, say: Say | None = None) -> Path:
    """Return the folder of a model converted from a checkpoint that was loaded by hand.

    Args:
        entry: of a model with a checkpoint.
        file: the checkpoint.
        say: is told what the user must know of the licence; None = it is logged.

    Raises:
        ConfigError: the model needs no conversion.
        ModelUnavailableError: there is no such file, it is no checkpoint, it holds another model,
            or the hub's model is missing and cannot be fetched.
    """
    if entry.checkpoint is None:
        message = f"{entry.name!r} needs no conversion: {fetching(entry.name)}"
        raise ConfigError(message)
    file = file.expanduser()
    hub_checkpoint.require_tensors(file, entry.checkpoint)
    (say or LOG.warning)(RESEARCH_ONLY)
    clip = _cached(entry) or _fetch_clip(entry, about_clip(entry, file))
    folder = hub_checkpoint.convert(entry.name, file, clip)
    _keep_record(entry, clip.name, {file.name: hash_of(file)})
    return folder


def _fetch_clip(entry: ModelEntry, about: Subject) -> Path:
    require_network(about)
    with shown_progress(f"fetch {entry.repo}", units=UNITS) as progress, explained(about):
        return _fetch_repo(entry, _Meter(progress))


def _fetch_repo(entry: ModelEntry, meter: _Meter) -> Path:
    commit, files = announced(entry.repo, entry.revision)
    storage = storage_of(entry.repo)
    snapshot = storage / "snapshots" / commit
    missing = [file for file in files if not is_whole(file, storage, snapshot)]
    meter.expect(sum(file.n_bytes for file in missing))
    parts = sum(size_of(part_of(storage / "blobs" / file.blob)) for file in missing)
    require_space(storage, sum(file.n_bytes for file in missing) - parts, SPACE)
    for file in missing:
        if file.sha256 is not None:
            url = hf_hub_url(entry.repo, file.name, revision=commit)
            blob = storage / "blobs" / file.blob
            named = (file.name, file.sha256)
            headers = build_hf_headers()
            download(url, blob, announced=named, headers=headers, advance=meter.advance)
    folder = link(entry.repo, entry.revision, commit, files)
    meter.advance(sum(file.n_bytes for file in missing if file.sha256 is None))
    _keep_record(entry, commit, {file.name: file.sha256 for file in files if file.sha256})
    return folder


def _fetch_converted(entry: ModelEntry, meter: _Meter) -> Path:
    assert entry.checkpoint is not None
    clip = _fetch_repo(entry, meter)
    size = entry.disk_mb * 10**6 - sum(size_of(file) for file in weights_in(clip))
    require_space(hub_checkpoint.converted_folder(entry.name), 2 * size, hub_checkpoint.SPACE)
    file = hub_checkpoint.load_checkpoint(
        entry.name, entry.checkpoint, advance=meter.advance, expect=meter.expect
    )
    folder = hub_checkpoint.convert(entry.name, file, clip)
    _keep_record(entry, clip.name, {file.name: hash_of(file)})
    file.unlink()
    return folder


def _record() -> dict[str, Any]:
    return read_json(home() / RECORD, holds=HOLDS)


def _keep_record(entry: ModelEntry, commit: str, digests: dict[str, str]) -> None:
    """Write down which commit of which files a model is."""
    path = home() / RECORD
    known = {"repo": entry.repo, "asked": entry.revision, "commit": commit, "sha256": digests}
    with locked(path):
        write_json(path, {**_record(), entry.name: known})
