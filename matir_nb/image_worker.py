"""Decode one picture to upright RGB; as a program, do so in a process that may die.

`read_upright` is the one place that knows Pillow's modes, EXIF orientation and exceptions.
Run as ``python -m matir_nb.image_worker MAX_PIXELS MEMORY_BYTES`` it answers paths on stdin with
pixels and facts, or with a reason, on stdout, under a memory limit of its own. It knows no folder
and no index.

Colour profiles are not applied. EPS is not read: Pillow would run Ghostscript for it.
"""

import errno
import hashlib
import io
import math
import os
import signal
import stat
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from matir_nb.errors import ImageError
from matir_nb.photo_facts import facts_of, of_file, to_json
from matir_nb.types import FileFacts

EXIF_ORIENTATION = 0x0112
UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by the value of its EXIF tag."""

REASONS: dict[type[Exception], str] = {
    FileNotFoundError: "the file is gone",
    PermissionError: "no permission to read the file",
    UnidentifiedImageError: "not a picture in any format that can be read",
    Image.DecompressionBombError: "it claims more pixels than allowed (ImageLimits.max_pixels)",
    MemoryError: "decoding it needs more memory than allowed (ImageLimits.memory_bytes)",
}

READY = b"+"
PATH_HEADER = struct.Struct("<I")
PIXELS_HEADER = struct.Struct("<cIII32s")
"""b"P", width, height, length, sha256 of the file; as many bytes of facts and
width * height * 3 of pixels follow."""
REASON_HEADER = struct.Struct("<cI40x")
"""b"R", length; as many bytes of UTF-8 follow. As long as PIXELS_HEADER."""

STRIP_BYTES = 4 << 20


def read_upright(
    file: io.BufferedReader, *, max_pixels: int, min_side: int | None = None
) -> Image.Image:
    """Return the first frame as mode RGB, turned upright, transparency on white.

    Args:
        file: open for reading.
        max_pixels: larger pictures are refused.
        min_side: the picture may come smaller (never larger) than it is, its longer side being
            at least so many pixels: JPEG decodes at 1/2, 1/4 or 1/8 in a fraction of the time.

    Raises:
        ImageError: it cannot be read, or has more than `max_pixels`; the message is the reason.
    """
    return _read(file, max_pixels, min_side)[0]


def read_with_facts(file: io.BufferedReader, *, max_pixels: int) -> tuple[Image.Image, FileFacts]:
    """Return what `read_upright` does, and what the picture says of itself.

    Raises:
        ImageError: it cannot be read, or has more than `max_pixels`; the message is the reason.
    """
    status = os.fstat(file.fileno())  # what is written while we read makes the file look changed
    image, facts = _read(file, max_pixels, None)
    return image, of_file(facts, status)


def _read(
    file: io.BufferedReader, max_pixels: int, min_side: int | None
) -> tuple[Image.Image, FileFacts]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decoded(file, max_pixels, min_side)
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything, SyntaxError included
        raise ImageError(_reason(error)) from error


def _decoded(
    file: io.BufferedReader, max_pixels: int, min_side: int | None
) -> tuple[Image.Image, FileFacts]:
    Image.init()
    with Image.open(file, formats=[name for name in Image.ID if name != "EPS"]) as image:
        _check_pixels(image, max_pixels)
        if min_side is not None:
            image.draft(None, _at_least(image.size, min_side))
        image.load()
        _check_pixels(image, max_pixels)  # some formats learn their size only now
        return _upright(to_rgb(image), _orientation(image)), facts_of(image)


def _at_least(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return `size` scaled so that the longer side is `side`."""
    scale = side / max(size)
    return (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        message = (
            f"{width} x {height} = {width * height / 1e6:.0f} megapixels, "
            f"above the limit of {max_pixels / 1e6:g} (ImageLimits.max_pixels)"
        )
        raise ImageError(message)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded picture; 1 where it is absent or broken.

    Asked after load(): Pillow turns a TIFF itself while loading and then drops the tag.
    """
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken metadata is no reason to lose the picture
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture of any mode as RGB.

    Transparency is laid on white. Samples deeper than 8 bits are scaled from their actual range
    to 0..255, for Pillow's own conversion would clip them.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    is_deep = image.mode.startswith(("I", "F"))
    low, high = _sample_range(image) if is_deep else (0.0, 0.0)
    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):  # all at once would take the memory several times
        eight_bit = _scaled(strip, low, high) if is_deep else strip
        result.paste(_on_white(eight_bit), (0, top))
    return result


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the picture in strips of its full width, with the row that each begins at."""
    n_rows = max(1, STRIP_BYTES // (4 * image.width))
    for top in range(0, image.height, n_rows):
        yield top, image.crop((0, top, image.width, min(top + n_rows, image.height)))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas.convert("RGB")


def _sample_range(image: Image.Image) -> tuple[float, float]:
    """Return the lowest and highest finite sample; (0, 0) where there is none."""
    low, high = math.inf, -math.inf
    for _, strip in _strips(image):
        samples = np.asarray(strip)
        finite = samples[np.isfinite(samples)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _scaled(strip: Image.Image, low: float, high: float) -> Image.Image:
    """Return mode L, `low` black and `high` white; mid-grey where they are the same."""
    if high <= low:
        return Image.new("L", strip.size, 128)
    samples = np.nan_to_num(np.asarray(strip).astype(np.float64), nan=low, posinf=high, neginf=low)
    return Image.fromarray(np.rint((samples - low) * (255 / (high - low))).astype(np.uint8))


def _reason(error: Exception) -> str:
    """Return why a picture could not be read, in words for its owner."""
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "a symbolic link that leads back to itself"
    for kind, reason in REASONS.items():
        if isinstance(error, kind):
            return reason
    return f"broken picture: {' '.join(str(error).split())[:200]} ({type(error).__name__})"


def open_regular(path: Path) -> io.BufferedReader:
    """Return `path` opened for reading.

    Raises:
        ImageError: it is absent, empty, unreadable or no regular file; the message is the reason.
    """
    try:
        problem = _irregularity(path)
        if not problem:
            return path.open("rb")
    except (OSError, ValueError, MemoryError) as error:
        raise ImageError(_reason(error)) from error
    raise ImageError(problem)


def _irregularity(path: Path) -> str:
    """Return why `path` must not even be opened; empty for a file with content."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return "a folder that cannot be listed"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "" if status.st_size else "the file is empty (0 bytes)"


def limit_memory(memory_bytes: int) -> None:
    """Keep this process's resident memory below `memory_bytes`, where the system can.

    The kernel limits address space, of which libraries reserve far more than they use: what is
    mapped now stays, and only the rest of the budget can be added.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    import resource

    n_pages = statm.read_text().split()[:2]
    mapped, resident = (int(n) * resource.getpagesize() for n in n_pages)
    limit = mapped + max(memory_bytes - resident, 0)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _answer(path: Path, out: io.BufferedWriter, max_pixels: int) -> None:
    try:
        with open_regular(path) as file:
            image, facts = read_with_facts(file, max_pixels=max_pixels)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").digest()
    except (ImageError, OSError, MemoryError) as error:
        reason = (str(error) if isinstance(error, ImageError) else _reason(error)).encode()
        out.write(REASON_HEADER.pack(b"R", len(reason)) + reason)
    else:
        said = to_json(facts)
        out.write(PIXELS_HEADER.pack(b"P", image.width, image.height, len(said), digest) + said)
        out.writelines(strip.tobytes() for _, strip in _strips(image))
    out.flush()


def main() -> None:
    """Answer paths until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    max_pixels, memory_bytes = (int(argument) for argument in sys.argv[1:3])
    requests, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a decoder that prints must not end up among the pixels
    Image.init()
    limit_memory(memory_bytes)
    out.write(READY)
    out.flush()
    while header := requests.read(PATH_HEADER.size):
        (length,) = PATH_HEADER.unpack(header)
        _answer(Path(os.fsdecode(requests.read(length))), out, max_pixels)


if __name__ == "__main__":
    main()
