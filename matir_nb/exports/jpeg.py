"""Drawn pictures as JPEG: of one quality, or within a number of bytes."""

import io
from typing import Any

from PIL import Image

PREVIEW_COMMENT = b"matir preview"
"""A comment in the file: by it a live view knows the picture that it hides (js/src/preview.ts)."""
QUALITIES = (88, 80, 72, 64, 56, 48, 40)
SHRINK = 0.85


def jpeg_of(
    image: Image.Image, *, quality: int = 85, comment: bytes = b"", **options: Any
) -> bytes:
    """Return a picture as JPEG; `options` are those of Pillow's encoder."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True, comment=comment, **options)
    return file.getvalue()


def jpeg_within(image: Image.Image, max_bytes: int, *, comment: bytes = b"") -> bytes:
    """Return a picture as JPEG; quality gives way to the limit (some kilobytes), then size."""
    while True:
        for quality in QUALITIES:
            # full colour resolution while there is room: thin lines and small text need it
            subsampling = 0 if quality > QUALITIES[2] else 2
            options = {"subsampling": subsampling, "progressive": True}
            data = jpeg_of(image, quality=quality, comment=comment, **options)
            if len(data) <= max_bytes:
                return data
        size = (max(int(image.width * SHRINK), 1), max(int(image.height * SHRINK), 1))
        image = image.resize(size, Image.Resampling.LANCZOS)
