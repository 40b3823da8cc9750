"""Checkpoints outside the hub: loaded from their page, converted onto the hub's model.

What is in a checkpoint is the business of its converter. This module knows files and addresses.
"""

from pathlib import Path

from matir_nb.catalogue import Checkpoint
from matir_nb.errors import ModelUnavailableError
from matir_nb.home.folder import home
from matir_nb.models.hub_download import (
    NETWORK_ERRORS,
    Advance,
    download,
    require_space,
    size_of,
)
from matir_nb.models.hub_files import weights_in

FOLDER = "models"
CHECKPOINTS = "checkpoints"
SPACE = "free some, or set MATIR_HOME to a folder on a larger disk"


def converted_folder(name: str) -> Path:
    """Return where the converted model `name` is, or will be."""
    return home() / FOLDER / name


def load_checkpoint(
    name: str, checkpoint: Checkpoint, *, advance: Advance, expect: Advance
) -> Path:
    """Return the checkpoint's file, loaded from its address where it is missing.

    Args:
        name: the model's.
        checkpoint: where it is.
        advance: is told of every number of bytes that came.
        expect: is told of the file's size.

    Raises:
        ModelUnavailableError: it cannot be loaded; the message has its page and what to do with
            a file that was loaded by hand. Or what came is no checkpoint; it is deleted.
    """
    target = home() / FOLDER / CHECKPOINTS / checkpoint.file
    try:
        if not target.is_file():
            download(checkpoint.url, target, advance=advance, expect=expect)
        require_tensors(target, checkpoint)
    except NETWORK_ERRORS as error:
        why = f"({type(error).__name__}: {error}); what came is kept"
        raise _not_loaded(name, checkpoint, why) from error
    except ModelUnavailableError as error:
        # no digest of it is announced: a page that came in its place would stay for ever
        target.unlink()
        raise _not_loaded(name, checkpoint, "(no checkpoint came); it is deleted") from error
    return target


def _not_loaded(name: str, checkpoint: Checkpoint, why: str) -> ModelUnavailableError:
    message = (
        f"{checkpoint.file!r} cannot be loaded from {checkpoint.url} {why}. Try again, or load it "
        f"by hand from {checkpoint.page}, then: `matir models convert {name} {checkpoint.file}`"
    )
    return ModelUnavailableError(message)


def require_tensors(file: Path, checkpoint: Checkpoint) -> None:
    """Raise unless a file can be a checkpoint: it is there, and tensors can be read from it.

    Raises:
        ModelUnavailableError: it is not; the message has what to do.
    """
    from matir_nb.models.tensor_files import read_tensors

    if not file.is_file():
        message = f"there is no file {str(file)!r}: load it from {checkpoint.page}"
        raise ModelUnavailableError(message)
    read_tensors(file)


def convert(name: str, file: Path, clip: Path) -> Path:
    """Return the folder of a model that was converted from a checkpoint onto the hub's model.

    The folder appears when it is whole, in place of an older one.

    Args:
        name: the model's.
        file: the checkpoint.
        clip: folder of the hub's model.

    Raises:
        ModelUnavailableError: the file holds another model, or there is no space for the result.
    """
    from matir_nb.models import alpha_clip_checkpoint

    target = converted_folder(name)
    require_space(target, sum(size_of(weights) for weights in weights_in(clip)), SPACE)
    alpha_clip_checkpoint.convert(file, clip, target)
    return target
