"""Pictures and regions of an index, for whoever shows a result. Knows no model."""

from pathlib import Path

from matir_nb.index.cache import CACHE_FOLDER
from matir_nb.index.store import Index
from matir_nb.index.thumbnails import ThumbnailCache, key_of
from matir_nb.types import Regions, RGBImage


class IndexPictures:
    """The part of a `matir_nb.results.Source` that an index alone can give."""

    def __init__(self, index: Index) -> None:
        """Give what `index` holds."""
        self.index = index
        self.thumbnails = ThumbnailCache(index.path / CACHE_FOLDER)

    @property
    def image_root(self) -> Path:
        """Folder of the images; a hit's `path` is relative to it."""
        return self.index.image_root

    @property
    def n_images(self) -> int:
        """Number of images in the index."""
        return self.index.n_images

    @property
    def fingerprint(self) -> str:
        """Hex digest of the models and options that made the index."""
        return self.index.fingerprint

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is in the index."""
        return self.index.has_image(image_id)

    def load_image(self, image_id: str, *, max_side: int | None = None) -> RGBImage:
        """Return an image's upright pixels (see `Index.load_image`)."""
        return self.index.load_image(image_id, max_side=max_side)

    def thumbnail_key(self, image_id: str, side: int) -> str | None:
        """Return what a thumbnail of an image is kept as in `thumbnails`; None = it is not."""
        if not self.index.has_image(image_id):
            return None
        return key_of(self.index.ref_of(image_id).path, image_id, side)

    def regions_of(self, image_id: str) -> Regions:
        """Return an image's regions; row number = region id."""
        return self.index.regions_of(image_id)
