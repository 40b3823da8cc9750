"""Pictures and masks as a patch encoder sees them: one geometry for both.

A picture becomes a grid of patches; a mask becomes the share of each patch that it covers. This
module knows pixels and masks, and no model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matir_nb.geometry.masks import segments
from matir_nb.models.views import Window, whole_window
from matir_nb.types import FloatArray, MaskRLE, RGBImage

SQUASH, PAD, KEEP = "squash", "pad", "keep"


@dataclass(frozen=True, slots=True)
class Pixels:
    """How pictures become numbers, as the weights were trained.

    Attributes:
        geometry: "squash" = the picture fills the encoder's square, whatever its shape; "pad" =
            it is centred in a square of the mean colour; "keep" = it keeps its shape.
        patch: side of a patch, pixels of the encoder.
        mean: of red, green and blue, in [0, 1].
        std: of red, green and blue.
        resample: PIL's number of the filter: 2 = bilinear, 3 = bicubic.
    """

    geometry: str
    patch: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: int

    def window(self, width: int, height: int) -> Window:
        """Return what is seen (x0, y0, x1, y1) in pixels of the picture; it may leave it."""
        return whole_window(width, height) if self.geometry == PAD else (0, 0, width, height)

    def numbers(self, image: RGBImage, size_hw: tuple[int, int]) -> FloatArray:
        """Return (3, h, w) float32: what is seen of a picture, resized and normalised.

        Args:
            image: (H, W, 3) uint8.
            size_hw: pixels of the encoder.
        """
        picture = self._seen(Image.fromarray(image))
        if picture.size != size_hw[::-1]:
            picture = picture.resize(size_hw[::-1], Image.Resampling(self.resample))
        x = np.asarray(picture, np.float32) / np.float32(255)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.asarray(((x - mean) / std).transpose(2, 0, 1), np.float32)

    def _seen(self, picture: Image.Image) -> Image.Image:
        x0, y0, x1, y1 = self.window(*picture.size)
        if (x1 - x0, y1 - y0) == picture.size:
            return picture
        red, green, blue = (round(255 * value) for value in self.mean)
        square = Image.new("RGB", (x1 - x0, y1 - y0), (red, green, blue))
        square.paste(picture, (-x0, -y0))
        return square

    def coverage(self, mask: MaskRLE, size_hw: tuple[int, int]) -> FloatArray:
        """Return (n_patches,) float32 in [0, 1]: the share of each patch that a mask covers.

        The share is exact, not sampled: a mask of one pixel covers a part of some patch. A mask
        without any pixel stands for the whole picture.

        Args:
            mask: of the picture's size.
            size_hw: pixels of the encoder.
        """
        x, y0, y1 = segments(mask)
        if not len(x):
            return self.whole(mask.size, size_hw)
        down, along = self._edges(mask.size, size_hw)
        rows = _before(down, y1) - _before(down, y0)
        columns = _before(along, x + 1) - _before(along, x)
        return np.minimum(rows @ columns.T, 1).astype(np.float32).ravel()

    def whole(self, picture_hw: tuple[int, int], size_hw: tuple[int, int]) -> FloatArray:
        """Return (n_patches,) float32 in [0, 1]: the share of each patch that is picture."""
        down, along = self._edges(picture_hw, size_hw)
        rows = _before(down, picture_hw[0]) - _before(down, 0)
        columns = _before(along, picture_hw[1]) - _before(along, 0)
        return (rows * columns.T).astype(np.float32).ravel()

    def _edges(
        self, picture_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rows and columns of patches begin and end, in pixels of the picture."""
        height, width = picture_hw
        x0, y0, x1, y1 = self.window(width, height)
        down, along = (_cells(size, self.patch) for size in size_hw)
        return down * (y1 - y0) + y0, along * (x1 - x0) + x0


def _cells(size: int, patch: int) -> NDArray[np.float64]:
    """Return where the size // patch cells of an axis begin and end, 0 to 1.

    What is left behind the last whole patch the encoder never sees: it counts to the last cell,
    so that a mask there is not without any.
    """
    edges = np.arange(size // patch + 1) * patch / size
    edges[-1] = 1.0
    return edges


def _before(edges: NDArray[np.float64], at: NDArray[np.intp] | int) -> NDArray[np.float64]:
    """Return (cells, n): which share of each cell lies before each of n places.

    >>> _before(np.array([0.0, 1.6, 3.2]), np.array([0, 1, 2]))
    array([[0.   , 0.625, 1.   ],
           [0.   , 0.   , 0.25 ]])
    """
    begin, length = edges[:-1, None], np.diff(edges)[:, None]
    return np.clip((np.atleast_1d(at)[None] - begin) / length, 0, 1)
