"""Files that are there whole or not at all: written beside their place, then moved into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from polars.exceptions import PolarsError

from matir_nb.errors import ConfigError, MatirError


@contextmanager
def whole_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the path of a temporary file that becomes `path` when the block ends.

    When the block raises (a full disk, Ctrl-C), the temporary file goes and `path` is as it was.

    Raises:
        ConfigError: `path` is a folder, its folder is not there, it is there already and
            `overwrite` is not set, or the system does not let us write.
    """
    target = Path(path)
    part = target.parent / f".{token_hex(6)}.part"
    try:
        check_target(target, overwrite=overwrite)
        yield part
        check_target(target, overwrite=overwrite)
        part.replace(target)
    except MatirError:
        raise
    except (OSError, PolarsError) as error:
        # polars tells of a full disk by an error of its own
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        message = f"cannot write {str(target)!r}: {why}"
        raise ConfigError(message) from error
    finally:
        part.unlink(missing_ok=True)


def check_target(target: Path, *, overwrite: bool = False) -> None:
    """Raise unless `target` can be the name of a file to write.

    Raises:
        ConfigError: it is a folder, its folder is not there, or it is there already and
            `overwrite` is not set.
    """
    if target.is_dir():
        message = f"{str(target)!r} is a folder: give the name of a file"
    elif not target.parent.is_dir():
        message = f"there is no folder {str(target.parent)!r}: make it, or write elsewhere"
    elif target.exists() and not overwrite:
        message = f"{str(target)!r} is there already: give another name, or overwrite=True"
    else:
        return
    raise ConfigError(message)
