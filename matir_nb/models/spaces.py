"""The coordinate spaces in which judge models write boxes -> pixels of the picture.

What is left of a model's box after clipping is a box of the house: absolute pixels of the upright
picture, half-open. Pure numbers: knows no model and no text.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from matir_nb.errors import ConfigError, unknown
from matir_nb.types import BoxXYXY

Space: TypeAlias = Literal["rel1000", "abs_resized", "loc_bins"]
"""Where the numbers of a model's box live:

- "rel1000": 0 to 1000 of each side of the picture (Qwen3-VL; QwenLM/Qwen3-VL#1486);
- "abs_resized": pixels of the picture as the model's processor resized it (Qwen2.5-VL;
  QwenLM/Qwen3-VL#676, #866);
- "loc_bins": one of 1000 bins of each side, 0 to 999; a bin stands for its centre (Florence-2).
"""
SPACES: tuple[Space, ...] = get_args(Space)
GRID = 1000


def to_pixels(
    box: Sequence[float],
    space: Space,
    *,
    image_size: tuple[int, int],
    resized_size: tuple[int, int] | None = None,
) -> BoxXYXY | None:
    """Return a model's box in pixels of the picture; None where nothing of it lies inside.

    Swapped corners are put right, what lies outside is cut off.

    Args:
        box: x, y of two opposite corners.
        space: in which they are written.
        image_size: (width, height) of the upright picture, pixels.
        resized_size: (width, height) that the model saw; needed for "abs_resized" only.

    Raises:
        ConfigError: no such space, or "abs_resized" without `resized_size`.

    >>> to_pixels((500, 250, 100, 1000), "rel1000", image_size=(640, 480))
    (64.0, 120.0, 320.0, 480.0)
    >>> to_pixels((14, 0, 28, 28), "abs_resized", image_size=(200, 50), resized_size=(56, 28))
    (50.0, 0.0, 100.0, 50.0)
    """
    scales, shift = _scales(space, image_size, resized_size)
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        return None
    xs = sorted(_clipped((value + shift) * scales[0], image_size[0]) for value in box[0::2])
    ys = sorted(_clipped((value + shift) * scales[1], image_size[1]) for value in box[1::2])
    is_empty = xs[0] >= xs[1] or ys[0] >= ys[1]
    return None if is_empty else (xs[0], ys[0], xs[1], ys[1])


def from_pixels(
    box_xyxy: Sequence[float],
    space: Space,
    *,
    image_size: tuple[int, int],
    resized_size: tuple[int, int] | None = None,
) -> tuple[int, int, int, int]:
    """Return a box of the picture as the whole numbers that a model reads and writes.

    Args:
        box_xyxy: pixels of the picture.
        space: to write it in.
        image_size: (width, height) of the upright picture, pixels.
        resized_size: (width, height) that the model sees; needed for "abs_resized" only.

    Raises:
        ConfigError: no such space, or "abs_resized" without `resized_size`.

    >>> from_pixels((64, 120, 320, 480), "rel1000", image_size=(640, 480))
    (100, 250, 500, 1000)
    """
    (x_scale, y_scale), shift = _scales(space, image_size, resized_size)
    top = GRID - 1 if space == "loc_bins" else math.inf
    x0, y0, x1, y1 = (
        round(min(max(value / scale - shift, 0), top))
        for value, scale in zip(box_xyxy, (x_scale, y_scale, x_scale, y_scale), strict=True)
    )
    return x0, y0, x1, y1


def _scales(
    space: Space, image_size: tuple[int, int], resized_size: tuple[int, int] | None
) -> tuple[tuple[float, float], float]:
    """Return pixels per unit along x and y, and what is added to a number first."""
    if space not in SPACES:
        raise ConfigError(unknown("coordinate space", space, SPACES))
    if space != "abs_resized":
        shift = 0.5 if space == "loc_bins" else 0.0
        return (image_size[0] / GRID, image_size[1] / GRID), shift
    if resized_size is None:
        message = "abs_resized = boxes in the resized picture: give resized_size=(width, height)"
        raise ConfigError(message)
    return (image_size[0] / resized_size[0], image_size[1] / resized_size[1]), 0.0


def _clipped(value: float, limit: int) -> float:
    return min(max(value, 0.0), float(limit))
