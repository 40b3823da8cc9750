"""Regions as a list of cut-outs: how the embedded judge was trained to see them.

The prompt lists the candidate regions of a picture: a letter, the region cut out of the picture,
its box on a 0-1000 grid; then the query. The answer is "no", or "yes" and a letter. Knows pixels
and words, and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matir_nb.models.views import View, cut
from matir_nb.types import FloatArray, RGBImage

GRID = 1000


@dataclass(frozen=True, slots=True)
class ListedRegions:
    """How regions are put into the prompt.

    Attributes:
        n_listed: at most so many regions, in stored order; letters allow 26.
        view: the window around each region.
        side: pixels of each cut-out.
        fill: grey level outside the mask, 0 to 255.
        step: box corners are rounded to multiples of this on the 0-1000 grid.
        instruction: text before the regions.
    """

    n_listed: int = 12
    view: View = field(default_factory=View)
    side: int = 224
    fill: int = 128
    step: int = 1
    instruction: str = ""


def is_listed_regions(options: Mapping[str, Any]) -> bool:
    """Tell whether a folder's options are those of a judge that reads cut-outs."""
    return {"view", "side", "step"} <= options.keys()


def listed_regions(options: Mapping[str, Any]) -> ListedRegions:
    """Return what `dataclasses.asdict` turned into `options`."""
    return ListedRegions(**{**options, "view": View(**options["view"])})


def region_cutouts(
    image: RGBImage,
    masks: Sequence[NDArray[np.bool_]],
    boxes_xyxy: FloatArray,
    listed: ListedRegions,
) -> list[RGBImage]:
    """Return one (side, side, 3) cut-out per mask; outside the mask it is `fill` grey."""
    picture = Image.fromarray(image)
    height, width = image.shape[:2]
    cutouts = []
    for mask, box in zip(masks, boxes_xyxy.tolist(), strict=True):
        window = listed.view.window(tuple(box), width, height)
        view = cut(picture, Image.fromarray(mask.astype(np.uint8) * 255), window, listed.side)
        alpha = view[..., 3:].astype(np.float32) / 255
        mixed = view[..., :3] * alpha + listed.fill * (1 - alpha)
        cutouts.append(mixed.astype(np.uint8))
    return cutouts


def box_words(box_xyxy: Sequence[float], width: int, height: int, step: int) -> str:
    """Return the box on the 0-1000 grid, corners rounded to `step`.

    >>> box_words((10, 20, 50, 100), width=200, height=100, step=25)
    '50 200 250 1000'
    """
    sides = (width, height, width, height)
    scaled = (GRID * value / side for value, side in zip(box_xyxy, sides, strict=True))
    return " ".join(str(round(value / step) * step) for value in scaled)


def prompt_content(
    boxes_xyxy: FloatArray, width: int, height: int, listed: ListedRegions
) -> list[dict[str, str]]:
    """Return the chat content that lists the regions, without the query."""
    content: list[dict[str, str]] = []
    if listed.instruction:
        content.append({"type": "text", "text": listed.instruction})
    for letter, box in zip(ascii_uppercase, boxes_xyxy.tolist(), strict=False):
        content.append({"type": "text", "text": f" {letter}"})
        content.append({"type": "image"})
        content.append({"type": "text", "text": f" {box_words(box, width, height, listed.step)}"})
    return content
