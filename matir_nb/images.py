"""A folder of pictures → `ImageRef` and upright RGB pixels, or a reason why not.

The content decides, not the suffix: every file is tried, and one that is no picture is reported.
Passed over in silence are files whose name starts with a dot, and notes beside the pictures
(`SIDECAR_SUFFIXES`) unless their first bytes are a picture's. Folders are decoded in worker
processes with limits on time and memory: a file that hangs, explodes or crashes a decoder costs
that file only.
This module knows no model and no index; `matir_nb.image_worker` knows the formats,
`matir_nb.image_process` the process.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from matir_nb.errors import ConfigError, ImageError
from matir_nb.image_process import ImageLimits, decode_ahead
from matir_nb.image_worker import open_regular, read_upright
from matir_nb.types import ImageRef, RGBImage

__all__ = [
    "ImageLimits",
    "SkippedImage",
    "find_images",
    "image_id_of",
    "load_image",
    "read_files",
    "read_folder",
    "thumbnail",
]

INDEX_SUFFIX = ".matir"
SIDECAR_SUFFIXES = frozenset(
    ".aae .cfg .csv .db .htm .html .ini .ipynb .json .jsonl .lnk .log .md .npy .npz .parquet .py "
    ".rst .sha256 .sqlite .toml .tsv .txt .url .xml .xmp .yaml .yml".split()
)
"""What lies beside pictures and is none, unless its first bytes say otherwise."""

SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
    b"8BPS\x00\x01",
    b"DDS \x7c\x00\x00\x00",
    b"qoif",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)


@dataclass(frozen=True, slots=True)
class SkippedImage:
    r"""A file that may be a picture and could not be read.

    Attributes:
        image_id: posix path under the root; bytes that are no UTF-8 appear as ``\xNN``.
        reason: why, in words for its owner.
    """

    image_id: str
    reason: str


def find_images(folder: Path | str) -> list[Path]:
    """Return the files under `folder` that may be pictures, sorted by path.

    Links to folders are followed, each real folder once; indexes (``*.matir``) are passed over.
    A folder that cannot be listed is returned as if it were a file, so that `read_folder`
    reports it.

    Raises:
        ImageError: `folder` is absent, or no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        message = f"{str(root)!r} is not a folder: give a folder of images"
        raise ImageError(message)
    found: list[Path] = []
    waiting, seen = [root], set[tuple[int, int]]()
    while waiting:
        directory = waiting.pop()
        try:
            status = directory.stat()
            children = list(directory.iterdir())
        except OSError:
            found.append(directory)
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            visible = [child for child in children if child.name[0] != "."]
            folders = {child for child in visible if _is_folder(child)}
            waiting += [child for child in folders if child.suffix != INDEX_SUFFIX]
            found += [c for c in visible if c not in folders and _may_be_picture(c)]
    return sorted(found, key=os.fsencode)


def load_image(
    path: Path | str, limits: ImageLimits | None = None, *, max_side: int | None = None
) -> RGBImage:
    """Return the pixels of one picture, upright, in this process.

    For pictures that are known to be good; `read_folder` is for those that are not.

    Args:
        path: the file.
        limits: of its size.
        max_side: shrink it so that its longer side is at most so many pixels (a large JPEG is
            then only decoded as finely as needed); None = as it is.

    Raises:
        ImageError: it cannot be read, or is larger than `limits.max_pixels`.
    """
    limits = limits or ImageLimits()
    try:
        with open_regular(Path(path)) as file:
            image = read_upright(file, max_pixels=limits.max_pixels, min_side=max_side)
    except ImageError as error:
        message = f"cannot read {str(path)!r}: {error}"
        raise ImageError(message) from error
    pixels = _as_array(image)
    return pixels if max_side is None else thumbnail(pixels, max_side)


def read_folder(
    folder: Path | str, limits: ImageLimits | None = None
) -> Iterator[tuple[ImageRef, RGBImage] | SkippedImage]:
    """Yield every picture under `folder`, or why it was skipped, sorted by path.

    Raises:
        ImageError: `folder` is absent, or no folder.
    """
    return read_files(find_images(folder), root=Path(folder), limits=limits)


def read_files(
    paths: Sequence[Path], *, root: Path, limits: ImageLimits | None = None
) -> Iterator[tuple[ImageRef, RGBImage] | SkippedImage]:
    """Yield each of `paths` under `root`, decoded in a worker process, or why it was skipped.

    The next pictures are decoded while the caller works on this one.
    """
    with closing(decode_ahead(paths, limits or ImageLimits())) as answers:
        for path, answer in zip(paths, answers, strict=True):
            image_id = image_id_of(path, root=root)
            if isinstance(answer, str):
                yield SkippedImage(image_id, answer)
            elif not _is_utf8(path.relative_to(root)):
                yield SkippedImage(image_id, "its name is not valid UTF-8: rename the file")
            else:
                fingerprint, image, facts = answer
                height, width = image.shape[:2]
                yield ImageRef(image_id, path, width, height, fingerprint, facts), image


def image_id_of(path: Path, *, root: Path) -> str:
    r"""Return the posix path under `root`; bytes that are no UTF-8 become ``\xNN``.

    >>> image_id_of(Path("photos/a/b.jpg"), root=Path("photos"))
    'a/b.jpg'
    """
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def thumbnail(image: RGBImage, side: int) -> RGBImage:
    """Return `image` shrunk so that its longer side is at most `side` pixels; never enlarged.

    >>> thumbnail(np.zeros((40, 80, 3), np.uint8), side=20).shape
    (10, 20, 3)
    """
    if side < 1:
        message = f"side = {side} is not allowed: give a whole number >= 1"
        raise ConfigError(message)
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _as_array(small)


def _as_array(image: Image.Image) -> RGBImage:
    array: RGBImage = np.asarray(image)
    return array


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _may_be_picture(path: Path) -> bool:
    """Tell whether to try a file: all but sidecars that do not start like a picture."""
    if path.suffix.lower() not in SIDECAR_SUFFIXES:
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return False
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) > 26
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_heif = head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"avis", b"heic", b"heix", b"mif1"}
    return head.startswith(SIGNATURES) or is_bmp or is_webp or is_heif
