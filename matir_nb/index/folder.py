"""The picture files of a folder, as they are when a build looks at them: names, sizes, times.

This module decodes no picture and knows no index and no model.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Self

from matir_nb.errors import ConfigError, ImageError
from matir_nb.image_worker import open_regular
from matir_nb.images import find_images, image_id_of
from matir_nb.index.changes import SeenFile


@dataclass(frozen=True, slots=True)
class Folder:
    """What was found under a root.

    Attributes:
        root: the folder.
        paths: image id -> file, of all that may be pictures, sorted by path.
        files: image id -> what the file is like.
        unlisted: image ids of what is or may be a folder and cannot be listed: what is in it is
            not known.
    """

    root: Path
    paths: Mapping[str, Path]
    files: Mapping[str, SeenFile]
    unlisted: tuple[str, ...]

    @classmethod
    def look(cls, root: Path) -> Self:
        """Return what is under `root` now.

        Raises:
            ConfigError: no folder, or nothing in it.
        """
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            message = f"images = {str(root)!r} {what}: give a folder with images"
            raise ConfigError(message)
        paths = {image_id_of(path, root=root): path for path in find_images(root)}
        if not paths:
            what = "give a folder with JPEG, PNG, WebP or other images"
            message = f"no images in {str(root)!r}: {what}"
            raise ConfigError(message)
        files = {image_id: _seen(path, root) for image_id, path in paths.items()}
        unlisted = tuple(
            i for i, p in paths.items() if files[i].n_bytes is None and _may_be_folder(p)
        )
        return cls(root, paths, files, unlisted)

    def may_hold(self, image_id: str) -> bool:
        """Tell whether a file that was not found may be in a folder that cannot be listed."""
        return any(image_id.startswith(f"{folder}/") or folder == "." for folder in self.unlisted)

    def digest_of(self, image_id: str) -> str | None:
        """Return what `ImageRef.fingerprint` is for the file; None = it cannot be read."""
        try:
            with open_regular(self.paths[image_id]) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def trouble_with(self, image_id: str) -> str:
        """Return why a file that has its name still cannot be asked or read now.

        Empty = it is gone, is no regular file any more, or can be read: a link that leads
        nowhere may lead to a disk that is not there now.
        """
        try:
            with open_regular(self.paths[image_id]) as file:
                hashlib.file_digest(file, "sha256")
        except ImageError as error:
            if error.__cause__ is None or not _has_name(self.paths[image_id]):
                return ""
            is_absent = isinstance(error.__cause__, FileNotFoundError)
            return "a link that leads to no file now" if is_absent else _words(error.__cause__)
        except OSError as error:
            return _words(error)
        return ""


def _seen(path: Path, root: Path) -> SeenFile:
    """Return what a file is like; one whose name is no UTF-8 has no image id and is not asked."""
    now_ns = time_ns()
    try:
        os.fsencode(path.relative_to(root)).decode()
        status = path.stat()
    except (OSError, UnicodeDecodeError):
        return SeenFile()
    if not stat.S_ISREG(status.st_mode):
        return SeenFile()
    return SeenFile.at(status.st_size, status.st_mtime_ns, now_ns=now_ns)


def _may_be_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return _has_name(path)


def _has_name(path: Path) -> bool:
    """Tell whether a folder still has the name, or does not let itself be asked."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return True


def _words(error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return f"it cannot be read now ({said or type(error).__name__})"
