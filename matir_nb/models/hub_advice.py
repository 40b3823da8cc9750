"""What is said of a model that is missing, or that cannot be fetched: why, and what to type.

This module fetches nothing and looks for no file.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from matir_nb.catalogue import CATALOGUE, ModelEntry
from matir_nb.errors import ModelUnavailableError
from matir_nb.models.hub_download import NETWORK_ERRORS, DamagedError, is_local
from matir_nb.offline import offline_by
from matir_nb.presets import PRESETS, models_of

MAX_CAUSE = 300
"""Characters of another library's message."""
EXPLAINED: tuple[type[Exception], ...] = (*NETWORK_ERRORS, JSONDecodeError)
REFUSED = (401, 403)
GONE = 404


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about.

    Attributes:
        what: as a sentence names it.
        repo: on the hub.
        revision: the commit.
        command: that fetches it.
        then: what is typed after that, with what leads to it; "" = nothing.
    """

    what: str
    repo: str
    revision: str
    command: str
    then: str = ""


def about_model(entry: ModelEntry) -> Subject:
    """Return what is said of a model; its command also names what fetches a whole preset."""
    command = fetching(entry.name)
    presets = presets_with(entry)
    if presets:
        all_of = "; ".join(f"all of preset {name}: {fetching(name)}" for name in presets)
        command = f"{command} ({all_of})"
    return Subject(f"the model {entry.name!r}", entry.repo, entry.revision, command)


def about_clip(entry: ModelEntry, checkpoint: Path) -> Subject:
    """Return what is said of the hub's model onto which a checkpoint is to be converted."""
    place = (entry.repo, entry.revision)
    same = (other for other in CATALOGUE.values() if (other.repo, other.revision) == place)
    alone = (other.name for other in same if other.checkpoint is None)
    then = f", then `matir models convert {entry.name} {shlex.quote(str(checkpoint))}`"
    what = f"the CLIP of {entry.name!r}, {entry.repo!r},"
    return Subject(what, *place, fetching(next(alone, entry.name)), then)


def fetching(name: str) -> str:
    """Return the command that fetches a model or preset, as messages have it."""
    return f"`matir models fetch {name}`"


def presets_with(entry: ModelEntry) -> list[str]:
    """Return the presets that name a model."""
    return [preset.name for preset in PRESETS.values() if entry in models_of(preset)]


def require_network(about: Subject) -> None:
    """Raise unless the network may be used to fetch what is missing.

    Raises:
        ModelUnavailableError: a variable or ``--offline`` forbids it.
    """
    variable = offline_by()
    if variable is not None:
        message = (
            f"{about.what} is not on this machine, and --offline or {variable}=1 forbids the "
            f"network: allow it once and fetch with {about.command}{about.then}"
        )
        raise ModelUnavailableError(message)


@contextmanager
def explained(about: Subject) -> Iterator[None]:
    """Turn what the network, the hub and the disk raise into the error that says what to do.

    Raises:
        ModelUnavailableError: instead of any of `NETWORK_ERRORS`, and where a page came that is
            not the hub's, as networks send that ask to sign in.
    """
    try:
        yield
    except EXPLAINED as error:
        cause: BaseException = error
        if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
            cause = error.__cause__
        text = " ".join(str(cause).split())[:MAX_CAUSE]
        why = f"{type(cause).__name__}: {text}" if text else type(cause).__name__
        message = f"{about.what} cannot be fetched ({why}): {_advice(about, cause)}"
        raise ModelUnavailableError(message) from error


def _advice(about: Subject, cause: BaseException) -> str:
    status = getattr(getattr(cause, "response", None), "status_code", None)
    page = f"{constants.ENDPOINT}/{about.repo}"
    if status == GONE:
        return (
            f"{page} has no commit {about.revision!r}, or is gone: install a newer matir_nb, or "
            "choose another of `matir models`"
        )
    if status in REFUSED:
        return (
            f"{page} is not open to everybody, or is gone: accept the licence on that page, set "
            f"HF_TOKEN to a valid token of that account, then {about.command}{about.then}"
        )
    if isinstance(cause, DamagedError):
        return f"{about.command} fetches it again{about.then}"
    until = "that is mended" if is_local(cause) else "the network is back"
    return (
        f"what was loaded so far is kept; when {until}, {about.command} goes on from there"
        f"{about.then}"
    )
