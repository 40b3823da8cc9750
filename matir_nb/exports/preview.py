"""The picture that a saved notebook keeps of a result: a small contact sheet as JPEG."""

import io
from collections.abc import Mapping

from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.exports.contact_sheet import PREVIEW, LoadImage, contact_sheet
from matir_nb.results import SearchResult

COMMENT = b"matir preview"
"""In the JPEG: by it the widget knows the picture that it replaces (js/src/preview.ts)."""
MAX_BYTES = 72_000
"""A notebook keeps the picture as base64, a third larger: with the tables it is below 150 KB."""
SIDE = 2 * PREVIEW.tile
"""Pixels are loaded twice as wide as a tile: sharp after its own scaling."""
MIN_BYTES = 10_000
QUALITIES = (88, 80, 72, 64, 56, 48, 40)
SHRINK = 0.85


def preview_of(result: SearchResult, *, marks: Mapping[str, str] | None = None) -> bytes | None:
    """Return the preview of a result; None = it has no hits, or no source of pictures.

    Args:
        result: what to show.
        marks: image id -> mark, written onto its tile; None = none.

    Raises:
        MatirError: it cannot be drawn.
    """
    source = result.source
    if source is None or not result.hits:
        return None
    return preview_jpeg(
        result, lambda hit: source.load_image(hit.image_id, max_side=SIDE), marks=marks
    )


def preview_jpeg(
    result: SearchResult,
    load_image: LoadImage,
    *,
    max_hits: int = 12,
    max_bytes: int = MAX_BYTES,
    marks: Mapping[str, str] | None = None,
) -> bytes:
    """Return a small contact sheet, six tiles wide, as JPEG.

    First the quality gives way to the limit, then the size.

    Args:
        result: what to show.
        load_image: gives a hit's upright RGB pixels, or raises a `MatirError`; a tile is 172
            pixels wide, so thumbnails will do.
        max_hits: the best so many; the picture says of how many.
        max_bytes: of the file, at least 10,000.
        marks: image id -> mark, written onto its tile; None = none.

    Raises:
        ConfigError: `max_hits` or `max_bytes` is out of range.
    """
    if max_bytes < MIN_BYTES:
        message = f"max_bytes = {max_bytes} is not allowed: give at least {MIN_BYTES}"
        raise ConfigError(message)
    sheet = contact_sheet(
        result, load_image, columns=6, max_hits=max_hits, marks=marks, look=PREVIEW
    )
    while True:
        for quality in QUALITIES:
            data = _jpeg(sheet, quality)
            if len(data) <= max_bytes:
                return data
        size = (max(int(sheet.width * SHRINK), 1), max(int(sheet.height * SHRINK), 1))
        sheet = sheet.resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    # full colour resolution while there is room: thin magenta lines and small text need it
    subsampling = 0 if quality > QUALITIES[2] else 2
    options = {"quality": quality, "subsampling": subsampling, "optimize": True}
    image.save(file, "JPEG", progressive=True, comment=COMMENT, **options)
    return file.getvalue()
