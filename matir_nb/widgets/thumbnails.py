"""Pictures as JPEG, those shown last kept, in memory and beside the index. Knows no wire."""

import io
from collections import OrderedDict
from threading import Lock

from PIL import Image

from matir_nb.index.pictures import IndexPictures
from matir_nb.index.thumbnails import Thumbnail
from matir_nb.results import Source
from matir_nb.types import RGBImage

TILE_QUALITY = 78
CACHED_THUMBNAILS = 512


class Thumbnails:
    """JPEGs of the pictures shown last, by image and size; may be used from several threads."""

    def __init__(self, capacity: int = CACHED_THUMBNAILS) -> None:
        """Keep at most `capacity` pictures in memory."""
        self._capacity = capacity
        self._kept: OrderedDict[str, tuple[bytes, tuple[int, int]]] = OrderedDict()
        self._lock = Lock()

    def get(self, source: Source, image_id: str, side: int) -> tuple[bytes, tuple[int, int]]:
        """Return a JPEG and its (width, height).

        Raises:
            MatirError: the picture cannot be read.
        """
        stored = source if isinstance(source, IndexPictures) else None
        # taken before the pixels: of a file that changes meanwhile the key is never asked again
        kept_as = None if stored is None else stored.thumbnail_key(image_id, side)
        key = kept_as or f"{side} {image_id}"
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = None if stored is None or kept_as is None else stored.thumbnails.get(kept_as)
        if found is None:
            pixels = source.load_image(image_id, max_side=side)
            found = Thumbnail(jpeg(pixels, TILE_QUALITY), pixels.shape[1], pixels.shape[0])
            if stored is not None and kept_as is not None:
                stored.thumbnails.put(kept_as, found)
        made = found.jpeg, (found.width, found.height)
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
