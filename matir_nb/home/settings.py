"""The user's settings: a file, over which variables of the environment win.

``MATIR_HOME/settings.json`` is written by `matir config KEY VALUE`; ``MATIR_PREVIEW``, ``MATIR_K``,
``MATIR_TILE_PX`` and ``MATIR_REVIEWER`` hold for one process. This module knows no widget and no
stage.
"""

import os
from dataclasses import dataclass, field, fields, replace
from getpass import getuser
from pathlib import Path
from typing import Any

from matir_nb.errors import ConfigError, unknown
from matir_nb.home.folder import home, locked, read_json, write_json
from matir_nb.printing import printable

PREVIEWS = ("auto", "always", "never")
FILE_NAME = "settings.json"
HOLDS = "the settings"
MAX_K = 10_000
MIN_TILE_PX = 96
MAX_TILE_PX = 480
MAX_REVIEWER = 80
"""Characters of a reviewer's name."""
NUMBERS = ("k", "tile_px")


def login_name() -> str:
    """Return the name under which the user is logged in; empty where the system knows none."""
    try:
        return printable(getuser())[:MAX_REVIEWER]
    except (OSError, KeyError, ImportError):
        return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user decides once.

    Attributes:
        preview: what a result in a notebook leaves for readers without a kernel: "auto" a picture,
            where there are pictures; "always" at least a table of text; "never" no picture.
        k: hits of a search that names no number, 1 to 10,000.
        tile_px: width of a tile of the grid, CSS pixels, 96 to 480.
        reviewer: who marks hits, as a review's table says it; empty = nobody is named. Without a
            value, the login name.
    """

    preview: str = "auto"
    k: int = 12
    tile_px: int = 192
    reviewer: str = field(default_factory=login_name)

    def __post_init__(self) -> None:
        """Check every value."""
        if self.preview not in PREVIEWS:
            message = f"preview = {self.preview!r} is not allowed: give {', '.join(PREVIEWS)}"
            raise ConfigError(message)
        _check_whole("k", self.k, 1, MAX_K)
        _check_whole("tile_px", self.tile_px, MIN_TILE_PX, MAX_TILE_PX)
        check_reviewer(self.reviewer)


def check_reviewer(name: object) -> None:
    """Raise unless `name` can be a reviewer's: one line of at most 80 characters, or empty.

    Raises:
        ConfigError: it cannot.
    """
    if not isinstance(name, str) or len(name) > MAX_REVIEWER or printable(name) != name:
        message = f"reviewer = {name!r:.100} is not allowed: give a name of one line, or nothing"
        raise ConfigError(message)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        message = f"{name} = {value!r} is not allowed: give a whole number from {low} to {high}"
        raise ConfigError(message)


KEYS = tuple(one.name for one in fields(Settings))
NOT_EMPTY = tuple(key for key in KEYS if key != "reviewer")
"""An empty variable of the environment says nothing of these."""


def load() -> Settings:
    """Return the settings that hold in this process.

    Raises:
        ConfigError: the file is damaged, or a value there or in the environment is not allowed.
    """
    settings = stored()
    for key in KEYS:
        text = os.environ.get(variable_of(key))
        if text or (text is not None and key not in NOT_EMPTY):
            try:
                settings = replace(settings, **{key: parsed(key, text)})
            except ConfigError as error:
                message = f"{variable_of(key)} in the environment: {error}"
                raise ConfigError(message) from error
    return settings


def keep(key: str, text: str) -> Settings:
    """Write one setting to the file and return all that the file holds.

    Raises:
        ConfigError: no such key, a value that is not allowed, or the file cannot be used.
    """
    value = parsed(key, text)
    with locked(_file()):
        settings = replace(stored(), **{key: value})
        kept = read_json(_file(), holds=HOLDS)
        write_json(_file(), kept | {key: value})
    return settings


def parsed(key: str, text: str) -> Any:
    """Return `text` as a value for `key`.

    >>> parsed("k", "24")
    24

    Raises:
        ConfigError: no such key, or a value that is not allowed.
    """
    check_key(key)
    value: Any = text
    if key in NUMBERS and text.lstrip("-").isdecimal():
        value = int(text)
    return getattr(Settings(**{key: value}), key)


def check_key(key: str) -> None:
    """Raise unless there is such a setting.

    Raises:
        ConfigError: there is none; the message offers the nearest.
    """
    if key not in KEYS:
        raise ConfigError(unknown("setting", key, KEYS))


def variable_of(key: str) -> str:
    """Return the name of the variable that wins over the file.

    >>> variable_of("tile_px")
    'MATIR_TILE_PX'
    """
    return f"MATIR_{key.upper()}"


def _file() -> Path:
    return home() / FILE_NAME


def stored() -> Settings:
    """Return the settings that the file holds.

    Raises:
        ConfigError: it is damaged, or holds a value that is not allowed.
    """
    found = read_json(_file(), holds=HOLDS)
    for key in found:
        if key not in KEYS:
            message = f"{str(_file())!r}: {unknown('setting', key, KEYS)}, or delete the file"
            raise ConfigError(message)
    try:
        return Settings(**found)
    except ConfigError as error:
        message = f"{str(_file())!r}: {error}"
        raise ConfigError(message) from error
