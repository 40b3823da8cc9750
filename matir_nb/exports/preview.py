"""The picture that a saved notebook keeps of a result: a small contact sheet as JPEG."""

from collections.abc import Mapping

from matir_nb.errors import ConfigError
from matir_nb.exports.contact_sheet import PREVIEW, LoadImage, contact_sheet
from matir_nb.exports.jpeg import PREVIEW_COMMENT, jpeg_within
from matir_nb.results import SearchResult

MAX_BYTES = 72_000
"""A notebook keeps the picture as base64, a third larger: with the tables it is below 150 KB."""
SIDE = 2 * PREVIEW.tile
"""Pixels are loaded twice as wide as a tile: sharp after its own scaling."""
MIN_BYTES = 10_000


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
    return jpeg_within(sheet, max_bytes, comment=PREVIEW_COMMENT)
