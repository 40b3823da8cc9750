"""Pictures as JPEG, those shown last kept. This module knows no wire."""

import io
from collections import OrderedDict
from threading import Lock

from PIL import Image

from matir_nb.results import Source
from matir_nb.types import RGBImage

TILE_QUALITY = 78
CACHED_THUMBNAILS = 512


class Thumbnails:
    """JPEGs of the pictures shown last, by image and size; may be used from several threads."""

    def __init__(self, capacity: int = CACHED_THUMBNAILS) -> None:
        """Keep at most `capacity` pictures."""
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, int], tuple[bytes, tuple[int, int]]] = OrderedDict()
        self._lock = Lock()

    def get(self, source: Source, image_id: str, side: int) -> tuple[bytes, tuple[int, int]]:
        """Return a JPEG and its (width, height).

        Raises:
            MatirError: the picture cannot be read.
        """
        key = (image_id, side)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        pixels = source.load_image(image_id, max_side=side)
        made = jpeg(pixels, TILE_QUALITY), (pixels.shape[1], pixels.shape[0])
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return made


def jpeg(pixels: RGBImage, quality: int) -> bytes:
    """Return (H, W, 3) uint8 pixels as JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()
