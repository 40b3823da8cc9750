"""Names of indexes: name → path, and which one is current, in ``MATIR_HOME/indexes.json``.

A name only points: forgetting one touches no index. This module opens no index.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError, unknown
from matir_nb.home.folder import home, locked, read_json, write_json

FILE_NAME = "indexes.json"
FILE_VERSION = 1
ENDING = ".matir"
MANIFEST = "manifest.json"
NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Known:
    """The names at one moment.

    Attributes:
        paths: name -> absolute path of the index folder, which may be gone.
        current: the name of the one that is meant where none is given; None = none.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    current: str | None = None

    def name_of(self, path: Path) -> str | None:
        """Return the name of the index at `path`; None = it has none."""
        wanted = path.resolve()
        return next((name for name, known in self.paths.items() if known == wanted), None)


def known() -> Known:
    """Return all names.

    Raises:
        ConfigError: the file is damaged.
    """
    document = read_json(_file(), holds="the names of indexes (not the indexes)")
    if document.get("version", FILE_VERSION) != FILE_VERSION:
        message = f"{str(_file())!r} was written by a newer matir_nb: update matir_nb"
        raise ConfigError(message)
    paths = document.get("indexes", {})
    if not isinstance(paths, dict) or not all(isinstance(path, str) for path in paths.values()):
        message = f"{str(_file())!r} is damaged ('indexes' is no object of paths): delete it"
        raise ConfigError(message)
    current = document.get("current")
    return Known(
        paths={name: Path(path) for name, path in paths.items()},
        current=current if current in paths else None,
    )


def is_index(path: Path) -> bool:
    """Return whether there is an index, sound or not, at `path`."""
    return (path / MANIFEST).is_file()


def find(word: str) -> Path:
    """Return the path of an index given by name or by path; a name comes first.

    Raises:
        ConfigError: `word` is neither a known name nor looks like a path.
    """
    path = Path(word).expanduser()
    if looks_like_path(word):
        return path
    names = known().paths
    if word in names:
        return names[word]
    if is_index(path):
        return path
    if not names:
        message = f"no index is known by name yet, so not {word!r} either: give a path, or make one"
        raise ConfigError(message)
    raise ConfigError(unknown("index", word, names))


def looks_like_path(word: str) -> bool:
    r"""Return whether `word` cannot be a name.

    >>> [looks_like_path(word) for word in ("photos", "photos.matir", "../photos", "d:\\photos")]
    [False, True, True, True]
    """
    return word.endswith(ENDING) or any(char in word for char in "/\\~") or not NAME.fullmatch(word)


def add(path: Path, name: str | None = None) -> str:
    """Give an index a name, make it the current one and return the name.

    Args:
        path: the index folder.
        name: None = the one it has, else one made from the folder's name.

    Raises:
        ConfigError: `name` cannot be one or belongs to another index; the file is damaged.
    """
    path = path.resolve()
    with locked(_file()):
        found = known()
        if name is None:
            name = found.name_of(path) or free_name(path, found.paths)
        check_name(name, path, found)
        _write(Known({**found.paths, name: path}, name))
    return name


def check_name(name: str, path: Path, found: Known | None = None) -> None:
    """Raise unless `name` can be the name of the index at `path`.

    Raises:
        ConfigError: it can not be a name, or an index elsewhere, that is there, has it.
    """
    if looks_like_path(name):
        message = (
            f"{name!r} can be no name: give letters, digits, '_', '-' and '.', "
            f"and not the ending {ENDING!r}"
        )
        raise ConfigError(message)
    taken = (found or known()).paths.get(name)
    if taken is not None and taken != path.resolve() and is_index(taken):
        message = f"the name {name!r} belongs to the index at {str(taken)!r}: give another"
        raise ConfigError(message)


def make_current(name: str) -> None:
    """Let `name` be the index that is meant where none is given.

    Raises:
        ConfigError: the name is unknown, or the file is damaged.
    """
    with locked(_file()):
        found = known()
        _require(name, found)
        _write(replace(found, current=name))


def forget(name: str) -> Path:
    """Forget a name, leave the index alone, and return its path.

    Raises:
        ConfigError: the name is unknown, or the file is damaged.
    """
    with locked(_file()):
        found = known()
        _require(name, found)
        others = {other: path for other, path in found.paths.items() if other != name}
        _write(Known(others, None if found.current == name else found.current))
    return found.paths[name]


def free_name(path: Path, taken: Mapping[str, Path]) -> str:
    """Return a name for the index at `path` that no other index has.

    >>> free_name(Path("my photos.matir"), {"my-photos": Path("elsewhere")})
    'my-photos-2'
    """
    stem = re.sub(rf"({re.escape(ENDING)})+$", "", path.name)
    base = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "index"
    numbers = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in numbers if name not in taken)


def _require(name: str, found: Known) -> None:
    if name not in found.paths:
        raise ConfigError(unknown("index", name, found.paths) if found.paths else NONE_KNOWN)


NONE_KNOWN = "no index is known by name yet: make one with the command index, or open one"


def _write(new: Known) -> None:
    document: dict[str, Any] = {
        "version": FILE_VERSION,
        "current": new.current,
        "indexes": {name: str(path) for name, path in new.paths.items()},
    }
    write_json(_file(), document)


def _file() -> Path:
    return home() / FILE_NAME
